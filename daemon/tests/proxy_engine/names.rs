//! Names that disagree, cleartext, redirects: the credential goes nowhere else (D1, D3, D9, D11).

use http::Response;
use tokio::io::AsyncWriteExt;

use crate::harness::*;

struct Stage {
    good: Origin,
    evil: Origin,
    proxy: Proxy,
}

async fn stage() -> Stage {
    let ca = Ca::new();
    let good = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let evil = Origin::start(&ca, EVIL, &["http/1.1"]).await;
    let setup = Setup::to(&ca, good.address)
        .and(&format!("{EVIL}:443"), evil.address)
        .and(&format!("{GOOD}:80"), evil.address);
    let proxy = Proxy::start(setup).await;
    Stage { good, evil, proxy }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slot_is_filled_once_whatever_the_child_put_there() {
    let Stage { good, proxy, .. } = stage().await;
    let answer = proxy
        .ask(&format!(
            "GET /a?b=c HTTP/1.1\r\nHost: {GOOD}\r\nAuthorization: one\r\nauthorization: two\r\n\
             Connection: authorization\r\nProxy-Authorization: Basic eA==\r\nX-Kept: yes\r\n\r\n"
        ))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
        "{answer}"
    );
    let seen = good.seen();
    assert_eq!(seen.len(), 1);
    let values: Vec<_> = seen[0].headers.get_all("authorization").iter().collect();
    assert_eq!(values, [&format!("Bearer {CANARY}")]);
    assert!(!seen[0].headers.contains_key("proxy-authorization"));
    assert!(!seen[0].headers.contains_key("connection"));
    assert_eq!(seen[0].headers["x-kept"], "yes");
    assert_eq!(seen[0].headers["host"], GOOD);
    assert_eq!(seen[0].uri, "/a?b=c");
}

/// Threat D1: CONNECT, SNI, Host and absolute-form, each good, evil, missing or doubled.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_leaves_only_if_all_names_agree() {
    let Stage { good, evil, proxy } = stage().await;
    let hosts = [
        (format!("Host: {GOOD}\r\n"), true),
        (format!("Host: {GOOD}:443\r\n"), true),
        (format!("Host: {}\r\n", GOOD.to_uppercase()), true),
        (format!("Host: {EVIL}\r\n"), false),
        (format!("Host: {GOOD}:8443\r\n"), false),
        (format!("Host: x@{GOOD}\r\n"), false),
        (format!("Host: {GOOD}\r\nHost: {EVIL}\r\n"), false),
        (format!("Host: {EVIL}\r\nHost: {GOOD}\r\n"), false),
        (format!("Host: {GOOD}\r\nHost: {GOOD}\r\n"), false),
        ("Host: \r\n".to_owned(), false),
    ];
    let targets = [
        ("/".to_owned(), true),
        (format!("https://{GOOD}/"), true),
        (format!("https://{EVIL}/"), false),
        (format!("https://x@{GOOD}/"), false),
        (format!("http://{GOOD}/"), false),
    ];
    let mut expected = 0;
    for sni in [GOOD, EVIL] {
        for (host, host_agrees) in &hosts {
            for (target, target_agrees) in &targets {
                let mut tls = proxy.tls(&format!("{GOOD}:443"), sni, "http/1.1").await;
                let request = format!("GET {target} HTTP/1.1\r\n{host}\r\n");
                tls.write_all(request.as_bytes()).await.unwrap();
                let answer = read_answer(&mut tls).await;
                let agree = sni == GOOD && *host_agrees && *target_agrees;
                assert_eq!(
                    answer.contains(" 200 OK"),
                    agree,
                    "{sni} {request}: {answer}"
                );
                if agree {
                    expected += 1;
                } else {
                    let status = &answer[9..12];
                    assert!(
                        ["400", "403", "421"].contains(&status),
                        "{request}: {answer}"
                    );
                    assert!(answer.contains("authsome-error"), "{answer}");
                }
            }
        }
    }
    assert_eq!(good.seen().len(), expected);
    assert!(evil.seen().is_empty());
}

/// Threat D1 on the outer hop: what is dialled decides, a disagreeing `Host` is refused.
#[tokio::test(flavor = "multi_thread")]
async fn absolute_form_https_is_served_as_if_tunnelled() {
    let Stage { good, evil, proxy } = stage().await;
    let auth = authorization();
    for (target, host, status) in [
        (GOOD, GOOD, "200"),
        (GOOD, EVIL, "421"),
        (EVIL, GOOD, "421"),
        (EVIL, EVIL, "200"),
    ] {
        let mut stream = proxy.raw().await;
        let request = format!("GET https://{target}/x HTTP/1.1\r\nHost: {host}\r\n{auth}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert_eq!(&answer[9..12], status, "{target} {host}: {answer}");
    }
    assert_eq!(good.seen().len(), 1);
    assert_eq!(
        good.seen()[0].headers["authorization"],
        format!("Bearer {CANARY}").as_str()
    );
    assert!(!good.seen()[0].headers.contains_key("proxy-authorization"));
    assert!(!evil.saw_canary());
    assert!(
        !evil
            .seen()
            .iter()
            .any(|seen| seen.headers.contains_key("proxy-authorization"))
    );
}

/// Threat D3.
#[tokio::test(flavor = "multi_thread")]
async fn cleartext_to_a_host_with_a_route_is_refused() {
    let Stage { good, evil, proxy } = stage().await;
    let auth = authorization();
    for target in [format!("http://{GOOD}/"), format!("http://{GOOD}:443/")] {
        let mut stream = proxy.raw().await;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {GOOD}\r\n{auth}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(
            answer.contains("authsome-error: cleartext_refused"),
            "{answer}"
        );
    }
    assert!(good.seen().is_empty() && evil.seen().is_empty());
}

/// Threat D11.
#[tokio::test(flavor = "multi_thread")]
async fn redirects_go_back_to_the_child_and_alt_svc_does_not() {
    let ca = Ca::new();
    let evil = Origin::start(&ca, EVIL, &["http/1.1"]).await;
    let good = Origin::answering(ca.issue(GOOD, |_| {}), &["http/1.1"], |_| {
        Response::builder()
            .status(307)
            .header("location", format!("https://{EVIL}/"))
            .header("alt-svc", "h3=\":443\"")
            .body(text("moved"))
            .unwrap()
    })
    .await;
    let setup = Setup::to(&ca, good.address).and(&format!("{EVIL}:443"), evil.address);
    let proxy = Proxy::start(setup).await;
    let request = format!("POST / HTTP/1.1\r\nHost: {GOOD}\r\nContent-Length: 0\r\n\r\n");
    let answer = proxy.ask(&request).await;
    assert!(answer.starts_with("HTTP/1.1 307"), "{answer}");
    assert!(
        answer.contains(&format!("location: https://{EVIL}/")),
        "{answer}"
    );
    assert!(!answer.contains("alt-svc"), "{answer}");
    assert!(evil.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_come_inside_the_tunnel_with_code_and_fix() {
    let ca = Ca::new();
    let good = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let mut setup = Setup::to(&ca, good.address);
    setup.ready = false;
    let proxy = Proxy::start(setup).await;
    let answer = proxy
        .ask(&format!("GET / HTTP/1.1\r\nHost: {GOOD}\r\n\r\n"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("authsome-error: login_needed"), "{answer}");
    assert!(
        answer.contains("\"fix\":\"authsome login good\""),
        "{answer}"
    );
    assert!(good.seen().is_empty());
}

/// Header case and order survive where nothing had to be taken out.
#[tokio::test(flavor = "multi_thread")]
async fn header_case_survives_both_ways() {
    let ca = Ca::new();
    let (listener, address) = raw_origin().await;
    let acceptor = acceptor(ca.issue(GOOD, |_| {}), &["http/1.1"]);
    let saw = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut tls = acceptor.accept(stream).await.unwrap();
        let head = read_head(&mut tls).await;
        tls.write_all(b"HTTP/1.1 200 OK\r\nX-OdD-cAsE: 1\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
        tls.flush().await.unwrap();
        (head, tls)
    });
    let proxy = Proxy::start(Setup::to(&ca, address)).await;
    let answer = proxy
        .ask(&format!(
            "GET / HTTP/1.1\r\nHost: {GOOD}\r\nX-MiXeD: a\r\n\r\n"
        ))
        .await;
    assert!(answer.contains("X-OdD-cAsE: 1"), "{answer}");
    let (head, _tls) = saw.await.unwrap();
    assert!(head.contains("\r\nX-MiXeD: a\r\n"), "{head}");
    assert!(head.contains("\r\nAuthorization: Bearer "), "{head}");
    assert!(head.contains(&format!("\r\nHost: {GOOD}\r\n")), "{head}");
}

async fn raw_origin() -> (tokio::net::TcpListener, std::net::SocketAddr) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
