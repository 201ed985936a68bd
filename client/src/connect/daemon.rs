//! A greeted daemon: requests and their answers.

use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use authsome_proto::frame::{self, FrameError};
use authsome_proto::hello::Encoding;
use authsome_proto::{ClientFrame, ErrorCode, Request, Response, Secret, ServerFrame};
use interprocess::os::unix::uds_local_socket::Stream;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Failure, Kind};
use crate::prompt::{self, Ask};
use crate::ui::Ui;

/// How long an answer may take. The longest honest one waits for a person to unlock the keyring.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(150);

/// Tries of a passphrase before the command gives up.
const PASSPHRASE_TRIES: u32 = 3;

/// A greeted daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    stream: Stream,
    next_id: u32,
    /// Its build.
    pub(crate) build: String,
    /// Its process id, see [`super::process_of`].
    pub(crate) pid: Option<i32>,
}

impl Daemon {
    /// One that greeted us on `stream`.
    pub(super) fn new(stream: Stream, build: String, pid: Option<i32>) -> Self {
        Self {
            stream,
            next_id: 1,
            build,
            pid,
        }
    }

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
