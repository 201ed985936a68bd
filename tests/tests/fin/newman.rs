//! An unmodified `newman` runs a Postman collection of both APIs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use authsome_tests::binaries::on_path;
use authsome_tests::{Home, Output, stage};

use crate::{API, PLACEHOLDER, World, bearer};

/// Installing takes as long as the registry takes; running is quick, but Node starts slowly.
const TIMEOUT: Duration = Duration::from_secs(120);

#[test]
fn one_collection_with_one_placeholder_gets_each_request_its_own_key() {
    let world = World::with_both();
    run_collection(&world.home, API).succeeded();
    let (fin, rest) = (bearer(&world.fin), bearer(&world.rest));
    let expected = [
        ("POST /fin/start", &fin),
        ("POST /fin/reply", &fin),
        ("POST /fin/csat", &fin),
        ("GET /contacts", &rest),
    ]
    .map(|(request, key)| (request.to_owned(), vec![key.clone()]));
    assert_eq!(world.arrived(), expected);
    for request in world.stand_in.requests() {
        assert_eq!(request.authority, API);
        assert_eq!(request.server_name.as_deref(), Some(API));
    }
    let start = world.stand_in.wait_for_request("/fin/start");
    assert_eq!(start.header("intercom-version"), ["2.14"]);
}

/// The collection's own checks can fail: they do where a key is missing.
#[test]
fn the_collection_fails_where_a_key_is_missing() {
    let world = World::new();
    world.log_in_to_fin();
    let output = run_collection(&world.home, API).exited(1);
    assert!(
        output
            .stdout
            .contains("the other API answers to its own key"),
        "{output}"
    );
    assert_eq!(world.stand_in.requests().len(), 3);
    world.did_not_arrive(&world.rest);
}

/// `authsome run -- newman run …` against the host `host`.
pub(crate) fn run_collection(home: &Home, host: &str) -> Output {
    let collection =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/fin.postman_collection.json");
    home.run(["node"])
        .arg(installed())
        .arg("run")
        .arg(collection)
        .args(["--env-var", &format!("baseUrl=https://{host}")])
        .args(["--env-var", &format!("bearerToken={PLACEHOLDER}")])
        .args(["--env-var", "externalConversationId=ext-123"])
        .timeout(TIMEOUT)
        .output()
}

/// The program `newman`, from npm.
fn installed() -> PathBuf {
    for (program, package) in [("node", "nodejs"), ("npm", "npm")] {
        assert!(
            on_path(program).is_some(),
            "`{program}` is missing (package {package}); `sh tests/run.sh` installs it"
        );
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/newman/package.json");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("newman");
    let _lock = stage::lock(&folder);
    let stage = folder.join("node");
    let made_of = fs::read_to_string(&source).expect("it is part of the tests");
    stage::make(&stage, &made_of, || {
        fs::copy(&source, stage.join("package.json")).expect("a copy is made");
        stage::run(
            Command::new("npm")
                .args(["install", "--no-audit", "--no-fund", "--no-save"])
                .current_dir(&stage),
        );
    });
    stage.join("node_modules/newman/bin/newman.js")
}
