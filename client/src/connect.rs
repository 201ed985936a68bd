//! The connection to the daemon: find it, check it, greet it.
//!
//! 1. The lock in the home names the socket of the daemon that serves this home; without a note
//!    there, the socket of our own environment is tried. A daemon that was started from a desktop
//!    session is thus found from cron too.
//! 2. The socket's folder must be ours and closed to others, and so must the process behind it be
//!    ours (threats L2, L7). Nothing is sent before that is known.
//! 3. Both ends greet; ends that share no version say so (L10).
//! 4. Where nobody listens the daemon is started and we connect again: by opening the sockets of the
//!    user's service if one is installed ([`crate::service`]), else by ourselves ([`crate::start`]).
//!
//! Everything blocks. The socket is close-on-exec, so that a command started by `run` does not
//! hold it, and the daemon sees the command start.
//!
//! Not here: what is asked of a daemon that greeted us (`daemon`).

mod daemon;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use authsome_proto::frame::{self, FrameError};
use authsome_proto::hello::{Encoding, HELLO_MAX, Hello};
use authsome_proto::{LockNote, Places};
use interprocess::local_socket::traits::{Stream as _, StreamCommon as _};
use interprocess::os::unix::uds_local_socket::Stream;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::error::Failure;
use crate::service::{self, Service, State, skew};
use crate::start;
use crate::ui::Ui;
use daemon::ANSWER_DEADLINE;
pub(crate) use daemon::{Daemon, unexpected};

/// How long a daemon may take to greet. It does so from a task of its own, at once, but a service
/// manager may only be starting it. Longer would delay the news that it hangs.
const GREETING_DEADLINE: Duration = Duration::from_secs(10);

/// How long connecting goes on while daemons start and stop around us.
const RACE_DEADLINE: Duration = Duration::from_secs(15);

/// How long a daemon that says it started may take to accept us before another one is tried.
const ACCEPT_DEADLINE: Duration = Duration::from_secs(3);

/// Largest lock note that is read.
const LOCK_NOTE_MAX: u64 = 4096;

/// Whether to start a daemon where none runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Start one.
    IfNeeded,
    /// Say that there is none.
    Never,
    /// Connecting starts it: the sockets of the service are open. Nothing else may.
    Service,
}

/// What one try to connect came to.
#[derive(Debug)]
enum Attempt {
    /// A daemon greeted us.
    Greeted(Daemon),
    /// Nobody listens there; why.
    Nobody(Failure),
    /// It is ours, but shares no version with us, or does not greet.
    Foreign { pid: Option<i32>, failure: Failure },
}

/// Connects to the daemon of this process' home.
pub(crate) fn connect(start: Start, ui: Ui) -> Result<Daemon, Failure> {
    connect_to(&places()?, start, ui)
}

/// The places of this process.
pub(crate) fn places() -> Result<Places, Failure> {
    Places::of_process().map_err(|error| {
        Failure::failed("cannot tell where the home is")
            .because(&error)
            .hint("set `AUTHSOME_HOME` to a private folder")
    })
}

/// Connects to the daemon of `places`.
pub(crate) fn connect_to(places: &Places, start: Start, ui: Ui) -> Result<Daemon, Failure> {
    let deadline = Instant::now() + RACE_DEADLINE;
    if start == Start::Never && sleeps(places) {
        return Err(
            Failure::unreachable("no daemon is running; the first command starts it")
                .hint("`authsome daemon start` starts it"),
        );
    }
    match attempt(places, ui)? {
        Attempt::Greeted(daemon) => return Ok(daemon),
        Attempt::Foreign { failure, .. } => return Err(failure),
        Attempt::Nobody(why) if start == Start::Never => return Err(why),
        Attempt::Nobody(_) => {}
    }
    let mut service = match Service::installed(places) {
        Some((service, State::Off)) if start == Start::IfNeeded => {
            return Err(service::is_off(&service));
        }
        Some((service, _)) if start == Start::IfNeeded => Unused::Service(service),
        _ => Unused::Nothing,
    };
    loop {
        if start == Start::IfNeeded {
            service = begin(service, ui)?;
        }
        let patience = (Instant::now() + ACCEPT_DEADLINE).min(deadline);
        let mut pause = Duration::from_millis(2);
        let why = loop {
            let why = match attempt(places, ui)? {
                Attempt::Greeted(daemon) => return Ok(daemon),
                Attempt::Foreign { failure, .. } => return Err(failure),
                Attempt::Nobody(why) => why,
            };
            if Instant::now() >= patience {
                break why;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        };
        if start == Start::Service {
            // its sockets were open and are not any more: the manager has given up
            return Err(why);
        }
        if Instant::now() >= deadline {
            return Err(why.hint(
                "a daemon was started but does not accept connections; \
                 `authsome daemon logs` may say why",
            ));
        }
    }
}

/// What has not been tried yet to have a daemon.
enum Unused {
    /// The sockets of the service.
    Service(Service),
    /// Starting one in place of a service that gives none.
    InPlaceOf(Service),
    /// Starting one.
    Nothing,
}

/// Has somebody start a daemon; what to do if none listens after that.
fn begin(unused: Unused, ui: Ui) -> Result<Unused, Failure> {
    let (service, why) = match unused {
        Unused::Nothing => return start::start(ui).map(|()| Unused::Nothing),
        Unused::Service(service) => {
            ui.detail(&format!("opening `{}`", service.sockets_name()));
            match service.start() {
                Ok(()) => return Ok(Unused::InPlaceOf(service)),
                Err(failure) if service.told().is_ok() => (service, failure.message),
                // as under cron: a service is of no use where its manager is not
                Err(failure) => {
                    ui.detail(&failure.message);
                    return start::start(ui).map(|()| Unused::Nothing);
                }
            }
        }
        Unused::InPlaceOf(service) => (service, "its daemon does not answer".into()),
    };
    // its manager would keep the port that living runs know
    if let Err(failure) = service.close() {
        ui.detail(&failure.message);
    }
    start::start(ui)?;
    ui.warning(&format!(
        "the daemon runs without the service `{}`: {why}; `authsome service status` says more",
        service.sockets_name()
    ));
    Ok(Unused::Nothing)
}

/// Whether no daemon runs although connecting would succeed: a service manager listens, and would
/// start one for somebody who only wants to know whether one runs.
fn sleeps(places: &Places) -> bool {
    Service::installed(places).is_some() && process_of(places, None).is_none()
}

/// What `daemon stop` finds.
#[derive(Debug)]
pub(crate) enum Found {
    /// A daemon we can talk to.
    Greeted(Box<Daemon>),
    /// A daemon of ours that shares no version with us, or hangs.
    Foreign { pid: Option<i32> },
    /// None.
    Nobody,
}

/// Looks for a daemon without starting one, also for one of another version.
pub(crate) fn find(ui: Ui) -> Result<Found, Failure> {
    find_at(&places()?, ui)
}

/// Looks for the daemon of `places`.
pub(crate) fn find_at(places: &Places, ui: Ui) -> Result<Found, Failure> {
    if sleeps(places) {
        return Ok(Found::Nobody);
    }
    Ok(match attempt(places, ui)? {
        Attempt::Greeted(daemon) => Found::Greeted(Box::new(daemon)),
        Attempt::Foreign { pid, .. } => Found::Foreign { pid },
        Attempt::Nobody(_) => Found::Nobody,
    })
}

/// The socket to try: the one the lock names, else our own.
pub(crate) fn socket_of(places: &Places) -> PathBuf {
    lock_note(&places.lock()).map_or_else(|| places.socket(), |note| note.socket)
}

/// Reads the lock's note. A link, a pipe or somebody else's file is no note (L7): reading it could
/// block, or lead us to a socket of another's choice.
pub(crate) fn lock_note(path: &Path) -> Option<LockNote> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.uid() != our_uid() {
        return None;
    }
    let mut text = String::new();
    file.take(LOCK_NOTE_MAX).read_to_string(&mut text).ok()?;
    LockNote::parse(&text)
}

fn our_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// One try: `Err` is final, [`Attempt::Nobody`] may be tried again.
fn attempt(places: &Places, ui: Ui) -> Result<Attempt, Failure> {
    let socket = socket_of(places);
    ui.detail(&format!("connecting to `{}`", socket.display()));
    let cannot =
        || Failure::unreachable(format!("cannot reach the daemon at `{}`", socket.display()));
    check_folder(&socket)?;
    let stream = match UnixStream::connect(&socket) {
        Ok(stream) => stream,
        Err(error) => {
            let failure = cannot().cause(in_words(&error));
            return match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::WouldBlock => Ok(
                    Attempt::Nobody(failure.hint("`authsome daemon start` starts it")),
                ),
                ErrorKind::PermissionDenied => Err(failure.hint(
                    "the socket belongs to another user, or something confines this command",
                )),
                _ => Err(failure),
            };
        }
    };
    greet(Stream::from(stream), places, &cannot, ui)
}

/// Checks who is at the other end, then greets.
fn greet(
    stream: Stream,
    places: &Places,
    cannot: &dyn Fn() -> Failure,
    ui: Ui,
) -> Result<Attempt, Failure> {
    let peer = stream
        .peer_creds()
        .map_err(|error| cannot().because(&error))?;
    let listener = peer.pid();
    match peer.euid() {
        Some(uid) if uid == our_uid() => {}
        Some(uid) => {
            return Err(cannot()
                .cause(format!(
                    "user {uid} listens there, not you (user {})",
                    our_uid()
                ))
                .hint("nothing was sent; find out who put that socket there"));
        }
        None => return Err(cannot().cause("the system does not say who listens there")),
    }
    let deadlines = |patience| {
        stream
            .set_recv_timeout(Some(patience))
            .and_then(|()| stream.set_send_timeout(Some(patience)))
    };
    deadlines(GREETING_DEADLINE).map_err(|error| cannot().because(&error))?;
    let ours = Hello::ours(Encoding::BINCODE);
    let exchanged = frame::write(&mut &stream, &ours.to_bytes())
        .and_then(|()| frame::read(&mut &stream, HELLO_MAX));
    let theirs = match exchanged {
        Ok(bytes) => Hello::from_bytes(&bytes).map_err(|error| {
            cannot()
                .because(&error)
                .hint("something else listens on that socket")
        })?,
        // it stopped between accepting us and greeting
        Err(error) if hung_up(&error) => {
            return Ok(Attempt::Nobody(cannot().because(&error)));
        }
        Err(FrameError::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
            let pid = process_of(places, listener);
            let failure = cannot()
                .cause(format!(
                    "it did not greet within {} s",
                    GREETING_DEADLINE.as_secs()
                ))
                .hint("`authsome daemon restart` replaces a daemon that hangs");
            return Ok(Attempt::Foreign { pid, failure });
        }
        Err(error @ FrameError::TooLarge { .. }) => {
            return Err(cannot()
                .because(&error)
                .hint("something else listens on that socket"));
        }
        Err(error) => return Err(cannot().because(&error)),
    };
    let pid = process_of(places, listener);
    if ours.agree(&theirs).is_none() {
        return Ok(Attempt::Foreign {
            pid,
            failure: versions_differ(places, &ours, &theirs),
        });
    }
    if theirs.encoding != Encoding::BINCODE {
        return Err(cannot().cause("the daemon refused the connection"));
    }
    deadlines(ANSWER_DEADLINE).map_err(|error| cannot().because(&error))?;
    ui.detail(&format!("daemon {} greeted", theirs.build));
    Ok(Attempt::Greeted(Daemon::new(stream, theirs.build, pid)))
}

/// The daemon's process: the lock names it, as it holds the lock. What the kernel says of a socket is
/// who *listens*, and that is the service manager where there is one.
fn process_of(places: &Places, listener: Option<i32>) -> Option<i32> {
    let noted = lock_note(&places.lock())
        .and_then(|note| i32::try_from(note.pid).ok())
        .filter(|pid| is_daemon(*pid));
    noted.or_else(|| listener.filter(|pid| is_daemon(*pid)))
}

/// Whether a process is a daemon, as far as can be told: a number may be another process' by now.
fn is_daemon(pid: i32) -> bool {
    if cfg!(target_os = "linux") {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.trim_end() == start::DAEMON)
    } else {
        kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
    }
}

fn versions_differ(places: &Places, ours: &Hello, theirs: &Hello) -> Failure {
    let range = |hello: &Hello| {
        if hello.lowest == hello.highest {
            hello.lowest.to_string()
        } else {
            format!("{} to {}", hello.lowest, hello.highest)
        }
    };
    let failure = Failure::unreachable(format!(
        "this client speaks protocol {}; the daemon speaks {}",
        range(ours),
        range(theirs)
    ));
    let daemon = if theirs.highest < ours.lowest {
        skew::Daemon::Older
    } else {
        skew::Daemon::Newer(&theirs.build)
    };
    failure.hint(service::way_out(places, daemon))
}

/// The socket's folder must be a folder of ours that others cannot write to: whoever can, can put
/// a socket of his there. A missing folder is fine, there is no socket in it.
fn check_folder(socket: &Path) -> Result<(), Failure> {
    let Some(folder) = socket.parent() else {
        return Ok(());
    };
    let Ok(meta) = std::fs::symlink_metadata(folder) else {
        return Ok(());
    };
    let refuse = |why: String| {
        Failure::unreachable(format!("will not use `{}`: {why}", folder.display()))
            .hint("choose a private directory, or `chmod 700` this one if it is yours")
    };
    if meta.file_type().is_symlink() {
        Err(refuse("it is a symbolic link".into()))
    } else if !meta.is_dir() {
        Err(refuse("it is not a folder".into()))
    } else if meta.uid() != our_uid() {
        Err(refuse(format!(
            "it belongs to user {}, not to you",
            meta.uid()
        )))
    } else if meta.mode() & 0o022 != 0 {
        Err(refuse(format!(
            "other users can write there (mode {:04o})",
            meta.mode() & 0o7777
        )))
    } else {
        Ok(())
    }
}

fn hung_up(error: &FrameError) -> bool {
    match error {
        FrameError::Closed => true,
        FrameError::Io(error) => matches!(
            error.kind(),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
        ),
        _ => false,
    }
}

/// The system's errors of connecting, without its "(os error 2)".
fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::NotFound => "no such socket".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
