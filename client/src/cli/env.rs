//! Arguments of `env`.

use clap::{Args, ValueEnum};

use super::Wishes;

/// Arguments of `env`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  eval \"$(authsome env)\"                       bash, zsh, ksh, dash
  authsome env | source                        fish
  eval \"$(authsome env --only intercom --for 8h)\"
  authsome env --json                          for programs: the run ends with the one that asked

The run ends with the shell; `authsome runs stop ID` ends it before, from another terminal. Called \
again in the same shell with the same options it gives the same run. Programs that the shell starts \
then are inside the run: `export`, `get --show-secret`, `login --force` and other changes are refused \
there. What is printed holds the run's token and placeholders, never a key.")]
pub(crate) struct Env {
    #[command(flatten)]
    pub(crate) wishes: Wishes,
    /// Write for this shell; for the one that asks if absent
    #[arg(long, value_name = "SHELL")]
    pub(crate) shell: Option<ShellChoice>,
    /// Bind the run to this process, one above this command; to the shell that asks if absent
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pid: Option<u32>,
}

/// Shells that can be written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellChoice {
    Bash,
    Dash,
    Fish,
    Ksh,
    Sh,
    Zsh,
}
