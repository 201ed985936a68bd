//! The protocol: a message comes in, what is to be done about it comes out. Pure.
//!
//! 1. A request that names its revision in `_meta` speaks for itself (2026-07-28); whatever came
//!    before it does not matter.
//! 2. Others need the handshake of the older revisions: `initialize` agrees on one, for the rest of
//!    the process' life.
//! 3. Both may come from one client: which it is is told by each request.
//!
//! Not here: ids in flight, threads, the daemon.

use serde_json::{Map, Value, json};

use super::answers::Outcome;
use super::message::{
    INVALID_REQUEST, Id, METHOD_NOT_FOUND, Malformed, Message, RpcError, UNSUPPORTED_VERSION,
};
use super::revision::Revision;
use super::tools::{self, Call, Tool};

/// What a model is told about us before it sees the tools.
pub(super) const INSTRUCTIONS: &str = "\
authsome lets programs call APIs without holding the key. Start a program that calls an API with \
`authsome run -- COMMAND`: its requests get the credential on their way, only to the hosts that it \
belongs to. In the environment of such a program the key's variable holds a placeholder; use it as \
if it were the key. Where `status` says that this process is inside a run already, start programs as \
usual. If a service is not connected, call `login`, show the URL to the person, and wait with \
`login_status`. Never ask for a key, and never put one into a tool's arguments, a file or a command. \
When a response has the header `Authsome-Error`, its body says what would help; `explain_request` and \
`recent_refusals` say more.";

const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";

/// What is to be done about a message.
#[derive(Debug, PartialEq)]
pub(super) enum Reaction {
    /// Nothing.
    Nothing,
    /// The request is answered.
    Answer(Result<Value, RpcError>),
    /// A tool is called.
    Call(Box<Called>),
    /// The request stays open until it is cancelled; nothing that it could be told ever happens.
    Listen,
    /// The request of that id is not wanted any more.
    Cancel(Id),
    /// The client answers what we asked it. `None` for an error.
    Heard(Id, Option<Value>),
}

/// A tool's call.
#[derive(Debug, PartialEq)]
pub(super) struct Called {
    pub(super) revision: Revision,
    pub(super) call: Call,
    /// What progress is told under, if it is wanted.
    pub(super) progress: Option<Value>,
    /// How the person can be asked to open a page.
    pub(super) elicits: Elicits,
    /// The login that an earlier call of this began, and what the person said to its page.
    pub(super) retry: Option<Retry>,
}

/// How a client can be asked to bring its person to a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elicits {
    /// It cannot.
    No,
    /// By a request of ours (2025-11-25).
    ByRequest,
    /// By an answer, after which the call comes again (2026-07-28).
    ByAnswer,
}

/// A call that comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Retry {
    /// What our answer gave the client to hold. Anything may stand in it.
    pub(super) state: String,
    /// What the person said.
    pub(super) consent: Consent,
}

/// What a person said to opening a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    Agreed,
    Declined,
    /// Nothing: the question was closed, or could not be asked.
    Unsaid,
}

impl Consent {
    /// What an answer to an elicitation says.
    pub(super) fn of(answer: Option<&Value>) -> Self {
        match answer.and_then(|answer| answer.get("action")?.as_str()) {
            Some("accept") => Self::Agreed,
            Some("decline") => Self::Declined,
            _ => Self::Unsaid,
        }
    }
}

/// What the client and we agreed on.
#[derive(Debug, Default)]
pub(super) struct Session {
    agreed: Option<Agreed>,
}

#[derive(Debug, Clone, Copy)]
struct Agreed {
    revision: Revision,
    elicits: bool,
}

impl Session {
    /// Whether several messages may come in one array.
    pub(super) fn has_batches(&self) -> bool {
        self.agreed
            .is_some_and(|agreed| agreed.revision.has_batches())
    }

    /// Whether an answer to nobody has the id null.
    pub(super) fn has_null_ids(&self) -> bool {
        self.agreed
            .is_some_and(|agreed| agreed.revision.has_null_ids())
    }

    /// Takes a message.
    pub(super) fn take(&mut self, message: Message, in_batch: bool) -> Reaction {
        match message {
            Message::Request { method, params, .. } => {
                match self.request(&method, params, in_batch) {
                    Ok(reaction) => reaction,
                    Err(error) => Reaction::Answer(Err(error)),
                }
            }
            Message::Notification { method, params } => {
                let id = params.get("requestId").and_then(Id::of);
                match (method.as_str(), id) {
                    ("notifications/cancelled", Some(id)) => Reaction::Cancel(id),
                    // `notifications/initialized` tells nothing that we wait for; others are not
                    // known, and nobody waits for an answer
                    _ => Reaction::Nothing,
                }
            }
            Message::Response { id, result } => Reaction::Heard(id, result),
        }
    }

    fn request(
        &mut self,
        method: &str,
        params: Map<String, Value>,
        in_batch: bool,
    ) -> Result<Reaction, RpcError> {
        let meta = params.get("_meta").and_then(Value::as_object);
        if let Some(version) = meta.and_then(|meta| meta.get(VERSION_KEY)) {
            let revision = spoken(version)?;
            let capabilities = meta
                .and_then(|meta| meta.get(CAPABILITIES_KEY))
                .and_then(Value::as_object)
                .ok_or_else(|| RpcError::params(format!("`_meta` lacks `{CAPABILITIES_KEY}`")))?;
            let elicits = if elicits_pages(capabilities) {
                Elicits::ByAnswer
            } else {
                Elicits::No
            };
            return stateless(method, params, revision, elicits);
        }
        if method == "initialize" {
            return if in_batch {
                Err(RpcError::new(
                    INVALID_REQUEST,
                    "`initialize` cannot be part of a batch",
                ))
            } else {
                self.initialize(&params)
            };
        }
        let Some(agreed) = self.agreed else {
            return match method {
                // "are you there" may be asked at any time
                "ping" => Ok(Reaction::Answer(Ok(json!({})))),
                _ => Err(RpcError::params(format!(
                    "a request names its revision as `{VERSION_KEY}` in `_meta`, or comes after \
                     `initialize`"
                ))),
            };
        };
        let Agreed { revision, elicits } = agreed;
        match method {
            "ping" => Ok(Reaction::Answer(Ok(json!({})))),
            "tools/list" => list(&params, revision),
            "tools/call" => call(
                params,
                revision,
                if elicits && revision >= Revision::V2025_11_25 {
                    Elicits::ByRequest
                } else {
                    Elicits::No
                },
            ),
            _ => Err(no_method()),
        }
    }

    fn initialize(&mut self, params: &Map<String, Value>) -> Result<Reaction, RpcError> {
        let wanted = params
            .get("protocolVersion")
            .and_then(Value::as_str)
            .ok_or_else(|| RpcError::params("`protocolVersion` must be a string"))?;
        let Some(Value::Object(capabilities)) = params.get("capabilities") else {
            return Err(RpcError::params("`capabilities` must be an object"));
        };
        let revision = Revision::agreed(wanted);
        self.agreed = Some(Agreed {
            revision,
            elicits: elicits_pages(capabilities),
        });
        let mut result = Map::new();
        result.insert("protocolVersion".into(), json!(revision.as_str()));
        result.insert("capabilities".into(), capabilities_of_ours());
        result.insert("serverInfo".into(), revision.server_info());
        result.insert("instructions".into(), json!(INSTRUCTIONS));
        Ok(Reaction::Answer(Ok(revision.result(result))))
    }
}

/// What is answered to a message that is none.
pub(super) fn complaint(malformed: Malformed) -> (Option<Id>, RpcError) {
    (malformed.id, malformed.error)
}

fn spoken(version: &Value) -> Result<Revision, RpcError> {
    let name = version
        .as_str()
        .ok_or_else(|| RpcError::params(format!("`{VERSION_KEY}` must be a string")))?;
    Revision::named(name).ok_or_else(|| RpcError {
        code: UNSUPPORTED_VERSION,
        message: "unsupported protocol version".into(),
        data: Some(Box::new(json!({
            "supported": Revision::BY_REQUEST.map(Revision::as_str),
            "requested": name,
        }))),
    })
}

fn stateless(
    method: &str,
    params: Map<String, Value>,
    revision: Revision,
    elicits: Elicits,
) -> Result<Reaction, RpcError> {
    match method {
        "server/discover" => {
            let mut result = Map::new();
            result.insert(
                "supportedVersions".into(),
                json!(Revision::BY_REQUEST.map(Revision::as_str)),
            );
            result.insert("capabilities".into(), capabilities_of_ours());
            result.insert("instructions".into(), json!(INSTRUCTIONS));
            Ok(Reaction::Answer(Ok(revision.lasting(result))))
        }
        "tools/list" => list(&params, revision),
        "tools/call" => call(params, revision, elicits),
        "subscriptions/listen" => match params.get("notifications") {
            Some(Value::Object(_)) => Ok(Reaction::Listen),
            _ => Err(RpcError::params("`notifications` must be an object")),
        },
        _ => Err(no_method()),
    }
}

fn list(params: &Map<String, Value>, revision: Revision) -> Result<Reaction, RpcError> {
    // there is one page: whoever has a cursor has it from somebody else
    match params.get("cursor") {
        None | Some(Value::Null) => {}
        Some(Value::String(cursor)) if cursor.is_empty() => {}
        Some(_) => return Err(RpcError::params("no such cursor: the list has one page")),
    }
    let mut result = Map::new();
    result.insert("tools".into(), tools::list(revision));
    Ok(Reaction::Answer(Ok(revision.lasting(result))))
}

fn call(
    mut params: Map<String, Value>,
    revision: Revision,
    elicits: Elicits,
) -> Result<Reaction, RpcError> {
    let tool = match params.get("name") {
        Some(Value::String(name)) => {
            Tool::named(name).ok_or_else(|| RpcError::params("there is no tool of that name"))?
        }
        _ => return Err(RpcError::params("`name` must be a string")),
    };
    let arguments = match params.remove("arguments") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments,
        Some(_) => return Err(RpcError::params("`arguments` must be an object")),
    };
    let progress = params
        .get("_meta")
        .and_then(|meta| meta.get("progressToken"))
        .filter(|token| Id::of(token).is_some())
        .cloned();
    let retry = match (elicits, params.get("requestState")) {
        (Elicits::ByAnswer, Some(Value::String(state))) => {
            let said = params.get("inputResponses");
            Some(Retry {
                state: state.clone(),
                consent: Consent::of(said.and_then(|said| said.get(PAGE))),
            })
        }
        (_, None) | (Elicits::No | Elicits::ByRequest, Some(_)) => None,
        (Elicits::ByAnswer, Some(_)) => {
            return Err(RpcError::params("`requestState` must be a string"));
        }
    };
    Ok(match tool.read(arguments) {
        Ok(call) => Reaction::Call(Box::new(Called {
            revision,
            call,
            progress,
            elicits,
            retry,
        })),
        Err(why) => Reaction::Answer(Ok(Outcome::Complaint(why).result(revision))),
    })
}

/// What the question to a person is called in an answer that asks one.
pub(super) const PAGE: &str = "page";

fn no_method() -> RpcError {
    RpcError::new(METHOD_NOT_FOUND, "there is no such method")
}

fn capabilities_of_ours() -> Value {
    json!({ "tools": {} })
}

/// Whether the client shows pages to its person.
fn elicits_pages(capabilities: &Map<String, Value>) -> bool {
    capabilities
        .get("elicitation")
        .and_then(|elicitation| elicitation.get("url"))
        .is_some_and(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::mcp::message::{INVALID_PARAMS, Parsed, parse};

    fn say(session: &mut Session, line: &Value) -> Reaction {
        match parse(line.to_string().as_bytes()) {
            Parsed::One(Ok(message)) => session.take(message, false),
            other => panic!("{other:?}"),
        }
    }

    fn request(method: &str, params: &Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
    }

    fn initialize(version: &str, capabilities: &Value) -> Value {
        request(
            "initialize",
            &json!({
                "protocolVersion": version,
                "capabilities": capabilities,
                "clientInfo": { "name": "test", "version": "1" },
            }),
        )
    }

    fn meta(version: &str) -> Value {
        json!({ VERSION_KEY: version, CAPABILITIES_KEY: {} })
    }

    fn answered(reaction: Reaction) -> Value {
        match reaction {
            Reaction::Answer(Ok(result)) => result,
            other => panic!("{other:?}"),
        }
    }

    fn refused(reaction: Reaction) -> i64 {
        match reaction {
            Reaction::Answer(Err(error)) => error.code,
            other => panic!("{other:?}"),
        }
    }

    fn agreed(version: &str) -> Session {
        let mut session = Session::default();
        let result = answered(say(&mut session, &initialize(version, &json!({}))));
        assert_eq!(result["protocolVersion"], version);
        session
    }

    #[test]
    fn a_handshake_agrees_on_a_revision_and_says_what_there_is() {
        let mut session = Session::default();
        let result = answered(say(&mut session, &initialize("2030-01-01", &json!({}))));
        assert_eq!(result["protocolVersion"], "2025-11-25");
        assert_eq!(result["capabilities"], json!({ "tools": {} }));
        assert_eq!(result["serverInfo"]["name"], "authsome");
        assert!(
            result["instructions"]
                .as_str()
                .unwrap()
                .contains("authsome run -- ")
        );
        assert!(result.get("resultType").is_none());
        for broken in [
            request("initialize", &json!({})),
            request(
                "initialize",
                &json!({ "protocolVersion": 1, "capabilities": {} }),
            ),
            request("initialize", &json!({ "protocolVersion": "2025-11-25" })),
        ] {
            assert_eq!(refused(say(&mut session, &broken)), INVALID_PARAMS);
        }
    }

    #[test]
    fn before_either_beginning_only_ping_is_answered() {
        let mut session = Session::default();
        assert_eq!(
            answered(say(&mut session, &request("ping", &json!({})))),
            json!({})
        );
        for method in ["tools/list", "tools/call", "server/discover", "nonsense"] {
            let code = refused(say(&mut session, &request(method, &json!({}))));
            assert_eq!(code, INVALID_PARAMS, "{method}");
        }
    }

    #[test]
    fn unknown_methods_are_refused_and_unknown_notifications_are_not_answered() {
        let mut session = agreed("2025-11-25");
        for method in [
            "logging/setLevel",
            "resources/list",
            "prompts/list",
            "completion/complete",
            "server/discover",
            "subscriptions/listen",
            "tools/List",
            "",
        ] {
            let code = refused(say(&mut session, &request(method, &json!({}))));
            assert_eq!(code, METHOD_NOT_FOUND, "{method}");
        }
        for method in [
            "notifications/initialized",
            "notifications/nonsense",
            "tools/list",
        ] {
            let line = json!({ "jsonrpc": "2.0", "method": method });
            assert_eq!(say(&mut session, &line), Reaction::Nothing);
        }
        let cancel = |id: Value| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
        assert_eq!(
            say(&mut session, &cancel(json!("a"))),
            Reaction::Cancel(Id::Text("a".into()))
        );
        assert_eq!(say(&mut session, &cancel(json!(null))), Reaction::Nothing);
    }

    #[test]
    fn a_request_may_speak_for_itself() {
        let mut session = Session::default();
        let ask = |method: &str, params: Value| {
            let mut params = params;
            params["_meta"] = meta("2026-07-28");
            request(method, &params)
        };
        let found = answered(say(&mut session, &ask("server/discover", json!({}))));
        assert_eq!(found["supportedVersions"], json!(["2026-07-28"]));
        assert_eq!(found["resultType"], "complete");
        assert!(found["ttlMs"].is_u64());
        let listed = answered(say(&mut session, &ask("tools/list", json!({}))));
        assert_eq!(listed["cacheScope"], "public");
        // what is gone in that revision
        for method in ["ping", "initialize", "logging/setLevel"] {
            let code = refused(say(&mut session, &ask(method, json!({}))));
            assert_eq!(code, METHOD_NOT_FOUND, "{method}");
        }
        let subscription = ask("subscriptions/listen", json!({ "notifications": {} }));
        assert_eq!(say(&mut session, &subscription), Reaction::Listen);
        // neither beginning gets in the way of the other
        let mut session = agreed("2025-06-18");
        assert_eq!(
            answered(say(&mut session, &ask("tools/list", json!({}))))["resultType"],
            "complete"
        );
        let old = answered(say(&mut session, &request("tools/list", &json!({}))));
        assert!(old.get("resultType").is_none());
    }

    #[test]
    fn a_revision_that_is_not_spoken_is_refused_with_those_that_are() {
        let mut session = Session::default();
        for version in ["2025-11-25", "2099-01-01", ""] {
            let line = request("tools/list", &json!({ "_meta": meta(version) }));
            let Reaction::Answer(Err(error)) = say(&mut session, &line) else {
                panic!()
            };
            assert_eq!(error.code, UNSUPPORTED_VERSION);
            assert_eq!(
                error.data,
                Some(Box::new(
                    json!({ "supported": ["2026-07-28"], "requested": version })
                ))
            );
        }
        for broken in [
            json!({ VERSION_KEY: "2026-07-28" }),
            json!({ VERSION_KEY: 7 }),
        ] {
            let line = request("tools/list", &json!({ "_meta": broken }));
            assert_eq!(refused(say(&mut session, &line)), INVALID_PARAMS);
        }
    }

    #[test]
    fn calls_are_told_apart_from_what_is_no_call() {
        let mut session = agreed("2025-11-25");
        for params in [
            json!({}),
            json!({ "name": 7 }),
            json!({ "name": "export" }),
            json!({ "name": "status", "arguments": [] }),
            json!({ "name": "status", "arguments": "x" }),
        ] {
            let line = request("tools/call", &params);
            assert_eq!(refused(say(&mut session, &line)), INVALID_PARAMS);
        }
        // a model can mend what is wrong with arguments: that is an answer of the tool
        let line = request(
            "tools/call",
            &json!({ "name": "login", "arguments": { "key": "k" } }),
        );
        let result = answered(say(&mut session, &line));
        assert_eq!(result["isError"], true);
        let line = request(
            "tools/call",
            &json!({ "name": "status", "_meta": { "progressToken": "t" } }),
        );
        let Reaction::Call(called) = say(&mut session, &line) else {
            panic!()
        };
        assert_eq!(called.progress, Some(json!("t")));
        assert_eq!(called.elicits, Elicits::No);
        // a page for everybody; a cursor that we never gave is nobody's
        for (cursor, good) in [(json!(null), true), (json!(""), true), (json!("2"), false)] {
            let reaction = say(
                &mut session,
                &request("tools/list", &json!({ "cursor": cursor })),
            );
            assert_eq!(
                matches!(reaction, Reaction::Answer(Ok(_))),
                good,
                "{cursor}"
            );
        }
    }

    #[test]
    fn only_a_client_that_shows_pages_is_asked_to() {
        let elicits = |version: &str, capabilities: Value| {
            let mut session = Session::default();
            answered(say(&mut session, &initialize(version, &capabilities)));
            match say(
                &mut session,
                &request("tools/call", &json!({ "name": "status" })),
            ) {
                Reaction::Call(called) => called.elicits,
                other => panic!("{other:?}"),
            }
        };
        let pages = json!({ "elicitation": { "url": {} } });
        assert_eq!(elicits("2025-11-25", pages.clone()), Elicits::ByRequest);
        assert_eq!(elicits("2025-06-18", pages), Elicits::No);
        assert_eq!(
            elicits("2025-11-25", json!({ "elicitation": {} })),
            Elicits::No
        );
        let mut meta = meta("2026-07-28");
        meta[CAPABILITIES_KEY] = json!({ "elicitation": { "url": {} } });
        let mut session = Session::default();
        let line = request(
            "tools/call",
            &json!({
                "name": "login", "arguments": { "provider": "github" }, "_meta": meta,
                "requestState": "abc", "inputResponses": { PAGE: { "action": "decline" } },
            }),
        );
        let Reaction::Call(called) = say(&mut session, &line) else {
            panic!()
        };
        assert_eq!(called.elicits, Elicits::ByAnswer);
        let retry = Retry {
            state: "abc".into(),
            consent: Consent::Declined,
        };
        assert_eq!(called.retry, Some(retry));
    }

    #[test]
    fn one_revision_has_batches() {
        for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
            assert!(!agreed(version).has_batches(), "{version}");
        }
        let mut session = agreed("2025-03-26");
        assert!(session.has_batches());
        let Parsed::One(Ok(message)) =
            parse(initialize("2025-03-26", &json!({})).to_string().as_bytes())
        else {
            panic!()
        };
        assert_eq!(refused(session.take(message, true)), INVALID_REQUEST);
    }
}
