//! Arguments of the hidden commands that serve shells and packages.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// Arguments of `complete`: what the scripts of `completions` ask at every TAB.
#[derive(Debug, Args)]
pub(crate) struct Complete {
    /// The words up to the cursor, the program's name first
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "WORD"
    )]
    pub(crate) words: Vec<OsString>,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder to write the pages into; made if it is not there
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}
