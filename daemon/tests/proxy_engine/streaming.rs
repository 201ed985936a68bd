//! Bodies pass as they come, whatever their size (H9, H11).

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::*;

/// Threat H9.
#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_one_by_one_as_they_are_sent() {
    const EVENTS: u32 = 8;
    const PAUSE: Duration = Duration::from_millis(120);
    let ca = Ca::new();
    let origin = Origin::answering(ca.issue(GOOD, |_| {}), &["http/1.1"], |_| {
        let events = futures_util::stream::unfold(0, |at| async move {
            if at == EVENTS {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
            let event = Bytes::from(format!("data: {at}\n\n"));
            Some((Ok::<_, std::io::Error>(Frame::data(event)), at + 1))
        });
        let body = BodyExt::boxed(StreamBody::new(events));
        Response::builder()
            .header("content-type", "text/event-stream")
            .body(body)
            .unwrap()
    })
    .await;
    let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
    let mut tls = proxy.tls(&format!("{GOOD}:443"), GOOD, "http/1.1").await;
    let started = Instant::now();
    tls.write_all(format!("GET / HTTP/1.1\r\nHost: {GOOD}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let head = read_head(&mut tls).await;
    assert!(
        head.to_ascii_lowercase()
            .contains("transfer-encoding: chunked"),
        "{head}"
    );
    for at in 0..EVENTS {
        let mut text = String::new();
        while !text.contains(&format!("data: {at}\n\n")) {
            let mut buffer = [0; 256];
            let len = tls.read(&mut buffer).await.unwrap();
            text.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
        }
        assert!(
            !text.contains(&format!("data: {}", at + 1)),
            "held back: {text}"
        );
        let due = PAUSE * (at + 1);
        assert!(started.elapsed() >= due);
        assert!(
            started.elapsed() < due + Duration::from_millis(600),
            "{at}: {:?}",
            started.elapsed()
        );
    }
}

/// Memory stays flat for bodies of any size, both ways.
#[tokio::test(flavor = "multi_thread")]
async fn a_quarter_gibibyte_passes_both_ways_with_flat_memory() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 4096;
    let ca = Ca::new();
    let origin = Origin::answering(ca.issue(GOOD, |_| {}), &["http/1.1"], |seen| {
        let chunk = Bytes::from(vec![b'x'; CHUNK]);
        let count = if seen.method == http::Method::GET {
            CHUNKS
        } else {
            0
        };
        let chunks = futures_util::stream::repeat_with(move || Ok(Frame::data(chunk.clone())));
        Response::new(BodyExt::boxed(StreamBody::new(chunks.take(count))))
    })
    .await;
    let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
    // warms up pools and buffers
    proxy
        .ask(&format!(
            "POST / HTTP/1.1\r\nHost: {GOOD}\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
    let before = resident();
    let mut tls = proxy.tls(&format!("{GOOD}:443"), GOOD, "http/1.1").await;
    let total = CHUNK * CHUNKS;
    let head = format!("POST / HTTP/1.1\r\nHost: {GOOD}\r\nContent-Length: {total}\r\n\r\n");
    tls.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b'y'; CHUNK];
    for _ in 0..CHUNKS {
        tls.write_all(&chunk).await.unwrap();
    }
    assert!(read_head(&mut tls).await.starts_with("HTTP/1.1 200"));
    assert_eq!(origin.seen().last().unwrap().body_len, total);
    let after_upload = resident();
    let mut tls = proxy.tls(&format!("{GOOD}:443"), GOOD, "http/1.1").await;
    let request = format!("GET / HTTP/1.1\r\nHost: {GOOD}\r\nConnection: close\r\n\r\n");
    tls.write_all(request.as_bytes()).await.unwrap();
    tls.flush().await.unwrap();
    let (mut received, mut buffer) = (0, vec![0; CHUNK]);
    loop {
        match tls.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(len) => received += len,
        }
    }
    assert!(received > total, "{received}");
    let after = resident().max(after_upload);
    assert!(
        after < before + 32 * 1024,
        "{before} KiB before, {after} KiB after"
    );
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// RFC 9110, section 10.1.1: the child is told to go on, and its body arrives.
#[tokio::test(flavor = "multi_thread")]
async fn expect_continue_is_answered_and_bodiless_answers_have_no_body() {
    let ca = Ca::new();
    let origin = Origin::answering(ca.issue(GOOD, |_| {}), &["http/1.1"], |seen| {
        let status = if seen.uri.path() == "/204" { 204 } else { 200 };
        let body = if status == 204 {
            text("")
        } else {
            text("hello")
        };
        Response::builder().status(status).body(body).unwrap()
    })
    .await;
    let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
    let mut tls = proxy.tls(&format!("{GOOD}:443"), GOOD, "http/1.1").await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {GOOD}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    );
    tls.write_all(head.as_bytes()).await.unwrap();
    assert!(read_head(&mut tls).await.starts_with("HTTP/1.1 100"));
    tls.write_all(b"body").await.unwrap();
    assert!(read_answer(&mut tls).await.ends_with("hello"));
    assert_eq!(origin.seen()[0].body_len, 4);
    for (request, status) in [("GET /204", "204"), ("HEAD /", "200")] {
        tls.write_all(format!("{request} HTTP/1.1\r\nHost: {GOOD}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let head = read_head(&mut tls).await;
        assert_eq!(&head[9..12], status, "{head}");
    }
    // no stray byte of a body came between: the next answer stands where it must
    tls.write_all(format!("GET / HTTP/1.1\r\nHost: {GOOD}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    assert!(read_answer(&mut tls).await.ends_with("hello"));
}

/// A chunked request of unknown length goes through, and its dangerous trailers do not.
#[tokio::test(flavor = "multi_thread")]
async fn chunked_requests_pass_and_trailers_cannot_authenticate() {
    let ca = Ca::new();
    let origin = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
    let answer = proxy
        .ask(&format!(
            "POST / HTTP/1.1\r\nHost: {GOOD}\r\nTransfer-Encoding: chunked\r\n\
             Trailer: authorization, x-sum\r\n\r\n\
             3\r\nabc\r\n2\r\nde\r\n0\r\nauthorization: mine\r\nx-sum: 5\r\n\r\n"
        ))
        .await;
    assert!(answer.ends_with("hello"), "{answer}");
    let seen = &origin.seen()[0];
    assert_eq!(seen.body_len, 5);
    let trailers = seen.trailers.clone().unwrap_or_default();
    assert!(!trailers.contains_key("authorization"), "{trailers:?}");
    assert_eq!(
        seen.headers["authorization"],
        format!("Bearer {CANARY}").as_str()
    );
}
