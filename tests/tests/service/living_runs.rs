//! Threat L11: what runs see of a daemon that is restarted, dies, hangs or is replaced: nothing.

use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use authsome_tests::{StandIn, UserManager, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{
    HOST, TIMEOUT, ask, ask_directly, live_run, own_port, proxy_port, served, wait_for_state,
};

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// Has a child ask a hundred times a second for eight seconds while something happens; what became of
/// its requests.
fn under_load(
    (user, stand_in): &(UserManager, StandIn),
    change: &str,
    act: impl FnOnce(&UserManager),
) -> Value {
    let script = user.write("w/load.py", include_str!("load.py"));
    let child = user
        .authsome(["run", "--", "python3"])
        .arg(script)
        .arg(format!("https://{HOST}/me"))
        .args(["8", change])
        .spawn();
    child.wait_for_stdout("started");
    wait_until("the child to be busy", TIMEOUT, || {
        stand_in.requests().len() > 100
    });
    act(user);
    let output = child.wait().succeeded();
    let last = output.stdout.lines().last().unwrap().to_owned();
    eprintln!("{last}");
    serde_json::from_str(&last).unwrap()
}

/// No request failed for good, and those that had to be asked again had not been answered: the
/// connection was closed before.
fn nothing_failed(result: &Value) {
    assert_eq!(result["failed"], serde_json::json!({}), "{result}");
    assert_eq!(result["statuses"]["200"], result["asked"], "{result}");
    for kind in result["retried"].as_object().unwrap().keys() {
        let is_retryable = [
            "RemoteDisconnected",
            "ConnectionResetError",
            "BrokenPipeError",
        ]
        .iter()
        .any(|name| kind.starts_with(name))
            || kind.starts_with("SSLEOFError")
            || kind == "503 shutting_down";
        assert!(is_retryable, "{kind} in {result}");
    }
}

#[test]
fn a_restart_under_a_hundred_requests_a_second_fails_none() {
    let result = under_load(&served(), "restart", |user| {
        for _ in 0..2 {
            let pid = user.service_pid().unwrap();
            user.systemctl(["restart", "authsome.service"])
                .output()
                .succeeded();
            user.wait_for_another(pid);
        }
    });
    nothing_failed(&result);
    assert_eq!(result["asked"], 800);
}

#[test]
fn a_kill_under_a_hundred_requests_a_second_fails_none_for_good() {
    let result = under_load(&served(), "crash", |user| {
        let pid = user.service_pid().unwrap();
        signal(pid, Signal::SIGKILL);
        user.wait_for_another(pid);
    });
    nothing_failed(&result);
}

/// What is done to a daemon; the argument is its pid.
type Change<'a> = Box<dyn Fn(u32) + 'a>;

#[test]
fn a_run_keeps_port_token_and_ca_through_restart_crash_hang_and_upgrade() {
    let (user, _stand_in) = served();
    user.drop_in("WatchdogSec=2s\n");
    user.authsome(["daemon", "restart"]).output().succeeded();
    let mut run = live_run(&user);
    let certificate = run.shell("cat \"$SSL_CERT_FILE\" | sha256sum");
    let (port, own) = (proxy_port(&user), own_port(&run));
    assert_eq!(
        (ask(&mut run), ask_directly(&mut run)),
        ("200".into(), "200".into())
    );
    assert_eq!(
        user.property("authsome.service", "NFileDescriptorStore"),
        "1"
    );

    let changes: [(&str, Change<'_>); 5] = [
        (
            "systemctl restart",
            Box::new(|_| {
                user.systemctl(["restart", "authsome.service"])
                    .output()
                    .succeeded();
            }),
        ),
        (
            "daemon restart",
            Box::new(|_| {
                user.authsome(["daemon", "restart"]).output().succeeded();
            }),
        ),
        ("a crash", Box::new(|pid| signal(pid, Signal::SIGKILL))),
        // the watchdog ends it: nothing else would
        ("a hang", Box::new(|pid| signal(pid, Signal::SIGSTOP))),
        (
            "an upgrade",
            Box::new(|pid| {
                let path = user.root().join("bin/authsomed");
                user.put_program(&path, "authsomed");
                user.authsome(["daemon", "restart"]).output().succeeded();
                let now = user.wait_for_another(pid);
                let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
                assert_eq!(inode(Path::new(&format!("/proc/{now}/exe"))), inode(&path));
            }),
        ),
    ];
    for (what, change) in changes {
        let pid = user.service_pid().unwrap();
        change(pid);
        user.wait_for_another(pid);
        assert_eq!(ask(&mut run), "200", "after {what}");
        assert_eq!(
            ask_directly(&mut run),
            "200",
            "the run's own port after {what}"
        );
        assert_eq!(
            (proxy_port(&user), own_port(&run)),
            (port, own),
            "after {what}"
        );
        assert_eq!(
            run.shell("cat \"$SSL_CERT_FILE\" | sha256sum"),
            certificate,
            "after {what}"
        );
        assert_eq!(
            user.property("authsome.service", "NFileDescriptorStore"),
            "1",
            "after {what}"
        );
    }
    // the run's end frees its own port
    run.end();
    wait_until("the store to be empty", TIMEOUT, || {
        user.property("authsome.service", "NFileDescriptorStore") == "0"
    });
    assert!(TcpStream::connect(("127.0.0.1", own)).is_err());
}

/// The other half of the watchdog: what does not hang is not ended.
#[test]
fn the_watchdog_leaves_a_daemon_alone_that_does_not_hang() {
    let (user, _stand_in) = served();
    user.drop_in("WatchdogSec=4s\n");
    user.authsome(["daemon", "restart"]).output().succeeded();
    user.authsome(["status"]).output().succeeded();
    let pid = user.service_pid();
    // twice as long as a daemon lives that says nothing
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(user.service_pid(), pid);
    assert_eq!(user.property("authsome.service", "NRestarts"), "0");
}

/// The manager holds the ports: whoever connects while there is no daemon waits.
#[test]
fn while_the_daemon_is_away_nobody_is_refused() {
    let (user, _stand_in) = served();
    user.drop_in("RestartSec=3s\n");
    let mut run = live_run(&user);
    let port = u16::try_from(proxy_port(&user)).unwrap();
    let pid = user.service_pid().unwrap();
    signal(pid, Signal::SIGKILL);
    wait_for_state(&user, "authsome.service", "activating");
    for port in [port, own_port(&run)] {
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
    let waiting = user.authsome(["status", "--json"]).spawn();
    assert_eq!(user.service_pid(), None, "it is still away");
    assert_eq!(ask(&mut run), "200");
    waiting.wait().succeeded();
    user.wait_for_another(pid);
}

#[test]
fn an_idle_daemon_goes_and_comes_back_but_never_under_a_living_run() {
    let (user, stand_in) = served();
    user.configure(&stand_in, "\n[daemon]\nidle_exit = \"1s\"\n");
    user.authsome(["daemon", "restart"]).output().succeeded();
    wait_for_state(&user, "authsome.service", "inactive");
    assert_eq!(user.property("authsome.service", "Result"), "success");
    assert_eq!(user.property("authsome.socket", "ActiveState"), "active");
    let mut run = live_run(&user);
    let pid = user.service_pid().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(user.service_pid(), Some(pid), "a run lives");
    assert_eq!(ask(&mut run), "200");
    run.end();
    wait_for_state(&user, "authsome.service", "inactive");
    user.authsome(["list"]).output().succeeded();
    assert!(user.service_pid().is_some());
}
