//! The proxy on the wire: the secret reaches the host it belongs to and nobody else, bodies stream
//! both ways with flat memory, and what is refused says why.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use authsome_tests::stand_in::Options;
use authsome_tests::{Certificate, Home, LiveRun, PlainUser, StandIn};
use nix::sys::signal::Signal;

const GOOD: &str = "api.intercom.io";
const EVIL: &str = "evil.example";

/// How much the daemon may grow over its idle memory, whatever streams through it.
const GROWTH_MAX: u64 = 32 << 20;

/// Two upstreams: one with a route, one without.
struct World {
    good: StandIn,
    evil: StandIn,
    home: Home,
}

fn world() -> World {
    let (good, evil) = (StandIn::start(&[GOOD]), StandIn::start(&[EVIL]));
    let home = Home::builder().stand_in(&good).stand_in(&evil).build();
    home.login("intercom");
    World { good, evil, home }
}

impl World {
    fn bearer(&self) -> String {
        format!("Bearer {}", self.home.canary().secret())
    }

    /// Nothing of the secret came to the upstream without a route.
    fn evil_saw_nothing(&self) {
        let canary = self.home.canary();
        for request in self.evil.requests() {
            let text = format!("{request:?}");
            assert_eq!(
                canary.search("what the evil upstream saw", text.as_bytes()),
                []
            );
        }
    }
}

#[test]
fn the_secret_reaches_its_host_and_no_other() {
    let world = world();
    let curl = |url: &str| world.home.run(["curl", "-sS", url]).output();
    curl(&format!("https://{GOOD}/me")).succeeded();
    assert_eq!(world.good.last().header("authorization"), [world.bearer()]);
    // without a route: tunnelled untouched, so the child must trust that server itself
    let ca = world.evil.ca_path().to_str().unwrap();
    world
        .home
        .run([
            "curl",
            "-sSf",
            "--cacert",
            ca,
            &format!("https://{EVIL}/echo"),
        ])
        .output()
        .succeeded();
    assert_eq!(
        world.evil.last().header("authorization"),
        Vec::<&str>::new()
    );
    world.evil_saw_nothing();
}

#[test]
fn both_protocols_work_on_both_sides() {
    for upstream in [&["h2", "http/1.1"][..], &["http/1.1"]] {
        let good = StandIn::with(Options {
            protocols: upstream.to_vec(),
            ..Options::default()
        });
        let home = Home::with(&good);
        home.login("intercom");
        for version in ["--http1.1", "--http2"] {
            let url = format!("https://{GOOD}/me");
            let output = home
                .run(["curl", "-sSf", version, &url])
                .output()
                .succeeded();
            assert!(output.stdout.contains("admin"), "{output}");
            // the upstream is spoken to as the child speaks, where it can be
            let same = if upstream[0] == "h2" && version == "--http2" {
                "HTTP/2.0"
            } else {
                "HTTP/1.1"
            };
            assert_eq!(good.last().protocol, same);
        }
    }
}

/// D1: tunnel, SNI and Host must agree.
#[test]
fn names_that_disagree_get_nothing() {
    let world = world();
    let run = LiveRun::start(&world.home, &[]);
    let proxy = run.proxy();
    // (tunnel to, SNI, Host)
    for (tunnel, sni, host) in [
        (GOOD, GOOD, EVIL),
        (GOOD, GOOD, "api.intercom.io:8443"),
        (GOOD, EVIL, GOOD),
        (GOOD, EVIL, EVIL),
    ] {
        let request = format!("GET /echo HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let outcome = proxy
            .tls(&format!("{tunnel}:443"), sni)
            .and_then(|mut tunnel| {
                tunnel.write_all(request.as_bytes())?;
                authsome_tests::raw::read_answer(&mut tunnel)
            });
        match outcome {
            Ok(answer) => {
                assert_eq!(answer.status, 421, "{tunnel} {sni} {host}: {}", answer.text);
                assert_eq!(answer.code(), Some("names_differ"));
            }
            // refused before there was HTTP: as good
            Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::TimedOut, "{error}"),
        }
    }
    for request in [
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: {GOOD}\r\nHost: {EVIL}\r\nConnection: close\r\n\r\n"),
        format!("GET https://{EVIL}/ HTTP/1.1\r\nHost: {GOOD}\r\nConnection: close\r\n\r\n"),
    ] {
        let answer = proxy.ask(GOOD, &request).unwrap();
        assert!(
            matches!(answer.status, 400 | 421),
            "{request}\n{}",
            answer.text
        );
    }
    assert_eq!(
        world.good.requests().len(),
        0,
        "{:?}",
        world.good.requests()
    );
    world.evil_saw_nothing();
}

/// D2.
#[test]
fn an_upstream_with_a_bad_certificate_gets_nothing() {
    for certificate in Certificate::BAD {
        let good = StandIn::with(Options {
            certificate,
            ..Options::default()
        });
        let home = Home::with(&good);
        home.login("intercom");
        let output = home
            .run(["curl", "-sS", "-D", "-", &format!("https://{GOOD}/me")])
            .output()
            .succeeded();
        assert!(output.stdout.contains(" 502"), "{certificate:?}: {output}");
        assert!(
            output.stdout.contains("upstream_certificate"),
            "{certificate:?}: {output}"
        );
        assert_eq!(good.requests().len(), 0, "{certificate:?}");
    }
}

/// D3.
#[test]
fn plain_http_to_a_host_with_a_route_is_refused() {
    let world = world();
    let output = world
        .home
        .run(["curl", "-sS", "-D", "-", &format!("http://{GOOD}/me")])
        .output()
        .succeeded();
    assert!(output.stdout.starts_with("HTTP/1.1 403"), "{output}");
    assert!(
        output
            .stdout
            .to_lowercase()
            .contains("authsome-error: cleartext_refused"),
        "{output}"
    );
    assert_eq!(world.good.connections(), 0);
}

/// D3: another port of the same host has no route.
#[test]
fn another_port_of_the_host_gets_no_secret() {
    let world = world();
    let home = Home::builder()
        .stand_in(&world.good)
        .resolve(&format!("{GOOD}:8443"), &world.good.address().to_string())
        .build();
    home.login("intercom");
    let ca = world.good.ca_path().to_str().unwrap();
    let url = format!("https://{GOOD}:8443/echo");
    let _output = home.run(["curl", "-sS", "--cacert", ca, &url]).output();
    let canary = home.canary();
    assert!(!world.good.saw(canary.secret()));
}

/// D8.
#[test]
fn what_the_child_sent_in_the_slot_is_replaced_however_often() {
    let world = world();
    let run = LiveRun::start(&world.home, &[]);
    for headers in [
        "",
        "Authorization: Bearer authsome-proxy-managed\r\n",
        "Authorization: Bearer own\r\nauthorization: Basic b3du\r\nAUTHORIZATION: x, y\r\n",
    ] {
        let request =
            format!("GET /me HTTP/1.1\r\nHost: {GOOD}\r\n{headers}Connection: close\r\n\r\n");
        assert_eq!(run.proxy().ask(GOOD, &request).unwrap().status, 200);
        assert_eq!(world.good.last().header("authorization"), [world.bearer()]);
    }
}

/// D9.
#[test]
fn hop_by_hop_headers_stay_on_their_hop() {
    let world = world();
    let run = LiveRun::start(&world.home, &[]);
    let request = format!(
        "GET /me HTTP/1.1\r\nHost: {GOOD}\r\nConnection: close, authorization, x-private\r\n\
         X-Private: 1\r\nProxy-Authorization: Basic eDp5\r\nProxy-Connection: keep-alive\r\n\
         Keep-Alive: timeout=5\r\nTE: gzip\r\nX-Kept: 1\r\n\r\n"
    );
    assert_eq!(run.proxy().ask(GOOD, &request).unwrap().status, 200);
    let seen = world.good.last();
    assert_eq!(seen.header("authorization"), [world.bearer()]);
    assert_eq!(seen.header("x-kept"), ["1"]);
    for gone in [
        "x-private",
        "proxy-authorization",
        "proxy-connection",
        "keep-alive",
        "te",
    ] {
        assert_eq!(seen.header(gone), Vec::<&str>::new(), "{gone} went on");
    }
}

/// D11.
#[test]
fn a_redirect_to_another_host_takes_no_secret_along() {
    let world = world();
    let ca = world.home.work().join("both.pem");
    for status in [301, 302, 303, 307, 308] {
        let script = format!(
            "cat \"$CURL_CA_BUNDLE\" {} > {ca}; curl -sS -L --cacert {ca} \
             'https://{GOOD}/redirect?status={status}&to=https://{EVIL}/echo'",
            world.evil.ca_path().display(),
            ca = ca.display(),
        );
        world.evil.forget();
        world.home.run_shell(&script).output().succeeded();
        assert_eq!(world.evil.requests().len(), 1, "curl followed");
        world.evil_saw_nothing();
    }
}

/// D6.
#[test]
fn trace_and_a_second_connect_are_refused() {
    let world = world();
    let run = LiveRun::start(&world.home, &[]);
    for method in ["TRACE", "TRACK", "CONNECT"] {
        let request = format!("{method} /me HTTP/1.1\r\nHost: {GOOD}\r\nConnection: close\r\n\r\n");
        let outcome = run.proxy().ask(GOOD, &request);
        assert!(
            outcome.is_err() || outcome.is_ok_and(|answer| answer.status >= 400),
            "{method}"
        );
    }
    assert_eq!(world.good.requests().len(), 0);
}

#[test]
fn hosts_without_a_route_are_refused_when_the_configuration_says_so() {
    let evil = StandIn::start(&[EVIL]);
    let home = Home::builder().stand_in(&evil).deny_unmatched().build();
    let run = LiveRun::start(&home, &[]);
    let refused = run
        .proxy()
        .connect_to(&format!("{EVIL}:443"))
        .unwrap()
        .unwrap_err();
    assert_eq!(
        (refused.status, refused.code()),
        (403, Some("not_allowed")),
        "{}",
        refused.text
    );
    let body = refused.text.split("\r\n\r\n").nth(1).unwrap();
    let body: serde_json::Value = serde_json::from_str(body).expect("the body is JSON");
    assert_eq!(body["error"]["code"], "not_allowed");
    assert_eq!(evil.connections(), 0);
}

/// L1.
#[test]
fn without_the_runs_token_the_proxy_does_nothing() {
    let world = world();
    let run = LiveRun::start(&world.home, &[]);
    let other = LiveRun::start(&world.home, &[]);
    let proxy = run.proxy();
    let credentials = proxy.credentials.clone().unwrap();
    let (id, token) = credentials.split_once(':').unwrap();
    let others = other.proxy().credentials.unwrap();
    let crossed = format!("{id}:{}", others.split_once(':').unwrap().1);
    let mut wrong = token.to_owned();
    let last = if wrong.pop() == Some('a') { 'b' } else { 'a' };
    wrong.push(last);
    let wrong = format!("{id}:{wrong}");
    let before = world.good.connections();
    for credentials in [
        None,
        Some(""),
        Some(":"),
        Some(id),
        Some(&wrong),
        Some(&crossed),
    ] {
        let proxy = proxy.with(credentials);
        let refused = proxy
            .connect_to(&format!("{GOOD}:443"))
            .unwrap()
            .unwrap_err();
        assert_eq!(refused.status, 407, "{}", refused.text);
        let challenge = refused.header("proxy-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Basic realm="), "{}", refused.text);
        let request = format!(
            "GET http://{EVIL}/ HTTP/1.1\r\nHost: {EVIL}\r\n{}\r\n",
            proxy.authorization()
        );
        assert_eq!(proxy.say(&request).unwrap().status, 407);
    }
    assert_eq!(world.good.connections(), before);
    assert_eq!(world.evil.connections(), 0);
}

/// L1: another user's word counts for nothing on either port; on the run's own port not even ours
/// does, only the kernel's.
#[test]
fn another_user_gets_nothing_from_either_port() {
    let Some(other) = PlainUser::other() else {
        panic!("needs root, to become another user: run the tests as root");
    };
    let good = StandIn::start(&[GOOD]);
    let home = Home::builder()
        .user(&PlainUser::any())
        .stand_in(&good)
        .build();
    home.login("intercom");
    let run = LiveRun::start(&home, &[]);
    let main_port = run.proxy().address.port();
    let options = run.variable("JAVA_TOOL_OPTIONS");
    let own_port: u16 = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("-Dhttps.proxyPort=")?.parse().ok())
        .expect("Java is pointed at the run's own port");
    assert_ne!(main_port, own_port);
    let before = good.connections();
    let ask = |port: u16, prefix: &[String]| {
        authsome_tests::Invocation::new("/usr/bin/curl")
            .args([
                "-sk",
                "-o",
                "/dev/null",
                "-w",
                "%{http_connect}",
                "--max-time",
                "10",
            ])
            .args([
                "-x",
                &format!("http://127.0.0.1:{port}"),
                &format!("https://{GOOD}/me"),
            ])
            .prefixed(prefix)
            .env("PATH", "/usr/bin:/bin")
            .output()
    };
    let refused = ask(main_port, &other.prefix());
    assert_eq!(refused.stdout, "407", "{refused}");
    let closed = ask(own_port, &other.prefix());
    assert_eq!(closed.stdout, "000", "{closed}");
    assert_eq!(
        good.connections(),
        before,
        "an upstream was dialled for a stranger"
    );
    let own = ask(own_port, &PlainUser::any().prefix());
    assert_eq!(own.stdout, "200", "the owner needs no token there\n{own}");
}

/// L1b.
#[test]
fn a_web_page_gets_nothing_from_the_proxy_port() {
    let world = world();
    let run = LiveRun::start(&world.home, &[]);
    let proxy = run.proxy();
    for (request, status) in [
        (
            format!(
                "GET /me HTTP/1.1\r\nHost: {GOOD}\r\n{}\r\n",
                proxy.authorization()
            ),
            400,
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n",
                proxy.address
            ),
            0,
        ),
        (
            format!(
                "GET http://{EVIL}/ HTTP/1.1\r\nHost: {EVIL}\r\nOrigin: https://page.example\r\n{}\r\n",
                proxy.authorization()
            ),
            0,
        ),
        (
            format!(
                "CONNECT {GOOD}:443 HTTP/1.1\r\nHost: {GOOD}:443\r\nSec-Fetch-Site: cross-site\r\n{}\r\n",
                proxy.authorization()
            ),
            0,
        ),
    ] {
        let answer = proxy.say(&request).unwrap();
        assert!(answer.status >= 400, "{request}\n{}", answer.text);
        assert!(
            status == 0 || answer.status == status,
            "{request}\n{}",
            answer.text
        );
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    assert_eq!((world.good.connections(), world.evil.connections()), (0, 0));
}

/// D12: neither the daemon's own ports nor addresses that nobody listed.
#[test]
fn own_ports_and_the_metadata_address_are_not_dialled() {
    let world = world();
    let run = LiveRun::start(&world.home, &[]);
    let proxy = run.proxy();
    for authority in [
        format!("127.0.0.1:{}", proxy.address.port()),
        format!("localhost:{}", proxy.address.port()),
        format!("[::ffff:127.0.0.1]:{}", proxy.address.port()),
        "169.254.169.254:80".to_owned(),
    ] {
        let refused = proxy.connect_to(&authority).unwrap().unwrap_err();
        assert!(
            matches!(refused.status, 400 | 403 | 502),
            "{authority}: {}",
            refused.text
        );
    }
}

/// H9.
#[test]
fn server_sent_events_pass_one_by_one() {
    let world = world();
    let url = format!("https://{GOOD}/sse?count=4&every=700");
    let mut curl = world.home.run(["curl", "-sS", "-N", &url]).spawn();
    curl.wait_for_stdout("data:");
    let first = Instant::now();
    assert!(!curl.ended(), "the first event came with the last");
    let output = curl.wait().succeeded();
    assert!(
        first.elapsed() > Duration::from_millis(1_200),
        "the events came together"
    );
    assert_eq!(output.stdout.matches("data:").count(), 4);
}

#[test]
fn a_websocket_carries_the_secret_in_its_opening_request_only() {
    let world = world();
    let run = LiveRun::start(&world.home, &[]);
    let mut tunnel = run.proxy().tls(&format!("{GOOD}:443"), GOOD).unwrap();
    write!(
        tunnel,
        "GET /websocket HTTP/1.1\r\nHost: {GOOD}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let answer = authsome_tests::raw::read_answer(&mut tunnel).unwrap();
    assert_eq!(answer.status, 101, "{}", answer.text);
    assert_eq!(
        answer.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(world.good.last().header("authorization"), [world.bearer()]);
    for (opcode, text) in [(0x81, "hello"), (0x89, "ping"), (0x82, "bytes")] {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![opcode, 0x80 | u8::try_from(text.len()).unwrap()];
        frame.extend_from_slice(&mask);
        frame.extend(
            text.bytes()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        // one byte at a time: the frames pass unread
        for byte in frame {
            tunnel.write_all(&[byte]).unwrap();
            tunnel.flush().unwrap();
        }
        let mut back = vec![0; 2 + text.len()];
        tunnel.read_exact(&mut back).unwrap();
        assert_eq!(&back[2..], text.as_bytes());
    }
}

#[test]
fn a_gibibyte_down_keeps_the_memory_flat() {
    let world = world();
    let url = format!("https://{GOOD}/bytes/{}", 1_u64 << 30);
    let idle = idle_memory(&world);
    let curl = world
        .home
        .run([
            "curl",
            "-sSf",
            "-o",
            "/dev/null",
            "-w",
            "%{size_download}",
            &url,
        ])
        .timeout(Duration::from_secs(280))
        .spawn();
    let (output, most) = watch_memory(&world.home, curl);
    assert_eq!(output.succeeded().stdout, (1_u64 << 30).to_string());
    assert!(most < idle + GROWTH_MAX, "grew from {idle} to {most} bytes");
}

#[test]
fn a_gibibyte_up_keeps_the_memory_flat() {
    let world = world();
    let idle = idle_memory(&world);
    let script = format!(
        "head -c {} /dev/zero | curl -sSf -T - https://{GOOD}/upload",
        1_u64 << 30
    );
    let curl = world
        .home
        .run_shell(&script)
        .timeout(Duration::from_secs(280))
        .spawn();
    let (output, most) = watch_memory(&world.home, curl);
    assert_eq!(output.succeeded().json()["received"], 1_u64 << 30);
    assert!(most < idle + GROWTH_MAX, "grew from {idle} to {most} bytes");
}

/// A reader that stands still stops the upstream, not the daemon's memory.
#[test]
fn a_reader_that_stands_still_costs_no_memory() {
    let world = world();
    let idle = idle_memory(&world);
    let run = LiveRun::start(&world.home, &[]);
    let mut tunnels: Vec<_> = (0..8)
        .map(|_| {
            let mut tunnel = run.proxy().tls(&format!("{GOOD}:443"), GOOD).unwrap();
            write!(
                tunnel,
                "GET /bytes/{} HTTP/1.1\r\nHost: {GOOD}\r\n\r\n",
                1_u64 << 28
            )
            .unwrap();
            tunnel.flush().unwrap();
            tunnel
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(3);
    let mut most = 0;
    while Instant::now() < end {
        most = most.max(world.home.daemon_rss());
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut some = [0; 1024];
    assert!(tunnels[0].read(&mut some).unwrap() > 0);
    assert!(most < idle + GROWTH_MAX, "grew from {idle} to {most} bytes");
}

fn idle_memory(world: &World) -> u64 {
    // one small request first: what a first use allocates for good is not growth
    world
        .home
        .run(["curl", "-sSf", &format!("https://{GOOD}/me")])
        .output()
        .succeeded();
    world.home.daemon_rss()
}

fn watch_memory(
    home: &Home,
    mut program: authsome_tests::Running,
) -> (authsome_tests::Output, u64) {
    let mut most = 0;
    let end = Instant::now() + Duration::from_secs(280);
    while !program.ended() {
        most = most.max(home.daemon_rss());
        if Instant::now() > end {
            program.signal(Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    (program.wait(), most)
}
