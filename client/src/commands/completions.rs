//! `completions SHELL`: the script that makes a shell complete our command lines.
//!
//! Those for bash, fish and zsh ask [`super::complete`] at every TAB, so they know what the daemon
//! knows and do not grow old. For elvish and powershell there is a plain table of the arguments.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::{Cli, Completions};
use crate::error::Done;
use crate::ui::Ui;

const BASH: &str = include_str!("../../completions/authsome.bash");
const FISH: &str = include_str!("../../completions/authsome.fish");
const ZSH: &str = include_str!("../../completions/authsome.zsh");

pub(super) fn completions(arguments: &Completions, ui: Ui) -> Done {
    let script = match arguments.shell {
        Shell::Bash => BASH.to_owned(),
        Shell::Fish => FISH.to_owned(),
        Shell::Zsh => ZSH.to_owned(),
        shell => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "authsome", &mut script);
            String::from_utf8_lossy(&script).into_owned()
        }
    };
    ui.exactly(&script)
}
