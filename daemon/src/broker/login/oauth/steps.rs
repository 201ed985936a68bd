//! What a person does once there is a client: a page of the server, or a code for another device.

use std::sync::Arc;

use authsome_proto::request::LoginVia;
use authsome_proto::response::LoginStep;
use authsome_proto::{ErrorCode, Response, WireError};

use super::tokens::{Brought, refused, unix_now};
use super::{Progress, SignIn, is_about_client};
use crate::broker::Broker;
use crate::broker::login::{Session, Target, ended, no_page};
use crate::login::Awaited;
use crate::oauth::authorize::Authorization;
use crate::oauth::callback::Refusal;
use crate::oauth::http::HttpError;
use crate::oauth::pkce::{Pkce, State};
use crate::oauth::{Client, TokenError, device, register};
use crate::providers::{ClientAuth, Flow};

#[derive(Debug, thiserror::Error)]
#[error("the definition has no {0} endpoint")]
struct Missing(&'static str);

impl Broker {
    /// Registers us at the server, and remembers it.
    pub(super) async fn register_client(&self, login: &SignIn) -> Result<Client, WireError> {
        let what = "registering a client";
        let Some(endpoint) = &login.facts.registration_endpoint else {
            return Err(login.failed(what, &Missing("registration")));
        };
        let public = login.facts.client_auth != ClientAuth::Basic;
        let request = register::request(&login.redirect_uri, &login.scopes, public);
        let answer = self
            .servers()
            .await?
            .send(endpoint, login.reach, request)
            .await
            .map_err(|error| login.failed(what, &error))?;
        let client = register::read(&answer).map_err(|error| login.failed(what, &error))?;
        let registered_for = Some(login.redirect_uri.clone());
        let provider = &login.named.definition.name;
        self.remember_client(provider, &login.server, &client, registered_for)
            .await?;
        Ok(client)
    }

    /// The next step, now that there is a client.
    pub(super) async fn go(
        self: &Arc<Self>,
        session: &Arc<Session>,
        login: &SignIn,
        client: Client,
    ) -> Result<LoginStep, WireError> {
        match login.flow {
            Flow::Pkce | Flow::DcrPkce => self.send_to_server(session, login, client).await,
            Flow::DeviceCode => self.show_device_code(session, login, client).await,
            Flow::ClientCredentials | Flow::JwtBearer => {
                login.set(Progress::Busy);
                let (broker, session) = (Arc::clone(self), Arc::clone(session));
                tokio::spawn(async move {
                    let Target::OAuth(login) = &session.target else {
                        return;
                    };
                    let _turn = session.turn.lock().await;
                    let done = broker.ask_for_itself(&session, login, client).await;
                    broker.finish(&session, done);
                });
                Ok(LoginStep::Wait)
            }
        }
    }

    async fn send_to_server(
        &self,
        session: &Session,
        login: &SignIn,
        client: Client,
    ) -> Result<LoginStep, WireError> {
        let (state, pkce) = (State::random(), Pkce::random());
        let what = "sending the browser to the server";
        let Some(endpoint) = &login.facts.authorization_url else {
            return Err(login.failed(what, &Missing("authorization")));
        };
        let url = Authorization {
            endpoint,
            client_id: &client.id,
            redirect_uri: &login.redirect_uri,
            scopes: &login.scopes,
            state: &state,
            pkce: &pkce,
            resource: login.facts.resource.as_deref(),
            params: &login.facts.authorization_params,
        }
        .url();
        let Some(url) = url else {
            return Err(login.failed(what, &HttpError::Url(endpoint.clone())));
        };
        let awaited = Awaited {
            provider: login.named.definition.name.clone(),
            state: state.clone(),
            issuer: login.facts.issuer.clone(),
            issuer_is_named: login.facts.names_itself,
        };
        let listening = self
            .pages
            .load()
            .await_callback(
                session.id.clone(),
                login.form(),
                awaited,
                session.inbox.clone(),
            )
            .await;
        let listens = match (listening, session.via) {
            (Ok(()), _) => true,
            (Err(error), LoginVia::Form) => return Err(no_page(&error)),
            // the address can still be pasted
            (Err(error), LoginVia::Submit) => {
                tracing::info!(%error, "no callback is listened for");
                false
            }
        };
        login.set(Progress::Code {
            client,
            state,
            pkce,
        });
        Ok(LoginStep::Authorize {
            url,
            redirect_uri: login.redirect_uri.clone(),
            listens,
        })
    }

    async fn show_device_code(
        self: &Arc<Self>,
        session: &Arc<Session>,
        login: &SignIn,
        client: Client,
    ) -> Result<LoginStep, WireError> {
        let what = "getting a device code";
        let Some(endpoint) = &login.facts.device_authorization_url else {
            return Err(login.failed(what, &Missing("device authorization")));
        };
        let how = login.how_devices_ask();
        let request = device::request(&client, &login.scopes, how);
        let answer = self
            .servers()
            .await?
            .send(endpoint, login.reach, request)
            .await
            .map_err(|error| login.failed(what, &error))?;
        let code = device::read(&answer, how).map_err(|error| match &error {
            TokenError::Refused { code, .. } if is_about_client(code) => login.token_failed(&error),
            _ => login.failed(what, &error),
        })?;
        let step = LoginStep::Device {
            url: code.verification_uri.clone(),
            url_with_code: code.verification_uri_complete.clone(),
            code: code.user_code.clone(),
        };
        login.set(Progress::Busy);
        let (broker, session) = (Arc::clone(self), Arc::clone(session));
        tokio::spawn(async move { broker.poll_device(&session, code, client).await });
        Ok(step)
    }

    /// Asks until the code is typed, refused or too old, or the login is over.
    async fn poll_device(&self, session: &Session, code: device::DeviceCode, client: Client) {
        let Target::OAuth(login) = &session.target else {
            return;
        };
        let how = login.how_devices_ask();
        let mut poll = device::Poll::new(&code);
        let mut pause = poll.interval();
        let too_old = tokio::time::Instant::now() + code.expires_in;
        let mut state = session.state.subscribe();
        let brought = loop {
            tokio::select! {
                () = ended(&mut state) => return,
                () = tokio::time::sleep_until(too_old) => {
                    break Err(too_late(login));
                }
                () = tokio::time::sleep(pause) => {}
            }
            let request = device::token_request(&code, &client, how);
            let servers = match self.servers().await {
                Ok(servers) => servers,
                Err(error) => break Err(error),
            };
            let asked_at = unix_now();
            let answer = servers.send(&login.facts.token_url, login.reach, request);
            pause = match answer.await {
                Ok(answer) => match poll.answered(&answer, how) {
                    device::Next::Wait(pause) => pause,
                    device::Next::Done(tokens) => break Ok(Brought { tokens, asked_at }),
                    device::Next::Failed(error) => break Err(device_failed(login, error)),
                },
                Err(error) => {
                    tracing::debug!(%error, "the device code's server does not answer");
                    poll.unanswered()
                }
            };
        };
        let _turn = session.turn.lock().await;
        let done = match brought {
            Ok(brought) => {
                self.keep_tokens(session, login, brought, Some(client), None)
                    .await
            }
            Err(error) => Err(error),
        };
        self.finish(session, done);
    }

    fn finish(&self, session: &Session, done: Result<Response, WireError>) {
        if session.is_over() {
            return;
        }
        if done.is_err() {
            self.note_failure(session);
        }
        session.end(done);
    }
}

/// What a person did, or did not do, is not the server's failure.
fn device_failed(login: &SignIn, error: TokenError) -> WireError {
    match error {
        TokenError::Refused { code, description } if code == "access_denied" => {
            refused(login, Refusal { code, description })
        }
        TokenError::Refused { code, .. } if code == "expired_token" => too_late(login),
        error => login.token_failed(&error),
    }
}

fn too_late(login: &SignIn) -> WireError {
    let name = &login.named.definition.name;
    WireError::new(
        ErrorCode::LoginExpired,
        format!("the code for `{name}` was not entered in time"),
    )
    .hint(format!("start again with `{}`", login.command()))
}
