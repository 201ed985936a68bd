//! Whatever arrives on the control socket ends in a message or an error (threat L9).
//!
//! An input is tried as a stream of frames, as an opening, and as one message of either end in either
//! encoding: every execution is one for both.

use std::sync::atomic::{AtomicU64, Ordering};

use authsome_proto::frame::{self, FrameError, PREFIX_LEN};
use authsome_proto::hello::{Encoding, Hello};
use authsome_proto::message::{ClientFrame, ServerFrame};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How many inputs were a message: of the client and of the daemon in bincode, then in JSON. A fuzzer
/// that never gets behind the decoder has shown little.
pub static UNDERSTOOD: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// Longest frame of a stream here. With the protocol's own limit most of the time would go into wiping
/// megabytes that a lying length made ready.
const LONGEST: usize = 4096;

/// See the module.
pub fn check(input: &[u8]) {
    stream(input);
    opening(input);
    let understood = [
        message::<ClientFrame>(input, Encoding::BINCODE),
        message::<ServerFrame>(input, Encoding::BINCODE),
        message::<ClientFrame>(input, Encoding::JSON),
        message::<ServerFrame>(input, Encoding::JSON),
    ];
    for (count, understood) in UNDERSTOOD.iter().zip(understood) {
        count.fetch_add(u64::from(understood), Ordering::Relaxed);
    }
}

/// Frames are what their lengths say, one behind the other, until the bytes do not suffice.
fn stream(input: &[u8]) {
    let mut rest = input;
    loop {
        let before = rest;
        match frame::read(&mut rest, LONGEST) {
            Ok(payload) => {
                let (prefix, body) = before.split_at(PREFIX_LEN);
                let len = u32::from_be_bytes(prefix.try_into().expect("a prefix"));
                assert_eq!(u32::try_from(payload.len()), Ok(len));
                assert_eq!(body.strip_prefix(payload.as_slice()), Some(rest));
                let mut again = Vec::new();
                frame::write(&mut again, &payload).expect("what was read is written");
                assert_eq!(before.strip_prefix(again.as_slice()), Some(rest));
            }
            Err(FrameError::Closed) => return assert!(before.is_empty()),
            Err(FrameError::Io(_)) => return,
            Err(FrameError::TooLarge { len, max }) => {
                assert!(len > max && max == LONGEST);
                assert_eq!(
                    rest.len(),
                    before.len() - PREFIX_LEN,
                    "no more than the length is read"
                );
                return;
            }
            Err(other) => panic!("{other:?} while reading a frame"),
        }
    }
}

/// An opening that is understood is written and read again as the same one.
fn opening(input: &[u8]) {
    if let Ok(hello) = Hello::from_bytes(input) {
        let again = Hello::from_bytes(&hello.to_bytes()).expect("what was written is read");
        assert_eq!(again, hello);
    }
}

/// A message that is understood has one form in each encoding, and is the same in both. Tells whether
/// it was.
fn message<T>(input: &[u8], encoding: Encoding) -> bool
where
    T: Serialize + DeserializeOwned + std::fmt::Debug,
{
    let Ok(message) = frame::decode::<T>(input, encoding) else {
        return false;
    };
    let bincode = frame::encode(&message, Encoding::BINCODE);
    let json = frame::encode(&message, Encoding::JSON);
    for (form, encoding) in [(&bincode, Encoding::BINCODE), (&json, Encoding::JSON)] {
        // the other encoding may be longer than a frame, nothing else
        let Ok(form) = form else {
            assert!(
                matches!(form, Err(FrameError::TooLarge { .. })),
                "{message:?}"
            );
            continue;
        };
        let again: T = frame::decode(form, encoding).expect("what was encoded is decoded");
        assert_eq!(
            frame::encode(&again, encoding).expect("as before"),
            *form,
            "{message:?}"
        );
        if let Ok(bincode) = &bincode {
            let other = frame::encode(&again, Encoding::BINCODE).expect("as before");
            assert_eq!(other, *bincode, "{message:?}");
        }
    }
    if encoding == Encoding::BINCODE {
        canonical(
            input,
            &bincode.expect("it was no longer than a frame before"),
        );
        let mut longer = input.to_vec();
        longer.push(0);
        assert!(
            frame::decode::<T>(&longer, encoding).is_err(),
            "a byte is left over"
        );
    }
    true
}

/// Numbers may be written longer than they need to be, and nothing else differently: what is as short
/// as our own form is our own form.
fn canonical(input: &[u8], ours: &[u8]) {
    assert!(ours.len() <= input.len(), "ours is not the shortest");
    assert!(ours.len() < input.len() || ours == input, "two forms");
}
