//! Frames off the control socket, within a budget of memory that all clients share (threat L9).
//!
//! 1. The length comes first and is judged before anything is allocated.
//! 2. A frame of up to [`SMALL`] bytes is read at once: all places full of them cost little.
//! 3. A larger one is announced ([`Incoming::Large`]) and read when the [`Budget`] has room for it.
//!    Until then nothing more of this client is read. The room is given back when the request that
//!    came in it has been handled.
//!
//! Invariants: M1, what all clients together make us hold in unfinished and unhandled large frames
//! is at most [`BUDGET`]; M2, a connection keeps no buffer of a large frame once that was taken.
//!
//! Not here: how long a frame may take, which is `session.rs`.

use std::io;
use std::sync::Arc;

use authsome_proto::frame::{FRAME_MAX, FrameError, PREFIX_LEN};
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::codec::{Decoder, Encoder};

/// Frames up to this many bytes are read without asking. All requests of our own client but for
/// registered definitions and webhook bodies are smaller; 288 clients with one each hold 18 MiB.
const SMALL: usize = 64 * 1024;

/// Memory for larger frames of all clients together, in bytes. Less than a frame would let none
/// pass; much more is what 250 clients that begin a megabyte each and stop would cost.
const BUDGET: usize = 4 * FRAME_MAX;

/// Room for large frames, shared by all clients. In the order of asking.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// Room that one frame takes.
pub(super) type Room = OwnedSemaphorePermit;

impl Budget {
    /// All of it is free.
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(BUDGET)))
    }

    /// Waits for room for a frame of `len` bytes.
    pub(super) async fn room(self, len: usize) -> Result<Room, FrameError> {
        let over = || FrameError::TooLarge {
            len,
            max: FRAME_MAX,
        };
        let bytes = u32::try_from(len).map_err(|_| over())?;
        // fails only when the semaphore is closed, which nobody does
        self.0.acquire_many_owned(bytes).await.map_err(|_| over())
    }
}

/// What comes off the socket.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A whole frame, and the room that it takes if it is a large one.
    Frame(BytesMut, Option<Room>),
    /// A frame of so many bytes begins, which needs room: [`Codec::grant`] it before reading on.
    Large(usize),
}

/// Cuts the stream into frames.
#[derive(Debug)]
pub(super) struct Codec {
    max: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Prefix,
    Waiting { len: usize },
    Body { len: usize, room: Option<Room> },
}

impl Codec {
    /// Frames of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            state: State::Prefix,
        }
    }

    /// From now on frames of at most `max` bytes.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// There is room for the large frame that was announced.
    pub(super) fn grant(&mut self, room: Room) {
        if let State::Waiting { len } = self.state {
            let room = Some(room);
            self.state = State::Body { len, room };
        }
    }

    /// Whether a length has come whose frame has not.
    pub(super) fn is_within_frame(&self) -> bool {
        !matches!(self.state, State::Prefix)
    }
}

impl Decoder for Codec {
    type Item = Incoming;
    type Error = io::Error;

    fn decode(&mut self, src: &mut BytesMut) -> io::Result<Option<Incoming>> {
        if matches!(self.state, State::Prefix) {
            if src.len() < PREFIX_LEN {
                return Ok(None);
            }
            let len = usize::try_from(src.get_u32()).unwrap_or(usize::MAX);
            if len > self.max {
                let max = self.max;
                return Err(io::Error::other(FrameError::TooLarge { len, max }));
            }
            if len > SMALL {
                self.state = State::Waiting { len };
                return Ok(Some(Incoming::Large(len)));
            }
            self.state = State::Body { len, room: None };
        }
        let State::Body { len, room } = &mut self.state else {
            return Ok(None);
        };
        if src.len() < *len {
            src.reserve(*len - src.len());
            return Ok(None);
        }
        let (payload, room) = (src.split_to(*len), room.take());
        self.state = State::Prefix;
        if room.is_some() {
            // what follows moves out of the large buffer, which goes with the payload, wiped as that is
            let next = BytesMut::from(&**src);
            zeroize::Zeroize::zeroize(&mut *std::mem::replace(src, next));
        }
        Ok(Some(Incoming::Frame(payload, room)))
    }
}

impl Encoder<Bytes> for Codec {
    type Error = io::Error;

    fn encode(&mut self, payload: Bytes, to: &mut BytesMut) -> io::Result<()> {
        let len = u32::try_from(payload.len()).map_err(io::Error::other)?;
        to.reserve(PREFIX_LEN + payload.len());
        to.extend_from_slice(&len.to_be_bytes());
        to.extend_from_slice(&payload);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(len).unwrap().to_be_bytes().to_vec();
        bytes.resize(PREFIX_LEN + len, 7);
        bytes
    }

    #[test]
    fn small_frames_come_at_once_however_they_are_cut() {
        let bytes = [frame(3), frame(0), frame(SMALL)].concat();
        for step in [1, 2, 5, 4096, bytes.len()] {
            let mut codec = Codec::new(FRAME_MAX);
            let mut src = BytesMut::new();
            let mut lens = Vec::new();
            for piece in bytes.chunks(step) {
                src.extend_from_slice(piece);
                while let Some(incoming) = codec.decode(&mut src).unwrap() {
                    let Incoming::Frame(payload, None) = incoming else {
                        panic!("{incoming:?}")
                    };
                    lens.push(payload.len());
                }
            }
            assert_eq!(lens, [3, 0, SMALL], "in steps of {step}");
            assert!(!codec.is_within_frame());
        }
    }

    /// L9, M1: nothing is made ready for a large frame before there is room.
    #[tokio::test]
    async fn a_large_frame_waits_for_room_and_leaves_no_buffer_behind() {
        let budget = Budget::new();
        let mut codec = Codec::new(FRAME_MAX);
        let mut src = BytesMut::from(&frame(FRAME_MAX)[..PREFIX_LEN]);
        let Some(Incoming::Large(FRAME_MAX)) = codec.decode(&mut src).unwrap() else {
            panic!("it is announced")
        };
        assert!(codec.decode(&mut src).unwrap().is_none());
        assert!(src.capacity() < SMALL, "nothing was reserved");
        assert!(codec.is_within_frame());

        codec.grant(budget.clone().room(FRAME_MAX).await.unwrap());
        src.extend_from_slice(&frame(FRAME_MAX)[PREFIX_LEN..]);
        src.extend_from_slice(&frame(1)[..2]);
        let Some(Incoming::Frame(payload, Some(room))) = codec.decode(&mut src).unwrap() else {
            panic!("it is whole")
        };
        assert_eq!((payload.len(), src.len()), (FRAME_MAX, 2));
        assert!(src.capacity() < SMALL, "the large buffer goes (M2)");
        assert_eq!(budget.0.available_permits(), BUDGET - FRAME_MAX);
        drop(room);
        assert_eq!(budget.0.available_permits(), BUDGET);
    }

    #[test]
    fn a_length_over_the_limit_is_an_error_before_anything_is_reserved() {
        let mut codec = Codec::new(FRAME_MAX);
        for len in [u32::MAX, u32::try_from(FRAME_MAX).unwrap() + 1] {
            let mut src = BytesMut::from(&len.to_be_bytes()[..]);
            assert!(codec.decode(&mut src).is_err());
            assert!(src.capacity() < SMALL);
        }
    }
}
