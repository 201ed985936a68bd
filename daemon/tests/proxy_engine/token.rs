//! Who may come in, and what is taken on the outer hop.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authsomed::proxy::{Unmatched, serve_direct};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::*;

async fn proxy() -> (Origin, Proxy) {
    let ca = Ca::new();
    let origin = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
    (origin, proxy)
}

/// Threat L1: 407 before anything else, and git's second try on the same connection works.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_there_is_only_407_and_the_connection_stays_usable() {
    let (origin, proxy) = proxy().await;
    let wrong = STANDARD.encode(format!("run1:{}", TOKEN.replace('0', "1")));
    let stranger = STANDARD.encode(format!("run2:{TOKEN}"));
    let mut stream = proxy.raw().await;
    for header in [
        String::new(),
        format!("Proxy-Authorization: Basic {wrong}\r\n"),
        format!("Proxy-Authorization: Basic {stranger}\r\n"),
        "Proxy-Authorization: Basic !!\r\n".to_owned(),
        format!("Proxy-Authorization: Bearer {TOKEN}\r\n"),
        format!("{}{}", authorization(), authorization()),
    ] {
        let head = format!("CONNECT {GOOD}:443 HTTP/1.1\r\nHost: {GOOD}:443\r\n{header}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 407"), "{header}: {answer}");
        assert!(
            answer.contains("proxy-authenticate: Basic realm=\"authsome\""),
            "{answer}"
        );
        assert!(answer.contains("\"code\":\"no_token\""), "{answer}");
    }
    let auth = authorization();
    let head = format!("CONNECT {GOOD}:443 HTTP/1.1\r\nHost: {GOOD}:443\r\n{auth}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
    assert!(origin.seen().is_empty());
}

/// Threat L1b.
#[tokio::test(flavor = "multi_thread")]
async fn origin_form_and_what_a_web_page_sends_are_refused_even_with_the_token() {
    let (origin, proxy) = proxy().await;
    let auth = authorization();
    for request in [
        format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.address),
        format!("POST /x HTTP/1.1\r\nHost: {GOOD}\r\n{auth}Content-Length: 0\r\n\r\n"),
        format!("GET https://{GOOD}/ HTTP/1.1\r\nHost: {GOOD}\r\n{auth}Origin: http://a\r\n\r\n"),
        format!(
            "GET http://x.test/ HTTP/1.1\r\nHost: x.test\r\n{auth}Sec-Fetch-Site: none\r\n\r\n"
        ),
        format!(
            "CONNECT {GOOD}:443 HTTP/1.1\r\nHost: {GOOD}\r\n{auth}Sec-Fetch-Mode: cors\r\n\r\n"
        ),
        format!("OPTIONS * HTTP/1.1\r\nHost: {GOOD}\r\n{auth}\r\n"),
    ] {
        let mut stream = proxy.raw().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{request}: {answer}");
        assert!(
            !answer.to_ascii_lowercase().contains("access-control"),
            "{answer}"
        );
    }
    assert!(origin.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_over_http_1_0_is_served() {
    let (_origin, proxy) = proxy().await;
    let mut stream = proxy.raw().await;
    let auth = authorization();
    let head = format!("CONNECT {GOOD}:443 HTTP/1.0\r\n{auth}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_head(&mut stream).await;
    assert!(answer.contains(" 200 "), "{answer}");
    let name = rustls_pki_types::ServerName::try_from(GOOD).unwrap();
    let tls = tokio_rustls::TlsConnector::from(trusting(proxy.run.ca.certificate_pem()));
    let mut tls = tls.connect(name, stream).await.unwrap();
    tls.write_all(format!("GET / HTTP/1.0\r\nHost: {GOOD}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    drop(tls.read_to_string(&mut answer).await);
    assert!(
        answer.contains(" 200 ") && answer.ends_with("hello"),
        "{answer}"
    );
}

/// Threat H3: what comes right behind the `CONNECT` belongs to the tunnel.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_pipelined_behind_connect_reach_the_handshake() {
    let (origin, proxy) = proxy().await;
    let name = rustls_pki_types::ServerName::try_from(GOOD).unwrap();
    let mut client = rustls::ClientConnection::new(blind("http/1.1"), name).unwrap();
    let auth = authorization();
    let mut bytes =
        format!("CONNECT {GOOD}:443 HTTP/1.1\r\nHost: {GOOD}\r\n{auth}\r\n").into_bytes();
    client.write_tls(&mut bytes).unwrap();
    let mut stream = proxy.raw().await;
    stream.write_all(&bytes).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
    while client.is_handshaking() || client.wants_write() {
        while client.wants_write() {
            let mut out = Vec::new();
            client.write_tls(&mut out).unwrap();
            stream.write_all(&out).await.unwrap();
        }
        if client.is_handshaking() {
            let mut buffer = [0; 4096];
            let len = stream.read(&mut buffer).await.unwrap();
            assert_ne!(len, 0);
            client.read_tls(&mut &buffer[..len]).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    assert!(origin.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_without_a_route_are_tunnelled_untouched_or_denied() {
    let ca = Ca::new();
    let origin = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let evil = Origin::start(&ca, EVIL, &["http/1.1"]).await;
    let setup = || Setup::to(&ca, origin.address).and(&format!("{EVIL}:443"), evil.address);
    let proxy = Proxy::start(setup()).await;
    let stream = proxy.tunnel(&format!("{EVIL}:443")).await;
    let name = rustls_pki_types::ServerName::try_from(EVIL).unwrap();
    // the upstream's own certificate comes through
    let tls = tokio_rustls::TlsConnector::from(trusting(&ca.pem));
    let mut tls = tls.connect(name, stream).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {EVIL}\r\nAuthorization: mine\r\n\r\n");
    tls.write_all(request.as_bytes()).await.unwrap();
    assert!(read_answer(&mut tls).await.ends_with("hello"));
    assert_eq!(evil.seen()[0].headers["authorization"], "mine");

    let mut setup = setup();
    setup.unmatched = Unmatched::Deny;
    let proxy = Proxy::start(setup).await;
    let auth = authorization();
    for request in [
        format!("CONNECT {EVIL}:443 HTTP/1.1\r\nHost: {EVIL}\r\n{auth}\r\n"),
        format!("GET https://{EVIL}/ HTTP/1.1\r\nHost: {EVIL}\r\n{auth}\r\n"),
        format!("GET http://{EVIL}/ HTTP/1.1\r\nHost: {EVIL}\r\n{auth}\r\n"),
    ] {
        let mut stream = proxy.raw().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("authsome-error: not_allowed"), "{answer}");
    }
    assert_eq!(evil.seen().len(), 1);
}

/// Threat L1: a dead run's token opens nothing, and its connections close.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_run_kills_its_token_and_its_open_connections() {
    let ca = Ca::new();
    let origin = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let evil = Origin::start(&ca, EVIL, &["http/1.1"]).await;
    let setup = Setup::to(&ca, origin.address).and(&format!("{EVIL}:443"), evil.address);
    let proxy = Proxy::start(setup).await;
    let mut served = proxy.tls(&format!("{GOOD}:443"), GOOD, "http/1.1").await;
    let mut tunnelled = proxy.tunnel(&format!("{EVIL}:443")).await;
    proxy.run.ended.cancel();
    let closed = async {
        let mut byte = [0; 1];
        assert!(matches!(served.read(&mut byte).await, Ok(0) | Err(_)));
        assert!(matches!(tunnelled.read(&mut byte).await, Ok(0) | Err(_)));
    };
    tokio::time::timeout(Duration::from_secs(5), closed)
        .await
        .unwrap();
    let mut stream = proxy.raw().await;
    let auth = authorization();
    let head = format!("CONNECT {GOOD}:443 HTTP/1.1\r\nHost: {GOOD}\r\n{auth}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 407"));
}

/// Threat L1: once its time is up a run is refused, also before the timer says so, as after a suspend:
/// nobody cancels it here.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_time_is_up_is_refused_by_the_clock_alone() {
    let ca = Ca::new();
    let origin = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let deadline = SystemTime::now() + Duration::from_secs(2);
    let mut setup = Setup::to(&ca, origin.address);
    setup.deadline = Some(deadline);
    let proxy = Proxy::start(setup).await;
    let mut served = proxy.tls(&format!("{GOOD}:443"), GOOD, "http/1.1").await;
    while let Ok(left) = deadline.duration_since(SystemTime::now()) {
        tokio::time::sleep(left).await;
    }
    assert!(!proxy.run.ended.is_cancelled());
    let request = format!("GET /me HTTP/1.1\r\nHost: {GOOD}\r\n\r\n");
    served.write_all(request.as_bytes()).await.unwrap();
    let answer = read_answer(&mut served).await;
    assert!(answer.contains("authsome-error: run_ended"), "{answer}");
    let mut stream = proxy.raw().await;
    let auth = authorization();
    let head = format!("CONNECT {GOOD}:443 HTTP/1.1\r\nHost: {GOOD}\r\n{auth}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 407"));
    assert!(origin.seen().is_empty());
}

/// The run's own port: no token, but the kernel's word, and the page rules all the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_direct_port_serves_our_own_user_without_a_token_until_the_run_ends() {
    let (origin, proxy) = proxy().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let run = Arc::clone(&proxy.run);
    let served = tokio::spawn(serve_direct(
        listener,
        run,
        Arc::clone(&proxy.state),
        proxy.shutdown.clone(),
    ));
    let connect = || tokio::net::TcpStream::connect(address);
    let mut stream = connect().await.unwrap();
    let head = format!("CONNECT {GOOD}:443 HTTP/1.1\r\nHost: {GOOD}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
    let mut stream = connect().await.unwrap();
    let page = format!("POST / HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(page.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 400"));
    proxy.run.ended.cancel();
    tokio::time::timeout(Duration::from_secs(8), served)
        .await
        .unwrap()
        .unwrap();
    assert!(connect().await.is_err());
    assert!(origin.seen().is_empty());
}
