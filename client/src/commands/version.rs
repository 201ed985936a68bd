//! `version`: ours, and the daemon's if one runs.

use authsome_proto::hello::HIGHEST;
use serde_json::json;

use crate::connect::{Found, find};
use crate::error::Done;
use crate::ui::Ui;

/// Our build.
pub(super) const OURS: &str = env!("CARGO_PKG_VERSION");

pub(super) fn version(ui: Ui) -> Done {
    // a daemon that cannot be reached must not keep anybody from learning our version
    let daemon = match find(ui) {
        Ok(Found::Greeted(daemon)) => Some(daemon.build),
        Ok(Found::Foreign { .. } | Found::Nobody) | Err(_) => None,
    };
    if ui.json {
        return ui.object(json!({ "client": OURS, "daemon": daemon, "protocol": HIGHEST }));
    }
    ui.line(&format!("authsome {OURS}"))?;
    if let Some(build) = daemon {
        ui.line(&format!("authsomed {}", crate::ui::printable(&build)))?;
    }
    Ok(())
}
