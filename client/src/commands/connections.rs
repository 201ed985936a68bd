//! `connections list` and `connections set-default`.

use authsome_proto::{Request, Response};
use serde_json::json;

use crate::cli::{ConnectionsVerb, SetDefault};
use crate::connect::{Start, connect, unexpected};
use crate::error::Done;
use crate::ui::Ui;

pub(super) fn connections(verb: Option<ConnectionsVerb>, ui: Ui) -> Done {
    match verb {
        None | Some(ConnectionsVerb::List) => super::list::connections_only(ui),
        Some(ConnectionsVerb::SetDefault(arguments)) => set_default(arguments, ui),
        Some(ConnectionsVerb::Inspect(arguments)) => super::get::get(&arguments, ui),
    }
}

fn set_default(
    SetDefault {
        provider,
        connection,
    }: SetDefault,
    ui: Ui,
) -> Done {
    let request = Request::SetDefault {
        provider: provider.clone(),
        connection: connection.clone(),
    };
    let Response::Done = connect(Start::IfNeeded, ui)?.call(request, ui)? else {
        return Err(unexpected());
    };
    if ui.json {
        return ui.object(json!({ "provider": provider, "default": connection }));
    }
    ui.done(&format!(
        "{provider} uses {connection} from now on, also in living runs"
    ))
}
