//! One client's connection.
//!
//! 1. The client's greeting must come within [`GREETING_MAX`], as the first frame.
//! 2. We answer with ours; if no version or encoding is shared, that answer says so and we close.
//! 3. Frames are read one by one. Each request runs in a task of its own, so a slow one holds up
//!    nobody; each ends in exactly one answer. Ids are single use.
//! 4. A frame over 64 KiB waits for room in the budget that all clients share (`frames.rs`).
//! 5. Anything that breaks the rules closes the connection; requests in flight are cancelled with
//!    it, except changes, which are carried through.
//!
//! Invariants: at most [`IN_FLIGHT_MAX`] requests at once, more are answered with an error; answers
//! queue in a bounded channel, so a client that does not read stops being served instead of costing
//! memory.

use std::collections::{HashMap, HashSet};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use authsome_proto::frame::{self, FRAME_MAX, FrameError};
use authsome_proto::hello::{Encoding, HELLO_MAX, Hello, ParseHelloError};
use authsome_proto::{ClientFrame, ErrorCode, Event, Request, ServerFrame, WireError};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use super::frames::{Budget, Codec, Incoming, Room};
use super::handlers::{self, GiveUp};
use super::peer::Peer;
use super::rights;
use super::seats::Seat;
use crate::broker::{Broker, Inside};

/// How long a client may take to greet. A peer that stalls holds only its own task.
const GREETING_MAX: Duration = Duration::from_secs(5);

/// How often a connection is looked at for a frame that was begun and not finished; one that lies
/// there at two looks in a row closes the connection (threat L9): it would hold memory, or the room
/// of others, for nothing. Waiting for room counts. An idle client costs no more than the look.
const STALL_LOOK: Duration = Duration::from_secs(10);

/// How long writing one frame may take before the client counts as gone.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// Requests of one client at once. Editors keep a handful of subscriptions open.
const IN_FLIGHT_MAX: usize = 64;

/// Ids that one connection may use. An editor at one request a second lasts half a day; then it
/// reconnects. It bounds the memory of the single-use rule.
const IDS_MAX: usize = 65_536;

/// Frames that wait for a slow reader before its requests are held up.
const OUTGOING_MAX: usize = 64;

/// Why a connection was closed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A frame could not be read, written or understood.
    #[error("a frame is not right")]
    Frame(#[from] FrameError),
    /// A frame that was begun and not finished.
    #[error("a frame was not finished in time")]
    FrameLate,
    /// No greeting in time.
    #[error("no greeting in time")]
    GreetingLate,
    /// A greeting that is none.
    #[error("no greeting of ours")]
    Greeting(#[from] ParseHelloError),
    /// No version or encoding is shared.
    #[error("no common version or encoding")]
    NothingShared,
    /// An id was used twice, or too many were used.
    #[error("request id {0} is not allowed")]
    RequestId(u32),
    /// It asked for nothing, and somebody else needed the place.
    #[error("it was quiet, and another client came")]
    MadeRoom,
    /// The client does not read what it asked for.
    #[error("the client does not read")]
    Stalled,
}

type Wire<S> = Framed<S, Codec>;

/// Room for a large frame, waited for.
type Asked = Pin<Box<dyn Future<Output = Result<Room, FrameError>> + Send>>;

/// Speaks with one client until it leaves, breaks the rules, or the daemon stops.
pub async fn serve<S>(
    stream: S,
    peer: Peer,
    broker: Arc<Broker>,
    seat: &Seat,
    budget: Budget,
) -> Result<(), SessionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut wire = Framed::new(stream, Codec::new(HELLO_MAX));
    let encoding = tokio::select! {
        encoding = greet(&mut wire) => encoding?,
        () = seat.leave() => return Err(SessionError::MadeRoom),
    };
    wire.codec_mut().set_max(FRAME_MAX);

    let (outgoing, mut to_send) = mpsc::channel(OUTGOING_MAX);
    let caller = Arc::new(Caller {
        peer,
        broker: Arc::clone(&broker),
    });
    let mut tasks: JoinSet<()> = JoinSet::new();
    let mut in_flight: HashMap<u32, CancellationToken> = HashMap::new();
    let mut used: HashSet<u32> = HashSet::new();
    // whether part of a frame lay there at the last look
    let mut stalled = false;
    let mut look = tokio::time::interval(STALL_LOOK);
    // the place in the line for room is kept while other things happen
    let mut asked: Option<Asked> = None;
    loop {
        tokio::select! {
            incoming = wire.next(), if asked.is_none() => {
                stalled = false;
                let Some(incoming) = incoming else { return Ok(()) };
                let (payload, room) = match incoming.map_err(too_large)? {
                    Incoming::Frame(payload, room) => (payload, room),
                    Incoming::Large(len) => {
                        asked = Some(Box::pin(budget.clone().room(len)));
                        continue;
                    }
                };
                match frame::decode(&payload, encoding)? {
                    ClientFrame::Cancel { id } => {
                        if let Some(token) = in_flight.get(&id) {
                            token.cancel();
                        }
                    }
                    ClientFrame::Request { id, request } => {
                        if used.len() >= IDS_MAX || !used.insert(id) {
                            return Err(SessionError::RequestId(id));
                        }
                        if in_flight.len() >= IN_FLIGHT_MAX {
                            // read on all the same, or a `Cancel` would never be seen
                            wipe(payload);
                            send(&mut wire, &too_many(id), encoding).await?;
                            continue;
                        }
                        let token = CancellationToken::new();
                        in_flight.insert(id, token.clone());
                        seat.asks();
                        let replies = Replies { id, cancelled: token, outgoing: outgoing.clone() };
                        let caller = Arc::clone(&caller);
                        // made here: a task that is dropped before it first runs holds it all the same
                        let gives_up = GiveUp::of(&request, &caller.broker, caller.peer.pid);
                        tasks.spawn(answer(caller, request, gives_up, replies, room));
                    }
                }
                wipe(payload);
            }
            room = granted(&mut asked) => {
                asked = None;
                // it could not send before
                stalled = false;
                wire.codec_mut().grant(room?);
            }
            _ = look.tick() => {
                let begun = wire.codec().is_within_frame() || !wire.read_buffer().is_empty();
                if begun && stalled {
                    return Err(SessionError::FrameLate);
                }
                stalled = begun;
            }
            Some(frame) = to_send.recv() => {
                // before it is sent: who has an answer may ask again
                if let ServerFrame::Answer { id, .. } = &frame {
                    in_flight.remove(id);
                }
                send(&mut wire, &frame, encoding).await?;
                if in_flight.is_empty() {
                    seat.is_quiet();
                }
            }
            Some(done) = tasks.join_next(), if !tasks.is_empty() => {
                // a panicked task has not answered, so the connection must not go on
                if done.is_err() {
                    return Err(SessionError::Stalled);
                }
            }
            () = seat.leave(), if in_flight.is_empty() => return Err(SessionError::MadeRoom),
            () = broker.shutdown.cancelled() => {
                // requests in flight get the moment that the drain allows; they are told too
                while !tasks.is_empty() {
                    tokio::select! {
                        Some(frame) = to_send.recv() => send(&mut wire, &frame, encoding).await?,
                        _done = tasks.join_next() => {}
                    }
                }
                while let Ok(frame) = to_send.try_recv() {
                    send(&mut wire, &frame, encoding).await?;
                }
                return Ok(());
            }
        }
    }
}

/// The client behind requests.
#[derive(Debug)]
pub struct Caller {
    /// Its process.
    pub peer: Peer,
    /// The daemon's state.
    pub broker: Arc<Broker>,
}

/// Where a request's answer and events go.
#[derive(Debug, Clone)]
pub struct Replies {
    id: u32,
    /// Cancelled when the client gives the request up.
    pub cancelled: CancellationToken,
    outgoing: mpsc::Sender<ServerFrame>,
}

impl Replies {
    /// Sends an event under the request's id; waits while the client is slow. False once it is
    /// gone.
    pub async fn event(&self, event: Event) -> bool {
        self.outgoing
            .send(ServerFrame::Event { id: self.id, event })
            .await
            .is_ok()
    }
}

fn too_many(id: u32) -> ServerFrame {
    let error = WireError::new(
        ErrorCode::TooManyRequests,
        format!("{IN_FLIGHT_MAX} requests of this client are under way already"),
    );
    ServerFrame::Answer {
        id,
        result: Err(error.hint("wait for one of them, or cancel one")),
    }
}

/// Waits for the room that was asked for; for ever, if none was.
async fn granted(asked: &mut Option<Asked>) -> Result<Room, FrameError> {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}

/// Handles a request and answers it; `room` is what its frame takes, until it was handled.
async fn answer(
    caller: Arc<Caller>,
    request: Request,
    gives_up: Option<GiveUp>,
    replies: Replies,
    room: Option<Room>,
) {
    let result = if !rights::allowed_inside_run(&request) && caller.inside_run() {
        Err(WireError::new(
            ErrorCode::RefusedInsideRun,
            "a program inside a run may not do this",
        )
        .hint("run the command outside of `authsome run`"))
    } else if rights::is_change(&request) {
        // in a task of its own: a client that leaves halfway must not leave vault, records and runs
        // apart
        let (caller, replies) = (Arc::clone(&caller), replies.clone());
        let change =
            tokio::spawn(
                async move { handlers::handle(&caller, request, gives_up, &replies).await },
            );
        change.await.unwrap_or_else(|_| {
            Err(WireError::new(
                ErrorCode::Internal,
                "the daemon failed halfway",
            ))
        })
    } else {
        handlers::handle(&caller, request, gives_up, &replies).await
    };
    drop(room);
    // a client that left does not want its answer
    drop(
        replies
            .outgoing
            .send(ServerFrame::Answer {
                id: replies.id,
                result,
            })
            .await,
    );
}

impl Caller {
    /// Whether it belongs to a run, as far as anybody can tell.
    pub(super) fn inside_run(&self) -> bool {
        // looked at before and after: while it lives, its pid is its own and its parents are known.
        // Of a process that is gone nothing can be told: whoever has its socket now may be in a run
        !self.peer.is_alive()
            || !matches!(self.broker.inside(self.peer.pid), Inside::No)
            || !self.peer.is_alive()
    }
}

async fn greet<S>(wire: &mut Wire<S>) -> Result<Encoding, SessionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let first = tokio::time::timeout(GREETING_MAX, wire.next())
        .await
        .map_err(|_| SessionError::GreetingLate)?
        .ok_or(FrameError::Closed)?
        .map_err(too_large)?;
    let Incoming::Frame(first, _) = first else {
        return Err(ParseHelloError::Malformed.into());
    };
    let theirs = Hello::from_bytes(&first)?;
    let known = matches!(theirs.encoding, Encoding::BINCODE | Encoding::JSON);
    let shared = Hello::ours(theirs.encoding).agree(&theirs).is_some() && known;
    let ours = Hello::ours(if shared {
        theirs.encoding
    } else {
        Encoding::NONE
    });
    write(wire, Bytes::from(ours.to_bytes())).await?;
    if shared {
        Ok(theirs.encoding)
    } else {
        Err(SessionError::NothingShared)
    }
}

async fn send<S>(
    wire: &mut Wire<S>,
    message: &ServerFrame,
    encoding: Encoding,
) -> Result<(), SessionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let payload = match frame::encode(message, encoding) {
        Ok(payload) => payload,
        Err(error @ (FrameError::TooLarge { .. } | FrameError::Encode)) => {
            // the client must get an answer all the same
            let ServerFrame::Answer { id, .. } = message else {
                return Ok(());
            };
            let result =
                Err(WireError::new(ErrorCode::Internal, "the answer is too large").because(&error));
            frame::encode(&ServerFrame::Answer { id: *id, result }, encoding)?
        }
        Err(error) => return Err(error.into()),
    };
    // the payload's memory is wiped when the last piece of it has been written
    write(wire, Bytes::from_owner(payload)).await
}

async fn write<S>(wire: &mut Wire<S>, bytes: Bytes) -> Result<(), SessionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match tokio::time::timeout(WRITE_MAX, wire.send(bytes)).await {
        Ok(result) => result.map_err(|error| FrameError::Io(error).into()),
        Err(_) => Err(SessionError::Stalled),
    }
}

fn too_large(error: io::Error) -> FrameError {
    FrameError::Io(error)
}

/// A request may hold a secret.
fn wipe(payload: bytes::BytesMut) {
    let mut payload = payload;
    zeroize::Zeroize::zeroize(&mut *payload);
}
