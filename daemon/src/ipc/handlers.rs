//! What each request does. One `match` without a wildcard: a new request does not compile until
//! somebody handles it.

mod describe;
mod doctor;
mod log;
mod login;
mod subscribe;

use authsome_proto::{Request, Response, WireError};

pub use login::GiveUp;

use super::session::{Caller, Replies};
use crate::broker;

/// Handles one request; `gives_up` is what it has of [`GiveUp::of`].
pub async fn handle(
    caller: &Caller,
    request: Request,
    gives_up: Option<GiveUp>,
    replies: &Replies,
) -> Result<Response, WireError> {
    let broker = &caller.broker;
    let by = caller.peer.pid;
    // a look at the files costs a few microseconds and makes `inspect > file`, `list` do the right thing
    broker.reload_changed().await;
    match request {
        Request::Status => Ok(Response::Status(describe::status(broker).await)),
        Request::Connections => Ok(Response::Connections(describe::connections(broker))),
        Request::Providers => Ok(Response::Providers(describe::providers(broker))),
        Request::Connection {
            provider,
            connection,
        } => {
            let record = broker.connection_named(&provider, connection)?;
            Ok(Response::Connection(describe::connection(broker, &record)))
        }
        Request::Reveal {
            provider,
            connection,
        } => broker
            .reveal(&provider, connection, by)
            .await
            .map(Response::Revealed),
        Request::Inspect { provider } => Ok(Response::Definition {
            json: broker.definition(&provider)?.definition.to_json(),
        }),
        Request::Login(login) => broker
            .begin_login(login, by, caller.inside_run())
            .await
            .map(Response::LoginStarted),
        Request::LoginSubmit { login, secret } => broker.submit_login(&login, secret).await,
        Request::LoginAnswer { login, answer } => broker.answer_login(&login, answer).await,
        Request::LoginServer(server) => broker
            .begin_server_login(server, by)
            .await
            .map(Response::LoginStarted),
        Request::LoginWait { login } => login::wait(broker, login, gives_up, replies).await,
        Request::LoginCancel { login } => broker.cancel_login(&login).map(|()| Response::Done),
        Request::Logout {
            provider,
            connection,
        } => broker
            .log_out(&provider, connection, by)
            .await
            .map(Response::Forgotten),
        Request::Revoke {
            provider,
            connection,
        } => broker
            .revoke(&provider, connection, by)
            .await
            .map(Response::Forgotten),
        Request::Remove { provider } => broker.remove(&provider, by).await.map(Response::Forgotten),
        Request::SetDefault {
            provider,
            connection,
        } => broker
            .set_default(&provider, &connection, by)
            .await
            .map(|()| Response::Done),
        Request::Register { text, file, force } => broker
            .register(&text, &file, force, by)
            .await
            .map(Response::Registered),
        Request::Export {
            provider,
            connection,
        } => broker
            .export(provider, connection, by)
            .await
            .map(Response::Exported),
        Request::RunStart(start) => {
            let process = caller.peer.process.try_clone().map_err(|error| {
                crate::errors::storage("take hold of the process that asks", &error)
            })?;
            let asker = broker::Asker { pid: by, process };
            broker
                .start_run(asker, start)
                .await
                .map(Response::RunStarted)
        }
        Request::Runs => Ok(Response::Runs(describe::runs(broker))),
        Request::RunStop { run } => broker.stop_run(&run).map(|()| Response::Done),
        Request::Log(query) => log::lines(broker, &query).map(|lines| Response::Log { lines }),
        Request::LogFollow(query) => log::follow(broker, &query, replies).await,
        Request::LogVerify => log::verify(broker).await.map(Response::LogVerified),
        Request::Subscribe => subscribe::all(broker, replies).await,
        Request::Doctor => Ok(Response::Doctor(doctor::checks(broker).await)),
        Request::Unlock { passphrase } => {
            broker.unlock(passphrase, by).await.map(|()| Response::Done)
        }
        Request::Explain(question) => broker.explain(question, by).await.map(Response::Explained),
        Request::WebhookAdd(add) => broker
            .begin_webhook_add(add, by)
            .await
            .map(Response::LoginStarted),
        Request::WebhookRotate {
            webhook,
            keep_old,
            via,
        } => broker
            .begin_webhook_rotate(&webhook, keep_old, via, by)
            .await
            .map(Response::LoginStarted),
        Request::Webhooks => broker.list_webhooks().await.map(Response::Webhooks),
        Request::WebhookRemove { webhook } => broker
            .remove_webhook(&webhook, by)
            .await
            .map(|()| Response::Done),
        Request::WebhookVerify(request) => broker
            .verify_webhook(&request)
            .await
            .map(Response::WebhookVerified),
        Request::WebhookSign(request) => broker
            .sign_webhook(&request, by)
            .await
            .map(|headers| Response::WebhookSigned { headers }),
        Request::Shutdown => {
            broker.shutdown.cancel();
            Ok(Response::Done)
        }
        Request::WhoAmI => Ok(Response::WhoAmI(
            describe::who_am_i(broker, &caller.peer).await,
        )),
    }
}
