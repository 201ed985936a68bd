use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const FORM: DeviceTokenRequest = DeviceTokenRequest::OAuth2Form;

fn client(secret: Option<&str>, auth: ClientAuth) -> Client {
    Client {
        id: "1406020730".into(),
        secret: secret.map(|secret| Secret::new(secret.into())),
        auth,
    }
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Incoming {
    Incoming {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.into().into(),
    }
}

/// RFC 8628 section 3.2.
fn example() -> Value {
    json!({
        "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://example.com/device",
        "verification_uri_complete": "https://example.com/device?user_code=WDJB-MJHT",
        "expires_in": 1800,
        "interval": 5
    })
}

fn read_with(name: &str, value: Value) -> Result<DeviceCode, TokenError> {
    let mut body = example();
    body[name] = value;
    read(&answer(200, body.to_string()), FORM)
}

fn text(outgoing: &Outgoing) -> (&'static str, &str) {
    let (kind, body) = outgoing.body.as_ref().unwrap();
    (kind, str::from_utf8(body).unwrap())
}

#[test]
fn rfc_8628_section_3_1() {
    let sent = request(
        &client(None, ClientAuth::Body),
        &["example_scope".into()],
        FORM,
    );
    assert_eq!(
        text(&sent),
        (
            "application/x-www-form-urlencoded",
            "scope=example_scope&client_id=1406020730"
        )
    );
    assert_eq!(sent.headers["accept"], "application/json");
    assert!(!sent.headers.contains_key("authorization"));
}

#[test]
fn rfc_8628_section_3_2() {
    let code = read(&answer(200, example().to_string()), FORM).unwrap();
    assert_eq!(
        code.device_code.expose(),
        "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS"
    );
    assert_eq!(code.user_code, "WDJB-MJHT");
    assert_eq!(code.verification_uri, "https://example.com/device");
    assert_eq!(
        code.verification_uri_complete.as_deref(),
        Some("https://example.com/device?user_code=WDJB-MJHT")
    );
    assert_eq!(code.expires_in, Duration::from_secs(1800));
    assert_eq!(code.interval, Duration::from_secs(5));
    assert!(!format!("{code:?}").contains("GmRhmhcx"));
}

#[test]
fn a_client_with_a_secret_proves_it_as_at_the_token_endpoint() {
    let scopes = ["a".to_owned(), "b c&".to_owned()];
    let sent = request(&client(Some("s&t"), ClientAuth::Body), &scopes, FORM);
    assert_eq!(
        text(&sent).1,
        "scope=a+b+c%26&client_id=1406020730&client_secret=s%26t"
    );
    let sent = request(&client(Some("s"), ClientAuth::Basic), &[], FORM);
    assert_eq!(text(&sent).1, "client_id=1406020730");
    assert_eq!(sent.headers["authorization"], "Basic MTQwNjAyMDczMDpz");
    assert!(sent.headers["authorization"].is_sensitive());
}

#[test]
fn postiz_is_asked_in_json_and_told_no_secret() {
    let json = DeviceTokenRequest::Json;
    let mut client = client(Some("canary"), ClientAuth::Body);
    let code = read(&answer(200, example().to_string()), json).unwrap();
    assert_eq!(
        text(&request(&client, &["a".into()], json)),
        (json::TYPE, r#"{"client_id":"1406020730","scope":"a"}"#)
    );
    assert_eq!(
        text(&token_request(&code, &client, json)).1,
        r#"{"device_code":"GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS","client_id":"1406020730"}"#
    );
    // its own program has no client id
    client.id = String::new();
    assert_eq!(text(&request(&client, &[], json)).1, "{}");
    let sent = token_request(&code, &client, json);
    assert_eq!(
        text(&sent).1,
        r#"{"device_code":"GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS"}"#
    );
    assert_eq!(sent.headers["accept"], "application/json");
}

/// O5
#[test]
fn no_interval_is_below_five_seconds_or_above_a_minute() {
    for (value, seconds) in [
        (Value::Null, 5.0),
        (json!(0), 5.0),
        (json!(-1), 5.0),
        (json!(1), 5.0),
        (json!(4.9), 5.0),
        (json!("soon"), 5.0),
        (json!("0"), 5.0),
        (json!("NaN"), 5.0),
        (json!([10]), 5.0),
        (json!(true), 5.0),
        (json!(7), 7.0),
        (json!(7.5), 7.5),
        (json!("10"), 10.0),
        (json!(60), 60.0),
        (json!(61), 60.0),
        (json!(u64::MAX), 60.0),
        (json!(1e300), 60.0),
        (json!("inf"), 60.0),
    ] {
        assert_eq!(
            read_with("interval", value.clone()).unwrap().interval,
            Duration::from_secs_f64(seconds),
            "{value}"
        );
    }
}

/// O5
#[test]
fn no_code_is_good_for_more_than_half_an_hour() {
    for (value, seconds) in [
        (Value::Null, 600),
        (json!(0), 600),
        (json!(-5), 600),
        (json!("x"), 600),
        (json!(1), 1),
        (json!("900"), 900),
        (json!(1800), 1800),
        (json!(1801), 1800),
        (json!(1e300), 1800),
    ] {
        assert_eq!(
            read_with("expires_in", value.clone()).unwrap().expires_in,
            Duration::from_secs(seconds),
            "{value}"
        );
    }
}

/// O5
#[test]
fn only_pages_of_https_are_shown() {
    for bad in [
        "http://example.com/device",
        "javascript:alert(1)",
        "https://example.com@evil.example/",
        "file:///etc/passwd",
        "https://example.com/\u{1b}[2J",
        "",
    ] {
        assert_eq!(
            read_with("verification_uri", json!(bad)).unwrap_err(),
            TokenError::Malformed("it names no `https` page to go to"),
            "{bad}"
        );
    }
}

/// O5
#[test]
fn a_complete_address_of_another_origin_is_dropped() {
    for bad in [
        json!("https://evil.example/device?user_code=WDJB-MJHT"),
        json!("https://example.com.evil.example/device"),
        json!("https://example.com:8443/device"),
        json!("http://example.com/device"),
        json!("javascript:alert(1)"),
        json!(7),
        Value::Null,
    ] {
        let code = read_with("verification_uri_complete", bad.clone()).unwrap();
        assert_eq!(code.verification_uri_complete, None, "{bad}");
    }
}

#[test]
fn googles_old_spelling_is_understood_and_the_new_one_preferred() {
    let mut body = example();
    body["verification_url"] = json!("https://www.google.com/device");
    let code = read(&answer(200, body.to_string()), FORM).unwrap();
    assert_eq!(code.verification_uri, "https://example.com/device");
    body.as_object_mut().unwrap().remove("verification_uri");
    let code = read(&answer(200, body.to_string()), FORM).unwrap();
    assert_eq!(code.verification_uri, "https://www.google.com/device");
    // it is another origin's now
    assert_eq!(code.verification_uri_complete, None);
}

/// O5
#[test]
fn codes_that_nobody_could_type_are_refused() {
    for bad in [
        "",
        "  ",
        "A\u{1b}[2J",
        "A\nB",
        "A\u{202e}B",
        "\u{410}BC",
        &"A".repeat(65),
    ] {
        assert_eq!(
            read_with("user_code", json!(bad)).unwrap_err(),
            TokenError::Malformed("its user code cannot be typed"),
            "{bad:?}"
        );
    }
    assert_eq!(
        read_with("user_code", json!(" 123 456 "))
            .unwrap()
            .user_code,
        "123 456"
    );
    assert!(read_with("user_code", json!("A".repeat(64))).is_ok());
    for bad in [json!(""), json!("A".repeat(DEVICE_CODE_MAX + 1)), json!(5)] {
        assert!(read_with("device_code", bad).is_err());
    }
}

#[test]
fn a_refusal_is_told_whatever_the_status() {
    let body = r#"{"error":"device_flow_disabled","error_description":"turn it on"}"#;
    for status in [200, 400, 404] {
        assert_eq!(
            read(&answer(status, body), FORM).unwrap_err(),
            TokenError::Refused {
                code: "device_flow_disabled".into(),
                description: Some("turn it on".into()),
            }
        );
    }
    assert!(matches!(
        read(&answer(503, "<html>"), FORM),
        Err(TokenError::Unavailable { status: 503, .. })
    ));
    assert!(matches!(
        read(&answer(200, "<html>"), FORM),
        Err(TokenError::Malformed(_))
    ));
}

/// What becomes of a poll, one event after the other, in seconds.
enum Event {
    Pending,
    SlowDown,
    Nothing,
    Unavailable(Option<u64>),
}

fn refused(code: &str) -> Result<Tokens, TokenError> {
    Err(TokenError::Refused {
        code: code.into(),
        description: None,
    })
}

fn after(poll: &mut Poll, event: &Event) -> u64 {
    let outcome = match event {
        Event::Pending => refused("authorization_pending"),
        Event::SlowDown => refused("slow_down"),
        Event::Nothing => return poll.unanswered().as_secs(),
        Event::Unavailable(seconds) => Err(TokenError::Unavailable {
            status: 503,
            retry_after: seconds.map(Duration::from_secs),
        }),
    };
    let next = poll.told(outcome);
    let Next::Wait(wait) = next else {
        panic!("{next:?}");
    };
    assert_eq!(wait, poll.interval());
    wait.as_secs()
}

fn poll(interval: u64) -> Poll {
    let mut code = read(&answer(200, example().to_string()), FORM).unwrap();
    code.interval = Duration::from_secs(interval);
    Poll::new(&code)
}

/// RFC 8628 section 3.5, with a clock that does not exist.
#[test]
fn slow_down_is_for_good_and_silence_is_not() {
    use Event::{Nothing, Pending, SlowDown, Unavailable};
    let table: &[(u64, &[(Event, u64)])] = &[
        (
            5,
            &[
                (Pending, 5),
                (Pending, 5),
                (SlowDown, 10),
                (Pending, 10),
                (SlowDown, 15),
                (Pending, 15),
            ],
        ),
        (
            5,
            &[
                (Nothing, 10),
                (Nothing, 20),
                (Nothing, 40),
                (Nothing, 60),
                (Nothing, 60),
                (Pending, 5),
            ],
        ),
        (
            5,
            &[
                (SlowDown, 10),
                (Nothing, 20),
                (SlowDown, 15),
                (Nothing, 30),
                (Pending, 15),
            ],
        ),
        (
            5,
            &[
                (Unavailable(None), 10),
                (Unavailable(None), 20),
                (Pending, 5),
            ],
        ),
        (
            5,
            &[
                (Unavailable(Some(30)), 30),
                (Unavailable(Some(1)), 60),
                (Unavailable(Some(3600)), 60),
            ],
        ),
        // never less than what was asked for
        (
            60,
            &[
                (SlowDown, 65),
                (Nothing, 65),
                (SlowDown, 70),
                (Unavailable(None), 70),
                (Pending, 70),
            ],
        ),
    ];
    for (interval, events) in table {
        let mut poll = poll(*interval);
        assert_eq!(poll.interval().as_secs(), *interval);
        for (step, (event, expected)) in events.iter().enumerate() {
            assert_eq!(
                after(&mut poll, event),
                *expected,
                "{interval}, step {step}"
            );
        }
    }
}

#[test]
fn a_poll_ends_with_tokens_or_with_any_other_error() {
    let tokens = Tokens {
        access: Secret::new("a".into()),
        refresh: None,
        expires_in: None,
        scopes: None,
    };
    assert!(matches!(poll(5).told(Ok(tokens)), Next::Done(_)));
    for code in [
        "access_denied",
        "expired_token",
        "invalid_client",
        "",
        "AUTHORIZATION_PENDING",
    ] {
        let Next::Failed(TokenError::Refused { code: told, .. }) = poll(5).told(refused(code))
        else {
            panic!("{code}");
        };
        assert_eq!(told, code);
    }
    assert!(matches!(
        poll(5).told(Err(TokenError::Malformed("x"))),
        Next::Failed(TokenError::Malformed("x"))
    ));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "https://[a-z.@:]{0,12}/[ -~]{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::hash_map("[a-z]{0,3}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// O5
    #[test]
    fn whatever_a_server_says_a_code_keeps_the_limits(
        name in proptest::sample::select(vec![
            "device_code", "user_code", "verification_uri", "verification_url",
            "verification_uri_complete", "expires_in", "interval", "error",
        ]),
        value in any_json(),
    ) {
        if let Ok(code) = read_with(name, value) {
            prop_assert!((5..=60).contains(&code.interval.as_secs()));
            prop_assert!(code.expires_in <= EXPIRES_IN_MAX);
            prop_assert!(can_be_typed(&code.user_code));
            prop_assert!(code.verification_uri.starts_with("https://"));
        }
    }

    #[test]
    fn bytes_that_are_no_answer_are_refused(
        status in 100_u16..600,
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(read(&answer(status, body), FORM).is_err());
    }

    /// O5: in whatever order things happen, the server is never asked more often than it wants, nor
    /// than every five seconds.
    #[test]
    fn no_history_makes_a_poll_faster_than_it_was_told(
        interval in 5_u64..=60,
        events in proptest::collection::vec(0_u8..4, 0..60),
    ) {
        let mut poll = poll(interval);
        let mut wanted = interval;
        for event in events {
            let wait = match event {
                0 => after(&mut poll, &Event::Pending),
                1 => { wanted += 5; after(&mut poll, &Event::SlowDown) }
                2 => after(&mut poll, &Event::Nothing),
                _ => after(&mut poll, &Event::Unavailable(Some(3))),
            };
            prop_assert!(wait >= wanted);
            prop_assert!(wait <= wanted.max(60));
        }
    }
}
