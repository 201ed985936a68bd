//! What each command does, one file a command.

mod complete;
mod completions;
mod connections;
mod daemon;
mod doctor;
mod env;
mod explain;
mod export;
mod forget;
mod get;
mod inspect;
mod list;
mod log;
mod login;
mod man;
mod mcp;
mod register;
mod run;
mod runs;
mod scan;
mod service;
mod status;
mod unlock;
mod version;
mod view;
mod webhook;
mod whoami;

use crate::cli::{Later, Verb};
use crate::error::Done;
use crate::ui::Ui;

/// Does what was asked.
pub(crate) fn dispatch(verb: Verb, ui: Ui) -> Done {
    match verb {
        Verb::Complete(Later(arguments)) => complete::complete(&arguments, ui),
        Verb::Completions(Later(arguments)) => completions::completions(&arguments, ui),
        Verb::Connections(Later(arguments)) => connections::connections(arguments.verb, ui),
        Verb::Daemon(Later(arguments)) => daemon::daemon(arguments.verb, ui),
        Verb::Doctor => doctor::doctor(ui),
        Verb::Env(Later(arguments)) => env::env(arguments, ui),
        Verb::Explain(Later(arguments)) => explain::explain(arguments, ui),
        Verb::Export(Later(arguments)) => export::export(&arguments, ui),
        Verb::Get(Later(arguments)) => get::get(&arguments, ui),
        Verb::Inspect(Later(arguments)) => inspect::inspect(arguments.provider, ui),
        Verb::List(Later(arguments)) => list::list(&arguments, ui),
        Verb::Log(Later(arguments)) => log::log(&arguments, ui),
        Verb::Login(Later(arguments)) => login::login(&arguments, ui),
        Verb::Logout(Later(arguments)) => forget::logout(arguments, ui),
        Verb::Man(Later(arguments)) => man::man(&arguments, ui),
        Verb::Mcp => mcp::mcp(ui),
        Verb::Register(Later(arguments)) => register::register(&arguments, ui),
        Verb::Remove(Later(arguments)) => forget::remove(arguments.provider, ui),
        Verb::Revoke(Later(arguments)) => forget::revoke(arguments, ui),
        Verb::Run(Later(arguments)) => run::run(arguments, ui),
        Verb::Runs(Later(arguments)) => runs::runs(arguments.verb, ui),
        Verb::Scan(Later(arguments)) => scan::scan(&arguments, ui),
        Verb::Service(Later(arguments)) => service::service(&arguments.verb, ui),
        Verb::Status => status::status(ui),
        Verb::Unlock(Later(arguments)) => unlock::unlock(&arguments, ui),
        Verb::Version => version::version(ui),
        Verb::Webhook(Later(arguments)) => webhook::webhook(arguments.verb, ui),
        Verb::Init | Verb::Whoami => whoami::whoami(ui),
        // `cli::parse` has turned these into the commands they stand for
        Verb::Auth(_) | Verb::Provider(_) | Verb::Proxy(_) => Err(crate::error::Failure::bug(
            "a group of commands was not resolved",
        )),
    }
}
