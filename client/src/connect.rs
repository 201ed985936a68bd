//! The connection to the daemon: find it, check it, greet it, ask.
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

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use authsome_proto::frame::{self, FrameError};
use authsome_proto::hello::{Encoding, HELLO_MAX, Hello};
use authsome_proto::{
    ClientFrame, ErrorCode, LockNote, Places, Request, Response, Secret, ServerFrame,
};
use interprocess::local_socket::traits::{Stream as _, StreamCommon as _};
use interprocess::os::unix::uds_local_socket::Stream;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::error::{Failure, Kind};
use crate::prompt::{self, Ask};
use crate::service::{self, Service, State, skew};
use crate::start;
use crate::ui::Ui;

/// How long a daemon may take to greet. It does so from a task of its own, at once, but a service
/// manager may only be starting it. Longer would delay the news that it hangs.
const GREETING_DEADLINE: Duration = Duration::from_secs(10);

/// How long an answer may take. The longest honest one waits for a person to unlock the keyring.
const ANSWER_DEADLINE: Duration = Duration::from_secs(150);

/// How long connecting goes on while daemons start and stop around us.
const RACE_DEADLINE: Duration = Duration::from_secs(15);

/// How long a daemon that says it started may take to accept us before another one is tried.
const ACCEPT_DEADLINE: Duration = Duration::from_secs(3);

/// Largest lock note that is read.
const LOCK_NOTE_MAX: u64 = 4096;

/// Tries of a passphrase before the command gives up.
const PASSPHRASE_TRIES: u32 = 3;

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

/// A greeted daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    stream: Stream,
    next_id: u32,
    /// Its build.
    pub(crate) build: String,
    /// Its process id, see [`process_of`].
    pub(crate) pid: Option<i32>,
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
    Ok(Attempt::Greeted(Daemon {
        stream,
        next_id: 1,
        build: theirs.build,
        pid,
    }))
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

impl Daemon {
    /// Asks, and waits for the answer. A file store that needs its passphrase is opened by asking
    /// on the terminal, and the request is sent again.
    pub(crate) fn call(&mut self, request: Request, ui: Ui) -> Result<Response, Failure> {
        let may_ask = !matches!(request, Request::Unlock { .. });
        let frame = self.framed(request);
        let failure = match self.ask(&frame) {
            Err(failure) if may_ask && wants_passphrase(&failure) => failure,
            answered => return answered,
        };
        self.unlock(&failure, ui)?;
        let ClientFrame::Request { request, .. } = frame else {
            return Err(failure);
        };
        let again = self.framed(request);
        self.ask(&again)
    }

    /// As [`Self::call`], for what may take long: about every `patience`, `stop` is asked whether
    /// nobody wants the answer any more. `None` then.
    pub(crate) fn call_unless(
        &mut self,
        request: Request,
        ui: Ui,
        patience: Duration,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Response>, Failure> {
        let sent = self.send(request.clone())?;
        loop {
            if let Some(ServerFrame::Answer { id, result }) = self.next(patience)?
                && id == sent
            {
                return match result.map_err(Failure::from) {
                    Err(failure) if wants_passphrase(&failure) => {
                        self.unlock(&failure, ui)?;
                        let again = self.framed(request);
                        self.ask(&again).map(Some)
                    }
                    answered => answered.map(Some),
                };
            }
            if stop() {
                return Ok(None);
            }
        }
    }

    /// Sends a request and returns its id; [`Self::next`] brings what comes of it.
    pub(crate) fn send(&mut self, request: Request) -> Result<u32, Failure> {
        let frame = self.framed(request);
        self.transmit(&frame)?;
        match frame {
            ClientFrame::Cancel { id } | ClientFrame::Request { id, .. } => Ok(id),
        }
    }

    /// Gives up a request in flight. It is still answered.
    pub(crate) fn cancel(&mut self, id: u32) -> Result<(), Failure> {
        self.transmit(&ClientFrame::Cancel { id })
    }

    /// The next frame; `None` when none came in time, or a signal did.
    pub(crate) fn next(&mut self, patience: Duration) -> Result<Option<ServerFrame>, Failure> {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) => Ok(None),
            Ok(_) => self.receive().map(Some),
            Err(error) => Err(lost().because(&error)),
        }
    }

    /// Waits until the daemon hangs up, which it does when it ends.
    pub(crate) fn wait_for_hang_up(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            if self.next(left).is_err() {
                return true;
            }
        }
        false
    }

    fn framed(&mut self, request: Request) -> ClientFrame {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        ClientFrame::Request { id, request }
    }

    fn ask(&mut self, frame: &ClientFrame) -> Result<Response, Failure> {
        self.transmit(frame)?;
        let (ClientFrame::Cancel { id: wanted } | ClientFrame::Request { id: wanted, .. }) = frame;
        loop {
            if let ServerFrame::Answer { id, result } = self.receive()?
                && id == *wanted
            {
                return result.map_err(Failure::from);
            }
        }
    }

    fn transmit(&mut self, frame: &ClientFrame) -> Result<(), Failure> {
        let payload = frame::encode(frame, Encoding::BINCODE)
            .map_err(|error| Failure::failed("the request cannot be sent").because(&error))?;
        frame::write(&mut &self.stream, &payload).map_err(|error| lost().because(&error))
    }

    fn receive(&mut self) -> Result<ServerFrame, Failure> {
        let payload =
            frame::read(&mut &self.stream, frame::FRAME_MAX).map_err(|error| match error {
                FrameError::Io(error) if error.kind() == ErrorKind::WouldBlock => {
                    Failure::unreachable(format!(
                        "the daemon did not answer within {} s",
                        ANSWER_DEADLINE.as_secs()
                    ))
                    .hint("`authsome daemon restart` replaces a daemon that hangs")
                }
                error => lost().because(&error),
            })?;
        frame::decode(&payload, Encoding::BINCODE).map_err(|error| {
            Failure::new(Kind::Bug, "the daemon's answer makes no sense")
                .because(&error)
                .hint("client and daemon may be of different builds; `authsome daemon restart`")
        })
    }

    /// Asks for the passphrase on the terminal until the daemon takes it.
    fn unlock(&mut self, why: &Failure, ui: Ui) -> Result<(), Failure> {
        let ask = if why.is(ErrorCode::PassphraseWanted) {
            Ask::New
        } else {
            Ask::Known
        };
        let mut tries = 1;
        loop {
            let passphrase: Secret = prompt::passphrase(ask, ui).map_err(|failure| {
                let mut why = why.clone();
                why.causes.push(failure.message);
                why.hint.get_or_insert_with(|| {
                    "run `authsome unlock` on a terminal, or `authsome unlock --stdin`".into()
                });
                why
            })?;
            let frame = self.framed(Request::Unlock { passphrase });
            match self.ask(&frame) {
                Ok(_) => return Ok(()),
                Err(failure)
                    if failure.is(ErrorCode::WrongPassphrase) && tries < PASSPHRASE_TRIES =>
                {
                    ui.warning(&failure.message);
                    tries += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

fn wants_passphrase(failure: &Failure) -> bool {
    failure.is(ErrorCode::PassphraseNeeded) || failure.is(ErrorCode::PassphraseWanted)
}

fn lost() -> Failure {
    Failure::unreachable("the connection to the daemon was lost")
        .hint("`authsome daemon logs` may say why; the next command starts it again")
}

/// The answer was of a kind that this request never has.
pub(crate) fn unexpected() -> Failure {
    Failure::bug("the daemon answered something else than was asked")
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;
    use std::thread::JoinHandle;

    use super::*;

    fn private_folder() -> (tempfile::TempDir, Places) {
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            home: folder.path().to_owned(),
            runtime: folder.path().to_owned(),
            ordinary: false,
        };
        (folder, places)
    }

    /// Answers one greeting with `reply`, raw.
    fn greeter(places: &Places, reply: Vec<u8>) -> JoinHandle<Vec<u8>> {
        let listener = UnixListener::bind(places.socket()).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let hello = frame::read(&mut stream, HELLO_MAX).unwrap().to_vec();
            stream.write_all(&reply).unwrap();
            hello
        })
    }

    fn hello(lowest: u16, highest: u16, encoding: Encoding) -> Vec<u8> {
        let payload = Hello {
            lowest,
            highest,
            encoding,
            build: "9.9".into(),
        }
        .to_bytes();
        let mut wire = Vec::new();
        frame::write(&mut wire, &payload).unwrap();
        wire
    }

    fn refused(reply: Vec<u8>) -> Failure {
        let (_folder, places) = private_folder();
        let server = greeter(&places, reply);
        let failure = connect_to(&places, Start::Never, Ui::silent()).unwrap_err();
        assert_eq!(
            Hello::from_bytes(&server.join().unwrap()),
            Ok(Hello::ours(Encoding::BINCODE))
        );
        failure
    }

    /// L10
    #[test]
    fn a_newer_daemon_is_named_with_both_versions() {
        let failure = refused(hello(3, 4, Encoding::NONE));
        assert_eq!(
            failure.message,
            "this client speaks protocol 1; the daemon speaks 3 to 4"
        );
        assert!(failure.hint.unwrap().contains("update `authsome`"));
        assert_eq!(failure.kind, Kind::Unreachable);
    }

    /// L10
    #[test]
    fn an_older_daemon_is_replaced_by_a_restart() {
        let failure = refused(hello(0, 0, Encoding::NONE));
        assert_eq!(
            failure.message,
            "this client speaks protocol 1; the daemon speaks 0"
        );
        assert!(failure.hint.unwrap().contains("daemon restart"));
    }

    #[test]
    fn something_else_on_the_socket_is_named_and_not_echoed() {
        for reply in [
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            b"\0\0\0\x04what".to_vec(),
        ] {
            let failure = refused(reply);
            assert!(
                failure.hint.as_deref().unwrap().contains("something else"),
                "{failure:?}"
            );
            assert!(!format!("{failure:?}").contains("HTTP"), "{failure:?}");
        }
    }

    #[test]
    fn a_daemon_that_refuses_is_not_taken_for_a_greeting() {
        let failure = refused(hello(1, 1, Encoding::NONE));
        assert_eq!(failure.causes, ["the daemon refused the connection"]);
    }

    #[test]
    fn a_daemon_that_hangs_up_counts_as_none() {
        let failure = refused(Vec::new());
        assert_eq!(failure.kind, Kind::Unreachable);
    }

    /// L8
    #[test]
    fn a_stale_socket_says_connection_refused() {
        let (_folder, places) = private_folder();
        drop(UnixListener::bind(places.socket()).unwrap());
        let failure = connect_to(&places, Start::Never, Ui::silent()).unwrap_err();
        assert_eq!(failure.causes, ["connection refused"]);
        assert_eq!(failure.exit_code(), 3);
    }

    /// L7
    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let (folder, places) = private_folder();
        let _listener = UnixListener::bind(places.socket()).unwrap();
        for mode in [0o777, 0o720, 0o702] {
            std::fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let failure = connect_to(&places, Start::Never, Ui::silent()).unwrap_err();
            assert!(
                failure.message.contains(&format!("(mode {mode:04o})")),
                "{failure:?}"
            );
        }
    }

    /// L7
    #[test]
    fn a_link_in_place_of_the_folder_is_refused() {
        let (folder, mut places) = private_folder();
        places.runtime = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &places.runtime).unwrap();
        let failure = connect_to(&places, Start::Never, Ui::silent()).unwrap_err();
        assert!(failure.message.contains("symbolic link"), "{failure:?}");
    }

    /// L7
    #[test]
    fn a_lock_that_is_a_link_or_a_pipe_is_no_note() {
        let (folder, places) = private_folder();
        let elsewhere = folder.path().join("elsewhere");
        let note = LockNote {
            pid: 1,
            socket: "/x/y.sock".into(),
        };
        let mut file = std::fs::File::create(&elsewhere).unwrap();
        file.write_all(note.to_text().as_bytes()).unwrap();
        assert_eq!(lock_note(&elsewhere), Some(note));
        std::os::unix::fs::symlink(&elsewhere, places.lock()).unwrap();
        assert_eq!(lock_note(&places.lock()), None);
        std::fs::remove_file(places.lock()).unwrap();
        nix::unistd::mkfifo(&places.lock(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(lock_note(&places.lock()), None);
    }

    #[test]
    fn the_lock_names_the_socket_of_a_daemon_started_elsewhere() {
        let (folder, mut places) = private_folder();
        let server = greeter(&places, hello(1, 1, Encoding::BINCODE));
        let note = LockNote {
            pid: 1,
            socket: places.socket(),
        };
        let mut file = std::fs::File::create(places.lock()).unwrap();
        file.write_all(note.to_text().as_bytes()).unwrap();
        places.runtime = folder.path().join("another");
        let daemon = connect_to(&places, Start::Never, Ui::silent()).unwrap();
        assert_eq!(daemon.build, "9.9");
        server.join().unwrap();
    }
}
