//! `status`: the daemon, the vault and the runs at a glance.

use authsome_proto::response::Status;
use authsome_proto::{Places, Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::version::OURS;
use super::view;
use crate::connect::{self, Daemon, Start, connect, unexpected};
use crate::error::{Done, Failure};
use crate::service::{self, skew};
use crate::times;
use crate::ui::Ui;

pub(super) fn status(ui: Ui) -> Done {
    let mut daemon = connect(Start::IfNeeded, ui)?;
    show(&mut daemon, ui)
}

/// Asks and shows.
pub(super) fn show(daemon: &mut Daemon, ui: Ui) -> Done {
    let mut status = ask(daemon, ui)?;
    status
        .warnings
        .extend(skew(&connect::places()?, &status.version));
    if ui.json {
        return ui.object(object(&status));
    }
    ui.line(&text(&status, Timestamp::now()))?;
    for warning in &status.warnings {
        ui.warning(warning);
    }
    Ok(())
}

/// Asks the daemon.
pub(super) fn ask(daemon: &mut Daemon, ui: Ui) -> Result<Status, Failure> {
    match daemon.call(Request::Status, ui)? {
        Response::Status(status) => Ok(status),
        _ => Err(unexpected()),
    }
}

/// Warns of a daemon of another build than ours.
pub(super) fn skew(places: &Places, daemon: &str) -> Option<String> {
    (daemon != OURS).then(|| {
        format!(
            "this `authsome` is {OURS}, the daemon {}: {}",
            crate::ui::printable(daemon),
            service::way_out(places, skew::Daemon::OtherBuild)
        )
    })
}

fn object(status: &Status) -> Value {
    let Status {
        version,
        pid,
        started_at,
        home,
        socket,
        proxy_port,
        vault,
        connections,
        runs,
        warnings,
        manager,
    } = status;
    json!({
        "version": version,
        "pid": pid,
        "started_at": started_at,
        "home": home,
        "socket": socket,
        "proxy_port": proxy_port,
        "vault": vault,
        "connections": connections,
        "runs": runs,
        "warnings": warnings,
        "manager": manager,
    })
}

fn text(status: &Status, now: Timestamp) -> String {
    let vault = &status.vault;
    let mut store = if vault.chosen {
        vault.store.clone()
    } else {
        format!("{} (chosen for good with the first login)", vault.store)
    };
    if let Some(problem) = &vault.problem {
        store = format!("{store}: {problem}");
    }
    if let Some(hint) = vault.hint.as_ref().filter(|_| vault.problem.is_some()) {
        store = format!("{store}; {hint}");
    }
    let proxy = status.proxy_port.map_or_else(
        || "not needed yet".to_owned(),
        |port| format!("127.0.0.1:{port}"),
    );
    let lines = [
        (
            "daemon",
            format!(
                "{}, process {}{}, started {}",
                status.version,
                status.pid,
                match &status.manager {
                    Some(manager) => format!(" of {manager}"),
                    None => String::new(),
                },
                times::human(&status.started_at, now),
            ),
        ),
        ("home", status.home.clone()),
        ("socket", status.socket.clone()),
        ("vault", store),
        ("proxy", proxy),
        ("connections", status.connections.to_string()),
        (
            "runs",
            view::count(
                usize::try_from(status.runs).unwrap_or(usize::MAX),
                "living",
                "living",
            ),
        ),
    ];
    let lines = lines.map(|(name, value)| format!("{name:<13}{}", crate::ui::printable(&value)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use authsome_proto::response::Vault;

    use super::*;

    #[test]
    fn a_vault_in_trouble_says_what_to_do() {
        let status = Status {
            version: "0.1.0".into(),
            pid: 42,
            started_at: "2030-06-15T11:57:00Z".into(),
            home: "/home/u/.authsome".into(),
            socket: "/run/user/7/authsome/control.sock".into(),
            proxy_port: None,
            vault: Vault {
                store: "keyring".into(),
                chosen: true,
                problem: Some("the login keyring is locked".into()),
                hint: Some("unlock it".into()),
            },
            connections: 2,
            runs: 0,
            warnings: Vec::new(),
            manager: None,
        };
        insta::assert_snapshot!(text(&status, "2030-06-15T12:00:00Z".parse().unwrap()), @r"
        daemon       0.1.0, process 42, started 3 min ago
        home         /home/u/.authsome
        socket       /run/user/7/authsome/control.sock
        vault        keyring: the login keyring is locked; unlock it
        proxy        not needed yet
        connections  2
        runs         0 living
        ");
    }
}
