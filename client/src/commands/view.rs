//! What several commands show: connections as fields, states with their mood.

use authsome_proto::response::{Connection, ConnectionState, Source};
use authsome_proto::{ConnectionName, ProviderName};
use serde_json::{Value, json};

use crate::ui::{Field, Mood};

/// A connection as an object; the same names work with `get --field`.
pub(crate) fn connection(connection: &Connection) -> Value {
    let Connection {
        provider,
        display_name,
        connection,
        is_default,
        auth,
        state,
        source,
        created_at,
        rotated_at,
        last_used,
        expires_at,
        hosts,
        unconfirmed_hosts,
        variables,
        slot,
        region,
        renews,
        scopes,
        flow,
        base_url,
    } = connection;
    json!({
        "provider": provider,
        "display_name": display_name,
        "connection": connection,
        "default": is_default,
        "auth": auth,
        "status": state.as_str(),
        "source": source,
        "created_at": created_at,
        "rotated_at": rotated_at,
        "last_used": last_used,
        "expires_at": expires_at,
        "hosts": hosts,
        "unconfirmed_hosts": unconfirmed_hosts,
        "variables": variables,
        "slot": slot,
        "region": region,
        "flow": flow,
        "scopes": scopes,
        "base_url": base_url,
        "renews": renews,
    })
}

/// A state as a cell.
pub(crate) fn state(state: ConnectionState) -> Field {
    let mood = match state {
        ConnectionState::Connected => Mood::Good,
        ConnectionState::Expiring => Mood::Careful,
        ConnectionState::Expired | ConnectionState::NeedsLogin | ConnectionState::Revoked => {
            Mood::Bad
        }
    };
    Field::new(state.as_str(), mood)
}

/// Where a definition comes from, in a word.
pub(crate) fn source(source: Option<Source>) -> &'static str {
    match source {
        Some(Source::Bundled) => "bundled",
        Some(Source::Custom) => "custom",
        None => "missing",
    }
}

/// A granted connection in a word: `intercom`, or `intercom=team`.
pub(crate) fn granted((provider, connection): &(ProviderName, ConnectionName)) -> String {
    if *connection == ConnectionName::default_name() {
        provider.to_string()
    } else {
        format!("{provider}={connection}")
    }
}

/// Granted connections as objects.
pub(crate) fn grants(granted: &[(ProviderName, ConnectionName)]) -> Value {
    granted
        .iter()
        .map(|(provider, connection)| json!({ "provider": provider, "connection": connection }))
        .collect()
}

/// `1 run`, `2 runs`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {many}")
    }
}
