//! A service that does not work, other versions, and who may look into the daemon.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use super::{ask, live_run, proxy_port, served, user, wait_for_state};

/// L4: hardening of the unit must not undo what the daemon does for itself.
#[test]
fn the_daemon_of_the_service_is_closed_to_its_user() {
    let (user, _stand_in) = served();
    let pid = user.service_pid().unwrap();
    let traced = user
        .command("timeout")
        .args(["5", "strace", "-p", &pid.to_string()])
        .output();
    assert_ne!(traced.code(), Some(0), "{traced}");
    assert!(
        traced.stderr.contains("Operation not permitted"),
        "{traced}"
    );
    for file in ["mem", "environ", "maps"] {
        let read = user
            .command("head")
            .args(["-c", "1", &format!("/proc/{pid}/{file}")])
            .output()
            .exited(1);
        assert!(read.stderr.contains("Permission denied"), "{file}: {read}");
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(line("NoNewPrivs:"), "1");
    assert_eq!(line("Seccomp:"), "2");
    let own = fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    assert_eq!(
        own,
        fs::read_link("/proc/self/ns/user").unwrap(),
        "no user namespace"
    );
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core"))
        .unwrap();
    assert!(
        core.split_whitespace().skip(4).take(2).all(|it| it == "0"),
        "{core}"
    );
    // and what it says of itself is in order
    let verified = user
        .command("systemd-analyze")
        .args(["--user", "verify"])
        .args(["authsome.socket", "authsome.service"].map(|unit| user.units().join(unit)))
        .output()
        .succeeded();
    assert_eq!(verified.stderr, "", "{verified}");
    let security = user
        .command("systemd-analyze")
        .args(["--user", "--no-pager", "security", "authsome.service"])
        .output()
        .succeeded();
    let overall = security.stdout.lines().last().unwrap();
    eprintln!("{overall}");
    let score: f32 = overall
        .split(' ')
        .find_map(|word| word.parse().ok())
        .expect("a score");
    assert!(score < 7.0, "{overall}");
}

#[test]
fn a_socket_that_was_stopped_is_opened_by_the_next_command() {
    let (user, _stand_in) = served();
    user.systemctl(["stop", "authsome.socket"])
        .output()
        .succeeded();
    wait_for_state(&user, "authsome.service", "inactive");
    assert!(!user.runtime().join("control.sock").exists());
    user.authsome(["list"]).output().succeeded();
    assert_eq!(user.daemon_pid(), user.service_pid());
    assert_eq!(user.property("authsome.socket", "ActiveState"), "active");
}

/// The daemon's own words reach the person, though the manager started it.
#[test]
fn a_daemon_that_cannot_start_says_why_also_under_the_service() {
    let (user, stand_in) = served();
    user.authsome(["daemon", "stop"]).output().succeeded();
    user.configure(&stand_in, "\n[proxi]\nunmatched = \"deny\"\n");
    let refused = user.authsome(["list"]).output().exited(3);
    assert!(refused.stderr.contains("proxi"), "{refused}");
    user.configure(&stand_in, "");
    user.authsome(["daemon", "restart"]).output().succeeded();
    assert_eq!(user.daemon_pid(), user.service_pid());
}

/// An installation that does not come up is taken back, and living runs have a daemon.
#[test]
fn an_installation_that_fails_leaves_what_was_there() {
    let (user, _stand_in) = user();
    user.login("intercom");
    let mut run = live_run(&user);
    let port = proxy_port(&user);
    user.drop_in("ExecStart=\nExecStart=/bin/false\n");
    let failed = user.authsome(["service", "install"]).output().exited(1);
    assert!(
        failed.stderr.contains("does not start its daemon"),
        "{failed}"
    );
    assert!(!user.units().join("authsome.socket").exists());
    assert!(
        !user
            .units()
            .join("sockets.target.wants/authsome.socket")
            .exists()
    );
    assert_eq!(ask(&mut run), "200");
    assert_eq!(proxy_port(&user), port);
}

#[test]
fn a_port_that_somebody_else_took_is_named_and_another_one_chosen() {
    let (user, _stand_in) = user();
    let installed = user
        .authsome(["service", "install", "--json"])
        .output()
        .succeeded()
        .json();
    user.login("intercom");
    let port = u16::try_from(installed["proxy_port"].as_u64().unwrap()).unwrap();
    user.systemctl(["stop", "authsome.socket"])
        .output()
        .succeeded();
    wait_for_state(&user, "authsome.service", "inactive");
    let thief = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let list = user.authsome(["list"]).output().succeeded();
    assert!(list.stderr.contains("runs without the service"), "{list}");
    let doctor = user.authsome(["doctor"]).output().exited(1);
    let said = format!("port {port}, which it is to listen on, is taken");
    assert!(doctor.stdout.contains(&said), "{doctor}");
    let again = user
        .authsome(["service", "install", "--json"])
        .output()
        .succeeded()
        .json();
    assert_ne!(again["proxy_port"], port, "{again}");
    assert_eq!(user.daemon_pid(), user.service_pid());
    let mut run = live_run(&user);
    assert_eq!(ask(&mut run), "200");
    drop(thief);
}

#[test]
fn a_service_whose_daemon_is_gone_is_found_by_doctor_and_status() {
    let (user, _stand_in) = served();
    user.authsome(["daemon", "stop"]).output().succeeded();
    let bin = user.root().join("bin");
    // moved elsewhere, as by another installation
    for name in ["authsome", "authsomed"] {
        let path = user.write(&format!("w/new/{name}"), "");
        fs::rename(bin.join(name), path).unwrap();
    }
    let authsome = |words: &[&str]| user.command(user.root().join("w/new/authsome")).args(words);
    let list = authsome(&["list"]).output().succeeded();
    assert!(list.stderr.contains("runs without the service"), "{list}");
    let doctor = authsome(&["doctor"]).output().exited(1);
    assert!(
        doctor.stdout.contains("authsomed`, which is not there"),
        "{doctor}"
    );
    let status = authsome(&["service", "status"]).output().succeeded();
    assert!(status.stderr.contains("which is not there"), "{status}");
    authsome(&["service", "install"]).output().succeeded();
    assert_eq!(user.daemon_pid(), user.service_pid());
}

/// L10: the protocols agree, the builds do not.
#[test]
fn a_daemon_of_another_build_is_warned_of_with_the_command_that_helps() {
    let (user, _stand_in) = served();
    let path = user.root().join("bin/authsomed");
    let ours = fs::read(&path).unwrap();
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let mut other = ours.clone();
    let places: Vec<usize> = other
        .windows(version.len())
        .enumerate()
        .filter_map(|(at, bytes)| (bytes == version).then_some(at))
        .collect();
    for at in places {
        other[at..at + version.len()].copy_from_slice(b"9.9.9");
    }
    user.put_program_bytes(&other, "authsomed");
    user.authsome(["daemon", "restart"]).output().succeeded();
    let status = user.authsome(["status"]).output().succeeded();
    assert!(status.stderr.contains("the daemon 9.9.9"), "{status}");
    assert!(
        status.stderr.contains("`authsome daemon restart`"),
        "{status}"
    );
    user.put_program_bytes(&ours, "authsomed");
    user.authsome(["daemon", "restart"]).output().succeeded();
    let status = user.authsome(["status"]).output().succeeded();
    assert!(!status.stderr.contains("9.9.9"), "{status}");
}

/// A daemon that hangs does not answer; its manager ends it.
#[test]
fn a_daemon_that_hangs_is_replaced_by_a_restart() {
    let (user, _stand_in) = served();
    user.drop_in("WatchdogSec=0\nTimeoutStopSec=2s\n");
    user.authsome(["daemon", "restart"]).output().succeeded();
    let pid = user.service_pid().unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()),
        nix::sys::signal::Signal::SIGSTOP,
    )
    .unwrap();
    let refused = user.authsome(["list"]).output().exited(3);
    assert!(
        refused.stderr.contains("`authsome daemon restart`"),
        "{refused}"
    );
    user.authsome(["daemon", "restart"]).output().succeeded();
    assert_ne!(user.service_pid(), Some(pid));
    user.authsome(["list"]).output().succeeded();
}

/// A daemon that was started by hand, and told to end a moment ago, drains before it lets go of its home.
#[test]
fn a_daemon_that_is_still_ending_is_waited_for() {
    let (user, _stand_in) = served();
    user.systemctl(["stop", "authsome.service"])
        .output()
        .succeeded();
    wait_for_state(&user, "authsome.service", "inactive");
    let home = fs::File::open(user.root().join("h/.authsome/daemon.lock")).unwrap();
    home.lock().unwrap();
    let status = user.authsome(["status"]).spawn();
    wait_for_state(&user, "authsome.service", "activating");
    std::thread::sleep(Duration::from_secs(1));
    drop(home);
    assert_eq!(status.wait().code(), Some(0));
    assert_eq!(user.daemon_pid(), user.service_pid());
    assert_eq!(user.property("authsome.service", "NRestarts"), "0");
}

/// L3: what a service of the user's asks for ends with that service, not with the user's last session.
#[test]
fn l3_a_run_is_not_about_the_service_manager() {
    let (user, _stand_in) = served();
    let program = user.root().join("bin/authsome");
    let service = |line: &str| {
        user.command("systemd-run")
            .args(["--user", "--quiet", "--wait", "--pipe", "--collect", "--"])
            .args(["sh", "-c", line, "sh"])
            .arg(&program)
            .output()
    };
    let refused = service("\"$1\" env --json --pid $PPID; echo \"=$?\"").succeeded();
    assert!(refused.stderr.contains("manages your"), "{refused}");
    assert_eq!(refused.stdout, "=1\n", "{refused}");
    let own = service("\"$1\" env --json >/dev/null && \"$1\" runs --json").succeeded();
    assert_eq!(own.json()["runs"].as_array().unwrap().len(), 1, "{own}");
}
