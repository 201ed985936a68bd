//! `inspect P`: the definition as JSON and nothing else, so that it can be redirected to a file.
//!
//! The definition is the whole answer with and without `--json`: it carries its own version.

use authsome_proto::{ProviderName, Request, Response};

use crate::connect::{Start, connect, unexpected};
use crate::error::Done;
use crate::ui::Ui;

pub(super) fn inspect(provider: ProviderName, ui: Ui) -> Done {
    let request = Request::Inspect { provider };
    match connect(Start::IfNeeded, ui)?.call(request, ui)? {
        Response::Definition { json } => {
            ui.exactly(json.trim_end())?;
            ui.exactly("\n")
        }
        _ => Err(unexpected()),
    }
}
