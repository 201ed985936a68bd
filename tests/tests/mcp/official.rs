//! The official clients and the official conformance suite, from npm.
//!
//! The suite speaks HTTP, so a bridge stands before the server (`clients/mcp/bridge.mjs`); and it needs
//! Node 22, which is installed with it. Beside what a scenario is about it checks every message against
//! the protocol's own schema.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use authsome_tests::process::Running;
use authsome_tests::{Home, stage};
use serde_json::Value;

/// How long a scenario may take; most of it is the suite's own start.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The Node that the suite runs on.
const NODE: &str = "22.23.3";

/// What is staged beside the packages.
const SOURCES: [&str; 2] = ["bridge.mjs", "story.mjs"];

/// What an official client saw of a server: `OLD` is the one with a handshake, `NEW` the one without.
pub(crate) fn story(home: &Home, kind: &str) -> Value {
    let output = home
        .command("node")
        .arg(installed().join("story.mjs"))
        .args([kind, "authsome", "mcp"])
        .timeout(TIMEOUT)
        .output()
        .succeeded();
    output.json()
}

/// A server behind the bridge.
pub(crate) struct Bridge {
    process: Running,
    url: String,
}

impl Bridge {
    pub(crate) fn start(home: &Home) -> Self {
        let process = home
            .command("node")
            .arg(installed().join("bridge.mjs"))
            .args(["authsome", "mcp"])
            .timeout(TIMEOUT * 10)
            .interactive()
            .spawn();
        let url = process.wait_for_stdout("/mcp\n").trim().to_owned();
        Self { process, url }
    }

    /// Runs a scenario: the checks that were passed, and those that failed.
    pub(crate) fn scenario(
        &self,
        home: &Home,
        name: &str,
        revision: &str,
    ) -> (BTreeSet<String>, BTreeSet<String>) {
        let stage = installed();
        let results = home.work().join(format!("{name}-{revision}"));
        let node = stage.join("node_modules/node22/bin/node");
        let suite = stage.join("node_modules/@modelcontextprotocol/conformance/dist/index.js");
        let output = home
            .command(node)
            .arg(suite)
            .args(["server", "--url", &self.url, "--scenario", name])
            .args(["--spec-version", revision, "--output-dir"])
            .arg(&results)
            .timeout(TIMEOUT)
            .output();
        let Some(file) = find(&results, "checks.json") else {
            panic!("no results of {name}: {output}");
        };
        let checks: Value = serde_json::from_slice(&fs::read(file).expect("it was found"))
            .expect("the results are JSON");
        let mut passed = BTreeSet::new();
        let mut failed = BTreeSet::new();
        for check in checks.as_array().expect("the results are a list") {
            let id = check["id"].as_str().expect("a check has a name").to_owned();
            match check["status"].as_str() {
                Some("SUCCESS") => passed.insert(id),
                Some("FAILURE" | "WARNING") => failed.insert(id),
                _ => false,
            };
        }
        (passed, failed)
    }

    pub(crate) fn end(self) {
        self.process.wait().succeeded();
    }
}

/// A file of that name below a folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .ok()?
                    .flatten()
                    .map(|entry| entry.path()),
            );
        } else if path.ends_with(name) {
            return Some(path);
        }
    }
    None
}

/// The folder of the programs with their packages; installs them unless that was done.
fn installed() -> PathBuf {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/mcp");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mcp");
    let machine = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => panic!("there is no Node from npm for {other}"),
    };
    let node = format!("node22@npm:node-linux-{machine}@{NODE}");
    let _lock = stage::lock(&folder);
    let stage = folder.join("node");
    stage::node(&stage, &sources, &SOURCES, &[&node]);
    stage
}
