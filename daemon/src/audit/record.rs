//! What one audit record says, and how it becomes one line of JSON. Pure: no files, no clock.
//!
//! [`prefix`] writes everything but the sequence number and the MAC, which the chain adds when it
//! knows them ([`super::chain`]).
//!
//! Invariants:
//! - R1 A line is single-line printable UTF-8, whatever the fields hold: control, format and
//!   direction characters are written as `\uXXXX`, so a terminal that shows the raw file is safe
//!   (threat L13) and a reader that parses the JSON gets the text back.
//! - R2 A line is shorter than [`LINE_MAX`], because every text in it has a cap.
//! - R3 A path never carries its query: what follows `?` or `#` is cut here, whoever passed it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use authsome_proto::{ConnectionName, ProviderName, RunId, WebhookName};
use jiff::Timestamp;
use jiff::tz::Offset;
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// Longest line, with its end, in bytes. Far above what the caps below allow together (each
/// character can grow to twelve bytes); readers use it to stop before they buffer without end.
pub const LINE_MAX: usize = 64 * 1024;

// Caps in bytes before escaping. Longer ones would let a child fill the log with one request;
// shorter ones would cut real paths, of which the longest in the field have about a thousand.
const HOST_MAX: usize = 255;
const METHOD_MAX: usize = 32;
const PATH_MAX: usize = 2048;
const PROGRAM_MAX: usize = 256;
const DETAIL_MAX: usize = 512;

/// What happened. The names are stored and shown, so they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The answer to an injected request ended, with its status and size.
    Done,
    /// Real values were handed out by `export`.
    Export,
    /// A credential was put on the wire.
    Inject,
    /// A connection was made by a login.
    Login,
    /// A login ended without a connection.
    LoginFailed,
    /// The credential of a connection was deleted here.
    Logout,
    /// A request to a host without a route went through untouched.
    Pass,
    /// A request was refused; `code` says why.
    Refuse,
    /// A definition was registered or confirmed.
    Register,
    /// A connection and all that belonged to it was forgotten.
    Remove,
    /// An access token was renewed.
    Renew,
    /// An access token was not renewed; `code` says why. Said once for the same reason.
    RenewFailed,
    /// A secret was shown to a person.
    Reveal,
    /// A credential was revoked at its server and deleted here.
    Revoke,
    /// A credential was replaced by a newer one.
    Rotate,
    /// A run ended.
    RunEnd,
    /// A run began.
    RunStart,
    /// Another connection became the default of its provider.
    SetDefault,
    /// The daemon began its work.
    Start,
    /// The daemon ended in order.
    Stop,
    /// The vault was unlocked.
    Unlock,
    /// A webhook with a good signature is about to be delivered, or was before (`decision`).
    WebhookAccept,
    /// An endpoint for webhooks was added.
    WebhookAdd,
    /// A webhook with a good signature was not taken by the local program; `code` says why.
    WebhookFail,
    /// A webhook was refused; `code` says why.
    WebhookRefuse,
    /// An endpoint for webhooks was removed, with its secrets.
    WebhookRemove,
    /// The secret of an endpoint for webhooks was replaced.
    WebhookRotate,
    /// A body was signed by request, as the sender of webhooks would.
    WebhookSign,
    /// First record of a file; says which and what it follows.
    #[doc(hidden)]
    Begin,
    /// First record of a file whose predecessor cannot be trusted from some line on.
    #[doc(hidden)]
    ChainBroken,
    /// An old file was deleted to make room.
    #[doc(hidden)]
    Pruned,
    /// An unfinished last line, left by a crash, was cut off.
    #[doc(hidden)]
    TornLine,
}

impl Event {
    /// All events, in the order of their declaration.
    pub const ALL: [Self; 32] = [
        Self::Done,
        Self::Export,
        Self::Inject,
        Self::Login,
        Self::LoginFailed,
        Self::Logout,
        Self::Pass,
        Self::Refuse,
        Self::Register,
        Self::Remove,
        Self::Renew,
        Self::RenewFailed,
        Self::Reveal,
        Self::Revoke,
        Self::Rotate,
        Self::RunEnd,
        Self::RunStart,
        Self::SetDefault,
        Self::Start,
        Self::Stop,
        Self::Unlock,
        Self::WebhookAccept,
        Self::WebhookAdd,
        Self::WebhookFail,
        Self::WebhookRefuse,
        Self::WebhookRemove,
        Self::WebhookRotate,
        Self::WebhookSign,
        Self::Begin,
        Self::ChainBroken,
        Self::Pruned,
        Self::TornLine,
    ];

    /// The name in the log: `run_start`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Export => "export",
            Self::Inject => "inject",
            Self::Login => "login",
            Self::LoginFailed => "login_failed",
            Self::Logout => "logout",
            Self::Pass => "pass",
            Self::Refuse => "refuse",
            Self::Register => "register",
            Self::Remove => "remove",
            Self::Renew => "renew",
            Self::RenewFailed => "renew_failed",
            Self::Reveal => "reveal",
            Self::Revoke => "revoke",
            Self::Rotate => "rotate",
            Self::RunEnd => "run_end",
            Self::RunStart => "run_start",
            Self::SetDefault => "set_default",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Unlock => "unlock",
            Self::WebhookAccept => "webhook_accept",
            Self::WebhookAdd => "webhook_add",
            Self::WebhookFail => "webhook_fail",
            Self::WebhookRefuse => "webhook_refuse",
            Self::WebhookRemove => "webhook_remove",
            Self::WebhookRotate => "webhook_rotate",
            Self::WebhookSign => "webhook_sign",
            Self::Begin => "begin",
            Self::ChainBroken => "chain_broken",
            Self::Pruned => "pruned",
            Self::TornLine => "torn_line",
        }
    }

    /// The event of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == name)
    }
}

/// One audit record. Never holds a secret: there is no field for one.
///
/// Fields that do not apply stay `None` and are not written. Build one with
/// `Record { host: …, ..Record::new(Event::Inject) }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
    /// The run it happened in.
    pub run: Option<RunId>,
    /// The process id of the run, or of the client that asked.
    pub pid: Option<u32>,
    /// The program of that process.
    pub program: Option<Arc<str>>,
    /// The provider.
    pub provider: Option<ProviderName>,
    /// The connection of the provider.
    pub connection: Option<ConnectionName>,
    /// The endpoint for webhooks.
    pub webhook: Option<WebhookName>,
    /// A number that pairs [`Event::Inject`] with its [`Event::Done`].
    pub request: Option<u64>,
    /// The request's method.
    pub method: Option<Box<str>>,
    /// The host dialled, with the port when it is not 443.
    pub host: Option<Arc<str>>,
    /// The request's path; a query is cut off.
    pub path: Option<Box<str>>,
    /// What was decided, when the event does not say it.
    pub decision: Option<&'static str>,
    /// The stable code of a refusal or failure.
    pub code: Option<&'static str>,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// Bytes of the answer's body.
    pub bytes: Option<u64>,
    /// How long it took.
    pub duration: Option<Duration>,
    /// More for a person to read, in a few words.
    pub detail: Option<Box<str>>,
}

impl Record {
    /// An `event` of this moment with nothing else filled in.
    pub fn new(event: Event) -> Self {
        Self {
            time: Timestamp::now(),
            event,
            run: None,
            pid: None,
            program: None,
            provider: None,
            connection: None,
            webhook: None,
            request: None,
            method: None,
            host: None,
            path: None,
            decision: None,
            code: None,
            status: None,
            bytes: None,
            duration: None,
            detail: None,
        }
    }
}

/// What the log says about itself: fields of [`Event::Begin`] and its like.
#[derive(Debug, Clone, Default)]
pub(super) struct Bookkeeping {
    /// Number of the file this is about.
    pub(super) file: Option<u64>,
    /// Last MAC of the file before, in hex.
    pub(super) previous: Option<String>,
    /// Records of the file before count only up to this sequence number.
    pub(super) after: Option<u64>,
    /// Line of the file before that does not verify.
    pub(super) line: Option<u64>,
    /// Bytes that were cut off.
    pub(super) cut: Option<u64>,
}

/// Appends the line of `record` without its closing brace, sequence number and MAC to `out`.
pub(super) fn prefix(out: &mut Vec<u8>, record: &Record, own: &Bookkeeping) {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Printable);
    // writing to a vector cannot fail and no field has a type that JSON lacks
    let written = Line { record, own }.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "an audit line failed to serialize");
    out.pop();
}

struct Line<'a> {
    record: &'a Record,
    own: &'a Bookkeeping,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Record {
            time,
            event,
            run,
            pid,
            program,
            provider,
            connection,
            webhook,
            request,
            method,
            host,
            path,
            decision,
            code,
            status,
            bytes,
            duration,
            detail,
        } = self.record;
        let mut line = serializer.serialize_struct("Record", 16)?;
        line.serialize_field("time", &Micros(*time))?;
        line.serialize_field("event", event.as_str())?;
        macro_rules! optional {
            ($($name:literal: $value:expr),* $(,)?) => {$(
                if let Some(value) = &$value {
                    line.serialize_field($name, value)?;
                }
            )*};
        }
        let path = path
            .as_deref()
            .map(|path| path.split(['?', '#']).next().unwrap_or_default());
        optional! {
            "run": run.as_ref().map(RunId::as_str),
            "pid": pid,
            "program": program.as_deref().map(|text| capped(text, PROGRAM_MAX)),
            "provider": provider.as_ref().map(ProviderName::as_str),
            "connection": connection.as_ref().map(ConnectionName::as_str),
            "webhook": webhook.as_ref().map(WebhookName::as_str),
            "request": request,
            "method": method.as_deref().map(|text| capped(text, METHOD_MAX)),
            "host": host.as_deref().map(|text| capped(text, HOST_MAX)),
            "path": path.map(|text| capped(text, PATH_MAX)),
            "decision": decision,
            "code": code,
            "status": status,
            "bytes": bytes,
            "duration_us": duration.map(|d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX)),
            "detail": detail.as_deref().map(|text| capped(text, DETAIL_MAX)),
            "file": self.own.file,
            "previous": self.own.previous,
            "after": self.own.after,
            "line": self.own.line,
            "cut": self.own.cut,
        }
        line.end()
    }
}

/// A time as RFC 3339 in UTC with microseconds, always 27 characters, so lines sort as text.
struct Micros(Timestamp);

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let utc = Offset::UTC.to_datetime(self.0);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        // years are four digits as long as the clock is anywhere near right
        let fields = [
            (0, 4, i32::from(utc.year()).max(0)),
            (5, 7, utc.month().into()),
            (8, 10, utc.day().into()),
            (11, 13, utc.hour().into()),
            (14, 16, utc.minute().into()),
            (17, 19, utc.second().into()),
            (20, 26, utc.subsec_nanosecond() / 1000),
        ];
        for (from, to, value) in fields {
            let mut left = value;
            for digit in text.get_mut(from..to).unwrap_or_default().iter_mut().rev() {
                *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
                left /= 10;
            }
        }
        serializer.serialize_str(str::from_utf8(&text).unwrap_or_default())
    }
}

/// `text`, or its beginning and `…` when it has more than `max` bytes.
fn capped(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default()))
}

/// Compact JSON that also escapes what JSON lets pass and a terminal acts on (R1).
struct Printable;

impl serde_json::ser::Formatter for Printable {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> std::io::Result<()>
    where
        W: ?Sized + std::io::Write,
    {
        if fragment.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return writer.write_all(fragment.as_bytes());
        }
        for character in fragment.chars() {
            let mut buffer = [0; 4];
            if acts_on_a_terminal(character) {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            } else {
                writer.write_all(character.encode_utf8(&mut buffer).as_bytes())?;
            }
        }
        Ok(())
    }
}

/// Whether a character moves, hides or reorders what stands around it: controls (C0, DEL, C1), line
/// and paragraph separators, joiners and direction marks, the byte order mark, tags, variation
/// selectors, private use and non-characters.
pub(super) fn acts_on_a_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(record: &Record) -> String {
        let mut out = Vec::new();
        prefix(&mut out, record, &Bookkeeping::default());
        out.push(b'}');
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn record_is_written_in_full_and_without_empty_fields() {
        let record = Record {
            time: "2026-11-21T18:33:17Z".parse().unwrap(),
            run: Some("r1".parse().unwrap()),
            pid: Some(7),
            program: Some("curl".into()),
            provider: Some("intercom".parse().unwrap()),
            connection: Some("default".parse().unwrap()),
            request: Some(3),
            method: Some("GET".into()),
            host: Some("api.intercom.io".into()),
            path: Some("/me?token=no#x".into()),
            status: Some(200),
            bytes: Some(12),
            duration: Some(Duration::from_micros(1500)),
            ..Record::new(Event::Done)
        };
        assert_eq!(
            line(&record),
            r#"{"time":"2026-11-21T18:33:17.000000Z","event":"done","run":"r1","pid":7,"program":"curl","provider":"intercom","connection":"default","request":3,"method":"GET","host":"api.intercom.io","path":"/me","status":200,"bytes":12,"duration_us":1500}"#
        );
    }

    #[test]
    fn event_names_are_unique_and_found_again() {
        for event in Event::ALL {
            assert_eq!(Event::from_name(event.as_str()), Some(event));
        }
    }

    /// Threat L13, R1: what a terminal would act on never reaches the file raw.
    #[test]
    fn terminal_tricks_are_escaped_and_come_back_as_they_were() {
        let trick = "a\u{1b}[2J\r\n\u{7f}\u{9b}31m\u{202e}\u{2028}\u{feff}\u{e0041}é\"\\";
        let record = Record {
            program: Some(trick.into()),
            ..Record::new(Event::Inject)
        };
        let line = line(&record);
        assert!(!line.contains(acts_on_a_terminal), "{line:?}");
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["program"], trick);
    }

    proptest! {
        /// Threat L13, R1 and R2.
        #[test]
        fn any_text_makes_one_short_printable_line(
            program in any::<String>(),
            method in "\\PC{0,60}",
            host in proptest::collection::vec(any::<char>(), 0..600),
            path in proptest::collection::vec(any::<char>(), 0..4000),
        ) {
            let record = Record {
                program: Some(program.into()),
                method: Some(method.into()),
                host: Some(host.into_iter().collect::<String>().into()),
                path: Some(path.into_iter().collect::<String>().into()),
                ..Record::new(Event::Refuse)
            };
            let line = line(&record);
            prop_assert!(line.len() < LINE_MAX);
            prop_assert!(!line.contains(acts_on_a_terminal));
            let back: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert!(!back["path"].as_str().unwrap().contains(['?', '#']));
        }
    }
}
