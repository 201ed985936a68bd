//! The last refusals in the audit log, each once, newest first. Pure.

use authsome_proto::RunId;
use authsome_proto::response::{Explained, ExplainedOutcome};
use serde_json::{Map, Value, json};

use super::answers::Outcome;
use crate::ui::printable;

/// A refusal, and how often it happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    record: Map<String, Value>,
    times: u64,
}

/// The fields of a record that are told.
const TOLD: [&str; 9] = [
    "time",
    "code",
    "method",
    "host",
    "path",
    "provider",
    "connection",
    "program",
    "run",
];

/// What makes two refusals the same.
const SAME: [&str; 6] = ["code", "method", "host", "path", "provider", "run"];

/// The refusals among `lines`, which are oldest first, at most `limit`.
pub(super) fn of_log(lines: &[String], limit: usize) -> Vec<Refusal> {
    let mut found: Vec<Refusal> = Vec::new();
    for line in lines.iter().rev() {
        let Ok(Value::Object(record)) = serde_json::from_str(line) else {
            continue;
        };
        if record.get("event") != Some(&json!("refuse")) {
            continue;
        }
        let same = |known: &&mut Refusal| {
            SAME.iter()
                .all(|field| known.record.get(*field) == record.get(*field))
        };
        if let Some(known) = found.iter_mut().find(same) {
            known.times = known.times.saturating_add(1);
        } else if found.len() < limit {
            found.push(Refusal { record, times: 1 });
        }
    }
    found
}

impl Refusal {
    fn text(&self, field: &str) -> Option<&str> {
        self.record.get(field)?.as_str()
    }

    /// Method and URL to ask about, where the record has enough of them.
    pub(super) fn question(&self) -> Option<(String, String)> {
        let method = self.text("method").unwrap_or("GET");
        let host = self.text("host")?;
        let scheme = if self.text("code") == Some("cleartext_refused") {
            "http"
        } else {
            "https"
        };
        let path = self.text("path").unwrap_or("/");
        Some((method.to_owned(), format!("{scheme}://{host}{path}")))
    }

    /// As an object; `now` is what would become of the same request at present.
    pub(super) fn told(&self, now: Option<&Explained>) -> Value {
        let mut told: Map<String, Value> = TOLD
            .iter()
            .filter_map(|field| {
                let text = self.text(field)?;
                Some(((*field).to_owned(), json!(printable(text))))
            })
            .collect();
        told.insert("times".into(), json!(self.times));
        let code = self.text("code").unwrap_or_default();
        let (message, fix) = match now {
            Some(now) if now.code.as_deref() == Some(code) => {
                (now.message.clone(), now.fix.clone())
            }
            Some(now) if now.outcome == ExplainedOutcome::Refuse => {
                (format!("now it would be refused otherwise: {}", now.message), now.fix.clone())
            }
            // what a plain request does not show: headers, certificates, a limit at that moment
            Some(_) => (
                "a plain request like this would not be refused now: try it again, and look at the \
                 answer's body"
                    .to_owned(),
                None,
            ),
            None => ("the answer's body says why".to_owned(), None),
        };
        told.insert("message".into(), json!(printable(&message)));
        told.insert("fix".into(), json!(fix.as_deref().map(printable)));
        Value::Object(told)
    }
}

/// The list as a tool tells it.
pub(super) fn told(run: Option<&RunId>, refusals: &[Value]) -> Outcome {
    let next = if refusals.is_empty() {
        "nothing was refused lately. A 401 or 403 without the header `Authsome-Error` comes from the \
         service itself"
    } else {
        "`fix` names the command that would help, where there is one. Commands that log in again, \
         delete or change rules are for the person: ask them"
    };
    Outcome::Told(json!({ "run": run, "refusals": refusals, "next": next }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(code: &str, path: &str) -> String {
        json!({
            "time": "2030-01-01T00:00:00Z", "event": "refuse", "run": "r1", "program": "curl\u{1b}[2J",
            "method": "GET", "host": "api.intercom.io", "path": path, "code": code,
            "something_new": "not told",
        })
        .to_string()
    }

    #[test]
    fn refusals_are_told_once_newest_first_and_by_known_fields_only() {
        let lines = [
            line("bad_path", "/a"),
            line("login_needed", "/me"),
            r#"{"event":"inject","host":"api.intercom.io"}"#.to_owned(),
            "torn {".to_owned(),
            line("login_needed", "/me"),
        ];
        let found = of_log(&lines, 10);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].text("code"), found[0].times),
            (Some("login_needed"), 2)
        );
        assert_eq!(
            found[0].question(),
            Some(("GET".into(), "https://api.intercom.io/me".into()))
        );
        let told = found[0].told(None);
        assert!(told.get("something_new").is_none());
        assert_eq!(told["program"], "curl\u{fffd}[2J");
        assert_eq!(of_log(&lines, 1).len(), 1);
        let clear = of_log(&[line("cleartext_refused", "/")], 1);
        assert!(clear[0].question().unwrap().1.starts_with("http://"));
    }
}
