//! The daemon's checks, each with a remedy. The client adds what only it can see.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use authsome_proto::response::{Check, Outcome};

use crate::broker::Broker;
use crate::{audit, vault};

pub(super) async fn checks(broker: &Broker) -> Vec<Check> {
    let mut checks = vec![vault(broker).await, config(broker)];
    checks.extend(rules(broker));
    checks.extend(definitions(broker));
    checks.push(permissions(broker));
    checks.push(socket(broker));
    checks.push(proxy(broker));
    checks.push(authorities(broker));
    checks.push(audit_log(broker).await);
    checks.push(clock(broker));
    checks.extend(webhooks(broker));
    checks
}

fn ok(name: &str, found: impl Into<String>) -> Check {
    Check {
        name: name.into(),
        outcome: Outcome::Ok,
        found: found.into(),
        remedy: None,
    }
}

fn bad(name: &str, outcome: Outcome, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check {
        name: name.into(),
        outcome,
        found: found.into(),
        remedy: Some(remedy.into()),
    }
}

fn webhooks(broker: &Broker) -> Vec<Check> {
    let problems = broker.webhook_problems();
    let count = broker.webhook_count();
    match problems.len() {
        0 if count == 0 => Vec::new(),
        0 => vec![ok("webhooks", format!("endpoints that listen: {count}"))],
        _ => problems
            .into_iter()
            .map(|problem| {
                bad(
                    "webhooks",
                    Outcome::Failed,
                    problem,
                    "end the program that has the port, or remove the webhook and add it again",
                )
            })
            .collect(),
    }
}

async fn vault(broker: &Broker) -> Check {
    let status = broker.vault.status().await;
    let store = match status.store_name().as_str() {
        "file" => "encrypted files".to_owned(),
        store => store.to_owned(),
    };
    match &status.problem {
        Some(problem) => bad(
            "vault",
            Outcome::Failed,
            format!("the {store} cannot be used: {problem}"),
            vault::VaultError::hint(problem).unwrap_or_else(|| "see `authsome daemon logs`".into()),
        ),
        None if status.recorded.is_some() => {
            ok("vault", format!("credentials rest in the {store}"))
        }
        None => ok(
            "vault",
            format!("nothing stored yet; the {store} would be used"),
        ),
    }
}

fn config(broker: &Broker) -> Check {
    match broker.config_problem() {
        Some(problem) => bad(
            "config",
            Outcome::Failed,
            problem,
            "mend the file; it is picked up at once, until then the former settings are in force",
        ),
        None => ok("config", "config.toml is in force"),
    }
}

fn rules(broker: &Broker) -> Vec<Check> {
    let warnings = broker.policy_warnings().into_iter();
    warnings
        .map(|warning| {
            bad(
                "rules",
                Outcome::Warning,
                warning,
                "mend the name, or take the rule out",
            )
        })
        .collect()
}

fn definitions(broker: &Broker) -> Vec<Check> {
    let catalogue = broker.catalogue.load();
    let mut checks: Vec<Check> = catalogue
        .problems()
        .iter()
        .map(|problem| {
            bad(
                "definitions",
                Outcome::Warning,
                problem.to_string(),
                "mend the file; a bundled definition stays in force until then",
            )
        })
        .collect();
    if checks.is_empty() {
        checks.push(ok(
            "definitions",
            format!("{} definitions", catalogue.entries().count()),
        ));
    }
    for record in broker.connections.list() {
        let Some(entry) = catalogue.find(record.provider.as_str()) else {
            checks.push(bad(
                "definitions",
                Outcome::Warning,
                format!(
                    "`{}` is connected but has no definition any more",
                    record.provider
                ),
                format!("register one, or `authsome remove {}`", record.provider),
            ));
            continue;
        };
        let applied = entry.definition.applied(record.base_url.as_deref());
        let gained = applied.map_or_else(Vec::new, |it| {
            crate::providers::hosts_gained(&it, &record.hosts)
        });
        if !gained.is_empty() {
            checks.push(bad(
                "definitions",
                Outcome::Warning,
                format!(
                    "`{}` gained {} after its key was stored",
                    record.provider,
                    gained.join(", ")
                ),
                format!(
                    "nothing is sent there until `authsome register {}` or a new login confirms it",
                    broker
                        .places
                        .home
                        .join("providers")
                        .join(format!("{}.json", record.provider))
                        .display()
                ),
            ));
        }
    }
    checks
}

fn permissions(broker: &Broker) -> Check {
    let home = &broker.places.home;
    for (path, want) in [
        (home.clone(), 0o700),
        (home.join("vault"), 0o700),
        (home.join("audit"), 0o700),
        (home.join("vault/identity"), 0o600),
        (home.join("connections.json"), 0o600),
        (broker.places.runtime.clone(), 0o700),
        (broker.places.socket(), 0o600),
    ] {
        if let Some(mode) = mode(&path).filter(|mode| mode & 0o077 != 0) {
            return bad(
                "permissions",
                Outcome::Failed,
                format!("others can use `{}` (mode {mode:04o})", path.display()),
                format!("chmod {want:o} {}", path.display()),
            );
        }
    }
    ok("permissions", "home and runtime folder are private")
}

fn mode(path: &Path) -> Option<u32> {
    Some(std::fs::symlink_metadata(path).ok()?.permissions().mode() & 0o7777)
}

fn socket(broker: &Broker) -> Check {
    let socket = broker.places.socket();
    if socket.exists() {
        ok("socket", format!("listening at `{}`", socket.display()))
    } else {
        bad(
            "socket",
            Outcome::Failed,
            format!("`{}` has been removed", socket.display()),
            "authsome daemon restart",
        )
    }
}

fn proxy(broker: &Broker) -> Check {
    match broker.proxy_port() {
        Some(port) => ok(
            "proxy",
            format!("127.0.0.1:{port}, {} runs", broker.run_count()),
        ),
        None => ok("proxy", "starts with the first run"),
    }
}

fn authorities(broker: &Broker) -> Check {
    let now = std::time::SystemTime::now();
    let ending: Vec<String> = broker
        .living_runs()
        .iter()
        .filter(|run| run.view.ca.ends_soon(now))
        .map(|run| run.view.id.to_string())
        .collect();
    if ending.is_empty() {
        ok(
            "certificates",
            "every run's certificates are valid for more than two weeks",
        )
    } else {
        bad(
            "certificates",
            Outcome::Warning,
            format!(
                "certificates end within two weeks in run {}",
                ending.join(", ")
            ),
            "start these runs again",
        )
    }
}

async fn audit_log(broker: &Broker) -> Check {
    let Ok(secret) = broker.vault.install_secret().await else {
        return bad(
            "audit",
            Outcome::Warning,
            "not checked: the vault is shut",
            "open the vault",
        );
    };
    let audit = match broker.audit().await {
        Ok(audit) => audit,
        Err(error) => {
            return bad(
                "audit",
                Outcome::Failed,
                error.message,
                error.hint.unwrap_or_default(),
            );
        }
    };
    if let Err(error) = audit.flush().await {
        return bad(
            "audit",
            Outcome::Failed,
            error.to_string(),
            "free some space; nothing is injected until then",
        );
    }
    let dir = broker.places.home.join("audit");
    let key = audit::AuditKey::derive((*secret).as_ref());
    match tokio::task::spawn_blocking(move || audit::verify(&dir, &key)).await {
        Ok(Ok(Ok(verified))) => ok(
            "audit",
            format!("{} records, chain unbroken", verified.records),
        ),
        Ok(Ok(Err(changed))) => bad(
            "audit",
            Outcome::Failed,
            format!("the chain is broken: {changed}"),
            "somebody or something changed the log; keep a copy of the `audit` folder and look into it",
        ),
        Ok(Err(error)) => bad(
            "audit",
            Outcome::Failed,
            error.to_string(),
            "check the `audit` folder",
        ),
        Err(error) => bad(
            "audit",
            Outcome::Failed,
            error.to_string(),
            "see `authsome daemon logs`",
        ),
    }
}

/// A clock before this build was made is wrong, and certificates will not verify.
fn clock(broker: &Broker) -> Check {
    const BUILT_AFTER: i64 = 1_763_000_000;
    let now = jiff::Timestamp::now();
    if now.as_second() < BUILT_AFTER {
        return bad(
            "clock",
            Outcome::Failed,
            format!("the clock says {now}"),
            "set the clock",
        );
    }
    let newest = broker
        .connections
        .list()
        .into_iter()
        .map(|it| it.created_at)
        .max();
    match newest.and_then(|text| text.parse::<jiff::Timestamp>().ok()) {
        Some(created) if created > now + jiff::SignedDuration::from_mins(10) => bad(
            "clock",
            Outcome::Warning,
            format!("a connection was made at {created}, which is in the future"),
            "check the clock",
        ),
        _ => ok("clock", format!("{now}")),
    }
}
