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
mod tests;
