//! The daemon is killed at the N-th system call of a refresh, for N = 1, 2, … until it gets through
//! (threat O7), by a server that rotates its refresh tokens and ends the whole login when a used one
//! comes again.
//!
//! A [`Tracer`] counts the calls of all the daemon's threads together, from the request that needs a
//! token to its answer, and kills it as it enters the chosen one. The default suite does so at every
//! call that changes something outside of the process; the ignored tests at all of them:
//! `cargo nextest run -p authsome-tests --test oauth --run-ignored all o7`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use authsome_tests::home::is_gone;
use authsome_tests::raw::read_answer;
use authsome_tests::{LiveRun, wait_until};
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::refresh::{HOST, ONE_SECOND_STORED, ONE_SECOND_TOKEN, log_in_again, with_short_tokens};
use crate::world::World;

/// Calls by which something outside of the process changes.
const CHANGING: [libc::c_long; 14] = [
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
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_connect,
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
                        let _killed = kill(process, Signal::SIGKILL);
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
        let _resumed = ptrace::syscall(stopped.0, stopped.1);
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
    /// How long until the token in use is over.
    rest: Duration,
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
            rest: ONE_SECOND_TOKEN,
        };
        // what is seen once is known: whether this server rotates
        std::thread::sleep(ONE_SECOND_STORED);
        assert_eq!(victim.ask(), (200, String::new()));
        victim
    }

    /// The next request's status and code, with the daemon brought back by the next command.
    fn ask(&mut self) -> (u16, String) {
        self.world.field("status");
        let before = self.world.authority.refreshes();
        let mut answer = None;
        wait_until("the run to be served", Duration::from_secs(5), || {
            answer = self.run.proxy().get(HOST, "/after").ok();
            answer.is_some()
        });
        let answer = answer.unwrap();
        let renewed = self.world.authority.refreshes() > before;
        self.rest = if renewed {
            ONE_SECOND_TOKEN
        } else {
            ONE_SECOND_STORED
        };
        (answer.status, answer.code().unwrap_or_default().to_owned())
    }

    /// One refresh, and a kill at that call. `None` if it got through first; else the calls.
    fn kill_at(&mut self, counted: Counted, at: usize) -> Option<Trace> {
        let begun = Instant::now();
        std::thread::sleep(self.rest);
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
            assert_eq!(
                self.world.authority.refreshes(),
                1,
                "there was nothing to kill"
            );
            // if that has not happened at a call after the answer
            let _killed = kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL);
        }
        wait_until("the daemon to be gone", Duration::from_secs(5), || {
            is_gone(pid)
        });
        let trace = tracer.join();
        // the next command's daemon sends nothing by itself, so this is what the dead one has sent
        self.world.field("status");
        let sent = self.world.authority.refreshes() > 0;
        // what the old token was good for must not hide what became of the new one
        std::thread::sleep(ONE_SECOND_STORED.saturating_sub(begun.elapsed()));
        let (status, code) = self.ask();
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
            std::thread::sleep(ONE_SECOND_STORED);
            // it is known again that it rotates
            assert_eq!(self.ask().0, 200, "{place}");
        }
        if through {
            return None;
        }
        *self.went.entry(went).or_default() += 1;
        Some(trace)
    }

    fn end(mut self) -> BTreeMap<Went, usize> {
        self.world
            .home
            .authsome(["log", "--verify"])
            .output()
            .succeeded();
        self.world.watch();
        self.went
    }
}

/// How many victims there are at the same time: most of a kill's time is waiting.
const VICTIMS: usize = 4;

/// Kills at every `step`-th call; how it went on, how often.
fn at_every(rotation: bool, counted: Counted, step: usize) -> BTreeMap<Went, usize> {
    let mut all = BTreeMap::new();
    std::thread::scope(|scope| {
        let victims: Vec<_> = (0..VICTIMS)
            .map(|number| {
                scope.spawn(move || {
                    let mut victim = Victim::new(rotation);
                    let mut at = 1 + number * step;
                    while victim.kill_at(counted, at).is_some() {
                        at += VICTIMS * step;
                        assert!(at < 5_000, "it never gets through");
                    }
                    victim.end()
                })
            })
            .collect();
        for victim in victims {
            for (how, often) in victim.join().unwrap() {
                *all.entry(how).or_default() += often;
            }
        }
    });
    eprintln!("{} kills: {all:?}", all.values().sum::<usize>());
    all
}

fn with_rotation(counted: Counted, step: usize) {
    let went = at_every(true, counted, step);
    for how in [Went::NothingSent, Went::SentAndKept, Went::SentAndLost] {
        assert!(went.contains_key(&how), "never {how:?}: {went:?}");
    }
}

/// Nobody ever has to log in again.
fn without_rotation(counted: Counted, step: usize) {
    let went = at_every(false, counted, step);
    let known: Vec<_> = went.keys().copied().collect();
    assert_eq!(known, [Went::NothingSent, Went::SentAndKept], "{went:?}");
}

/// O7, at every call that changes something outside.
#[test]
fn o7_a_kill_at_any_change_of_a_refresh_never_costs_the_login() {
    with_rotation(Counted::Changing, 1);
}

/// O7, of a server that keeps its refresh tokens.
#[test]
fn o7_a_kill_at_a_change_of_a_refresh_without_rotation_costs_nothing() {
    without_rotation(Counted::Changing, 3);
}

/// O7, at every system call there is.
#[test]
#[ignore = "takes minutes; the tests above do the calls that matter"]
fn o7_a_kill_at_every_call_of_a_refresh_never_costs_the_login() {
    with_rotation(Counted::All, 1);
}

/// The same of a server that keeps its refresh tokens.
#[test]
#[ignore = "takes minutes; the tests above do the calls that matter"]
fn o7_a_kill_at_every_call_of_a_refresh_without_rotation_costs_nothing() {
    without_rotation(Counted::All, 1);
}
