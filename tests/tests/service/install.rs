//! Installing, looking, uninstalling.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use authsome_tests::Home;

use super::{ask, live_run, own_port, proxy_port, served, user, wait_for_state};

#[test]
fn the_first_command_starts_the_daemon_by_its_socket() {
    let (user, _stand_in) = user();
    let before = user.authsome(["service", "status"]).output().exited(1);
    assert!(before.stdout.contains("not installed"), "{before}");
    let installed = user.authsome(["service", "install"]).output().succeeded();
    assert!(
        installed.stdout.contains("the service is installed"),
        "{installed}"
    );
    assert!(
        installed.stderr.contains("`/tmp` do not stay"),
        "{installed}"
    );
    assert!(installed.stderr.contains("enable-linger"), "{installed}");

    // as after the next login: sockets, and no daemon
    user.systemctl(["stop", "authsome.service"])
        .output()
        .succeeded();
    assert_eq!(user.service_pid(), None);
    let status = user
        .authsome(["status", "--json"])
        .output()
        .succeeded()
        .json();
    let pid = user.service_pid().expect("the socket started it");
    assert_eq!(status["pid"], pid);
    assert_eq!(status["manager"], "systemd");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&user.runtime()), 0o700);
    assert_eq!(mode(&user.runtime().join("control.sock")), 0o600);

    // the port is the installed one, and below the range of outgoing connections
    user.login("intercom");
    let mut run = live_run(&user);
    assert_eq!(ask(&mut run), "200");
    let shown = user
        .authsome(["service", "status", "--json"])
        .output()
        .succeeded()
        .json();
    assert_eq!(shown["proxy_port"], proxy_port(&user), "{shown}");
    assert!(shown["proxy_port"].as_u64().unwrap() < 32_768, "{shown}");
    assert_eq!(shown["daemon"]["managed"], true, "{shown}");
    assert_eq!(shown["warnings"].as_array().unwrap().len(), 0, "{shown}");
    let text = user.authsome(["service", "status"]).output().succeeded();
    assert!(
        text.stdout.contains("authsome.socket: active (running)"),
        "{text}"
    );
    let doctor = user.authsome(["doctor"]).output();
    assert!(
        doctor.stdout.contains("`authsome.socket` listens"),
        "{doctor}"
    );
}

#[test]
fn installing_twice_changes_nothing_and_says_so() {
    let (user, _stand_in) = served();
    let pid = user.service_pid();
    let units = || {
        [
            "authsome.socket",
            "authsome.service",
            "authsome.socket.d/port.conf",
        ]
        .map(|name| {
            let path = user.units().join(name);
            (
                fs::read_to_string(&path).unwrap(),
                fs::metadata(&path).unwrap().modified().unwrap(),
            )
        })
    };
    let before = units();
    let again = user.authsome(["service", "install"]).output().succeeded();
    assert!(again.stdout.starts_with("nothing to do"), "{again}");
    let json = user
        .authsome(["service", "install", "--json"])
        .output()
        .succeeded()
        .json();
    assert_eq!(json["changed"], false, "{json}");
    assert_eq!(json["unchanged"].as_array().unwrap().len(), 3, "{json}");
    assert_eq!(units(), before);
    assert_eq!(user.service_pid(), pid, "the daemon was left alone");
}

/// What another installation of ours would write is written, and the daemon is the new one.
#[test]
fn installing_from_another_place_moves_the_service_there() {
    let (user, _stand_in) = served();
    let mut run = live_run(&user);
    let (port, own) = (proxy_port(&user), own_port(&run));
    let pid = user.service_pid().unwrap();
    for name in ["authsome", "authsomed"] {
        let bytes = fs::read(user.root().join("bin").join(name)).unwrap();
        let path = user.write(&format!("w/a place %h $HOME/{name}"), "");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let place = user.root().join("w/a place %h $HOME");
    let moved = user
        .command(place.join("authsome"))
        .args(["service", "install"])
        .output()
        .succeeded();
    assert!(moved.stdout.contains("authsome.service"), "{moved}");
    let now = user.service_pid().unwrap();
    assert_ne!(now, pid);
    let exe = fs::read_link(format!("/proc/{now}/exe")).unwrap();
    assert_eq!(exe, place.join("authsomed"));
    assert_eq!(ask(&mut run), "200", "the living run goes on");
    assert_eq!((proxy_port(&user), own_port(&run)), (port, own));
}

#[test]
fn a_daemon_started_by_hand_hands_its_living_runs_over_and_takes_them_back() {
    let (user, _stand_in) = user();
    user.login("intercom");
    let mut run = live_run(&user);
    assert_eq!(ask(&mut run), "200");
    let by_hand = user.daemon_pid().unwrap();
    let port = proxy_port(&user);
    let installed = user.authsome(["service", "install"]).output().succeeded();
    let said = format!("stopped process {by_hand}");
    assert!(installed.stdout.contains(&said), "{installed}");
    assert!(
        installed.stdout.contains("its living run goes on"),
        "{installed}"
    );
    assert_eq!(user.daemon_pid(), user.service_pid());
    assert_eq!(proxy_port(&user), port);
    assert_eq!(ask(&mut run), "200");

    let gone = user.authsome(["service", "uninstall"]).output().succeeded();
    assert!(gone.stdout.contains("serves the living runs"), "{gone}");
    assert!(gone.stderr.contains("connections"), "{gone}");
    assert_eq!(ask(&mut run), "200");
    assert_eq!(proxy_port(&user), port);
}

#[test]
fn uninstalling_leaves_nothing_but_the_connections() {
    let (user, _stand_in) = served();
    user.authsome(["service", "uninstall"]).output().succeeded();
    assert_eq!(user.property("authsome.socket", "LoadState"), "not-found");
    assert_eq!(user.property("authsome.service", "LoadState"), "not-found");
    assert_eq!(user.left_over(), Vec::<std::path::PathBuf>::new());
    assert_eq!(user.daemon_pid(), None);
    let again = user.authsome(["service", "uninstall"]).output().succeeded();
    assert!(again.stdout.contains("nothing to do"), "{again}");
    // as before: the client starts the daemon, and knows what it knew
    let list = user.authsome(["list"]).output().succeeded();
    assert!(list.stdout.contains("intercom"), "{list}");
    let status = user
        .authsome(["status", "--json"])
        .output()
        .succeeded()
        .json();
    assert!(status["manager"].is_null(), "{status}");
}

#[test]
fn what_a_person_wrote_is_neither_overwritten_nor_removed() {
    let (user, _stand_in) = served();
    let path = user.units().join("authsome.service");
    let mine = fs::read_to_string(&path)
        .unwrap()
        .replace("WatchdogSec=30", "WatchdogSec=40");
    fs::write(&path, &mine).unwrap();
    let drop_in = user.write(
        "h/.config/systemd/user/authsome.socket.d/mine.conf",
        "[Socket]\nBacklog=64\n",
    );
    for verb in ["install", "uninstall"] {
        let refused = user.authsome(["service", verb]).output().exited(1);
        assert!(
            refused.stderr.contains("authsome.service` is not"),
            "{refused}"
        );
        assert!(refused.stderr.contains("`--force`"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), mine);
    }
    user.authsome(["service", "install", "--force"])
        .output()
        .succeeded();
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .contains("WatchdogSec=30")
    );
    user.authsome(["service", "uninstall"]).output().succeeded();
    assert!(!path.exists() && drop_in.exists());
}

#[test]
fn the_units_of_a_package_need_only_the_port() {
    let (user, _stand_in) = user();
    let file = |name: &str| {
        let path = format!("{}/../systemd/{name}", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(path).unwrap()
    };
    let daemon = user.root().join("bin/authsomed");
    let service = file("authsome.service").replace("/usr/bin/authsomed", daemon.to_str().unwrap());
    user.install_package(&[
        ("authsome.socket", file("authsome.socket")),
        ("authsome.service", service),
    ]);
    user.systemctl(["daemon-reload"]).output().succeeded();
    // a package that nobody switched on is no service
    user.login("intercom");
    let status = user
        .authsome(["status", "--json"])
        .output()
        .succeeded()
        .json();
    assert!(status["manager"].is_null(), "{status}");

    let installed = user
        .authsome(["service", "install", "--json"])
        .output()
        .succeeded()
        .json();
    let drop_in = user.units().join("authsome.socket.d/port.conf");
    assert_eq!(
        installed["wrote"],
        serde_json::json!([drop_in]),
        "{installed}"
    );
    assert_eq!(
        user.property("authsome.socket", "FragmentPath"),
        "/usr/lib/systemd/user/authsome.socket"
    );
    let mut run = live_run(&user);
    assert_eq!(ask(&mut run), "200");
    assert_eq!(proxy_port(&user), installed["proxy_port"]);
    drop(run);
    user.authsome(["service", "uninstall"]).output().succeeded();
    assert!(!drop_in.exists());
    assert_ne!(user.property("authsome.socket", "ActiveState"), "active");
}

#[test]
fn another_home_has_a_service_of_its_own() {
    let (user, stand_in) = served();
    let other = user.root().join("h/other %h home");
    user.write("h/other %h home/config.toml", "[vault]\nstore = \"file\"\n");
    let authsome = |words: &[&str]| user.authsome(words).env("AUTHSOME_HOME", &other);
    // made by the harness, and to be as private as the daemon wants it
    fs::set_permissions(&other, fs::Permissions::from_mode(0o700)).unwrap();
    let installed = authsome(&["service", "install", "--json"])
        .output()
        .succeeded()
        .json();
    let name = installed["service"].as_str().unwrap();
    assert!(
        name.starts_with("authsome-") && name.ends_with(".service"),
        "{installed}"
    );
    let status = authsome(&["status", "--json"]).output().succeeded().json();
    assert_eq!(status["home"], other.to_str().unwrap());
    assert_eq!(user.property(name, "MainPID"), status["pid"].to_string());
    let first = user
        .authsome(["status", "--json"])
        .output()
        .succeeded()
        .json();
    assert_ne!(first["pid"], status["pid"]);
    assert_eq!(first["connections"], 1);
    authsome(&["service", "uninstall"]).output().succeeded();
    assert_eq!(user.property("authsome.socket", "ActiveState"), "active");
    drop(stand_in);
}

#[test]
fn a_person_can_switch_it_off_and_commands_respect_that() {
    let (user, _stand_in) = served();
    let stopped = user.authsome(["daemon", "stop"]).output().succeeded();
    let off = "systemctl --user disable --now authsome.socket";
    assert!(
        stopped.stderr.contains("the next command starts it again"),
        "{stopped}"
    );
    assert!(stopped.stderr.contains(off), "{stopped}");
    assert_eq!(user.service_pid(), None);
    // looking does not start it
    user.authsome(["daemon", "status"]).output().exited(3);
    user.authsome(["version"]).output().succeeded();
    user.authsome(["service", "status"]).output().succeeded();
    assert_eq!(user.service_pid(), None);
    user.authsome(["list"]).output().succeeded();
    assert!(user.service_pid().is_some());

    user.systemctl(["disable", "--now", "authsome.socket"])
        .output()
        .succeeded();
    wait_for_state(&user, "authsome.service", "inactive");
    let refused = user.authsome(["list"]).output().exited(3);
    assert!(refused.stderr.contains("is switched off"), "{refused}");
    assert!(
        refused.stderr.contains("enable --now authsome.socket"),
        "{refused}"
    );
    assert_eq!(user.daemon_pid(), None);
    user.authsome(["daemon", "start"]).output().succeeded();
    assert_eq!(user.daemon_pid(), user.service_pid());
    user.systemctl(["enable", "--now", "authsome.socket"])
        .output()
        .succeeded();
    user.authsome(["list"]).output().succeeded();
}

/// L3: the manager knows of no runs.
#[test]
fn a_program_in_a_run_neither_installs_nor_restarts() {
    let (user, _stand_in) = served();
    let pid = user.service_pid();
    let mut run = live_run(&user);
    for words in [
        "service install --force",
        "service uninstall",
        "daemon restart",
        "daemon stop",
    ] {
        for disguise in ["", "env -u AUTHSOME_RUN "] {
            let said = run.shell(&format!("{disguise}authsome --json {words} 2>&1; echo =$?"));
            assert!(said.ends_with("=1\n"), "{words}: {said}");
            assert!(said.contains("refused_inside_run"), "{words}: {said}");
        }
    }
    assert_eq!(user.service_pid(), pid);
}

#[test]
fn without_a_user_manager_installing_says_so_and_commands_work_as_before() {
    let home = Home::new();
    let refused = home.authsome(["service", "install"]).output().exited(1);
    assert!(
        refused
            .stderr
            .contains("cannot reach your systemd user manager"),
        "{refused}"
    );
    assert!(
        refused.stderr.contains("loginctl enable-linger"),
        "{refused}"
    );
    let status = home.authsome(["service", "status"]).output().exited(1);
    assert!(status.stdout.contains("not installed"), "{status}");
    home.login("intercom");
    home.authsome(["daemon", "restart"]).output().succeeded();
    let none = home
        .authsome(["service", "install"])
        .env("PATH", home.work())
        .output()
        .exited(1);
    assert!(none.stderr.contains("no systemd here"), "{none}");
    assert!(!home.user_home().join(".config").exists());
}
