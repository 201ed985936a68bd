//! `completions SHELL`.

use clap::CommandFactory as _;

use crate::cli::{Cli, Completions};
use crate::error::Done;
use crate::ui::Ui;

pub(super) fn completions(arguments: &Completions, ui: Ui) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "authsome",
        &mut script,
    );
    ui.exactly(&String::from_utf8_lossy(&script))
}
