//! `unlock`: gives the file store its passphrase, or chooses one where one is wanted.

use std::io;

use authsome_proto::{ErrorCode, Request, Response};
use serde_json::json;

use crate::cli::Unlock;
use crate::connect::{Start, connect, unexpected};
use crate::error::Done;
use crate::prompt::{self, Ask};
use crate::secrets;
use crate::ui::Ui;

pub(super) fn unlock(arguments: &Unlock, ui: Ui) -> Done {
    let mut daemon = connect(Start::IfNeeded, ui)?;
    let passphrase = if arguments.stdin {
        secrets::read(&mut io::stdin().lock(), "the passphrase")?
    } else {
        prompt::passphrase(Ask::Known, ui)?
    };
    let answer = match daemon.call(
        Request::Unlock {
            passphrase: passphrase.clone(),
        },
        ui,
    ) {
        // none was chosen yet: what was typed must be typed again, so that a slip is not the key
        Err(failure) if failure.is(ErrorCode::PassphraseWanted) && !arguments.stdin => {
            let passphrase = prompt::passphrase(Ask::New, ui)?;
            daemon.call(Request::Unlock { passphrase }, ui)?
        }
        answer => answer?,
    };
    let Response::Done = answer else {
        return Err(unexpected());
    };
    if ui.json {
        return ui.object(json!({ "unlocked": true }));
    }
    ui.done("the vault is open until the daemon stops")
}
