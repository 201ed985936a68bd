//! Upstreams that cannot be trusted or reached: nothing leaves, and the reason is said (D2, D12).

use std::time::{Duration, SystemTime};

use authsomed::proxy::Reach;
use authsomed::routing::Authority;
use rcgen::ExtendedKeyUsagePurpose;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::harness::*;

const DAY: Duration = Duration::from_secs(86_400);

/// Threat D2.
#[tokio::test(flavor = "multi_thread")]
async fn bad_certificates_get_no_request_and_the_reason_is_named() {
    let ca = Ca::new();
    let stranger = Ca::new();
    let now = SystemTime::now();
    let cases = [
        ("another name", ca.issue(EVIL, |_| {})),
        (
            "not signed by a trusted authority",
            stranger.issue(GOOD, |_| {}),
        ),
        (
            "expired",
            ca.issue(GOOD, |p| p.not_after = (now - DAY).into()),
        ),
        (
            "not valid yet",
            ca.issue(GOOD, |p| p.not_before = (now + DAY).into()),
        ),
        (
            "not for servers",
            ca.issue(GOOD, |p| {
                p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            }),
        ),
        ("another name", ca.issue(&format!("sub.{GOOD}"), |_| {})),
        ("another name", ca.issue("127.0.0.1", |_| {})),
        ("not valid", {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new([GOOD.to_owned()]).unwrap();
            let der = params.self_signed(&key).unwrap().der().clone();
            (
                der,
                rustls_pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
        }),
    ];
    for (reason, certificate) in cases {
        let origin = Origin::answering(certificate, &["http/1.1"], |_| {
            http::Response::new(text("x"))
        })
        .await;
        let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
        let answer = proxy
            .ask(&format!("GET / HTTP/1.1\r\nHost: {GOOD}\r\n\r\n"))
            .await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{reason}: {answer}");
        assert!(
            answer.contains("authsome-error: upstream_certificate"),
            "{reason}: {answer}"
        );
        let named =
            answer.contains(reason) || reason == "not valid" && answer.contains("signed by");
        assert!(named, "{reason}: {answer}");
        assert!(origin.seen().is_empty(), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_not_there_or_breaks_off_is_502() {
    let ca = Ca::new();
    // given up at once, and none that an outgoing connection of the tests beside this one takes
    let listener = authsomed::runs::port::bind_free().unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = Proxy::start(Setup::to(&ca, address)).await;
    let answer = proxy
        .ask(&format!("GET / HTTP/1.1\r\nHost: {GOOD}\r\n\r\n"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(
        answer.contains("authsome-error: upstream_unreachable"),
        "{answer}"
    );
    assert!(answer.to_ascii_lowercase().contains("refused"), "{answer}");
}

/// Threat D12: own ports never, tunnels included; metadata never.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_port_and_metadata_services_are_never_dialled() {
    let ca = Ca::new();
    let proxy = Proxy::start(Setup::to(&ca, "127.0.0.1:1".parse().unwrap())).await;
    let own = proxy.address.port();
    let auth = authorization();
    for (target, code) in [
        (format!("127.0.0.1:{own}"), "loop_refused"),
        (format!("localhost:{own}"), "loop_refused"),
        (format!("[::1]:{own}"), "loop_refused"),
        ("169.254.169.254:80".to_owned(), "address_refused"),
        ("[fd00:ec2::254]:80".to_owned(), "address_refused"),
    ] {
        let mut stream = proxy.raw().await;
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{auth}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(
            answer.contains(&format!("authsome-error: {code}")),
            "{target}: {answer}"
        );
    }
    let mut stream = proxy.raw().await;
    let request = format!(
        "GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n{auth}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(
        read_answer(&mut stream)
            .await
            .contains("authsome-error: address_refused")
    );
    proxy.own.remove(own);
}

/// Threat D12: a host of the internet whose name leads into a private network gets nothing, unless
/// the user has named it.
#[tokio::test(flavor = "multi_thread")]
async fn a_public_host_that_resolves_to_a_private_address_gets_no_credential() {
    let ca = Ca::new();
    let origin = Origin::start(&ca, "localhost", &["http/1.1"]).await;
    let port = origin.address.port();
    let name = format!("localhost:{port}");
    let ask = async |setup: Setup| {
        let proxy = Proxy::start(setup).await;
        let mut stream = proxy.raw().await;
        let head = format!(
            "GET https://{name}/ HTTP/1.1\r\nHost: {name}\r\n{}\r\n",
            authorization()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        read_answer(&mut stream).await
    };
    let to = |reach| Setup {
        host: (Authority::parse(&name, None).unwrap(), reach),
        ..Setup::to(&ca, origin.address)
    };
    let answer = ask(to(Reach::Public)).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(
        answer.contains("authsome-error: address_refused"),
        "{answer}"
    );
    assert!(answer.contains("upstream.resolve"), "{answer}");
    assert!(origin.seen().is_empty());

    let answer = ask(to(Reach::Anywhere)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let named = to(Reach::Public).and(&name, origin.address);
    let answer = ask(named).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(origin.seen().len(), 2);
}

/// Every outgoing connection goes through the upstream proxy, which sees no credential.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_proxy_is_asked_with_its_password() {
    let ca = Ca::new();
    let origin = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = listener.local_addr().unwrap();
    let heads = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        let target = head.split(' ').nth(1).unwrap().to_owned();
        stream
            .write_all(b"HTTP/1.1 200 fine\r\nX-Any: x\r\n\r\n")
            .await
            .unwrap();
        let mut upstream = tokio::net::TcpStream::connect(target).await.unwrap();
        tokio::spawn(async move {
            drop(tokio::io::copy_bidirectional(&mut stream, &mut upstream).await);
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        let plain = read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
        (head, plain)
    });
    let mut setup = Setup::to(&ca, origin.address);
    setup.upstream_proxy = Some(format!("http://user:pass@{between}"));
    let proxy = Proxy::start(setup).await;
    let answer = proxy
        .ask(&format!("GET / HTTP/1.1\r\nHost: {GOOD}\r\n\r\n"))
        .await;
    assert!(answer.ends_with("hello"), "{answer}");
    let mut stream = proxy.raw().await;
    let auth = authorization();
    let request = format!("GET http://{EVIL}/p HTTP/1.1\r\nHost: {EVIL}\r\n{auth}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.ends_with("ok"));
    let (head, plain) = heads.await.unwrap();
    assert!(
        head.starts_with(&format!("CONNECT {}", origin.address)),
        "{head}"
    );
    assert!(
        head.contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n"),
        "{head}"
    );
    assert!(!head.contains(CANARY));
    assert!(
        plain.starts_with(&format!("GET http://{EVIL}/p HTTP/1.1")),
        "{plain}"
    );
    assert!(
        plain.contains("Basic dXNlcjpwYXNz") && !plain.contains(CANARY),
        "{plain}"
    );
    assert!(origin.saw_canary());
}
