//! Tables of what arrives at the page and what becomes of it.

use std::time::Duration;

use http::{HeaderValue, Request};
use proptest::prelude::*;

use super::*;

const PATH: &str = "/login/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn waiting() -> (Waiting, mpsc::Receiver<Submitted>) {
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
    let waiting = Waiting {
        id: "l1".parse().unwrap(),
        form: Arc::new(form),
        path: PATH.strip_prefix(PATH_PREFIX).unwrap().into(),
        field: "FIELD".into(),
        sink,
        deadline: Instant::now() + Duration::from_secs(60),
        is_storing: false,
    };
    (waiting, receiver)
}

/// Status of the answer, or `None` when the body is to be read.
fn status(method: &str, target: &str, headers: &[(&str, &str)]) -> Option<u16> {
    let (waiting, _receiver) = waiting();
    status_at(method, target, headers, &waiting, Instant::now())
}

fn status_at(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    waiting: &Waiting,
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
    match receive(head, &own, std::slice::from_ref(waiting), now) {
        Reception::Reply(reply) => Some(reply.status.as_u16()),
        Reception::Submission(found) => {
            assert_eq!(found.id, waiting.id);
            None
        }
    }
}

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
    let (waiting, receiver) = waiting();
    let late = waiting.deadline;
    assert_eq!(status_at("GET", PATH, &[HOST], &waiting, late), Some(404));
    let headers = [HOST, ORIGIN, FORM, LEN];
    assert_eq!(status_at("POST", PATH, &headers, &waiting, late), Some(404));
    drop(receiver);
    assert_eq!(
        status_at("GET", PATH, &[HOST], &waiting, Instant::now()),
        Some(404)
    );
}

fn key_of(body: &str) -> Result<String, BodyFault> {
    let (waiting, _receiver) = waiting();
    read_key(&waiting.form, &waiting.field, body.as_bytes()).map(|key| key.expose().to_owned())
}

#[test]
fn key_is_taken_as_it_was_typed() {
    assert_eq!(
        key_of("token=FIELD&key=sk-1%2B2%3d+%25%zz").unwrap(),
        "sk-1+2= %%zz"
    );
    assert_eq!(key_of("key=sk-1&token=FIELD").unwrap(), "sk-1");
}

#[test]
fn body_without_the_pages_own_token_is_foreign() {
    for body in [
        "",
        "key=sk-1",
        "key=sk-1&token=",
        "key=sk-1&token=FIELDS",
        "key=sk-1&token=field",
        "key=sk-1&token=FIELD&token=FIELD",
        "key=sk-1&key=sk-2&token=FIELD",
        "token=FIELD",
        "key=sk-1&token=FIELD&more=1",
        "key=sk-1;token=FIELD",
        "KEY=sk-1&token=FIELD",
    ] {
        assert_eq!(key_of(body), Err(BodyFault::Foreign), "{body}");
    }
}

/// Threat D10: a key is refused with the reason, never mended; the reason does not hold the key.
#[test]
fn keys_that_cannot_be_right_are_refused_with_the_reason() {
    let long = format!("sk-{}", "x".repeat(SECRET_MAX));
    for (key, fault) in [
        ("", KeyFault::Empty),
        ("+sk-1", KeyFault::Padded),
        ("sk-1%0A", KeyFault::Padded),
        ("sk-%0D%0Ax:+y", KeyFault::Character),
        ("sk-%00x", KeyFault::Character),
        ("sk-%C3%A9", KeyFault::Character),
        ("sk-%FF", KeyFault::Character),
        (
            "pk-canary",
            KeyFault::Pattern {
                name: "Intercom".into(),
            },
        ),
        (&long, KeyFault::TooLong),
    ] {
        let found = key_of(&format!("token=FIELD&key={key}")).unwrap_err();
        assert!(!found.to_string().contains("canary"));
        assert_eq!(
            found,
            BodyFault::Key(fault),
            "{}",
            key.get(..10).unwrap_or(key)
        );
    }
}

proptest! {
    #[test]
    fn any_body_is_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (waiting, _receiver) = waiting();
        prop_assert!(read_key(&waiting.form, &waiting.field, &body).is_err());
        let body = [b"token=FIELD&key=".as_slice(), &body].concat();
        drop(read_key(&waiting.form, &waiting.field, &body));
    }

    #[test]
    fn every_printable_key_comes_through_as_it_was(tail in "[!-~]{0,80}") {
        let key = format!("sk-{tail}");
        let encoded = percent_encoding::percent_encode(key.as_bytes(), percent_encoding::NON_ALPHANUMERIC);
        prop_assert_eq!(key_of(&format!("token=FIELD&key={encoded}")).unwrap(), key);
    }

    #[test]
    fn any_target_is_answered_without_a_panic(target in "/[!-~]{0,60}") {
        if target.parse::<Uri>().is_ok() {
            prop_assert!(status("GET", &target, &[HOST]).is_some());
        }
    }
}
