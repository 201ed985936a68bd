//! `logout`, `revoke`, `remove`: forgetting, and saying exactly what is gone and what is left.

use authsome_proto::response::Forgotten;
use authsome_proto::{ConnectionName, ProviderName, Request, Response};
use serde_json::{Value, json};

use crate::cli::Logout;
use crate::connect::{Daemon, Start, connect, unexpected};
use crate::error::{Done, Failure};
use crate::ui::Ui;

pub(super) fn logout(arguments: Logout, ui: Ui) -> Done {
    each(arguments, ui, |provider, connection| Request::Logout {
        provider,
        connection,
    })
}

pub(super) fn revoke(arguments: Logout, ui: Ui) -> Done {
    each(arguments, ui, |provider, connection| Request::Revoke {
        provider,
        connection,
    })
}

pub(super) fn remove(provider: ProviderName, ui: Ui) -> Done {
    let mut daemon = connect(Start::IfNeeded, ui)?;
    let forgotten = ask(&mut daemon, Request::Remove { provider }, ui)?;
    show(&forgotten, ui)
}

/// Forgets one connection, or with `--all` each one of the provider.
fn each(
    arguments: Logout,
    ui: Ui,
    request: impl Fn(ProviderName, Option<ConnectionName>) -> Request,
) -> Done {
    let Logout {
        provider,
        connection,
        all,
    } = arguments;
    let mut daemon = connect(Start::IfNeeded, ui)?;
    if !all {
        let forgotten = ask(&mut daemon, request(provider, connection), ui)?;
        return show(&forgotten, ui);
    }
    let mut names: Vec<ConnectionName> = super::list::connections(&mut daemon, ui)?
        .into_iter()
        .filter(|one| one.provider == provider)
        .map(|one| one.connection)
        .collect();
    let Some(last) = names.pop() else {
        // the daemon knows best how to say that there is none
        let forgotten = ask(&mut daemon, request(provider, None), ui)?;
        return show(&forgotten, ui);
    };
    let mut gone = Vec::new();
    for name in names {
        gone.extend(ask(&mut daemon, request(provider.clone(), Some(name)), ui)?.connections);
    }
    let mut forgotten = ask(&mut daemon, request(provider, Some(last)), ui)?;
    gone.append(&mut forgotten.connections);
    forgotten.connections = gone;
    show(&forgotten, ui)
}

fn ask(daemon: &mut Daemon, request: Request, ui: Ui) -> Result<Forgotten, Failure> {
    match daemon.call(request, ui)? {
        Response::Forgotten(forgotten) => Ok(forgotten),
        _ => Err(unexpected()),
    }
}

fn show(forgotten: &Forgotten, ui: Ui) -> Done {
    if ui.json {
        return ui.object(object(forgotten));
    }
    for line in lines(forgotten) {
        ui.done(&line)?;
    }
    Ok(())
}

fn object(forgotten: &Forgotten) -> Value {
    let Forgotten {
        provider,
        connections,
        new_default,
        left,
        default_changed,
        definition_removed,
        revocations,
    } = forgotten;
    json!({
        "provider": provider,
        "removed": connections,
        "left": left,
        "default": new_default,
        "default_changed": default_changed,
        "definition_removed": definition_removed,
        "revocations": revocations,
    })
}

fn lines(forgotten: &Forgotten) -> Vec<String> {
    let provider = &forgotten.provider;
    let names = |names: &[ConnectionName]| {
        names
            .iter()
            .map(ConnectionName::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut lines = Vec::new();
    if forgotten.connections.is_empty() {
        lines.push(format!("{provider} had no connections"));
    } else {
        lines.push(format!(
            "removed: {provider} ({})",
            names(&forgotten.connections)
        ));
    }
    if let Some(file) = &forgotten.definition_removed {
        lines.push(format!("deleted the override `{file}`"));
    }
    match &forgotten.new_default {
        Some(name) if forgotten.default_changed => {
            lines.push(format!("{provider} uses {name} from now on"));
        }
        None if forgotten.default_changed && !forgotten.left.is_empty() => lines.push(format!(
            "{provider} has no default now ({} left); `authsome connections set-default {provider} NAME` chooses one",
            names(&forgotten.left)
        )),
        _ if !forgotten.left.is_empty() => {
            lines.push(format!("left: {}", names(&forgotten.left)));
        }
        _ => {}
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forgotten() -> Forgotten {
        Forgotten {
            provider: "intercom".parse().unwrap(),
            connections: vec!["default".parse().unwrap()],
            new_default: None,
            left: Vec::new(),
            default_changed: true,
            definition_removed: None,
            revocations: Vec::new(),
        }
    }

    #[test]
    fn what_is_gone_and_where_the_default_moved_is_said() {
        assert_eq!(lines(&forgotten()), ["removed: intercom (default)"]);
        let moved = Forgotten {
            new_default: Some("team".parse().unwrap()),
            left: vec!["team".parse().unwrap()],
            ..forgotten()
        };
        assert_eq!(lines(&moved)[1], "intercom uses team from now on");
        let none = Forgotten {
            left: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            ..forgotten()
        };
        assert!(lines(&none)[1].starts_with("intercom has no default now (a, b left)"));
        let empty = Forgotten {
            connections: Vec::new(),
            default_changed: false,
            ..forgotten()
        };
        assert_eq!(lines(&empty), ["intercom had no connections"]);
    }
}
