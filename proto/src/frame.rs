//! Frames: a length, then one encoded message. The only place that encodes and decodes.
//!
//! A frame is a big-endian `u32` length followed by that many bytes. The length is checked before
//! anything is allocated. Encoders check the size before they allocate and write into a buffer of
//! exactly that size, so a secret in a message has one copy, which is wiped.
//!
//! Invariants: F1, no frame over [`FRAME_MAX`] is built or accepted; F2, a frame is consumed
//! whole: leftover bytes are an error (the decoders alone would ignore them).
//!
//! bincode 2.0.1 is the last release of that project. It is used only here, so replacing it is a
//! change to this file and to the golden bytes.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::hello::Encoding;

/// Largest frame after the opening exchange, in bytes. A definition file or a page of audit lines
/// fits; larger would let one peer hold much memory, smaller would cut long lists.
pub const FRAME_MAX: usize = 1024 * 1024;

/// What bincode may account for while it decodes a frame, in bytes: a limit on what it allocates for a
/// length that lies. It accounts eight bytes for each length, which takes one on the wire, so with
/// [`FRAME_MAX`] itself a list of short texts would be refused far below a whole frame.
const DECODE_MAX: usize = 8 * FRAME_MAX;

/// Length of the prefix in bytes.
pub const PREFIX_LEN: usize = 4;

/// Why a frame could not be read, written, encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer closed the connection between two frames.
    #[error("the connection was closed")]
    Closed,
    /// The bytes are not a message of this protocol version.
    #[error("the frame holds no message that this version knows")]
    Decode,
    /// The message cannot be encoded.
    #[error("the message cannot be encoded")]
    Encode,
    /// The peer asked for an encoding that this build does not speak.
    #[error("encoding {0} is not known")]
    Encoding(u8),
    /// Reading or writing failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// Bytes are left after the message.
    #[error("{0} bytes are left over after the message")]
    Leftover(usize),
    /// The frame is larger than allowed.
    #[error("a frame of {len} bytes is over the limit of {max}")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
}

/// A frame's payload; wiped when dropped, since it may hold a secret.
pub type Payload = Zeroizing<Vec<u8>>;

/// Encodes one message.
pub fn encode<T: Serialize>(message: &T, encoding: Encoding) -> Result<Payload, FrameError> {
    match encoding {
        Encoding::BINCODE => {
            let config = bincode::config::standard();
            let mut size = bincode::enc::write::SizeWriter::default();
            bincode::serde::encode_into_writer(message, &mut size, config)
                .map_err(|_| FrameError::Encode)?;
            let len = size.bytes_written;
            if len > FRAME_MAX {
                return Err(FrameError::TooLarge {
                    len,
                    max: FRAME_MAX,
                });
            }
            let mut payload = Zeroizing::new(vec![0; len]);
            bincode::serde::encode_into_slice(message, &mut payload, config)
                .map_err(|_| FrameError::Encode)?;
            Ok(payload)
        }
        Encoding::JSON => {
            let mut size = Counter(0);
            serde_json::to_writer(&mut size, message).map_err(|_| FrameError::Encode)?;
            if size.0 > FRAME_MAX {
                return Err(FrameError::TooLarge {
                    len: size.0,
                    max: FRAME_MAX,
                });
            }
            let mut payload = Zeroizing::new(Vec::with_capacity(size.0));
            serde_json::to_writer(&mut *payload, message).map_err(|_| FrameError::Encode)?;
            Ok(payload)
        }
        Encoding(other) => Err(FrameError::Encoding(other)),
    }
}

/// Decodes one message; the payload must hold nothing else.
pub fn decode<T: DeserializeOwned>(payload: &[u8], encoding: Encoding) -> Result<T, FrameError> {
    if payload.len() > FRAME_MAX {
        return Err(FrameError::TooLarge {
            len: payload.len(),
            max: FRAME_MAX,
        });
    }
    match encoding {
        Encoding::BINCODE => {
            let config = bincode::config::standard().with_limit::<DECODE_MAX>();
            let (message, used) = bincode::serde::decode_from_slice(payload, config)
                .map_err(|_| FrameError::Decode)?;
            match payload.len() - used {
                0 => Ok(message),
                left => Err(FrameError::Leftover(left)),
            }
        }
        // serde_json itself refuses trailing bytes and nesting deeper than 128
        Encoding::JSON => serde_json::from_slice(payload).map_err(|_| FrameError::Decode),
        Encoding(other) => Err(FrameError::Encoding(other)),
    }
}

/// Writes one frame in one call, so that a reader never sees a lone length.
pub fn write(to: &mut impl Write, payload: &[u8]) -> Result<(), FrameError> {
    let len = u32::try_from(payload.len())
        .ok()
        .filter(|_| payload.len() <= FRAME_MAX)
        .ok_or(FrameError::TooLarge {
            len: payload.len(),
            max: FRAME_MAX,
        })?;
    let mut frame = Zeroizing::new(Vec::with_capacity(PREFIX_LEN + payload.len()));
    frame.extend_from_slice(&len.to_be_bytes());
    frame.extend_from_slice(payload);
    to.write_all(&frame)
        .and_then(|()| to.flush())
        .map_err(FrameError::Io)
}

/// Reads one frame of at most `max` bytes.
pub fn read(from: &mut impl Read, max: usize) -> Result<Payload, FrameError> {
    let mut prefix = [0; PREFIX_LEN];
    match from.read(&mut prefix) {
        Ok(0) => return Err(FrameError::Closed),
        Ok(PREFIX_LEN) => {}
        Ok(n) => {
            let rest = prefix.get_mut(n..).unwrap_or_default();
            from.read_exact(rest).map_err(FrameError::Io)?;
        }
        Err(error) => return Err(FrameError::Io(error)),
    }
    let len = usize::try_from(u32::from_be_bytes(prefix)).unwrap_or(usize::MAX);
    if len > max {
        return Err(FrameError::TooLarge { len, max });
    }
    let mut payload = Zeroizing::new(vec![0; len]);
    from.read_exact(&mut payload).map_err(FrameError::Io)?;
    Ok(payload)
}

/// Counts bytes instead of keeping them.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{ClientFrame, ServerFrame};

    #[test]
    fn an_oversize_length_is_refused_before_anything_is_allocated() {
        let mut wire: &[u8] = &[0xff, 0xff, 0xff, 0xff];
        assert!(matches!(
            read(&mut wire, FRAME_MAX),
            Err(FrameError::TooLarge { .. })
        ));
    }

    #[test]
    fn leftover_bytes_are_an_error() {
        let mut payload = encode(&7_u32, Encoding::BINCODE).unwrap();
        payload.push(0);
        assert!(matches!(
            decode::<u32>(&payload, Encoding::BINCODE),
            Err(FrameError::Leftover(1))
        ));
        assert!(matches!(
            decode::<u32>(b"7 7", Encoding::JSON),
            Err(FrameError::Decode)
        ));
    }

    #[test]
    fn a_message_over_the_limit_is_not_encoded() {
        let big = "x".repeat(FRAME_MAX + 1);
        for encoding in [Encoding::BINCODE, Encoding::JSON] {
            assert!(matches!(
                encode(&big, encoding),
                Err(FrameError::TooLarge { .. })
            ));
        }
    }

    /// Whatever may be sent can be read: a limit of the decoder is none of the protocol.
    #[test]
    fn a_message_as_large_as_a_frame_is_decoded() {
        let long = vec!["x".repeat(FRAME_MAX - 16)];
        let short = vec![String::new(); FRAME_MAX - 16];
        let numbers = vec![250_u64; FRAME_MAX - 16];
        let bincode = Encoding::BINCODE;
        assert!(decode::<Vec<String>>(&encode(&long, bincode).unwrap(), bincode).unwrap() == long);
        assert!(
            decode::<Vec<String>>(&encode(&short, bincode).unwrap(), bincode).unwrap() == short
        );
        assert!(
            decode::<Vec<u64>>(&encode(&numbers, bincode).unwrap(), bincode).unwrap() == numbers
        );
        let json = Encoding::JSON;
        assert!(decode::<Vec<String>>(&encode(&long, json).unwrap(), json).unwrap() == long);
    }

    /// L9: nesting costs no stack, not even in a field that nobody knows: `ClientFrame` and what is
    /// in it is skipped or refused within a stack far smaller than any thread's.
    #[test]
    fn a_frame_of_nothing_but_nesting_is_refused_in_a_small_stack() {
        let deep = |prefix: &str, opening: &str| {
            let mut text = prefix.to_owned();
            while text.len() + opening.len() <= FRAME_MAX {
                text.push_str(opening);
            }
            text.into_bytes()
        };
        let frames = [
            deep("", "["),
            deep("", r#"{"request":"#),
            deep(r#"{"request":{"id":1,"unknown":"#, "["),
            deep(r#"{"request":{"id":1,"unknown":"#, r#"{"a":"#),
            deep(
                r#"{"request":{"id":1,"request":{"explain":{"connections":"#,
                "[",
            ),
            vec![0; FRAME_MAX],
            vec![1; FRAME_MAX],
        ];
        let small = std::thread::Builder::new().stack_size(128 * 1024);
        let tried = small.spawn(move || {
            for frame in &frames {
                for encoding in [Encoding::BINCODE, Encoding::JSON] {
                    assert!(decode::<ClientFrame>(frame, encoding).is_err());
                    assert!(decode::<ServerFrame>(frame, encoding).is_err());
                }
            }
        });
        tried.unwrap().join().unwrap();
    }

    #[test]
    fn a_frame_split_anywhere_reads_the_same() {
        let mut wire = Vec::new();
        write(&mut wire, b"payload").unwrap();
        for at in 1..wire.len() {
            let mut halves = wire[..at].chain(&wire[at..]);
            assert_eq!(&**read(&mut halves, 64).unwrap(), b"payload");
        }
        assert!(matches!(read(&mut &wire[..0], 64), Err(FrameError::Closed)));
        assert!(matches!(read(&mut &wire[..5], 64), Err(FrameError::Io(_))));
    }

    proptest! {
        /// L9: whatever arrives, decoding ends in a message or an error.
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            for encoding in [Encoding::BINCODE, Encoding::JSON] {
                drop(decode::<ClientFrame>(&bytes, encoding));
                drop(decode::<ServerFrame>(&bytes, encoding));
            }
        }
    }
}
