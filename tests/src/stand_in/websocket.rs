//! A WebSocket that echoes (RFC 6455, over HTTP/1.1): data frames come back with the same opcode
//! and fragmentation, pings as pongs, a close as a close.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Response, StatusCode, header};
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::body::Answer;

/// Joined to the client's key before hashing: the proof that this end speaks WebSocket.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Longest frame echoed. A test sends less; a broken length must not take the memory.
const FRAME_MAX: u64 = 16 * 1024 * 1024;

const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// Answers the opening request, and echoes in a task of its own.
pub(super) fn accept(request: &mut Request<Incoming>) -> Response<Answer> {
    let Some(key) = request.headers().get("sec-websocket-key") else {
        let mut refused = Response::new(Answer::whole("not a WebSocket request\n"));
        *refused.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return refused;
    };
    let proof = STANDARD.encode(
        Sha1::new()
            .chain_update(key.as_bytes())
            .chain_update(MAGIC)
            .finalize(),
    );
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // a peer that just goes away is an end too
            let _ended = echo(TokioIo::new(upgraded)).await;
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header("sec-websocket-accept", proof)
        .body(Answer::Whole(None))
        .expect("the headers are well formed")
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).await?;
        let [first, second] = head;
        let len = match second & 0x7F {
            126 => u64::from(stream.read_u16().await?),
            127 => stream.read_u64().await?,
            short => u64::from(short),
        };
        if second & 0x80 == 0 || len > FRAME_MAX {
            return Err(std::io::Error::other("an unmasked or overlong frame"));
        }
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await?;
        let mut payload = vec![0; usize::try_from(len).map_err(std::io::Error::other)?];
        stream.read_exact(&mut payload).await?;
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        let opcode = first & 0x0F;
        let answer = if opcode == PING {
            first & 0xF0 | PONG
        } else {
            first
        };
        stream.write_all(&frame(answer, &payload)).await?;
        stream.flush().await?;
        if opcode == CLOSE {
            return stream.shutdown().await;
        }
    }
}

/// A frame as a server sends it: unmasked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(u8::try_from(len).expect("below 126")),
        len @ 126..=0xFFFF => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(len).expect("two bytes").to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}
