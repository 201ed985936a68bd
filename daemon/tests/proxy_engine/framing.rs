//! Requests whose end is in doubt: refused, or sent on as exactly one message whose end is not (threat
//! H1). Behind each stands a second request, which nobody may take for one.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{CANARY, Ca, GOOD, Origin, Proxy, Setup};

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The body broke off behind a good head: no whole message goes upstream, and the connection ends.
    Cut,
    /// 400 or 431, and the end of the connection; nothing goes upstream.
    Refused,
    /// One message with a body of this length goes upstream, and the connection ends.
    One(usize),
    /// The length is good, so both requests are what they say.
    Both(usize),
}

/// What follows: a request for whoever sees the end of the first one too early.
const SECOND: &str = "GET /second HTTP/1.1\r\nHost: api.good.test\r\n\r\n";

/// Header lines and what follows the head, in front of [`SECOND`].
fn table() -> Vec<(&'static str, String, Outcome)> {
    use Outcome::{Both, Cut, One, Refused};
    let row = |name, rest: &str, outcome| (name, rest.to_owned(), outcome);
    let length = |value: &str| format!("Content-Length: {value}\r\n\r\nhello");
    let coding = |value: &str| format!("Transfer-Encoding: {value}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let chunks = |chunks: &str| format!("Transfer-Encoding: chunked\r\n\r\n{chunks}");
    let mut rows = vec![
        ("a length", length("5"), Both(5)),
        ("chunks", coding("chunked"), Both(5)),
        ("neither", "\r\n".to_owned(), Both(0)),
        // two lengths
        (
            "CL.TE",
            format!("Content-Length: 100\r\n{}", coding("chunked")),
            One(5),
        ),
        (
            "TE.CL",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                .to_owned(),
            One(5),
        ),
        (
            "two equal lengths",
            format!("Content-Length: 5\r\n{}", length("5")),
            Both(5),
        ),
        (
            "two lengths",
            format!("Content-Length: 0\r\n{}", length("5")),
            Refused,
        ),
        (
            "two lengths, reversed",
            format!("Content-Length: 5\r\n{}", length("0")),
            Refused,
        ),
        // codings
        (
            "chunked twice",
            format!("Transfer-Encoding: chunked\r\n{}", coding("chunked")),
            Both(5),
        ),
        ("chunked and another", coding("chunked, identity"), Refused),
        ("identity", coding("identity"), Refused),
        ("an unknown coding", coding("xchunked"), Refused),
        ("a quoted coding", coding("\"chunked\""), Refused),
        ("a vertical tab before it", coding("\u{b}chunked"), Refused),
        // the head
        row(
            "a folded field",
            "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            Refused,
        ),
        row(
            "a folded length",
            "Content-Length: 0\r\n 5\r\n\r\nhello",
            Refused,
        ),
        row(
            "a space before the colon",
            "Content-Length : 5\r\n\r\nhello",
            Refused,
        ),
        row(
            "a tab before the colon",
            "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
            Refused,
        ),
        row("a field without a name", ": chunked\r\n\r\n", Refused),
        row(
            "a line without a colon",
            "Transfer-Encoding\r\n\r\n",
            Refused,
        ),
        row("a NUL in a value", "X: a\0b\r\n\r\n", Refused),
        row("a NUL in a name", "X\0: a\r\n\r\n", Refused),
        row(
            "a bare CR in a value",
            "X: a\rContent-Length: 5\r\n\r\n",
            Refused,
        ),
        row("a space before a field", " X: a\r\n\r\n", Refused),
    ];
    for value in [
        "+5",
        "-5",
        "5,5",
        "5, 5",
        "5 5",
        "0x5",
        "5.0",
        "5e0",
        "",
        "٥",
        "18446744073709551621",
    ] {
        rows.push(("a length that is none", length(value), Refused));
    }
    for bad in [
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5hello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
    ] {
        rows.push(("a bad chunk", chunks(bad), Cut));
    }
    rows
}

#[tokio::test]
async fn a_request_whose_end_is_in_doubt_is_refused_or_sent_as_one_message() {
    let ca = Ca::new();
    let origin = Origin::start(&ca, GOOD, &["http/1.1"]).await;
    let proxy = Proxy::start(Setup::to(&ca, origin.address)).await;
    let mut wrong = Vec::new();
    for (name, rest, expected) in table() {
        origin.seen.lock().unwrap().clear();
        let mut tls = proxy.tls(&format!("{GOOD}:443"), GOOD, "http/1.1").await;
        let raw = format!("POST /first HTTP/1.1\r\nHost: {GOOD}\r\n{rest}{SECOND}");
        tls.write_all(raw.as_bytes()).await.unwrap();
        tls.flush().await.unwrap();
        // a connection that stays open has answered both
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        let open = loop {
            let read = tokio::time::timeout(Duration::from_millis(400), tls.read(&mut piece));
            match read.await {
                Ok(Ok(0) | Err(_)) => break false,
                Ok(Ok(len)) => answer.extend_from_slice(&piece[..len]),
                Err(_) if answer.is_empty() => {}
                Err(_) => break true,
            }
        };
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let seen = origin.seen();
        for message in &seen {
            let headers = &message.headers;
            assert!(
                headers.get_all("content-length").iter().count() <= 1
                    && !(headers.contains_key("content-length")
                        && headers.contains_key("transfer-encoding")),
                "{name}: {message:?}"
            );
        }
        let whole: Vec<_> = seen.iter().filter(|message| message.whole).collect();
        let paths: Vec<&str> = whole.iter().map(|message| message.uri.path()).collect();
        let lens: Vec<usize> = whole.iter().map(|message| message.body_len).collect();
        let outcome = match (paths.as_slice(), open) {
            (["/first", "/second"], true) => Some(Outcome::Both(lens[0])),
            (["/first"], false) if answer.starts_with("HTTP/1.1 200") => {
                Some(Outcome::One(lens[0]))
            }
            // its head may have been on its way already
            ([], false) if answer.starts_with("HTTP/1.1 400") && expected == Outcome::Cut => {
                Some(Outcome::Cut)
            }
            ([], false) if answer.starts_with("HTTP/1.1 4") && seen.is_empty() => {
                Some(Outcome::Refused)
            }
            _ => None,
        };
        if outcome != Some(expected) {
            wrong.push(format!(
                "{name} {rest:?}: {outcome:?}, expected {expected:?}; {seen:?} {answer:?} {open}"
            ));
        }
        assert!(!answer.contains(CANARY));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
