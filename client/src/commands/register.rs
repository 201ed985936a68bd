//! `register FILE`: adds a definition, or confirms the hosts that one has gained.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use authsome_proto::{Request, Response};
use serde_json::json;

use crate::cli::Register;
use crate::connect::{Start, connect, unexpected};
use crate::error::{Done, Failure};
use crate::ui::Ui;

/// Largest definition that is read; far above any real one, and well inside one frame.
const DEFINITION_MAX: u64 = 512 * 1024;

pub(super) fn register(arguments: &Register, ui: Ui) -> Done {
    let (text, file) = read(&arguments.file)?;
    let request = Request::Register {
        text,
        file,
        force: arguments.force,
    };
    let answer = connect(Start::IfNeeded, ui)?.call(request, ui)?;
    let Response::Registered(registered) = answer else {
        return Err(unexpected());
    };
    if ui.json {
        return ui.object(json!({
            "provider": registered.provider,
            "file": registered.file,
            "replaced": registered.replaced,
            "confirmed": registered.confirmed,
            "warnings": registered.warnings,
        }));
    }
    for warning in &registered.warnings {
        ui.warning(warning);
    }
    let verb = if registered.replaced {
        "replaced"
    } else {
        "registered"
    };
    ui.done(&format!(
        "{verb}: {} in `{}`",
        registered.provider, registered.file
    ))?;
    for connection in &registered.confirmed {
        ui.done(&format!(
            "{connection} is now used for all hosts of the definition"
        ))?;
    }
    if registered.confirmed.is_empty() {
        ui.note(&format!("`authsome login {}` logs in", registered.provider));
    }
    Ok(())
}

/// The definition's text and what to call its file.
fn read(path: &Path) -> Result<(String, String), Failure> {
    let (name, reader): (String, Box<dyn io::Read>) = if path == Path::new("-") {
        ("standard input".into(), Box::new(io::stdin()))
    } else {
        let cannot =
            |error| Failure::failed(format!("cannot read `{}`", path.display())).because(&error);
        let absolute = std::path::absolute(path).map_err(cannot)?;
        (
            absolute.display().to_string(),
            Box::new(File::open(path).map_err(cannot)?),
        )
    };
    let mut text = String::new();
    let read = reader
        .take(DEFINITION_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::failed(format!("cannot read `{name}`")).because(&error))?;
    if u64::try_from(read).unwrap_or(u64::MAX) > DEFINITION_MAX {
        return Err(Failure::failed(format!(
            "`{name}` is larger than {DEFINITION_MAX} bytes"
        )));
    }
    Ok((text, name))
}
