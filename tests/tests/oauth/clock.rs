//! Clocks that are wrong, set, and ahead (threat O8), and what takes a minute and longer: renewals in
//! advance, and tokens that an API refuses.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use authsome_tests::authority::{Endpoint, Hold};
use authsome_tests::{LiveRun, Running, binaries, wait_for, wait_until};
use serde_json::json;

use crate::refresh::{HOST, get, said_lifetime};
use crate::world::World;

/// The clocks of a daemon and its children, in the test's hands.
struct Clocks {
    library: PathBuf,
    file: std::fs::File,
}

impl Clocks {
    fn new(world: &World) -> Self {
        let folder = world.home.work();
        let (library, shift) = (folder.join("clock.so"), folder.join("shift"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/oauth/clock.c");
        std::fs::write(&shift, [0; 16]).unwrap();
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(format!("-DSHIFT_FILE=\"{}\"", shift.display()))
            .arg(source)
            .status()
            .unwrap_or_else(|error| panic!("`cc` ({error}): `apt-get install build-essential`"));
        assert!(compiled.success());
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(&shift)
            .unwrap();
        Self { library, file }
    }

    /// Moves the wall clock to so many seconds from the right time.
    fn set_wall(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// Moves the clock since the machine's start to so many seconds from the right time.
    fn set_boot(&self, seconds: i64) {
        self.file.write_all_at(&seconds.to_ne_bytes(), 8).unwrap();
    }

    /// Ends the daemon, if there is one, and starts one with these clocks.
    fn start_daemon(&self, world: &World) -> Running {
        if world.home.daemon_pid().is_some() {
            world.home.crash_daemon();
        }
        // the lock of a killed one may outlive it for a moment
        wait_for("the daemon to listen", Duration::from_secs(10), || {
            let mut daemon = self.spawn_daemon(world);
            wait_until("the daemon to start", Duration::from_secs(10), || {
                daemon.ended() || world.home.daemon_pid() == Some(daemon.pid())
            });
            let listens =
                !daemon.ended() && world.home.authsome(["status"]).output().code() == Some(0);
            listens.then_some(daemon)
        })
    }

    fn spawn_daemon(&self, world: &World) -> Running {
        // by the loader, as the daemon throws away a variable that would do it
        world
            .home
            .command(loader())
            .arg("--preload")
            .arg(&self.library)
            .arg(binaries::path("authsomed"))
            .env_remove("PATH")
            .env_remove("LANG")
            .timeout(Duration::from_secs(120))
            .spawn()
    }

    /// A request of a child whose clock is the daemon's.
    fn call(&self, world: &World, arguments: &[&str]) -> String {
        world
            .home
            .run([
                loader().as_os_str(),
                "--preload".as_ref(),
                self.library.as_os_str(),
            ])
            .arg(binaries::on_path("curl").unwrap())
            .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"])
            .args(arguments)
            .arg(format!("https://{HOST}/things"))
            .output()
            .succeeded()
            .stdout
    }
}

/// The program that loads programs.
fn loader() -> PathBuf {
    ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .expect("glibc's loader")
}

/// O8: a clock that is wrong when the daemon starts, by ten minutes or by a day.
#[test]
fn o8_a_wrong_clock_at_a_restart_costs_a_refresh_at_most() {
    for (wrong, refreshes) in [(600, 0), (-600, 0), (86_400, 1), (-86_400, 0)] {
        let mut world = World::new(&["pkce"]);
        world.log_in().succeeded();
        let clocks = Clocks::new(&world);
        clocks.set_wall(wrong);
        let daemon = clocks.start_daemon(&world);
        for _ in 0..2 {
            assert_eq!(clocks.call(&world, &[]), "200", "{wrong}");
        }
        assert_eq!(world.authority.refreshes(), refreshes, "{wrong}");
        assert_eq!(world.api.answered(401), 0, "{wrong}");
        // and put right again, by another restart
        clocks.set_wall(0);
        drop(daemon);
        let _daemon = clocks.start_daemon(&world);
        assert_eq!(clocks.call(&world, &[]), "200", "{wrong}");
        assert!(world.authority.refreshes() <= refreshes + 1, "{wrong}");
        assert_eq!(world.authority.families_revoked(), 0, "{wrong}");
        assert_eq!(world.field("status"), "connected", "{wrong}");
        world.watch();
    }
}

/// O8: a clock that is set while the daemon runs changes nothing: lifetimes go by another one.
#[test]
fn o8_a_clock_that_is_set_changes_no_lifetime() {
    let mut world = World::new(&["pkce"]);
    let clocks = Clocks::new(&world);
    let _daemon = clocks.start_daemon(&world);
    world.log_in().succeeded();
    let run = LiveRun::start(&world.home, &[]);
    assert_eq!(get(&run).status, 200);
    for wrong in [600, -600, 86_400, -86_400] {
        clocks.set_wall(wrong);
        assert_eq!(get(&run).status, 200, "{wrong}");
    }
    clocks.set_wall(0);
    assert_eq!(world.authority.refreshes(), 0);
    // the other one does: the token is over, and the server would still take it
    clocks.set_boot(3550);
    assert_eq!(get(&run).status, 200);
    assert_eq!(world.authority.refreshes(), 1);
    world.watch();
}

/// A token of a living run is renewed before its end, and no request ever waits for it.
#[test]
fn a_living_run_has_the_next_token_before_it_needs_it() {
    let mut world = World::new(&["pkce"]);
    said_lifetime(&world, &json!(60));
    world.log_in().succeeded();
    said_lifetime(&world, &json!(3600));
    let run = LiveRun::start(&world.home, &[]);
    assert_eq!(get(&run).status, 200);
    let first = world.api.bearers();
    let clocks = Clocks::new(&world);
    // used for 48 of its 60 seconds, and renewed 7 to 12 before that; a restart tells it the time
    clocks.set_wall(38);
    let _daemon = clocks.start_daemon(&world);
    world.authority.delay_token_endpoint(Duration::from_secs(1));
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    wait_until("the next token", Duration::from_secs(20), || {
        let asked = Instant::now();
        assert_eq!(get(&run).status, 200);
        slowest = slowest.max(asked.elapsed());
        world.api.bearers().last() != first.last()
    });
    assert!(
        slowest < Duration::from_secs(1),
        "a request waited {slowest:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(world.authority.refreshes(), 1);
    assert_eq!(world.field("status"), "connected");
    world.watch();
}

/// Whoever is logged in with a token of an hour, two minutes ago.
fn two_minutes_after_a_login() -> (World, Clocks, Running) {
    let mut world = World::new(&["pkce"]);
    let clocks = Clocks::new(&world);
    let daemon = clocks.start_daemon(&world);
    world.log_in().succeeded();
    assert_eq!(clocks.call(&world, &[]), "200");
    world.api.forget();
    clocks.set_boot(120);
    (world, clocks, daemon)
}

/// A 401 for a token that should be good: what can be repeated is, with the next token.
#[test]
fn a_get_that_is_refused_is_sent_again_with_another_token() {
    let (mut world, clocks, _daemon) = two_minutes_after_a_login();
    world.authority.expire_access_tokens();
    assert_eq!(clocks.call(&world, &[]), "200");
    assert_eq!(world.authority.refreshes(), 1);
    assert_eq!((world.api.answered(401), world.api.answered(200)), (1, 1));
    // what has a body is not: it gets its 401, and whoever comes next the next token
    clocks.set_boot(400);
    world.authority.expire_access_tokens();
    assert_eq!(clocks.call(&world, &["--data", "{}"]), "401");
    world.authority.wait_for_requests(Endpoint::Token, 3);
    wait_until("the next token to be used", Duration::from_secs(5), || {
        clocks.call(&world, &["--data", "{}"]) == "200"
    });
    assert_eq!(world.authority.refreshes(), 2);
    assert_eq!(world.authority.families_revoked(), 0);
    world.watch();
}

/// An API that refuses everything makes no storm of refreshes.
#[test]
fn an_api_that_refuses_every_token_makes_few_refreshes() {
    let (mut world, clocks, _daemon) = two_minutes_after_a_login();
    world.api.reject_next(usize::MAX);
    let run = LiveRun::start(&world.home, &[]);
    for _ in 0..50 {
        assert_eq!(get(&run).status, 401);
    }
    assert_eq!(world.authority.refreshes(), 1);
    assert_eq!(world.api.answered(401), 51, "one of them was sent again");
    // an hour of it: after one minute, two, four …
    for minute in 3..63 {
        clocks.set_boot(minute * 60);
        assert_eq!(get(&run).status, 401);
    }
    let refreshes = world.authority.refreshes();
    assert!((2..=8).contains(&refreshes), "{refreshes} in an hour");
    world.api.reject_next(0);
    assert_eq!(get(&run).status, 200);
    world.watch();
}

/// A server that is away while the token is good is not noticed by anybody but those who ask.
#[test]
fn a_token_is_used_until_its_end_while_the_server_is_away() {
    let mut world = World::new(&["pkce"]);
    said_lifetime(&world, &json!(100));
    world.log_in().succeeded();
    let run = LiveRun::start(&world.home, &[]);
    let clocks = Clocks::new(&world);
    world.authority.set_reachable(false);
    // used for 80 seconds; due after 60 to 68
    clocks.set_wall(70);
    let _daemon = clocks.start_daemon(&world);
    wait_until("a renewal to fail", Duration::from_secs(5), || {
        let log = world.home.authsome(["log", "--lines", "1000"]).output();
        log.stdout.contains("renew_failed")
    });
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(get(&run).status, 200);
    }
    assert_eq!(world.field("status"), "connected");
    world.authority.set_reachable(true);
    wait_until("the renewal to work", Duration::from_secs(20), || {
        assert_eq!(get(&run).status, 200);
        world.authority.refreshes() == 1
    });
    assert_eq!(world.api.answered(401), 0);
    world.watch();
}

/// While the next token is on its way, the one that is there does.
#[test]
fn a_renewal_that_is_held_does_not_hold_up_a_token_that_is_good() {
    let mut world = World::new(&["pkce"]);
    said_lifetime(&world, &json!(100));
    world.log_in().succeeded();
    let run = LiveRun::start(&world.home, &[]);
    let clocks = Clocks::new(&world);
    clocks.set_wall(70);
    world.authority.hold(Endpoint::Token, Hold::Answer);
    let _daemon = clocks.start_daemon(&world);
    world
        .authority
        .wait_for_held(Endpoint::Token, Hold::Answer, 1);
    for _ in 0..5 {
        assert_eq!(get(&run).status, 200);
    }
    world.authority.release(Endpoint::Token, Hold::Answer);
    wait_until("the next token to be used", Duration::from_secs(5), || {
        assert_eq!(get(&run).status, 200);
        let used: std::collections::BTreeSet<_> = world.api.bearers().into_iter().collect();
        used.len() == 2
    });
    assert_eq!(world.authority.refreshes(), 1);
    world.watch();
}
