//! `doctor`: the daemon's checks, and those that only this end can make.
//!
//! Ours: both versions, the service, being inside a run, and the configuration of tools
//! whose own proxy setting wins over the environment, so that `run` would have no effect on them.
//!
//! Exit code 1 when a check fails, 3 when the daemon cannot be reached; warnings do not fail.

use std::path::{Path, PathBuf};

use authsome_proto::response::{Check, Outcome};
use authsome_proto::{Request, Response};
use serde_json::{Value, json};

use super::version::OURS;
use crate::connect::{self, Start, connect, unexpected};
use crate::error::{Done, Failure, Kind};
use crate::service::{Service, State, port};
use crate::ui::{Field, Mood, Ui};

/// Largest configuration file that is looked at.
const CONFIG_MAX: u64 = 1024 * 1024;

pub(super) fn doctor(ui: Ui) -> Done {
    let mut checks = Vec::new();
    let mut unreachable = None;
    let mut pid = None;
    match connect(Start::IfNeeded, ui) {
        Ok(mut daemon) => {
            pid = daemon.pid;
            checks.push(versions(&daemon.build));
            match daemon.call(Request::Doctor, ui)? {
                Response::Doctor(theirs) => checks.extend(theirs),
                _ => return Err(unexpected()),
            }
        }
        Err(failure) => {
            checks.push(check(
                "daemon",
                Outcome::Failed,
                std::iter::once(failure.message.as_str())
                    .chain(failure.causes.iter().map(String::as_str))
                    .collect::<Vec<_>>()
                    .join(": "),
                failure.hint.clone(),
            ));
            unreachable = Some(failure);
        }
    }
    checks.extend(service(pid));
    checks.push(environment(|name| std::env::var(name).ok()));
    checks.extend(tools(|name| std::env::var_os(name).map(PathBuf::from)));
    checks.extend(runtimes(&std::env::var_os("PATH").unwrap_or_default()));
    show(&checks, ui)?;
    if unreachable.is_some_and(|failure| failure.kind == Kind::Unreachable) {
        Err(Failure::said(3))
    } else if checks.iter().any(|check| check.outcome == Outcome::Failed) {
        Err(Failure::said(1))
    } else {
        Ok(())
    }
}

fn check(name: &str, outcome: Outcome, found: impl Into<String>, remedy: Option<String>) -> Check {
    Check {
        name: name.into(),
        outcome,
        found: found.into(),
        remedy,
    }
}

fn versions(daemon: &str) -> Check {
    if daemon == OURS {
        return check(
            "versions",
            Outcome::Ok,
            format!("client and daemon are {OURS}"),
            None,
        );
    }
    check(
        "versions",
        Outcome::Warning,
        format!("the client is {OURS}, the daemon {daemon}"),
        Some("`authsome daemon restart` starts the daemon that is installed now".into()),
    )
}

/// The service, for a daemon that is process `pid`.
fn service(pid: Option<i32>) -> Option<Check> {
    let places = connect::places().ok()?;
    let Some((service, state)) = Service::installed(&places) else {
        return Some(check(
            "service",
            Outcome::Ok,
            "none is installed; commands start the daemon by themselves",
            Some("`authsome service install` leaves that to your service manager".into()),
        ));
    };
    let told = match service.told() {
        Ok(told) => told,
        Err(failure) => {
            return Some(check(
                "service",
                Outcome::Warning,
                failure.reason().to_owned(),
                failure.hint,
            ));
        }
    };
    let missing = service.executable().filter(|path| !path.is_file());
    let taken = service
        .port()
        .filter(|port| !told.listens && !port::is_free(*port));
    let name = service.sockets_name();
    Some(match (missing, taken) {
        (Some(missing), _) => check(
            "service",
            Outcome::Failed,
            format!("it starts `{}`, which is not there", missing.display()),
            Some("`authsome service install` has it start the daemon that is installed now".into()),
        ),
        (None, Some(port)) => check(
            "service",
            Outcome::Failed,
            format!("port {port}, which it is to listen on, is taken by another program"),
            Some("`authsome service install` chooses another".into()),
        ),
        _ if state == State::Off => check(
            "service",
            Outcome::Warning,
            format!("`{name}` is installed and switched off"),
            Some(format!("`{}` switches it on", service.on_command())),
        ),
        _ if !told.listens => check(
            "service",
            Outcome::Failed,
            format!("`{name}` does not listen: {}", told.sockets),
            Some(format!(
                "`authsome daemon restart` tries again, `{}` says more",
                service.status_command()
            )),
        ),
        _ if pid.is_some() && told.pid != pid => check(
            "service",
            Outcome::Warning,
            "the daemon that runs was started without it",
            Some("`authsome daemon restart` hands over to it".into()),
        ),
        _ => check("service", Outcome::Ok, format!("`{name}` listens"), None),
    })
}

/// Being inside a run explains refusals that would else look like faults.
fn environment(variable: impl Fn(&str) -> Option<String>) -> Check {
    if let Some(run) = variable("AUTHSOME_RUN") {
        return check(
            "environment",
            Outcome::Warning,
            format!("this shell is inside run {run}"),
            Some("secrets, exports and wider runs are refused here; use a shell outside".into()),
        );
    }
    let proxy = ["HTTPS_PROXY", "https_proxy"]
        .into_iter()
        .find(|name| variable(name).is_some_and(|value| !value.is_empty()));
    if let Some(name) = proxy {
        return check(
            "environment",
            Outcome::Warning,
            format!("`{name}` is set; commands under `run` use our proxy instead of it"),
            Some("set `upstream_proxy` in `[proxy]` of `config.toml` to go through it".into()),
        );
    }
    check(
        "environment",
        Outcome::Ok,
        "no proxy is set in this shell",
        None,
    )
}

/// A tool's configuration file and the settings in it that win over our environment. Settings of
/// trust that lose against our variables (git's `sslCAInfo`, pip's `cert`) do not count.
struct Tool {
    name: &'static str,
    files: Vec<PathBuf>,
    /// Sections that count; empty: the file has none.
    sections: &'static [&'static str],
    keys: &'static [&'static str],
}

fn tools(place: impl Fn(&str) -> Option<PathBuf>) -> Vec<Check> {
    let Some(home) = place("HOME") else {
        return Vec::new();
    };
    let config = place("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
    let here = PathBuf::new();
    let list = [
        Tool {
            name: "git",
            files: vec![
                home.join(".gitconfig"),
                config.join("git/config"),
                here.join(".git/config"),
            ],
            sections: &["http", "https", "remote"],
            keys: &["proxy"],
        },
        Tool {
            name: "npm",
            files: vec![home.join(".npmrc"), here.join(".npmrc")],
            sections: &[],
            keys: &["proxy", "https-proxy", "http-proxy"],
        },
        Tool {
            name: "pip",
            files: vec![
                home.join(".pip/pip.conf"),
                config.join("pip/pip.conf"),
                PathBuf::from("/etc/pip.conf"),
            ],
            sections: &["global", "install", "download"],
            keys: &["proxy"],
        },
        Tool {
            name: "cargo",
            files: vec![
                place("CARGO_HOME")
                    .unwrap_or_else(|| home.join(".cargo"))
                    .join("config.toml"),
                here.join(".cargo/config.toml"),
            ],
            sections: &["http"],
            keys: &["proxy"],
        },
        Tool {
            name: "curl",
            files: vec![home.join(".curlrc"), config.join(".curlrc")],
            sections: &[],
            keys: &["proxy", "cacert", "noproxy"],
        },
    ];
    list.iter().map(tool_check).collect()
}

/// Runtimes with libraries that read no proxy variable whatever we set: named here, so that such a
/// program does not fail as a mystery.
const RUNTIMES: [(&str, &str, &str); 2] = [
    (
        "php",
        "PHP streams (`file_get_contents`) ignore proxy variables; its curl does not",
        "a stream context with `proxy`, as `docs/clients.md` shows",
    ),
    (
        "python3",
        "aiohttp and bare urllib3 ignore proxy variables; requests, httpx and urllib do not",
        "`ClientSession(trust_env=True)`, `urllib3.ProxyManager`",
    ),
];

fn runtimes(path: &std::ffi::OsStr) -> Vec<Check> {
    RUNTIMES
        .iter()
        .filter(|(program, _, _)| {
            std::env::split_paths(path).any(|folder| folder.join(program).is_file())
        })
        .map(|(program, found, way_out)| {
            check(program, Outcome::Ok, *found, Some((*way_out).to_owned()))
        })
        .collect()
}

fn tool_check(tool: &Tool) -> Check {
    for file in &tool.files {
        let Some(text) = read(file) else { continue };
        if let Some((line, key)) = setting(&text, tool.sections, tool.keys) {
            return check(
                tool.name,
                Outcome::Warning,
                format!(
                    "`{}`, line {line}, sets `{key}`, which wins over `run`",
                    file.display()
                ),
                Some("remove that line, or unset it for commands under `run`".into()),
            );
        }
    }
    check(
        tool.name,
        Outcome::Ok,
        "no setting of its own is in the way",
        None,
    )
}

fn read(file: &Path) -> Option<String> {
    let meta = std::fs::metadata(file).ok()?;
    if !meta.is_file() || meta.len() > CONFIG_MAX {
        return None;
    }
    std::fs::read_to_string(file).ok()
}

/// The first of `keys` that is set in one of `sections`: its line and its name. Reads what INI
/// files, `.npmrc`, `.curlrc` and simple TOML have in common.
fn setting(text: &str, sections: &[&str], keys: &[&str]) -> Option<(usize, String)> {
    let mut counts = sections.is_empty();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            // git's `[http "https://host"]` counts as `http`
            let name: String = section
                .chars()
                .take_while(|c| !" \"].".contains(*c))
                .collect();
            counts = sections
                .iter()
                .any(|section| name.eq_ignore_ascii_case(section));
            continue;
        }
        let end = line.find(['=', ':', ' ', '\t']).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        let name = name.trim_start_matches("--").trim();
        let value = rest.trim_start_matches(['=', ':', ' ', '\t']).trim();
        let known = keys.iter().any(|key| name.eq_ignore_ascii_case(key));
        if counts && known && !value.is_empty() && !matches!(value, "null" | "\"\"" | "''") {
            return Some((at + 1, name.to_owned()));
        }
    }
    None
}

fn show(checks: &[Check], ui: Ui) -> Done {
    if ui.json {
        let list: Value = checks.iter().map(|check| json!(check)).collect();
        let worst = if checks.iter().any(|check| check.outcome == Outcome::Failed) {
            Outcome::Failed
        } else if checks.iter().any(|check| check.outcome == Outcome::Warning) {
            Outcome::Warning
        } else {
            Outcome::Ok
        };
        return ui.object(json!({ "outcome": worst, "checks": list }));
    }
    let rows = checks.iter().map(|check| {
        let outcome = match check.outcome {
            Outcome::Failed => Field::new("failed", Mood::Bad),
            Outcome::Ok => Field::new("ok", Mood::Good),
            Outcome::Warning => Field::new("warning", Mood::Careful),
        };
        let found = match &check.remedy {
            Some(remedy) if check.outcome != Outcome::Ok => format!("{}; {remedy}", check.found),
            _ => check.found.clone(),
        };
        vec![check.name.as_str().into(), outcome, found.into()]
    });
    ui.table(&["CHECK", "OUTCOME", "FOUND"], rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_win_over_the_environment_are_found_with_their_line() {
        let git = "[user]\n\tproxy = x\n# [http]\n[http \"https://a\"]\n\tproxy = http://p:1\n";
        let found = setting(git, &["http", "https"], &["proxy"]);
        assert_eq!(found, Some((5, "proxy".into())));
        assert_eq!(
            setting("https-proxy=http://p\n", &[], &["https-proxy"])
                .unwrap()
                .0,
            1
        );
        assert_eq!(setting("proxy = http://p\n", &[], &["proxy"]).unwrap().0, 1);
        assert_eq!(setting("--proxy http://p\n", &[], &["proxy"]).unwrap().0, 1);
        for harmless in ["proxy=\n", "proxy=null\n", "# proxy=x\n", "proxyhost=x\n"] {
            assert_eq!(setting(harmless, &[], &["proxy"]), None, "{harmless}");
        }
        assert_eq!(
            setting("[net]\nproxy = \"x\"\n", &["http"], &["proxy"]),
            None
        );
    }

    #[test]
    fn a_shell_inside_a_run_is_told_so() {
        let inside = environment(|name| (name == "AUTHSOME_RUN").then(|| "r1".into()));
        assert_eq!(inside.outcome, Outcome::Warning);
        assert!(inside.found.contains("run r1"));
        assert_eq!(environment(|_| None).outcome, Outcome::Ok);
    }

    #[test]
    fn versions_that_differ_are_a_warning_with_a_remedy() {
        assert_eq!(versions(OURS).outcome, Outcome::Ok);
        assert!(versions("0.0.1").remedy.unwrap().contains("daemon restart"));
    }
}
