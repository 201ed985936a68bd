//! `list`, `list --all`, `connections list`.
//!
//! Without `--all`: every connection, and custom definitions that have none yet, since somebody
//! made those on purpose and wants to see that they are there.

use authsome_proto::response::{Connection, ConnectionState, Provider, Providers, Source};
use authsome_proto::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::view;
use crate::cli::{List, flow_word};
use crate::connect::{Daemon, Start, connect, unexpected};
use crate::error::{Done, Failure};
use crate::times;
use crate::ui::{Field, Mood, Ui};

pub(super) fn list(arguments: &List, ui: Ui) -> Done {
    let mut daemon = connect(Start::IfNeeded, ui)?;
    let connections = connections(&mut daemon, ui)?;
    let Providers {
        mut providers,
        problems,
    } = providers(&mut daemon, ui)?;
    if !arguments.all {
        providers.retain(|provider| provider.source == Source::Custom);
    }
    show(&connections, &providers, &problems, arguments.all, ui)
}

/// `connections list`.
pub(super) fn connections_only(ui: Ui) -> Done {
    let mut daemon = connect(Start::IfNeeded, ui)?;
    let connections = connections(&mut daemon, ui)?;
    show(&connections, &[], &[], false, ui)
}

/// All connections.
pub(super) fn connections(daemon: &mut Daemon, ui: Ui) -> Result<Vec<Connection>, Failure> {
    match daemon.call(Request::Connections, ui)? {
        Response::Connections(connections) => Ok(connections),
        _ => Err(unexpected()),
    }
}

/// All definitions.
pub(super) fn providers(daemon: &mut Daemon, ui: Ui) -> Result<Providers, Failure> {
    match daemon.call(Request::Providers, ui)? {
        Response::Providers(providers) => Ok(providers),
        _ => Err(unexpected()),
    }
}

fn show(
    connections: &[Connection],
    providers: &[Provider],
    problems: &[String],
    all: bool,
    ui: Ui,
) -> Done {
    if ui.json {
        let connections: Value = connections.iter().map(view::connection).collect();
        let mut object = json!({ "connections": connections, "problems": problems });
        if let Some(fields) = object.as_object_mut() {
            fields.insert(
                "providers".into(),
                providers.iter().map(provider_object).collect(),
            );
        }
        return ui.object(object);
    }
    for problem in problems {
        ui.warning(problem);
    }
    for connection in connections
        .iter()
        .filter(|one| !one.unconfirmed_hosts.is_empty())
    {
        ui.warning(&format!(
            "{} ({}) is not used for {}: its definition gained them after login; \
             `authsome login {} --force` or `authsome register FILE` confirms them",
            connection.provider,
            connection.connection,
            connection.unconfirmed_hosts.join(", "),
            connection.provider,
        ));
    }
    let rows = rows(connections, providers, all, Timestamp::now());
    if rows.is_empty() {
        ui.note("no connections yet; `authsome login PROVIDER` makes one, `authsome list --all` lists the providers");
        return Ok(());
    }
    ui.table(
        &[
            "PROVIDER",
            "CONNECTION",
            "STATUS",
            "SOURCE",
            "LOGIN",
            "EXPIRES",
            "LAST USED",
            "NOTE",
        ],
        rows,
    )?;
    if all {
        let ready = providers
            .iter()
            .filter(|provider| provider.not_yet.is_none())
            .count();
        ui.note(&format!(
            "{}, {ready} of them ready to log in; {}",
            view::count(providers.len(), "provider", "providers"),
            view::count(connections.len(), "connection", "connections"),
        ));
    }
    Ok(())
}

/// How a provider is logged in to, the usual way first.
fn ways(provider: &Provider) -> String {
    match provider.auth.as_str() {
        "api_key" => "key".into(),
        "browser" => "cookies".into(),
        "oauth2" if !provider.flows.is_empty() => {
            let words: Vec<&str> = provider.flows.iter().copied().map(flow_word).collect();
            words.join(", ")
        }
        other => other.into(),
    }
}

/// How a connection was made.
fn way(connection: &Connection) -> String {
    match (connection.flow, connection.auth.as_str()) {
        (Some(flow), _) => flow_word(flow).into(),
        (None, "api_key") => "key".into(),
        (None, "browser") => "cookies".into(),
        (None, other) => other.into(),
    }
}

/// Until when a connection is good; nothing where that is not what ails it, or not known.
fn expires(connection: &Connection, now: Timestamp) -> Field {
    match connection.state {
        ConnectionState::NeedsLogin | ConnectionState::Revoked => return "".into(),
        ConnectionState::Expired => return Field::new("expired", Mood::Bad),
        ConnectionState::Connected | ConnectionState::Expiring => {}
    }
    if connection.renews {
        return "renews".into();
    }
    let Some(when) = connection.expires_at.as_deref() else {
        return "".into();
    };
    match when.parse::<Timestamp>() {
        Ok(time) if time <= now => Field::new("expired", Mood::Bad),
        _ => times::human(when, now).into(),
    }
}

fn rows(
    connections: &[Connection],
    providers: &[Provider],
    all: bool,
    now: Timestamp,
) -> Vec<Vec<Field>> {
    let mut rows: Vec<(&str, Vec<Field>)> = connections
        .iter()
        .map(|one| {
            let name = if one.is_default {
                format!("{} *", one.connection)
            } else {
                one.connection.to_string()
            };
            let row = vec![
                one.provider.as_str().into(),
                name.into(),
                view::state(one.state),
                view::source(one.source).into(),
                if all { way(one) } else { String::new() }.into(),
                expires(one, now),
                one.last_used
                    .as_deref()
                    .map_or_else(|| "never".into(), |when| times::human(when, now))
                    .into(),
                "".into(),
            ];
            (one.provider.as_str(), row)
        })
        .collect();
    for one in providers {
        if connections
            .iter()
            .any(|connection| connection.provider == one.provider)
        {
            continue;
        }
        let note = match &one.not_yet {
            Some(reason) => Field::new(format!("not yet: {reason}"), Mood::Careful),
            None => "".into(),
        };
        let row = vec![
            one.provider.as_str().into(),
            "-".into(),
            "-".into(),
            view::source(Some(one.source)).into(),
            if all { ways(one) } else { String::new() }.into(),
            "".into(),
            "".into(),
            note,
        ];
        rows.push((one.provider.as_str(), row));
    }
    // stable: a provider's connections keep the daemon's order
    rows.sort_by_key(|(provider, _)| *provider);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn provider_object(provider: &Provider) -> Value {
    let Provider {
        provider,
        display_name,
        auth,
        source,
        not_yet,
        hosts,
        variables,
        key_pattern,
        key_hint,
        key_urls,
        connections,
        regions,
        flows,
        redirect_uri,
    } = provider;
    json!({
        "provider": provider,
        "display_name": display_name,
        "auth": auth,
        "source": source,
        "not_yet": not_yet,
        "hosts": hosts,
        "variables": variables,
        "key_pattern": key_pattern,
        "key_hint": key_hint,
        "key_urls": key_urls,
        "connections": connections,
        "regions": regions,
        "flows": flows,
        "redirect_uri": redirect_uri,
    })
}
