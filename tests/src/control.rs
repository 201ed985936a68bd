//! The control socket from a test's own hands: what is said, when, and when it is left.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use authsome_proto::frame::{self, FRAME_MAX, FrameError};
use authsome_proto::hello::{self, Encoding, Hello};
use authsome_proto::{ClientFrame, Request, ServerFrame};

/// How long one frame may take, either way.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Connects and greets; `None` where the daemon hangs up.
pub fn greeted(socket: &Path, encoding: Encoding) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    frame::write(&mut stream, &Hello::ours(encoding).to_bytes()).ok()?;
    let answer = frame::read(&mut stream, hello::HELLO_MAX).ok()?;
    assert_eq!(Hello::from_bytes(&answer).unwrap().encoding, encoding);
    Some(stream)
}

/// Sends a request, and waits for nothing.
pub fn say(
    stream: &mut UnixStream,
    encoding: Encoding,
    id: u32,
    request: Request,
) -> Result<(), FrameError> {
    let request = ClientFrame::Request { id, request };
    let payload = frame::encode(&request, encoding).unwrap();
    frame::write(stream, &payload)
}

/// The next frame of the daemon's.
pub fn hear(stream: &mut UnixStream, encoding: Encoding) -> Result<ServerFrame, FrameError> {
    let payload = frame::read(stream, FRAME_MAX)?;
    Ok(frame::decode(&payload, encoding).unwrap())
}
