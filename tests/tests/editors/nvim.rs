//! The Neovim plugin (`client/editors/nvim`), in the Neovim that is installed.
//!
//! The tests are in Lua (`client/editors/nvim/test`): here they get a home, a key and a stand-in, and
//! what they cannot see is asked afterwards: what reached the server, and whether the key rests
//! anywhere. Neovim keeps what it remembers (shada) in the home, so the search for canaries covers it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use authsome_tests::{Home, Output, StandIn};

const HOST: &str = "api.intercom.io";

/// How long one Neovim with its tests may take. They wait 20 s at most for each thing.
const PATIENCE: Duration = Duration::from_secs(180);

fn plugin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/editors/nvim")
}

/// Runs the tests of these files whose names hold `name`.
#[track_caller]
fn lua(home: &Home, files: &str, name: &str) -> Output {
    assert!(
        authsome_tests::binaries::on_path("nvim").is_some(),
        "`nvim` is missing (package neovim); `sh tests/run.sh` installs it"
    );
    let runner = plugin().join("test/run.lua");
    let output = home
        .command("nvim")
        .args(["--headless", "-n", "-u", "NONE", "-i", "NONE", "-c"])
        .arg(format!("luafile {}", runner.display()))
        .env("AUTHSOME_TESTS", files)
        .env("AUTHSOME_TEST", name)
        .env("AUTHSOME_TEST_WORK", home.work())
        // searched for canaries, unlike the work folder
        .env("TMPDIR", home.user_home())
        .timeout(PATIENCE)
        .output()
        .succeeded();
    assert!(output.stdout.contains(" ran, 0 failed"), "{output}");
    output
}

/// A home that leads to a stand-in, with its key in a file that only the test reads.
fn world() -> (StandIn, Home) {
    let stand_in = StandIn::start(&[HOST]);
    let home = Home::with(&stand_in);
    home.write("key", home.canary().secret());
    (stand_in, home)
}

fn bearer(home: &Home) -> String {
    format!("Bearer {}", home.canary().secret())
}

/// Frames, greeting, places, messages and texts (L2, L7, L13), by tables.
#[test]
fn the_pure_modules_of_the_neovim_plugin() {
    let output = lua(&Home::new(), "unit", "");
    assert!(
        output.stdout.contains("ok unit: frames come whole"),
        "{output}"
    );
}

/// Each step of a login, lost connections, hostile texts: against a daemon that can be made to do
/// anything.
#[test]
fn the_neovim_plugin_with_a_daemon_in_miniature() {
    let output = lua(&Home::new(), "ui", "");
    assert!(
        output.stdout.contains("ok ui: text of the daemon is data"),
        "{output}"
    );
}

#[test]
fn neovim_logs_in_by_the_form_in_the_browser() {
    let (_stand_in, home) = world();
    lua(&home, "e2e", "login by form");
    home.run(["true"]).output().succeeded();
}

/// L5: a key that is typed into the editor rests in none of its files, registers, histories and buffers.
#[test]
fn neovim_takes_a_key_that_is_typed_and_keeps_it_nowhere() {
    let (stand_in, home) = world();
    lua(&home, "e2e", "login by keys");
    home.run(["curl", "-sS", &format!("https://{HOST}/me")])
        .output()
        .succeeded();
    assert_eq!(stand_in.last().header("authorization"), [bearer(&home)]);
}

#[test]
fn neovim_logs_out() {
    let (_stand_in, home) = world();
    home.login("intercom");
    lua(&home, "e2e", "log out");
    home.authsome(["get", "intercom"]).output().exited(4);
}

/// Programs in its terminals hold the placeholder, and the server receives the key.
#[test]
fn neovim_runs_programs_that_never_hold_the_key() {
    let (stand_in, home) = world();
    home.login("intercom");
    lua(&home, "e2e", "run");
    for path in ["/echo", "/me"] {
        let request = stand_in.wait_for_request(path);
        assert_eq!(request.header("authorization"), [bearer(&home)], "{path}");
    }
}

#[test]
fn neovim_goes_on_after_the_daemon_was_killed() {
    let (stand_in, home) = world();
    home.login("intercom");
    lua(&home, "e2e", "the daemon is killed");
    let request = stand_in.wait_for_request("/me");
    assert_eq!(request.header("authorization"), [bearer(&home)]);
}

#[test]
fn neovim_starts_no_daemon_in_the_place_of_one_that_was_stopped() {
    let (_stand_in, home) = world();
    home.login("intercom");
    lua(&home, "e2e", "a daemon that was stopped stays stopped");
}

#[test]
fn neovim_checks_its_health() {
    let (_stand_in, home) = world();
    home.login("intercom");
    lua(&home, "e2e", "health");
}
