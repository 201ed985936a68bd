//! Arguments of `service`.

use clap::{Args, Subcommand};

/// Arguments of `service`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  authsome service install   the first command of a login starts the daemon
  authsome service status    show whether it is used, and its port")]
pub(crate) struct Service {
    #[command(subcommand)]
    pub(crate) verb: ServiceVerb,
}

/// Commands of `service`.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceVerb {
    /// Have systemd or launchd hold the sockets and start the daemon
    Install(ServiceChange),
    /// Undo that; connections stay
    Uninstall(ServiceChange),
    /// Show the service; exit code 1 if it is not installed
    Status,
}

/// Arguments of `service install` and `service uninstall`.
#[derive(Debug, Args)]
pub(crate) struct ServiceChange {
    /// Also overwrite or remove files that were changed by hand
    #[arg(long)]
    pub(crate) force: bool,
}
