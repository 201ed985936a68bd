//! How long a run lives: `run --for`, `run --keep`, and what `runs` says of it.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use authsome_tests::raw::Proxy;
use authsome_tests::user::is_root;
use authsome_tests::{Home, LiveRun, Output, PlainUser, StandIn, Store, wait_for, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const HOST: &str = "api.intercom.io";

/// How long the end of a run may take to be seen. A guard against hanging: an end that nobody
/// notices would come with `--keep 8h`.
const SOON: Duration = Duration::from_secs(30);

fn world() -> (StandIn, Home) {
    let stand_in = StandIn::start(&[HOST]);
    let home = Home::with(&stand_in);
    home.login("intercom");
    (stand_in, home)
}

fn run_of(home: &Home, id: &str) -> Option<Value> {
    home.runs().into_iter().find(|run| run["run"] == id)
}

#[track_caller]
fn wait_until_over(home: &Home, id: &str) {
    wait_until("the run to be over", SOON, || run_of(home, id).is_none());
}

/// Why a run ended, as the audit log has it.
#[track_caller]
fn ending_of(home: &Home, id: &str) -> Option<String> {
    // the record is written a moment after the run is gone from the list
    let end = wait_for("the record of the end", SOON, || {
        let log = home.authsome(["log", "--json", "--run", id]).output();
        let log = log.succeeded().json();
        let records = log["records"].as_array().unwrap().clone();
        records
            .into_iter()
            .find(|record| record["event"] == "run_end")
    });
    end.get("code")
        .map(|code| code.as_str().unwrap().to_owned())
}

/// The proxy refuses the run's token, and nothing reaches the server.
#[track_caller]
fn assert_dead(proxy: &Proxy, stand_in: &StandIn) {
    stand_in.forget();
    match proxy.connect_to(&format!("{HOST}:443")) {
        Ok(Ok(_)) => panic!("a tunnel was made for a run that is over"),
        Ok(Err(answer)) => assert_eq!(answer.status, 407, "{}", answer.text),
        // the port went with the last run
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused),
    }
    assert_eq!(stand_in.requests().len(), 0);
}

/// The proxy puts the key on the wire for the run's token.
#[track_caller]
fn assert_served(proxy: &Proxy, stand_in: &StandIn, home: &Home) {
    stand_in.forget();
    let answer = proxy.get(HOST, "/me").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    let bearer = format!("Bearer {}", home.canary().secret());
    assert_eq!(stand_in.last().header("authorization"), [bearer]);
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // a zombie that its new parent has not reaped has ended
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// What a run left when its first process had ended. The process left behind is killed with this.
struct Kept {
    environment: BTreeMap<String, String>,
    pid: u32,
    first: u32,
}

impl Kept {
    /// Starts `sh` under `run` with `options`; it does `script`, which leaves a process behind whose
    /// pid it writes to `NAME.pid`, and ends.
    #[track_caller]
    fn start(home: &Home, name: &str, options: &[&str], script: &str) -> Self {
        let script = format!("env >{name}.env; echo $$ >{name}.first; {script}");
        home.authsome(["run"])
            .args(options)
            .args(["--", "sh", "-c", &script])
            .output()
            .succeeded();
        let pid = pid_in(&home.work().join(format!("{name}.pid")));
        let text = std::fs::read_to_string(home.work().join(format!("{name}.env"))).unwrap();
        let environment = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            environment,
            pid,
            first: pid_in(&home.work().join(format!("{name}.first"))),
        }
    }

    /// The usual one: `sleep` in the background.
    #[track_caller]
    fn sleeper(home: &Home, name: &str, options: &[&str]) -> Self {
        Self::start(home, name, options, &leave(name, ""))
    }

    fn id(&self) -> &str {
        &self.environment["AUTHSOME_RUN"]
    }

    /// While the run lives: afterwards its certificates are gone.
    #[track_caller]
    fn proxy(&self) -> Proxy {
        let url = &self.environment["HTTPS_PROXY"];
        let (credentials, address) = url
            .strip_prefix("http://")
            .and_then(|rest| rest.trim_end_matches('/').split_once('@'))
            .unwrap();
        Proxy {
            address: address.parse().unwrap(),
            credentials: Some(credentials.to_owned()),
            bundle: std::fs::read(&self.environment["SSL_CERT_FILE"]).unwrap(),
        }
    }

    /// Kills what is left.
    #[track_caller]
    fn kill(&self) {
        assert!(is_alive(self.pid), "what was left behind is gone already");
        signal(self.pid, Signal::SIGKILL);
        wait_until("its end", SOON, || !is_alive(self.pid));
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if is_alive(self.pid) {
            signal(self.pid, Signal::SIGKILL);
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("process ids are small"));
    // it may have ended by itself
    let _sent = kill(pid, signal);
}

/// A line for `sh` that leaves `sleep` behind, which `prefix` starts.
fn leave(name: &str, prefix: &str) -> String {
    format!("{prefix} sleep 300 >/dev/null 2>&1 <&- & echo $! >{name}.pid")
}

#[track_caller]
fn pid_in(path: &std::path::Path) -> u32 {
    wait_for("a pid", SOON, || {
        let text = std::fs::read_to_string(path).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    })
}

/// Takes a port that a daemon which was killed had. Its last thread may hold it for a moment longer.
#[track_caller]
fn occupy(address: SocketAddr) -> TcpListener {
    wait_for("the port of the dead daemon", SOON, || {
        TcpListener::bind(address).ok()
    })
}

/// The run's folder.
fn folder(home: &Home, id: &str) -> PathBuf {
    let runtime = home.control_socket();
    runtime.parent().unwrap().join("runs").join(id)
}

#[test]
fn a_run_with_a_time_ends_when_it_is_up_and_its_process_goes_on() {
    let (stand_in, home) = world();
    let begun = Instant::now();
    let mut run = LiveRun::start(&home, &["--for", "2s"]);
    let id = run.id().to_owned();
    wait_until_over(&home, &id);
    assert!(begun.elapsed() >= Duration::from_secs(2), "too early");
    assert_eq!(ending_of(&home, &id).as_deref(), Some("expired"));
    assert!(!folder(&home, &id).exists(), "its files stay behind");
    assert_eq!(run.shell("echo still here"), "still here\n");
    stand_in.forget();
    let answer = run.shell(&format!(
        "curl -sS -w '%{{http_code}}' https://{HOST}/me 2>&1"
    ));
    assert!(
        answer.contains("407") || answer.ends_with("000"),
        "{answer}"
    );
    assert_eq!(stand_in.requests().len(), 0);
    let said = run.shell("authsome run -- true 2>&1");
    assert!(said.contains("left behind by a run that is over"), "{said}");
}

#[test]
fn connections_that_are_open_when_the_time_is_up_are_closed() {
    use std::io::Read as _;
    let (stand_in, home) = world();
    let run = LiveRun::start(&home, &["--for", "5s"]);
    let proxy = run.proxy();
    let mut open = proxy.tls(&format!("{HOST}:443"), HOST).unwrap();
    // without a byte sent, this returns when the other side closes
    let read = open.read(&mut [0]);
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    wait_until_over(&home, run.id());
    assert_dead(&proxy, &stand_in);
}

#[test]
fn a_run_that_ends_before_its_time_ends_as_ever() {
    let (stand_in, home) = world();
    let run = LiveRun::start(&home, &["--for", "1h30m"]);
    let (id, proxy) = (run.id().to_owned(), run.proxy());
    assert_served(&proxy, &stand_in, &home);
    let listed = run_of(&home, &id).unwrap();
    assert_eq!(listed["keeps"], false);
    assert!(listed["expires_at"].is_string(), "{listed}");
    assert_eq!(listed["problem"], Value::Null);
    let table = home.authsome(["runs"]).output().succeeded();
    // an hour and a half, or the second before that
    let told = ["in 1 h 30 min", "in 1 h 29 min"];
    assert!(told.iter().any(|it| table.stdout.contains(it)), "{table}");
    run.end();
    wait_until_over(&home, &id);
    assert_eq!(ending_of(&home, &id), None);
    assert_dead(&proxy, &stand_in);
}

#[test]
fn times_that_make_no_sense_start_nothing() {
    let home = Home::new();
    let marker = home.work().join("ran");
    for (options, said) in [
        (&["--for", "2"][..], "write it as `90s`, `30m`"),
        (&["--for", "0s"], "one second is the least"),
        (&["--keep", "366d"], "365 days are the most"),
        (&["--keep", "1mo"], "months and years differ"),
        (&["--for", "1h", "--keep", "1h"], "cannot be used with"),
    ] {
        let output = home
            .authsome(["run"])
            .args(options)
            .args(["--", "touch", marker.to_str().unwrap()])
            .output()
            .exited(125);
        assert!(output.stderr.contains(said), "{output}");
    }
    assert!(!marker.exists(), "the command was started");
}

#[test]
fn a_run_inside_a_run_gets_no_more_time_than_is_left() {
    let (_stand_in, home) = world();
    let mut outer = LiveRun::start(&home, &["--for", "1h"]);
    let expires = |run: &Value| run["expires_at"].as_str().unwrap().to_owned();
    let ends = expires(&run_of(&home, outer.id()).unwrap());
    let mut inner = |options: &str| {
        let line = format!(
            "authsome run {options} -- sh -c 'authsome runs --json; echo \"id $AUTHSOME_RUN\" >&2' \
             2>said >listed; cat said"
        );
        let said = outer.shell(&line);
        let id = said.lines().find_map(|line| line.strip_prefix("id "));
        let id = id.unwrap_or_else(|| panic!("no run: {said}")).to_owned();
        let listed = std::fs::read_to_string(home.work().join("listed")).unwrap();
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let runs = listed["runs"].as_array().unwrap().clone();
        let run = runs.into_iter().find(|run| run["run"] == *id).unwrap();
        (said, run)
    };
    let (said, run) = inner("--for 2h");
    assert!(
        said.contains("warning: the run around this one has"),
        "{said}"
    );
    assert_eq!(expires(&run), ends);
    let (said, run) = inner("--for 1m");
    assert!(!said.contains("warning"), "{said}");
    assert!(expires(&run) < ends, "{run}");
    let (said, run) = inner("");
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(expires(&run), ends);
    let (said, run) = inner("--keep 2h");
    assert!(said.contains("ends with its first process"), "{said}");
    assert_eq!((expires(&run), &run["keeps"]), (ends, &Value::Bool(true)));
}

#[test]
fn a_run_inside_a_run_ends_with_the_time_of_the_outer_one() {
    let (stand_in, home) = world();
    let mut outer = LiveRun::start(&home, &["--for", "4s"]);
    outer.shell(
        "authsome run -- sh -c 'env >inner.env; echo $$ >inner.pid; exec sleep 300' \
         >/dev/null 2>&1 <&- &",
    );
    let pid = pid_in(&home.work().join("inner.pid"));
    let inner = std::fs::read_to_string(home.work().join("inner.env")).unwrap();
    let inner = inner
        .lines()
        .find_map(|line| line.strip_prefix("AUTHSOME_RUN="))
        .unwrap();
    assert_ne!(inner, outer.id());
    wait_until_over(&home, outer.id());
    wait_until_over(&home, inner);
    assert!(is_alive(pid), "the process is the user's to end");
    signal(pid, Signal::SIGKILL);
    assert_eq!(stand_in.requests().len(), 0);
}

/// The ways in which a process leaves the tree it was started in, and the one that loses its mark.
#[test]
fn a_kept_run_lives_until_the_last_process_that_bears_its_mark() {
    let (stand_in, home) = world();
    let ways = [
        ("plain", leave("plain", "")),
        ("session", leave("session", "setsid")),
        (
            "daemon",
            format!("( setsid sh -c '{} ' & )", leave("daemon", "")),
        ),
        // its shell goes through another program first, and clears what it can
        (
            "bare",
            leave("bare", "env -i AUTHSOME_RUN=$AUTHSOME_RUN PATH=$PATH nohup"),
        ),
    ];
    let kept: Vec<Kept> = ways
        .iter()
        .map(|(name, script)| Kept::start(&home, name, &["--keep", "8h"], script))
        .collect();
    // after the others, and it is told by nothing that it belongs to the run
    let lost = Kept::start(&home, "lost", &["--keep", "8h"], &leave("lost", "env -i"));
    wait_until_over(&home, lost.id());
    assert_eq!(ending_of(&home, lost.id()), None);
    assert!(is_alive(lost.pid));
    for run in &kept {
        let listed = run_of(&home, run.id()).expect("it is kept");
        assert_eq!(listed["keeps"], true);
        assert_eq!(listed["program"], "sh");
        let proxy = run.proxy();
        assert_served(&proxy, &stand_in, &home);
        run.kill();
        wait_until_over(&home, run.id());
        assert_eq!(ending_of(&home, run.id()), None);
        assert_dead(&proxy, &stand_in);
    }
}

#[test]
fn a_kept_run_lives_until_the_last_of_several() {
    let (stand_in, home) = world();
    let script = format!("{}; {}", leave("first", ""), leave("second", "setsid"));
    let run = Kept::start(&home, "second", &["--keep", "8h"], &script);
    let proxy = run.proxy();
    let lost = Kept::start(&home, "lost", &["--keep", "8h"], &leave("lost", "env -i"));
    // whichever the daemon waits for now: it looks again when one is gone
    let first = pid_in(&home.work().join("first.pid"));
    signal(first, Signal::SIGKILL);
    wait_until_over(&home, lost.id());
    assert_served(&proxy, &stand_in, &home);
    run.kill();
    wait_until_over(&home, run.id());
    assert_dead(&proxy, &stand_in);
}

#[test]
fn a_kept_run_ends_when_its_time_is_up() {
    let (stand_in, home) = world();
    let begun = Instant::now();
    let run = Kept::sleeper(&home, "kept", &["--keep", "4s"]);
    let proxy = run.proxy();
    wait_until_over(&home, run.id());
    assert!(begun.elapsed() >= Duration::from_secs(4), "too early");
    assert_eq!(ending_of(&home, run.id()).as_deref(), Some("expired"));
    assert!(is_alive(run.pid), "the process is the user's to end");
    assert_dead(&proxy, &stand_in);
}

#[test]
fn a_kept_run_is_stopped_like_any_other() {
    let (stand_in, home) = world();
    let run = Kept::sleeper(&home, "kept", &["--keep", "8h"]);
    let proxy = run.proxy();
    let table = home.authsome(["runs"]).output().succeeded();
    let told = ["in 8 h, keeps", "in 7 h 59 min, keeps"];
    assert!(told.iter().any(|it| table.stdout.contains(it)), "{table}");
    home.authsome(["runs", "stop", run.id()])
        .output()
        .succeeded();
    assert_eq!(run_of(&home, run.id()), None);
    assert_eq!(ending_of(&home, run.id()).as_deref(), Some("stopped"));
    assert!(is_alive(run.pid));
    assert_dead(&proxy, &stand_in);
}

#[test]
fn a_run_inside_keeps_the_kept_run_around_it() {
    let (stand_in, home) = world();
    // the inner run's process has lost every mark, but the run itself is known
    let run = Kept::start(
        &home,
        "inner",
        &["--keep", "8h"],
        "authsome run -- env -i sleep 300 >/dev/null 2>&1 <&- & echo $! >inner.pid; \
         while [ $(authsome runs --json | grep -o '\"run\":' | wc -l) -lt 2 ]; do :; done",
    );
    let proxy = run.proxy();
    let lost = Kept::start(&home, "lost", &["--keep", "8h"], &leave("lost", "env -i"));
    wait_until_over(&home, lost.id());
    assert_eq!(home.runs().len(), 2, "the outer run and the inner one");
    assert_served(&proxy, &stand_in, &home);
    run.kill();
    wait_until("both to be over", SOON, || home.runs().is_empty());
    assert_dead(&proxy, &stand_in);
}

#[test]
fn after_a_crash_a_kept_run_without_its_first_process_goes_on() {
    let (stand_in, home) = world();
    let run = Kept::sleeper(&home, "kept", &["--keep", "8h"]);
    let proxy = run.proxy();
    let expires = run_of(&home, run.id()).unwrap()["expires_at"].clone();
    for _ in 0..2 {
        home.crash_daemon();
        home.authsome(["status"]).output().succeeded();
        let listed = run_of(&home, run.id()).expect("it was taken up again");
        assert_eq!(listed["expires_at"], expires);
        assert_eq!(listed["keeps"], true);
        assert_served(&proxy, &stand_in, &home);
    }
    run.kill();
    wait_until_over(&home, run.id());
    assert_dead(&proxy, &stand_in);
}

#[test]
fn a_kept_run_whose_last_process_ended_while_nobody_watched_stays_ended() {
    let (stand_in, home) = world();
    let run = Kept::sleeper(&home, "kept", &["--keep", "8h"]);
    let (proxy, folder) = (run.proxy(), folder(&home, run.id()));
    assert!(folder.exists());
    home.crash_daemon();
    run.kill();
    home.authsome(["status"]).output().succeeded();
    assert_eq!(run_of(&home, run.id()), None);
    assert!(!folder.exists(), "its files stay behind");
    assert_dead(&proxy, &stand_in);
}

#[test]
fn a_run_whose_time_was_up_while_nobody_watched_is_not_taken_up_again() {
    let (stand_in, home) = world();
    let begun = Instant::now();
    let run = LiveRun::start(&home, &["--for", "2s"]);
    let (id, proxy, folder) = (run.id().to_owned(), run.proxy(), folder(&home, run.id()));
    assert!(folder.exists());
    home.crash_daemon();
    // its second is rounded up
    wait_until("its time to be up", SOON, || {
        begun.elapsed() > Duration::from_secs(4)
    });
    home.authsome(["status"]).output().succeeded();
    assert_eq!(run_of(&home, &id), None);
    assert!(!folder.exists(), "its files stay behind");
    assert_dead(&proxy, &stand_in);
}

#[test]
fn after_a_crash_the_time_of_a_run_goes_on() {
    let (stand_in, home) = world();
    let begun = Instant::now();
    let run = LiveRun::start(&home, &["--for", "5s"]);
    let (id, proxy) = (run.id().to_owned(), run.proxy());
    home.crash_daemon();
    home.authsome(["status"]).output().succeeded();
    wait_until_over(&home, &id);
    assert!(begun.elapsed() >= Duration::from_secs(5), "too early");
    // five seconds and one for rounding after the start, not after the crash
    assert_eq!(ending_of(&home, &id).as_deref(), Some("expired"));
    assert_dead(&proxy, &stand_in);
}

/// L3: what a kept run left behind is inside of it, also when nothing of the tree it came from is
/// left.
#[test]
fn privileged_calls_from_what_a_kept_run_left_behind_are_refused() {
    let (_stand_in, home) = world();
    let asks = "while [ ! -e go ]; do sleep 0.05; done; \
                authsome export --yes >export 2>&1; echo $? >export.code; \
                authsome get intercom --show-secret --yes >get 2>&1; echo $? >get.code; \
                authsome runs stop $AUTHSOME_RUN >stop 2>&1; echo $? >stop.code; \
                env -u AUTHSOME_RUN authsome export --yes >bare 2>&1; echo $? >bare.code; \
                authsome run --unmatched tunnel -- authsome whoami --json >wider 2>&1; \
                authsome whoami --json >who 2>&1; touch done; exec sleep 300";
    home.write("asks.sh", asks);
    let run = Kept::start(
        &home,
        "left",
        &["--keep", "8h", "--unmatched", "deny"],
        "( setsid sh -c 'echo $$ >left.pid; exec sh asks.sh' >/dev/null 2>&1 <&- & )",
    );
    let lost = Kept::start(&home, "lost", &["--keep", "8h"], &leave("lost", "env -i"));
    wait_until_over(&home, lost.id());
    home.write("go", "");
    wait_until("the left process to have asked", SOON, || {
        home.work().join("done").exists()
    });
    let said = |name: &str| std::fs::read_to_string(home.work().join(name)).unwrap();
    for name in ["export", "get", "stop", "bare"] {
        assert_eq!(said(&format!("{name}.code")), "1\n", "{}", said(name));
        assert!(
            said(name).contains("a program inside a run may not do this"),
            "{}",
            said(name)
        );
        assert_eq!(home.canary().search(name, said(name).as_bytes()), []);
    }
    let wider = said("wider");
    assert!(
        wider.contains("a run inside a run can only narrow"),
        "{wider}"
    );
    let who: Value = serde_json::from_str(&said("who")).unwrap();
    assert_eq!(who["run"], run.id());
    assert!(run_of(&home, run.id()).is_some(), "it was stopped");
}

/// L3: the pid of a kept run's first process means nothing once that is gone.
#[test]
fn whoever_takes_over_the_pid_of_a_first_process_is_not_inside_the_run() {
    let (_stand_in, home) = world();
    let run = Kept::sleeper(&home, "kept", &["--keep", "8h"]);
    let lost = Kept::start(&home, "lost", &["--keep", "8h"], &leave("lost", "env -i"));
    // by then the end of the first process before was noticed, too
    wait_until_over(&home, lost.id());
    let who = |output: Output| output.succeeded().json()["run"].clone();
    assert_eq!(
        who(home.authsome(["whoami", "--json"]).output()),
        Value::Null
    );
    if !is_root() {
        eprintln!("the pid is not taken over: that needs root");
        return;
    }
    for _ in 0..200 {
        let before = (run.first - 1).to_string();
        let _said = std::fs::write("/proc/sys/kernel/ns_last_pid", before);
        let squatter = home.authsome(["whoami", "--json"]).spawn();
        let pid = squatter.pid();
        let said = who(squatter.wait());
        assert_eq!(said, Value::Null);
        if pid == run.first {
            return;
        }
    }
    eprintln!("the pid is not taken over: others were faster");
}

/// What `--keep` is for: a server that goes on when its terminal is gone.
#[test]
fn a_tmux_server_keeps_its_run() {
    let (stand_in, home) = world();
    home.command("tmux").arg("-V").output().succeeded();
    let tmux = |words: &[&str]| {
        home.command("tmux")
            .env("TMUX_TMPDIR", home.work())
            .args(["-f", "/dev/null"])
            .args(words)
    };
    let session = [
        "tmux",
        "-f",
        "/dev/null",
        "new-session",
        "-d",
        "-s",
        "one",
        "sh",
    ];
    home.authsome(["run", "--keep", "8h", "--"])
        .args(session)
        .env("TMUX_TMPDIR", home.work())
        .output()
        .succeeded();
    let listed = home.runs();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["program"], "tmux");
    let id = listed[0]["run"].as_str().unwrap().to_owned();
    let server = tmux(&["display-message", "-p", "-t", "one", "#{pid}"]).output();
    let server: u32 = server.succeeded().line().parse().unwrap();
    let lost = Kept::start(&home, "lost", &["--keep", "8h"], &leave("lost", "env -i"));
    wait_until_over(&home, lost.id());
    let line =
        format!("curl -sS -o /dev/null -w '%{{http_code}}' https://{HOST}/me >code; touch done");
    tmux(&["send-keys", "-t", "one", &line, "Enter"])
        .output()
        .succeeded();
    wait_until("the request from the session", SOON, || {
        home.work().join("done").exists()
    });
    let code = std::fs::read_to_string(home.work().join("code")).unwrap();
    assert_eq!(code, "200");
    let bearer = format!("Bearer {}", home.canary().secret());
    assert_eq!(stand_in.last().header("authorization"), [bearer]);
    tmux(&["kill-server"]).output().succeeded();
    wait_until("the server's end", SOON, || !is_alive(server));
    wait_until_over(&home, &id);
}

#[test]
fn a_run_whose_port_was_taken_meanwhile_says_so_until_it_is_stopped() {
    let (_stand_in, home) = world();
    let run = LiveRun::start(&home, &[]);
    let (id, address) = (run.id().to_owned(), run.proxy().address);
    assert_eq!(run_of(&home, &id).unwrap()["problem"], Value::Null);
    home.crash_daemon();
    let _squatter = occupy(address);
    home.authsome(["status"]).output().succeeded();
    let lost = run_of(&home, &id).expect("its process lives");
    let problem = lost["problem"].as_str().unwrap();
    let taken = format!("its proxy port {} is taken", address.port());
    assert!(problem.contains(&taken), "{problem}");
    assert_eq!(lost["pid"], run.pid());
    let table = home.authsome(["runs"]).output().succeeded();
    assert!(table.stdout.contains(&taken), "{table}");
    // others are served all the same
    home.run(["true"]).output().succeeded();
    home.authsome(["runs", "stop", &id]).output().succeeded();
    assert_eq!(run_of(&home, &id), None);
    assert_eq!(ending_of(&home, &id).as_deref(), Some("stopped"));
    home.authsome(["runs", "stop", &id]).output().exited(1);
}

#[test]
fn a_run_that_is_lost_is_forgotten_with_its_process() {
    let (_stand_in, home) = world();
    let run = LiveRun::start(&home, &[]);
    let (id, address) = (run.id().to_owned(), run.proxy().address);
    home.crash_daemon();
    let _squatter = occupy(address);
    home.authsome(["status"]).output().succeeded();
    assert!(run_of(&home, &id).is_some());
    run.end();
    assert_eq!(run_of(&home, &id), None);
}

#[test]
fn a_run_that_lost_only_its_own_port_says_so_and_is_served() {
    let (stand_in, home) = world();
    let run = LiveRun::start(&home, &[]);
    let (id, proxy) = (run.id().to_owned(), run.proxy());
    let record = std::fs::read(folder(&home, &id).join("run.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let port = u16::try_from(record["direct_port"].as_u64().unwrap()).unwrap();
    home.crash_daemon();
    let _squatter = occupy(([127, 0, 0, 1], port).into());
    home.authsome(["status"]).output().succeeded();
    let listed = run_of(&home, &id).expect("it was taken up again");
    let problem = listed["problem"].as_str().unwrap();
    assert!(problem.contains(&format!("its port {port}")), "{problem}");
    assert_served(&proxy, &stand_in, &home);
}

/// While the keyring is locked after a restart, a run waits, says so, and can be given up.
#[test]
fn runs_that_wait_for_the_vault_say_so() {
    let stand_in = StandIn::start(&[HOST]);
    let mut home = Home::builder()
        .stand_in(&stand_in)
        .user(&PlainUser::any())
        .store(Store::Keyring)
        .build();
    home.login("intercom");
    let (run, given_up) = (LiveRun::start(&home, &[]), LiveRun::start(&home, &[]));
    let (proxy, dead) = (run.proxy(), given_up.proxy());
    home.keyring.as_mut().unwrap().lock();
    home.crash_daemon();
    home.authsome(["status"]).output();
    wait_until("the run to say what it waits for", SOON, || {
        let listed = run_of(&home, run.id()).expect("its process lives");
        let problem = listed["problem"].as_str();
        problem.is_some_and(|problem| problem.starts_with("waits until"))
    });
    home.authsome(["runs", "stop", given_up.id()])
        .output()
        .succeeded();
    home.keyring.as_mut().unwrap().unlock();
    wait_until("the run to be served again", SOON, || {
        run_of(&home, run.id()).unwrap()["problem"].is_null()
    });
    assert_served(&proxy, &stand_in, &home);
    assert_eq!(home.runs().len(), 1);
    assert_dead(&dead, &stand_in);
}
