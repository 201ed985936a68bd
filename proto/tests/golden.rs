//! L10: the bytes of every message, as first released, in both encodings.
//!
//! `golden/v1/NAME.bincode` and `.json` are never edited, only added to: a missing file is written
//! when `AUTHSOME_WRITE_GOLDEN` is set, an existing one never. A message without a sample does not
//! compile (the matches below have no wildcard) or fails the count.
//!
//! Every message has a second file, `NAME_other`: what is present in the first is absent there and the
//! other way round, and every yes is a no. That no word is missing is seen by `tests/conformance`,
//! which walks all files by the tables of `docs/protocol.md`.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "helpers of tests: what does not work here fails the test that called"
)]

#[path = "golden/answers.rs"]
mod answers;
#[path = "golden/events.rs"]
mod events;
#[path = "golden/requests.rs"]
mod requests;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use authsome_proto::frame::{decode, encode};
use authsome_proto::hello::Encoding;
use authsome_proto::request::{Request, RunLife};
use authsome_proto::response::{
    Check, Connection, ConnectionState, Explained, ExplainedOutcome, Outcome, Response,
};
use authsome_proto::{ClientFrame, ErrorCode, Event, RunEnding, ServerFrame, WireError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use answers::{connection, response_name, responses};
use events::{event_name, events};
use requests::{request_name, requests};

fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

fn s(text: &str) -> String {
    text.into()
}

const TIME: &str = "2026-11-21T18:00:00Z";

/// Checks one message against its files, and that decoding and encoding again gives the same.
fn check<T: Serialize + DeserializeOwned>(file: &str, message: &T) {
    for (encoding, ending) in [(Encoding::BINCODE, "bincode"), (Encoding::JSON, "json")] {
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("golden/v1/{file}.{ending}"));
        let bytes = encode(message, encoding).unwrap();
        if !path.exists() && std::env::var_os("AUTHSOME_WRITE_GOLDEN").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &*bytes).unwrap();
        }
        let golden = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            *bytes == golden,
            "`{file}` is encoded otherwise than in {}",
            path.display()
        );
        let again: T = decode(&golden, encoding).unwrap();
        assert!(
            *encode(&again, encoding).unwrap() == golden,
            "`{file}` does not round-trip"
        );
    }
}

/// Checks a message, and its counterpart if it has one.
fn check_both<T: Serialize + DeserializeOwned>(file: &str, message: &T) {
    check(file, message);
    let json = serde_json::to_value(message).unwrap();
    let mut other = json.clone();
    turn::<T>(&mut other, &mut Vec::new());
    if other != json {
        let other: T = serde_json::from_value(other).unwrap();
        check(&format!("{file}_other"), &other);
    }
}

/// Turns every field of `whole` round: `way` leads to the one that is looked at.
fn turn<T: DeserializeOwned>(whole: &mut Value, way: &mut Vec<String>) {
    let pointer = way.iter().fold(String::new(), |way, step| way + "/" + step);
    let here = whole.pointer(&pointer).unwrap().clone();
    let mut replace = |with: Value| *whole.pointer_mut(&pointer).unwrap() = with;
    match &here {
        Value::Null => replace(present(way.last().unwrap())),
        Value::Bool(yes) => replace(Value::Bool(!yes)),
        _ => {
            // what may be absent becomes so
            replace(Value::Null);
            if serde_json::from_value::<T>(whole.clone()).is_ok() {
                return;
            }
            *whole.pointer_mut(&pointer).unwrap() = here.clone();
            let steps: Vec<String> = match &here {
                Value::Object(fields) => fields.keys().cloned().collect(),
                Value::Array(items) => (0..items.len()).map(|index| index.to_string()).collect(),
                _ => Vec::new(),
            };
            for step in steps {
                way.push(step);
                turn::<T>(whole, way);
                way.pop();
            }
        }
    }
}

/// A value for a field that is absent in the first sample of its message.
fn present(field: &str) -> Value {
    match field {
        "last_used" | "expires_at" => TIME.into(),
        "connection" | "new_default" | "provider" | "run" => "other".into(),
        "broken" | "client_id" | "definition_removed" | "hint" | "id" | "key_hint" | "problem" => {
            "present".into()
        }
        _ => panic!("say what `{field}` is when it is present"),
    }
}

fn complete(seen: &BTreeSet<usize>) {
    assert!(
        seen.iter().copied().eq(0..seen.len()),
        "a sample is missing: {seen:?}"
    );
}

#[test]
fn golden_v1_requests() {
    let mut seen = BTreeSet::new();
    for request in requests() {
        let (number, file) = request_name(&request);
        seen.insert(number);
        check_both(
            &format!("request_{file}"),
            &ClientFrame::Request { id: 9, request },
        );
    }
    complete(&seen);
    assert_eq!(seen.len(), 39, "a new request needs a sample");
    check("cancel", &ClientFrame::Cancel { id: 9 });
}

#[test]
fn golden_v1_answers() {
    let mut seen = BTreeSet::new();
    for response in responses() {
        let (number, file) = response_name(&response);
        seen.insert(number);
        check_both(
            &format!("answer_{file}"),
            &ServerFrame::Answer {
                id: 9,
                result: Ok(response),
            },
        );
    }
    complete(&seen);
    assert_eq!(seen.len(), 23, "a new answer needs a sample");
}

#[test]
fn golden_v1_events() {
    let mut seen = BTreeSet::new();
    for event in events() {
        let (number, file) = event_name(&event);
        seen.insert(number);
        check_both(
            &format!("event_{file}"),
            &ServerFrame::Event { id: 9, event },
        );
    }
    complete(&seen);
    assert_eq!(seen.len(), 18, "a new event needs a sample");
}

#[test]
fn golden_v1_errors() {
    use ErrorCode as E;
    let codes = [
        E::Internal,
        E::BadRequest,
        E::UnknownProvider,
        E::UnknownConnection,
        E::AlreadyConnected,
        E::NotAvailableYet,
        E::InvalidSecret,
        E::LoginNeeded,
        E::LoginExpired,
        E::LoginCancelled,
        E::VaultLocked,
        E::VaultAbsent,
        E::VaultTimedOut,
        E::VaultFailed,
        E::PassphraseNeeded,
        E::PassphraseWanted,
        E::WrongPassphrase,
        E::RefusedInsideRun,
        E::UnknownRun,
        E::BadDefinition,
        E::AuditFailed,
        E::BadConfig,
        E::PortTaken,
        E::Storage,
        E::TooManyRequests,
        E::ShuttingDown,
        E::Cancelled,
        E::UnknownWebhook,
        E::LoginRefused,
        E::AuthorizationServer,
        E::RenewalFailed,
    ];
    for (number, code) in codes.into_iter().enumerate() {
        let error = WireError {
            code,
            message: s("message"),
            causes: vec![s("cause")],
            hint: Some(s("hint")),
        };
        check_both(
            &format!("error_{number:02}"),
            &ServerFrame::Answer {
                id: 9,
                result: Err(error),
            },
        );
    }
}

/// The words that no sample above has.
#[test]
fn golden_v1_words() {
    for (name, life) in [
        ("process", RunLife::Process),
        ("process_at_most", RunLife::ProcessAtMost(60)),
    ] {
        let mut start = requests()
            .into_iter()
            .find_map(|request| match request {
                Request::RunStart(start) => Some(start),
                _ => None,
            })
            .unwrap();
        start.life = life;
        let request = Request::RunStart(start);
        check(
            &format!("request_run_start_{name}"),
            &ClientFrame::Request { id: 9, request },
        );
    }
    let answer = |file: &str, response| {
        let result = Ok(response);
        check(
            &format!("answer_{file}"),
            &ServerFrame::Answer { id: 9, result },
        );
    };
    let states = [
        ConnectionState::Expiring,
        ConnectionState::Expired,
        ConnectionState::NeedsLogin,
        ConnectionState::Revoked,
    ];
    let in_state = |state| Connection {
        state,
        ..connection()
    };
    let all = states.map(in_state).into();
    answer("connections_states", Response::Connections(all));
    let outcomes = [Outcome::Ok, Outcome::Failed].map(|outcome| Check {
        name: s("vault"),
        outcome,
        found: s("found"),
        remedy: None,
    });
    answer("doctor_outcomes", Response::Doctor(outcomes.into()));
    for (name, outcome) in [
        ("inject", ExplainedOutcome::Inject),
        ("pass", ExplainedOutcome::Pass),
        ("tunnel", ExplainedOutcome::Tunnel),
    ] {
        answer(
            &format!("explained_{name}"),
            Response::Explained(Explained {
                request: s("GET https://example.org/"),
                outcome,
                code: None,
                message: s("message"),
                fix: None,
                provider: None,
                connection: None,
                slot: None,
                run: None,
                routes: vec![],
                rules: vec![],
                notes: vec![],
            }),
        );
    }
    for why in [
        RunEnding::ProcessEnded,
        RunEnding::Stopped,
        RunEnding::OuterEnded,
    ] {
        let event = Event::RunEnded {
            run: name("run1"),
            why,
        };
        check(
            &format!("event_run_ended_{}", why.as_str()),
            &ServerFrame::Event { id: 9, event },
        );
    }
}

/// Secrets cross the socket, but never a `Debug`.
#[test]
fn debug_of_messages_hides_their_secrets() {
    for request in requests() {
        assert!(
            !format!("{request:?}").contains("golden-"),
            "{}",
            request_name(&request).1
        );
    }
    for response in responses() {
        assert!(
            !format!("{response:?}").contains("golden-"),
            "{}",
            response_name(&response).1
        );
    }
}
