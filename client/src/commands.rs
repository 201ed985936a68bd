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

use crate::cli::Verb;
use crate::error::Done;
use crate::ui::Ui;

/// Does what was asked.
pub(crate) fn dispatch(verb: Verb, ui: Ui) -> Done {
    match verb {
        Verb::Complete(arguments) => complete::complete(&arguments, ui),
        Verb::Completions(arguments) => completions::completions(&arguments, ui),
        Verb::Connections(arguments) => connections::connections(arguments.verb, ui),
        Verb::Daemon(arguments) => daemon::daemon(arguments.verb, ui),
        Verb::Doctor => doctor::doctor(ui),
        Verb::Env(arguments) => env::env(arguments, ui),
        Verb::Explain(arguments) => explain::explain(arguments, ui),
        Verb::Export(arguments) => export::export(&arguments, ui),
        Verb::Get(arguments) => get::get(&arguments, ui),
        Verb::Inspect(arguments) => inspect::inspect(arguments.provider, ui),
        Verb::List(arguments) => list::list(&arguments, ui),
        Verb::Log(arguments) => log::log(&arguments, ui),
        Verb::Login(arguments) => login::login(&arguments, ui),
        Verb::Logout(arguments) => forget::logout(arguments, ui),
        Verb::Man(arguments) => man::man(&arguments, ui),
        Verb::Mcp => mcp::mcp(ui),
        Verb::Register(arguments) => register::register(&arguments, ui),
        Verb::Remove(arguments) => forget::remove(arguments.provider, ui),
        Verb::Revoke(arguments) => forget::revoke(arguments, ui),
        Verb::Run(arguments) => run::run(arguments, ui),
        Verb::Runs(arguments) => runs::runs(arguments.verb, ui),
        Verb::Scan(arguments) => scan::scan(&arguments, ui),
        Verb::Service(arguments) => service::service(&arguments.verb, ui),
        Verb::Status => status::status(ui),
        Verb::Unlock(arguments) => unlock::unlock(&arguments, ui),
        Verb::Version => version::version(ui),
        Verb::Webhook(arguments) => webhook::webhook(arguments.verb, ui),
        Verb::Init | Verb::Whoami => whoami::whoami(ui),
        // `cli::parse` has turned these into the commands they stand for
        Verb::Auth(_) | Verb::Provider(_) | Verb::Proxy(_) => Err(crate::error::Failure::bug(
            "a group of commands was not resolved",
        )),
    }
}
