//! The daemon as a user service, under a real `systemd --user`; and the unit files.

#[path = "service/files.rs"]
mod files;
#[path = "service/install.rs"]
mod install;
#[path = "service/living_runs.rs"]
mod living_runs;
#[path = "service/trouble.rs"]
mod trouble;

use std::time::Duration;

use authsome_tests::{Canary, LiveRun, StandIn, UserManager, wait_until};

const HOST: &str = "api.intercom.io";

/// How long a service may take to get where the test wants it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A user with a manager, whose authsome reaches a stand-in that takes only the canary.
fn user() -> (UserManager, StandIn) {
    let canary = Canary::new();
    let stand_in = StandIn::intercom(canary.secret());
    (UserManager::start(canary, &stand_in), stand_in)
}

/// The same with the service installed and a connection.
fn served() -> (UserManager, StandIn) {
    let (user, stand_in) = user();
    user.authsome(["service", "install"]).output().succeeded();
    user.login("intercom");
    (user, stand_in)
}

fn live_run(user: &UserManager) -> LiveRun {
    LiveRun::from(user.authsome(["run"]))
}

/// What the run's shell gets from the stand-in: `200` if all is well.
fn ask(run: &mut LiveRun) -> String {
    run.shell(&format!(
        "curl -sS -m 20 -o /dev/null -w '%{{http_code}}' https://{HOST}/me 2>&1"
    ))
}

/// The same by the run's own port, without a token.
fn ask_directly(run: &mut LiveRun) -> String {
    let port = own_port(run);
    run.shell(&format!(
        "curl -sS -m 20 -o /dev/null -w '%{{http_code}}' -x http://127.0.0.1:{port} \
         https://{HOST}/me 2>&1"
    ))
}

fn own_port(run: &LiveRun) -> u16 {
    let options = run.variable("JAVA_TOOL_OPTIONS");
    let port = options.split("https.proxyPort=").nth(1).unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    port.parse().unwrap()
}

fn proxy_port(user: &UserManager) -> u64 {
    let status = user.authsome(["status", "--json"]).output().succeeded();
    status.json()["proxy_port"].as_u64().unwrap()
}

fn wait_for_state(user: &UserManager, unit: &str, state: &str) {
    wait_until(&format!("{unit} to be {state}"), TIMEOUT, || {
        user.property(unit, "ActiveState") == state
    });
}
