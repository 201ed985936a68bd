//! `authsome`: a thin client. It asks `authsomed`, shows the answer, and gets out of the way.
//!
//! Blocking throughout: one Unix socket, no runtime, no TLS. This file turns arguments into a
//! command and a failure into an exit code, nothing else.
//!
//! Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 daemon not reachable, 4 login needed,
//! 70 a bug of ours. Under `run`: the command's own, 126 and 127 as in a shell, and 125 for
//! whatever failed before the command started.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod complete;
mod connect;
mod dotenv;
mod error;
mod interrupt;
mod keys;
mod lineage;
mod project;
mod prompt;
mod quote;
mod secrets;
mod service;
mod start;
mod times;
mod ui;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use crate::error::{Failure, RUN_FAILED};
use crate::ui::Ui;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let is_run = cli::is_run(&arguments);
    let code = catch_unwind(AssertUnwindSafe(|| act(&arguments, is_run))).unwrap_or_else(|_| {
        if is_run {
            RUN_FAILED
        } else {
            Failure::bug("").exit_code()
        }
    });
    ExitCode::from(code)
}

/// Does what the arguments say; returns the exit code.
fn act(arguments: &[OsString], is_run: bool) -> u8 {
    let (ui, done) = match cli::parse(arguments) {
        Ok(cli) => {
            let ui = Ui::new(cli.output);
            let done = commands::dispatch(cli.verb, ui);
            (ui, done)
        }
        Err(error) => {
            let shown = ui::clap_message(&error);
            let code = match (error.use_stderr(), is_run) {
                (false, _) => 0,
                (true, true) => RUN_FAILED,
                (true, false) => Failure::usage("").exit_code(),
            };
            return if shown.is_ok() { code } else { 1 };
        }
    };
    match done {
        Ok(()) => 0,
        Err(failure) => {
            ui.failure(&failure);
            if is_run {
                failure.exit_code_of_run()
            } else {
                failure.exit_code()
            }
        }
    }
}
