//! HTTP/2 on both sides in every mixture, and web sockets (H4, H8).

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_mixture_of_versions_carries_the_credential_once() {
    let ca = Ca::new();
    for (child, alpn, expected) in [
        ("h2", &["h2", "http/1.1"][..], Version::HTTP_2),
        ("h2", &["http/1.1"], Version::HTTP_11),
        ("http/1.1", &["h2"], Version::HTTP_2),
        ("http/1.1", &["h2", "http/1.1"], Version::HTTP_11),
    ] {
        let origin = Origin::start(&ca, GOOD, alpn).await;
        let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
        for _ in 0..3 {
            if child == "h2" {
                let tls = proxy.tls(&format!("{GOOD}:443"), GOOD, "h2").await;
                let (mut sender, connection) =
                    http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
                        .await
                        .unwrap();
                tokio::spawn(connection);
                let request = Request::builder()
                    .uri(format!("https://{GOOD}/a?b"))
                    .header("authorization", "mine")
                    .body(Empty::<Bytes>::new())
                    .unwrap();
                let answer = sender.send_request(request).await.unwrap();
                assert_eq!(answer.status(), 200);
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, "hello");
            } else {
                let answer = proxy
                    .ask(&format!("GET /a?b HTTP/1.1\r\nHost: {GOOD}\r\n\r\n"))
                    .await;
                assert!(answer.ends_with("hello"), "{answer}");
            }
        }
        assert_eq!(origin.seen().len(), 3);
        for seen in origin.seen() {
            assert_eq!(seen.version, expected, "{child} {alpn:?}");
            let values: Vec<_> = seen.headers.get_all("authorization").iter().collect();
            assert_eq!(values, [&format!("Bearer {CANARY}")]);
            assert_eq!(seen.uri.path_and_query().unwrap(), "/a?b");
            let named = seen.uri.authority().map(ToString::to_string);
            let host = seen
                .headers
                .get("host")
                .map(|host| host.to_str().unwrap().to_owned());
            assert_eq!(named.or(host).unwrap(), GOOD);
        }
    }
}

/// Threats D1, H4: `:authority` and `host` of HTTP/2.
#[tokio::test(flavor = "multi_thread")]
async fn http2_names_must_agree() {
    let ca = Ca::new();
    let origin = Origin::start(&ca, GOOD, &["h2"]).await;
    let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
    for (authority, host, status) in [
        (GOOD, None, 200),
        (GOOD, Some(GOOD), 200),
        (EVIL, None, 421),
        (GOOD, Some(EVIL), 421),
        (EVIL, Some(GOOD), 421),
    ] {
        let tls = proxy.tls(&format!("{GOOD}:443"), GOOD, "h2").await;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().uri(format!("https://{authority}/"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{authority} {host:?}");
    }
    assert_eq!(origin.seen().len(), 2);
}

/// gRPC: trailers and bodies stream over HTTP/2 both ways.
#[tokio::test(flavor = "multi_thread")]
async fn trailers_pass_over_http2() {
    let ca = Ca::new();
    let origin = Origin::answering(ca.issue(GOOD, |_| {}), &["h2"], |_| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = [
            Ok(Frame::data(Bytes::from("m"))),
            Ok(Frame::trailers(trailers)),
        ];
        Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed())
    })
    .await;
    let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
    let tls = proxy.tls(&format!("{GOOD}:443"), GOOD, "h2").await;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("https://{GOOD}/s")).header("te", "trailers");
    let answer = sender
        .send_request(request.body(Empty::<Bytes>::new()).unwrap())
        .await
        .unwrap();
    let collected = answer.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(origin.seen()[0].headers["te"], "trailers");
}

/// An upstream that takes a WebSocket opening and echoes bytes after it.
async fn echo(ca: &Ca) -> (std::net::SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = acceptor(ca.issue(GOOD, |_| {}), &["http/1.1"]);
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut tls = acceptor.accept(stream).await.unwrap();
        let head = read_head(&mut tls).await;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                      Connection: Upgrade\r\nSec-WebSocket-Accept: abc\r\n\r\nfirst";
        tls.write_all(answer.as_bytes()).await.unwrap();
        tls.flush().await.unwrap();
        let mut buffer = [0; 64];
        while let Ok(len @ 1..) = tls.read(&mut buffer).await {
            tls.write_all(&buffer[..len]).await.unwrap();
            tls.flush().await.unwrap();
        }
        head
    });
    (address, task)
}

/// Threat H8.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_opens_with_the_credential_and_echoes_byte_by_byte() {
    let ca = Ca::new();
    let (address, upstream) = echo(&ca).await;
    let proxy = Proxy::start(Setup::to(&ca, address)).await;
    let mut tls = proxy.tls(&format!("{GOOD}:443"), GOOD, "http/1.1").await;
    let opening = format!(
        "GET /ws HTTP/1.1\r\nHost: {GOOD}\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Key: a2V5\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    tls.write_all(opening.as_bytes()).await.unwrap();
    let head = read_head(&mut tls).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(
        head.to_ascii_lowercase().contains("upgrade: websocket"),
        "{head}"
    );
    let mut first = [0; 5];
    tls.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"first");
    for byte in b"\x81\x85frame" {
        tls.write_all(&[*byte]).await.unwrap();
        assert_eq!(tls.read_u8().await.unwrap(), *byte);
    }
    // the end of the run ends the socket
    proxy.run.ended.cancel();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), tls.read(&mut first));
    assert!(matches!(ended.await.unwrap(), Ok(0) | Err(_)));
    let head = upstream.await.unwrap();
    assert!(head.contains(&format!("Bearer {CANARY}")), "{head}");
    assert!(head.contains("a2V5"), "{head}");
}

/// RFC 8441 from the child becomes an upgrade at the upstream.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_over_http2_echoes() {
    let ca = Ca::new();
    let (address, upstream) = echo(&ca).await;
    let proxy = Proxy::start(Setup::to(&ca, address)).await;
    let tls = proxy.tls(&format!("{GOOD}:443"), GOOD, "h2").await;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
        .await
        .unwrap();
    tokio::spawn(connection);
    // extended CONNECT may be used once the server's settings have come
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("https://{GOOD}/ws"))
        .version(Version::HTTP_2)
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let mut answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("sec-websocket-accept"));
    let upgraded = hyper::upgrade::on(&mut answer).await.unwrap();
    let mut socket = TokioIo::new(upgraded);
    let mut first = [0; 5];
    socket.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"first");
    socket.write_all(b"again").await.unwrap();
    socket.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"again");
    drop(socket);
    let head = tokio::time::timeout(std::time::Duration::from_secs(5), upstream).await;
    let head = head.unwrap().unwrap();
    assert!(head.starts_with("GET /ws HTTP/1.1"), "{head}");
    assert!(head.contains(&format!("Bearer {CANARY}")), "{head}");
}
