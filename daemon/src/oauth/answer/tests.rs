use proptest::prelude::*;

use super::*;
use crate::oauth::Incoming;

fn answer(status: u16, body: &str) -> Incoming {
    Incoming {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.as_bytes().to_vec().into(),
    }
}

fn refused(code: &str, description: Option<&str>) -> TokenError {
    TokenError::Refused {
        code: code.into(),
        description: description.map(Into::into),
    }
}

fn unavailable(status: u16) -> TokenError {
    TokenError::Unavailable {
        status,
        retry_after: None,
    }
}

#[test]
fn an_error_wins_over_a_good_status_and_a_bad_status_over_a_body_without_one() {
    let table = [
        (200, "{}", None),
        (201, "not JSON", None),
        (200, r#"{"error":null}"#, None),
        (
            200,
            r#"{"error":"slow_down"}"#,
            Some(refused("slow_down", None)),
        ),
        (
            400,
            r#"{"error":"invalid_redirect_uri","error_description":"one of them"}"#,
            Some(refused("invalid_redirect_uri", Some("one of them"))),
        ),
        (
            400,
            r#"{"error":"a","error_description":7}"#,
            Some(refused("a", None)),
        ),
        (403, "<html>", Some(refused("status 403", None))),
        (404, r#"{"error":{"code":5}}"#, Some(refused("error", None))),
        (302, "", Some(refused("status 302", None))),
        (429, r#"{"error":"slow_down"}"#, Some(unavailable(429))),
        (503, "", Some(unavailable(503))),
        (
            400,
            r#"{"error":"temporarily_unavailable"}"#,
            Some(unavailable(400)),
        ),
    ];
    for (status, body, expected) in table {
        assert_eq!(refusal(&answer(status, body)), expected, "{status} {body}");
    }
}

#[test]
fn a_wait_is_an_hour_at_most() {
    for (text, seconds) in [("7", Some(7)), ("99999999", Some(3600)), ("soon", None)] {
        let mut answer = answer(503, "");
        answer.headers.insert(RETRY_AFTER, text.parse().unwrap());
        let Some(TokenError::Unavailable { retry_after, .. }) = refusal(&answer) else {
            panic!("{text}");
        };
        assert_eq!(retry_after, seconds.map(Duration::from_secs), "{text}");
    }
}

/// O5
#[test]
fn words_of_a_server_cannot_move_the_cursor_or_turn_around() {
    assert_eq!(
        short("  a\u{1b}[2Jb\u{202e}c\u{200b}d\r\n", 99),
        "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d"
    );
    assert_eq!(short(&"\u{e9}".repeat(500), 100).chars().count(), 100);
    let Some(TokenError::Refused { code, description }) = refusal(&answer(
        400,
        &format!(
            r#"{{"error":"{}","error_description":"{}"}}"#,
            "a\\u001b".repeat(100),
            "b\\n".repeat(400)
        ),
    )) else {
        panic!();
    };
    assert_eq!(code.chars().count(), CODE_MAX);
    assert_eq!(description.unwrap().chars().count(), DESCRIPTION_MAX);
}

#[test]
fn what_is_no_scope_is_left_out() {
    let long = "a".repeat(SCOPE_MAX + 1);
    let given = ["a", "", "b c", "d\"", "e\\", "\u{e9}", &long, "https://x/y"];
    assert_eq!(scopes(given.into_iter()), ["a", "https://x/y"]);
    assert_eq!(scopes(std::iter::repeat_n("a", 999)).len(), SCOPES_MAX);
}

proptest! {
    /// O5
    #[test]
    fn no_answer_makes_an_error_that_is_long_or_not_printable(
        status in 100_u16..600,
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "\\{\"error\":\"[^\"\\\\]{0,90}\",\"error_description\":\"[^\"\\\\]{0,300}\"\\}"
                .prop_map(String::into_bytes),
        ],
    ) {
        let answer = Incoming {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.into(),
        };
        if let Some(error) = refusal(&answer) {
            let text = error.to_string();
            prop_assert!(text.chars().count() <= CODE_MAX + DESCRIPTION_MAX + 40);
            prop_assert!(!text.chars().any(|c| c.is_control() || turns_writing(c)));
        } else {
            prop_assert!(answer.status.is_success());
        }
    }
}
