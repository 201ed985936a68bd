//! `logout`, `revoke`, `remove`: forgetting, and saying exactly what is gone and what is left, here
//! and at the server.
//!
//! What is deleted here is deleted whatever the server says. A server that did not revoke what it was
//! asked to is a failure all the same: the tokens stay good there.

use authsome_proto::response::{Forgotten, Revocation};
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
    show(&forgotten, &mut daemon, ui)
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
        return show(&forgotten, &mut daemon, ui);
    }
    let mut names: Vec<ConnectionName> = super::list::connections(&mut daemon, ui)?
        .into_iter()
        .filter(|one| one.provider == provider)
        .map(|one| one.connection)
        .collect();
    let Some(last) = names.pop() else {
        // the daemon knows best how to say that there is none
        let forgotten = ask(&mut daemon, request(provider, None), ui)?;
        return show(&forgotten, &mut daemon, ui);
    };
    let mut gone = Vec::new();
    let mut revocations = Vec::new();
    for name in names {
        let mut one = ask(&mut daemon, request(provider.clone(), Some(name)), ui)?;
        gone.append(&mut one.connections);
        revocations.append(&mut one.revocations);
    }
    let mut forgotten = ask(&mut daemon, request(provider, Some(last)), ui)?;
    gone.append(&mut forgotten.connections);
    forgotten.connections = gone;
    revocations.append(&mut forgotten.revocations);
    forgotten.revocations = revocations;
    show(&forgotten, &mut daemon, ui)
}

fn ask(daemon: &mut Daemon, request: Request, ui: Ui) -> Result<Forgotten, Failure> {
    match daemon.call(request, ui)? {
        Response::Forgotten(forgotten) => Ok(forgotten),
        _ => Err(unexpected()),
    }
}

fn show(forgotten: &Forgotten, daemon: &mut Daemon, ui: Ui) -> Done {
    let url = if forgotten
        .revocations
        .iter()
        .any(|(_, outcome)| *outcome != Revocation::Revoked)
    {
        place_to_revoke(&forgotten.provider, daemon, ui)
    } else {
        None
    };
    if ui.json {
        ui.object(object(forgotten, url.as_deref()))?;
    } else {
        for line in lines(forgotten, url.as_deref()) {
            ui.done(&line)?;
        }
    }
    match not_revoked(forgotten, url.as_deref()) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// Where a person can revoke by hand, if the definition says so and is still there.
fn place_to_revoke(provider: &ProviderName, daemon: &mut Daemon, ui: Ui) -> Option<String> {
    let providers = super::list::providers(daemon, ui).ok()?.providers;
    let one = providers
        .into_iter()
        .find(|one| one.provider == *provider)?;
    one.key_urls.into_iter().next()
}

/// The failure of a revocation: nothing of it is said by the lines of what was done.
fn not_revoked(forgotten: &Forgotten, url: Option<&str>) -> Option<Failure> {
    let provider = &forgotten.provider;
    let failed: Vec<(&ConnectionName, &str)> = forgotten
        .revocations
        .iter()
        .filter_map(|(name, outcome)| match outcome {
            Revocation::Failed { reason } => Some((name, reason.as_str())),
            Revocation::NotOffered | Revocation::Revoked => None,
        })
        .collect();
    if failed.is_empty() {
        return None;
    }
    let names: Vec<ConnectionName> = failed.iter().map(|(name, _)| (*name).clone()).collect();
    let failure = failed.iter().fold(
        Failure::failed(format!(
            "{provider} ({}) is deleted here, but NOT revoked at the server",
            joined(&names)
        )),
        |failure, (name, reason)| {
            let reason = crate::ui::printable(reason);
            failure.cause(if failed.len() == 1 {
                reason
            } else {
                format!("{name}: {reason}")
            })
        },
    );
    Some(failure.hint(match url {
        Some(url) => format!(
            "it stays good there until it expires; revoke it at {}",
            crate::ui::printable(url)
        ),
        None => "it stays good there until it expires; revoke it in the provider's settings".into(),
    }))
}

fn object(forgotten: &Forgotten, url: Option<&str>) -> Value {
    let Forgotten {
        provider,
        connections,
        new_default,
        left,
        default_changed,
        definition_removed,
        revocations,
    } = forgotten;
    let revocations: Value = revocations
        .iter()
        .map(|(connection, outcome)| match outcome {
            Revocation::Failed { reason } => {
                json!({ "connection": connection, "outcome": "failed", "reason": reason })
            }
            Revocation::NotOffered => {
                json!({ "connection": connection, "outcome": "not_offered" })
            }
            Revocation::Revoked => json!({ "connection": connection, "outcome": "revoked" }),
        })
        .collect();
    json!({
        "provider": provider,
        "removed": connections,
        "left": left,
        "default": new_default,
        "default_changed": default_changed,
        "definition_removed": definition_removed,
        "revocations": revocations,
        "revoke_at": url,
    })
}

fn joined(names: &[ConnectionName]) -> String {
    names
        .iter()
        .map(ConnectionName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

fn lines(forgotten: &Forgotten, url: Option<&str>) -> Vec<String> {
    let provider = &forgotten.provider;
    let mut lines = Vec::new();
    if forgotten.connections.is_empty() {
        lines.push(format!("{provider} had no connections"));
    } else {
        lines.push(format!(
            "removed: {provider} ({})",
            joined(&forgotten.connections)
        ));
    }
    if let Some(file) = &forgotten.definition_removed {
        lines.push(format!("deleted the override `{file}`"));
    }
    lines.extend(at_the_server(&forgotten.revocations, url));
    match &forgotten.new_default {
        Some(name) if forgotten.default_changed => {
            lines.push(format!("{provider} uses {name} from now on"));
        }
        None if forgotten.default_changed && !forgotten.left.is_empty() => lines.push(format!(
            "{provider} has no default now ({} left); `authsome connections set-default {provider} NAME` chooses one",
            joined(&forgotten.left)
        )),
        _ if !forgotten.left.is_empty() => {
            lines.push(format!("left: {}", joined(&forgotten.left)));
        }
        _ => {}
    }
    lines
}

/// What the server did, as far as it went well.
fn at_the_server(revocations: &[(ConnectionName, Revocation)], url: Option<&str>) -> Vec<String> {
    let with = |wanted: &Revocation| -> Vec<ConnectionName> {
        revocations
            .iter()
            .filter(|(_, outcome)| outcome == wanted)
            .map(|(name, _)| name.clone())
            .collect()
    };
    let mut lines = Vec::new();
    let revoked = with(&Revocation::Revoked);
    if !revoked.is_empty() {
        lines.push(format!("at the server: revoked ({})", joined(&revoked)));
    }
    if !with(&Revocation::NotOffered).is_empty() {
        let there = url.map_or_else(
            || "there".to_owned(),
            |url| format!("at {}", crate::ui::printable(url)),
        );
        lines.push(format!(
            "at the server: the provider offers no way to revoke it from here; delete it {there}"
        ));
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
        assert_eq!(lines(&forgotten(), None), ["removed: intercom (default)"]);
        let moved = Forgotten {
            new_default: Some("team".parse().unwrap()),
            left: vec!["team".parse().unwrap()],
            ..forgotten()
        };
        assert_eq!(lines(&moved, None)[1], "intercom uses team from now on");
        let none = Forgotten {
            left: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            ..forgotten()
        };
        assert!(lines(&none, None)[1].starts_with("intercom has no default now (a, b left)"));
        let empty = Forgotten {
            connections: Vec::new(),
            default_changed: false,
            ..forgotten()
        };
        assert_eq!(lines(&empty, None), ["intercom had no connections"]);
    }
    fn outcomes(outcomes: &[(&str, Revocation)]) -> Forgotten {
        Forgotten {
            revocations: outcomes
                .iter()
                .map(|(name, outcome)| (name.parse().unwrap(), outcome.clone()))
                .collect(),
            ..forgotten()
        }
    }

    fn failed(reason: &str) -> Revocation {
        Revocation::Failed {
            reason: reason.into(),
        }
    }

    #[test]
    fn what_became_of_it_at_the_server_is_said() {
        let url = Some("https://x/keys");
        let revoked = outcomes(&[("a", Revocation::Revoked), ("b", Revocation::Revoked)]);
        assert_eq!(lines(&revoked, url)[1], "at the server: revoked (a, b)");
        assert_eq!(not_revoked(&revoked, url), None);
        let not_offered = outcomes(&[("a", Revocation::NotOffered)]);
        assert_eq!(
            lines(&not_offered, url)[1],
            "at the server: the provider offers no way to revoke it from here; delete it at \
             https://x/keys"
        );
        assert!(lines(&not_offered, None)[1].ends_with("delete it there"));
        assert_eq!(not_revoked(&not_offered, url), None);
    }

    #[test]
    fn what_the_server_did_not_revoke_is_a_failure() {
        let mixed = outcomes(&[
            ("a", Revocation::Revoked),
            ("b", failed("no route\u{1b}[2J")),
        ]);
        assert_eq!(lines(&mixed, None)[1], "at the server: revoked (a)");
        let failure = not_revoked(&mixed, Some("https://x/keys")).unwrap();
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(
            failure.message,
            "intercom (b) is deleted here, but NOT revoked at the server"
        );
        assert_eq!(failure.causes, ["no route\u{fffd}[2J"]);
        assert!(
            failure
                .hint
                .unwrap()
                .ends_with("revoke it at https://x/keys")
        );
        let both = outcomes(&[("a", failed("one")), ("b", failed("two"))]);
        assert_eq!(
            not_revoked(&both, None).unwrap().causes,
            ["a: one", "b: two"]
        );
        let object = object(&both, None);
        assert_eq!(object["revocations"][1]["reason"], "two");
    }
}
