//! The unit files and the property list of the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

fn file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Packages take them from the top folders; the client has its own, so that it can be built alone.
#[test]
fn the_files_of_packages_are_those_that_the_client_writes() {
    for (ours, packaged) in [
        ("authsome.socket", "systemd/authsome.socket"),
        ("authsome.service", "systemd/authsome.service"),
        (
            "authsome.plist",
            "launchd/io.github.authsome.authsome.plist",
        ),
    ] {
        assert_eq!(file(&format!("client/src/service/{ours}")), file(packaged));
    }
}

/// The trap: in a user namespace of the user's, every process of the user may trace the daemon.
#[test]
fn the_service_has_no_user_namespace_and_each_directive_its_reason() {
    let service = file("systemd/authsome.service");
    let set: Vec<&str> = service
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    for forbidden in [
        "PrivateUsers",
        "PrivateTmp",
        "PrivateDevices",
        "ProtectSystem",
        "ProtectHome",
        "ProtectKernel",
        "ProtectControlGroups",
        "ProtectClock",
        "ProtectHostname",
        "CapabilityBoundingSet",
        "DynamicUser",
    ] {
        assert!(
            !set.iter().any(|line| line.starts_with(forbidden)),
            "{forbidden}"
        );
    }
    let hardening = service.split("# Hardening").nth(1).unwrap();
    let hardening = hardening.split("[Install]").next().unwrap();
    let mut explained = false;
    for line in hardening.lines().skip(1) {
        match line {
            "" => explained = false,
            line if line.starts_with('#') => explained = true,
            line => assert!(explained, "no reason before {line}"),
        }
    }
}

/// The daemon takes no arguments from either manager; what it is told is in its environment.
#[test]
fn the_programs_that_are_started_know_their_arguments() {
    let start = file("systemd/authsome.service");
    let start = start
        .lines()
        .find(|line| line.starts_with("ExecStart="))
        .unwrap();
    let mut words = vec![start.trim_start_matches("ExecStart=").to_owned()];
    let plist = property_list();
    let more = plist["ProgramArguments"].as_array().unwrap();
    words.extend(more.iter().map(|word| word.as_str().unwrap().to_owned()));
    let help = Command::new(authsome_tests::binaries::path("authsomed"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for word in words.iter().flat_map(|line| line.split_whitespace()) {
        assert!(
            !word.starts_with('-') || help.contains(word),
            "`authsomed` does not know {word}"
        );
    }
    assert_eq!(words, ["/usr/bin/authsomed", "@DAEMON@"]);
}

fn property_list() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../launchd/io.github.authsome.authsome.plist");
    let read =
        "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    let output = Command::new("python3")
        .args(["-c", read])
        .arg(path)
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// launchd takes no notice of a key that it does not know: a misspelt one does nothing.
#[test]
fn the_property_list_parses_and_has_only_keys_that_launchd_knows() {
    let plist = property_list();
    let keys = |value: &Value| {
        let keys = value.as_object().unwrap().keys().cloned();
        keys.collect::<BTreeSet<String>>()
    };
    let known = [
        "Label",
        "ProgramArguments",
        "EnvironmentVariables",
        "Sockets",
        "RunAtLoad",
        "KeepAlive",
        "ThrottleInterval",
        "ExitTimeOut",
        "ProcessType",
        "Umask",
        "StandardErrorPath",
    ];
    assert_eq!(keys(&plist), known.map(str::to_owned).into());
    assert_eq!(keys(&plist["KeepAlive"]), ["Crashed".to_owned()].into());
    let sockets = &plist["Sockets"];
    // the daemon asks for them by these names
    let passed = file("daemon/src/service.rs");
    for name in keys(sockets) {
        assert!(passed.contains(&format!("c\"{name}\"")), "{name}");
    }
    assert_eq!(sockets["control"]["SockPathMode"], 0o600);
    assert_eq!(keys(&sockets["control"]).len(), 2);
    assert_eq!(sockets["proxy"]["SockNodeName"], "127.0.0.1");
    assert_eq!(sockets["proxy"]["SockFamily"], "IPv4");
    assert_eq!(plist["Umask"], 0o077);
    assert_eq!(plist["RunAtLoad"], false);
}
