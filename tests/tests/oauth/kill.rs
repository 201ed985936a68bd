//! The daemon is killed at the N-th system call of a refresh, for N = 1, 2, … until it gets through
//! (threat O7), by a server that rotates its refresh tokens and ends the whole login when a used one
//! comes again.
//!
//! A [`Tracer`] counts the calls of all the daemon's threads together, from the request that needs a
//! token to its answer, and kills it as it enters the chosen one. The default suite does so at every
//! call that changes something outside of the process, and at some of the rest; the ignored test at
//! all of them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use authsome_tests::home::is_gone;
use authsome_tests::raw::read_answer;
use authsome_tests::{LiveRun, wait_until};
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::refresh::{HOST, ONE_SECOND_TOKEN, log_in_again, said_lifetime, with_short_tokens};
use crate::world::World;

/// Calls by which something outside of the process changes.
const CHANGING: [libc::c_long; 18] = [
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_ftruncate,
    libc::SYS_openat,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_close,
    libc::SYS_recvfrom,
];

/// Which calls count.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Counted {
    Changing,
    All,
}

impl Counted {
    fn has(self, number: libc::c_long) -> bool {
        self == Self::All || CHANGING.contains(&number)
    }
}

/// What a traced daemon did until its end.
#[derive(Debug, Default)]
struct Trace {
    /// The calls that counted, in order; of one that was killed the last was not carried out.
    calls: Vec<libc::c_long>,
}

/// Watches the daemon's system calls from a thread of its own, since all of `ptrace` belongs to one.
struct Tracer {
    thread: JoinHandle<Trace>,
    count: Arc<AtomicUsize>,
}

impl Tracer {
    /// Attaches to every thread of `pid`, which is killed as it enters the `at`-th call that counts.
    fn attach(pid: u32, counted: Counted, at: usize) -> Self {
        let count = Arc::new(AtomicUsize::new(0));
        let (ready, attached) = mpsc::channel();
        let thread = std::thread::spawn({
            let count = Arc::clone(&count);
            move || trace(pid, counted, at, &count, &ready)
        });
        attached.recv().expect("it attaches, as root");
        Self { thread, count }
    }

    /// How many calls there were so far.
    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// After the end of the daemon.
    fn join(self) -> Trace {
        self.thread.join().expect("the tracer does not panic")
    }
}

fn trace(
    pid: u32,
    counted: Counted,
    at: usize,
    count: &AtomicUsize,
    ready: &mpsc::Sender<()>,
) -> Trace {
    let mut trace = Trace::default();
    let process = Pid::from_raw(i32::try_from(pid).unwrap());
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let thread = thread.unwrap().file_name();
        let thread = Pid::from_raw(thread.to_str().unwrap().parse().unwrap());
        let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_TRACECLONE;
        ptrace::seize(thread, options).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        ptrace::syscall(thread, None).unwrap();
    }
    ready.send(()).unwrap();
    // `__WNOTHREAD`: what other threads of this test have started is theirs to wait for
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    loop {
        let stopped = match waitpid(Pid::from_raw(-1), Some(flags)) {
            Ok(WaitStatus::PtraceSyscall(thread)) => {
                let entered = entered(pid, thread);
                if let Some(number) = entered.filter(|number| counted.has(*number)) {
                    trace.calls.push(number);
                    count.store(trace.calls.len(), Ordering::SeqCst);
                    if trace.calls.len() == at {
                        // it dies on its way in: this call is not carried out
                        drop(kill(process, Signal::SIGKILL));
                    }
                }
                (thread, None)
            }
            Ok(WaitStatus::PtraceEvent(thread, ..)) => (thread, None),
            Ok(WaitStatus::Stopped(thread, signal)) => (thread, Some(signal)),
            Ok(_) => continue,
            // all of them are gone
            Err(_) => return trace,
        };
        // it may be dead by now
        drop(ptrace::syscall(stopped.0, stopped.1));
    }
}

/// The number of the call that a thread is about to make; nothing if it comes back from one.
fn entered(pid: u32, thread: Pid) -> Option<libc::c_long> {
    let info = ptrace::syscall_info(thread).ok()?;
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    let line = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")).ok()?;
    line.split(' ').next()?.parse().ok()
}

/// How it went on after a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Went {
    /// Nothing had left, and the next request worked.
    NothingSent,
    /// Nothing had left, but it was noted that it would: a person is asked.
    NotedOnly,
    /// The refresh token had left; the next request worked.
    SentAndKept,
    /// The refresh token had left, and its answer is lost: a person is asked.
    SentAndLost,
}

/// A daemon that is killed again and again.
struct Victim {
    world: World,
    run: LiveRun,
    went: BTreeMap<Went, usize>,
}

impl Victim {
    fn new(rotation: bool) -> Self {
        let mut world = with_short_tokens();
        if !rotation {
            world.authority.set_rotation(false);
            log_in_again(&mut world).succeeded();
        }
        let run = LiveRun::start(&world.home, &[]);
        let mut victim = Self {
            world,
            run,
            went: BTreeMap::new(),
        };
        // what is seen once is known: whether this server rotates
        std::thread::sleep(ONE_SECOND_TOKEN);
        assert_eq!(victim.ask(), (200, String::new()));
        victim
    }

    /// The next request's status and code, with the daemon brought back by the next command.
    fn ask(&mut self) -> (u16, String) {
        self.world.field("status");
        let mut answer = None;
        wait_until("the run to be served", Duration::from_secs(5), || {
            answer = self.run.proxy().get(HOST, "/after").ok();
            answer.is_some()
        });
        let answer = answer.unwrap();
        (answer.status, answer.code().unwrap_or_default().to_owned())
    }

    /// One refresh, and a kill at that call. `None` if it got through first; else the calls.
    fn kill_at(&mut self, counted: Counted, at: usize) -> Option<Trace> {
        std::thread::sleep(ONE_SECOND_TOKEN);
        self.world.authority.forget();
        let mut tunnel = self.run.proxy().tls(&format!("{HOST}:443"), HOST).unwrap();
        let pid = self.world.home.daemon_pid().unwrap();
        let tracer = Tracer::attach(pid, counted, at);
        let request = format!("GET /during HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        let sent = tunnel
            .write_all(request.as_bytes())
            .and_then(|()| tunnel.flush());
        let answer = sent.and_then(|()| read_answer(&mut tunnel));
        let through = tracer.count() < at;
        if through {
            assert_eq!(answer.unwrap().status, 200);
            self.world.home.crash_daemon();
        }
        wait_until("the daemon to be gone", Duration::from_secs(5), || {
            is_gone(pid)
        });
        let trace = tracer.join();
        let (status, code) = self.ask();
        let sent = self.world.authority.refreshes() > 0;
        let renames =
            |number: &libc::c_long| [libc::SYS_renameat, libc::SYS_renameat2].contains(number);
        let executed = trace
            .calls
            .split_last()
            .map_or(&[][..], |(_, before)| before);
        let noted = executed.iter().any(renames);
        let place = format!("killed at {at} of {counted:?}: {:?}", trace.calls.last());
        assert_eq!(self.world.authority.families_revoked(), 0, "{place}");
        assert_eq!(
            self.world.authority.refreshes_with_used_tokens(),
            0,
            "{place}"
        );
        let went = match (status, &*code) {
            (200, _) if sent => Went::SentAndKept,
            (200, _) => Went::NothingSent,
            (403, "login_needed") if sent => Went::SentAndLost,
            (403, "login_needed") => {
                assert!(
                    noted,
                    "{place}: nothing was sent, nothing noted, and it does not work"
                );
                Went::NotedOnly
            }
            other => panic!("{place}: {other:?}"),
        };
        if code == "login_needed" {
            assert_eq!(self.world.field("status"), "needs_login", "{place}");
            log_in_again(&mut self.world).succeeded();
            std::thread::sleep(ONE_SECOND_TOKEN);
            // it is known again that it rotates
            assert_eq!(self.ask().0, 200, "{place}");
        }
        if through {
            return None;
        }
        *self.went.entry(went).or_default() += 1;
        Some(trace)
    }

    fn went(&self, how: Went) -> usize {
        self.went.get(&how).copied().unwrap_or(0)
    }

    fn end(mut self) {
        self.world
            .home
            .authsome(["log", "--verify"])
            .output()
            .succeeded();
        self.world.watch();
    }
}

/// Kills at every `step`-th call, from `from` on; how many that were.
fn at_every(victim: &mut Victim, counted: Counted, from: usize, step: usize) -> usize {
    for (kills, at) in (from..).step_by(step).enumerate() {
        assert!(at < 3000, "it never gets through");
        if victim.kill_at(counted, at).is_none() {
            return kills;
        }
    }
    unreachable!("it panics before")
}

/// O7, at every call that changes something outside.
#[test]
fn o7_a_kill_at_any_change_of_a_refresh_never_costs_the_login() {
    let mut victim = Victim::new(true);
    let kills = at_every(&mut victim, Counted::Changing, 1, 1);
    eprintln!("{kills} kills: {:?}", victim.went);
    assert!(kills > 20, "{kills}");
    for how in [Went::NothingSent, Went::SentAndKept, Went::SentAndLost] {
        assert!(victim.went(how) > 0, "never {how:?}: {:?}", victim.went);
    }
    victim.end();
}

/// O7, at some of all the other calls.
#[test]
fn o7_a_kill_at_a_sample_of_all_calls_never_costs_the_login() {
    let mut victim = Victim::new(true);
    let kills = at_every(&mut victim, Counted::All, 3, 29);
    eprintln!("{kills} kills: {:?}", victim.went);
    assert!(kills > 3, "{kills}");
    victim.end();
}

/// O7, of a server that keeps its refresh tokens: nobody ever has to log in again.
#[test]
fn o7_without_rotation_the_next_request_always_works() {
    let mut victim = Victim::new(false);
    let kills = at_every(&mut victim, Counted::Changing, 1, 4);
    eprintln!("{kills} kills: {:?}", victim.went);
    assert_eq!(
        victim.went(Went::SentAndLost) + victim.went(Went::NotedOnly),
        0
    );
    assert!(victim.went(Went::SentAndKept) > 0);
    victim.end();
}

/// O7, at every system call there is.
#[test]
#[ignore = "some minutes; the tests above are its sample"]
fn o7_a_kill_at_every_call_of_a_refresh_never_costs_the_login() {
    let mut victim = Victim::new(true);
    let kills = at_every(&mut victim, Counted::All, 1, 1);
    eprintln!("{kills} kills: {:?}", victim.went);
    for how in [Went::NothingSent, Went::SentAndKept, Went::SentAndLost] {
        assert!(victim.went(how) > 0, "never {how:?}: {:?}", victim.went);
    }
    victim.end();
}

/// The same without rotation.
#[test]
#[ignore = "some minutes; the tests above are its sample"]
fn o7_without_rotation_a_kill_at_every_call_costs_nothing() {
    let mut victim = Victim::new(false);
    let kills = at_every(&mut victim, Counted::All, 1, 1);
    eprintln!("{kills} kills: {:?}", victim.went);
    assert_eq!(
        victim.went(Went::SentAndLost) + victim.went(Went::NotedOnly),
        0
    );
    victim.end();
}
