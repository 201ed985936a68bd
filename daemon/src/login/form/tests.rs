//! Tables of what arrives at the page and what becomes of it.

use http::{HeaderValue, Request};
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;
use crate::login::Submitted;

const PATH: &str = "/login/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn waiting() -> (State, mpsc::Receiver<Submitted>) {
    let (sink, receiver) = mpsc::channel(1);
    let form = LoginForm {
        asked: crate::login::Asked::ApiKey,
        display_name: "Intercom".into(),
        connection: "default".parse().unwrap(),
        variable: None,
        hosts: vec![],
        key_urls: vec![],
        hint: Some("starts with sk-".into()),
        pattern: Some(Arc::new(|key| key.starts_with("sk-"))),
        rotate: false,
    };
    let stage = Stage::Form {
        path: PATH.strip_prefix(PATH_PREFIX).unwrap().into(),
        field: "FIELD".into(),
        is_storing: false,
    };
    let mut state = State::default();
    state.put(Waiting::new("l1".parse().unwrap(), form, stage, sink));
    (state, receiver)
}

/// Status of the answer, or `None` when the body is to be read.
fn status(method: &str, target: &str, headers: &[(&str, &str)]) -> Option<u16> {
    let (state, _receiver) = waiting();
    status_at(method, target, headers, &state, Instant::now())
}

fn status_at(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    state: &State,
    now: Instant,
) -> Option<u16> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .body(())
        .unwrap();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        request
            .headers_mut()
            .append(name, HeaderValue::from_str(value).unwrap());
    }
    let head = Head {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
    };
    let own = Own::new(7998);
    match receive(head, &own, state, now) {
        Reception::Reply(reply) => Some(reply.status.as_u16()),
        Reception::Submission(found) => {
            assert_eq!(format!("{PATH_PREFIX}{}", found.path), PATH);
            None
        }
        Reception::Callback { .. } => Some(CALLBACK),
        Reception::Result(_) => Some(RESULT),
    }
}

/// What stands for what is no answer yet.
const CALLBACK: u16 = 1;
const RESULT: u16 = 2;

const HOST: (&str, &str) = ("host", "127.0.0.1:7998");
const ORIGIN: (&str, &str) = ("origin", "http://127.0.0.1:7998");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const LEN: (&str, &str) = ("content-length", "30");

/// Threat O1: nothing but the literal address, whatever is asked for.
#[test]
fn every_other_host_is_refused_before_anything_else() {
    let hosts = [
        "",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:7999",
        "127.0.0.1:07998",
        "127.0.0.1:7998.",
        "127.0.0.1.:7998",
        " 127.0.0.1:7998 x",
        "localhost:7998",
        "LOCALHOST:7998",
        "[::1]:7998",
        "[::ffff:127.0.0.1]:7998",
        "0.0.0.0:7998",
        "127.1:7998",
        "2130706433:7998",
        "0x7f.1:7998",
        "127.0.0.2:7998",
        "rebind.evil.test:7998",
        "127.0.0.1.nip.io:7998",
        "user@127.0.0.1:7998",
        "127.0.0.1:7998, 127.0.0.1:7998",
    ];
    for host in hosts {
        for (method, target) in [
            ("GET", PATH),
            ("POST", PATH),
            ("OPTIONS", "/x"),
            ("GET", "/"),
            ("GET", "/callback/github?state=x&code=y"),
        ] {
            let headers = [("host", host), ORIGIN, FORM, LEN];
            assert_eq!(
                status(method, target, &headers),
                Some(403),
                "{host} {method}"
            );
        }
    }
    assert_eq!(status("GET", PATH, &[]), Some(403));
    assert_eq!(status("GET", PATH, &[HOST, HOST]), Some(403));
    assert_eq!(
        status("GET", &format!("http://evil.test{PATH}"), &[HOST]),
        Some(403)
    );
    assert_eq!(
        status("GET", &format!("http://127.0.0.1:7998{PATH}"), &[HOST]),
        Some(200)
    );
    assert_eq!(status("GET", PATH, &[HOST]), Some(200));
}

#[test]
fn only_the_whole_address_opens_the_form() {
    for target in [
        "/",
        "/login",
        "/login/",
        &PATH[..PATH.len() - 1],
        &format!("{PATH}a"),
        &format!("{PATH}/"),
        &format!("{PATH}?x"),
        &format!("/{PATH}"),
        &format!("/x/..{PATH}"),
        "/login/%61aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "/favicon.ico",
    ] {
        assert_eq!(status("GET", target, &[HOST]), Some(404), "{target}");
        assert_eq!(
            status("POST", target, &[HOST, ORIGIN, FORM, LEN]),
            Some(404),
            "{target}"
        );
    }
}

/// Threat O2: a form is taken only from our own page.
#[test]
fn foreign_forms_are_refused() {
    assert_eq!(status("POST", PATH, &[HOST, ORIGIN, FORM, LEN]), None);
    for site in ["same-origin", "none"] {
        let headers = [HOST, ORIGIN, FORM, LEN, ("sec-fetch-site", site)];
        assert_eq!(status("POST", PATH, &headers), None, "{site}");
    }
    for origin in [
        "null",
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:7999",
        "https://127.0.0.1:7998",
        "http://localhost:7998",
        "http://127.0.0.1:7998/",
        "HTTP://127.0.0.1:7998",
        "http://127.0.0.1:7998.evil.test",
        "http://evil.test",
    ] {
        let headers = [HOST, ("origin", origin), FORM, LEN];
        assert_eq!(status("POST", PATH, &headers), Some(403), "{origin}");
    }
    assert_eq!(
        status("POST", PATH, &[HOST, FORM, LEN]),
        Some(403),
        "no origin"
    );
    assert_eq!(
        status("POST", PATH, &[HOST, ORIGIN, ORIGIN, FORM, LEN]),
        Some(403)
    );
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", ""),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-mode", "no-cors"),
        ("sec-fetch-mode", "websocket"),
        ("transfer-encoding", "chunked"),
        ("content-encoding", "gzip"),
    ] {
        let headers = [HOST, ORIGIN, FORM, LEN, (name, value)];
        assert_eq!(status("POST", PATH, &headers), Some(403), "{name}: {value}");
    }
    for kind in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/json",
        "",
    ] {
        let headers = [HOST, ORIGIN, ("content-type", kind), LEN];
        assert_eq!(status("POST", PATH, &headers), Some(403), "{kind}");
    }
    assert_eq!(
        status("POST", PATH, &[HOST, ORIGIN, LEN]),
        Some(403),
        "no content type"
    );
}

#[test]
fn background_loads_and_other_methods_are_refused() {
    for mode in ["cors", "no-cors", "same-origin", "websocket", ""] {
        let headers = [HOST, ("sec-fetch-mode", mode)];
        assert_eq!(status("GET", PATH, &headers), Some(403), "{mode}");
    }
    assert_eq!(
        status("GET", PATH, &[HOST, ("sec-fetch-mode", "navigate")]),
        Some(200)
    );
    for method in ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "X"] {
        assert_eq!(status(method, PATH, &[HOST]), Some(405), "{method}");
    }
}

#[test]
fn body_needs_a_length_within_the_limit() {
    assert_eq!(status("POST", PATH, &[HOST, ORIGIN, FORM]), Some(411));
    for (len, expected) in [
        ("x", Some(411)),
        ("-1", Some(411)),
        ("9999999999", Some(413)),
    ] {
        let headers = [HOST, ORIGIN, FORM, ("content-length", len)];
        assert_eq!(status("POST", PATH, &headers), expected, "{len}");
    }
}

#[test]
fn over_or_withdrawn_login_has_no_page() {
    let (state, receiver) = waiting();
    let late = state.waiting[0].deadline;
    assert_eq!(status_at("GET", PATH, &[HOST], &state, late), Some(404));
    let headers = [HOST, ORIGIN, FORM, LEN];
    assert_eq!(status_at("POST", PATH, &headers, &state, late), Some(404));
    drop(receiver);
    let now = Instant::now();
    assert_eq!(status_at("GET", PATH, &[HOST], &state, now), Some(404));
}

/// Threat O3: what is no browser going there is refused, and refused alike whoever waits.
#[test]
fn only_a_browser_that_goes_to_a_callback_is_listened_to() {
    let target = "/callback/github?state=x&code=y";
    for headers in [
        vec![],
        vec![
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ],
        vec![
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ],
        vec![("sec-fetch-site", "none"), ("origin", "null")],
        vec![("referer", "https://github.test/")],
    ] {
        let headers: Vec<_> = headers.into_iter().chain([HOST]).collect();
        assert_eq!(
            status("GET", target, &headers),
            Some(CALLBACK),
            "{headers:?}"
        );
    }
    for target in [
        "/callback/",
        "/callback/x",
        "/callback/github?",
        "/callback/a/b",
    ] {
        assert_eq!(status("GET", target, &[HOST]), Some(CALLBACK), "{target}");
    }
    for target in [
        "/callback",
        "/Callback/github",
        "//callback/github",
        "/x/../callback/github",
    ] {
        assert_eq!(status("GET", target, &[HOST]), Some(404), "{target}");
    }
    for method in ["HEAD", "POST", "PUT", "OPTIONS", "DELETE", "X"] {
        assert_eq!(
            status(method, target, &[HOST, ORIGIN, FORM, LEN]),
            Some(405),
            "{method}"
        );
    }
    for refused in [
        ("sec-fetch-mode", "no-cors"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-mode", ""),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-dest", "image"),
        ("sec-fetch-dest", "empty"),
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        assert_eq!(
            status("GET", target, &[HOST, refused]),
            Some(403),
            "{refused:?}"
        );
    }
}

#[test]
fn a_result_is_shown_to_whoever_really_looks() {
    let (mut state, _receiver) = waiting();
    let (now, form) = (Instant::now(), Arc::clone(&state.waiting[0].form));
    state.results.open("RESULT".into(), form, now);
    let ask = |state: &State, method, target, more: &[(&str, &str)]| {
        status_at(method, target, &[&[HOST], more].concat(), state, now)
    };
    assert_eq!(
        ask(&state, "GET", "/login/RESULT", &[]),
        Some(404),
        "not known yet"
    );
    state
        .results
        .close("RESULT", crate::login::results::Ending::Late, now);
    assert_eq!(ask(&state, "GET", "/login/RESULT", &[]), Some(RESULT));
    for (method, target, more, expected) in [
        ("HEAD", "/login/RESULT", None, 200),
        ("POST", "/login/RESULT", None, 405),
        ("GET", "/login/RESULT?", None, 404),
        ("GET", "/login/RESULTS", None, 404),
        (
            "GET",
            "/login/RESULT",
            Some(("sec-fetch-mode", "cors")),
            403,
        ),
        (
            "GET",
            "/login/RESULT",
            Some(("sec-purpose", "prefetch")),
            403,
        ),
    ] {
        let more: Vec<_> = more.into_iter().collect();
        assert_eq!(
            ask(&state, method, target, &more),
            Some(expected),
            "{method} {target} {more:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_target_is_answered_without_a_panic(target in "/[!-~]{0,60}") {
        if target.parse::<Uri>().is_ok() {
            prop_assert!(status("GET", &target, &[HOST]).is_some());
        }
    }
}
