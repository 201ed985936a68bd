//! JSON-RPC 2.0 as MCP uses it: bytes of a line to messages, and messages to text. Pure.
//!
//! What is wrong with a message is an answer, never an end: the next line is read all the same. No
//! error repeats what was sent, for that may be anything.

use serde_json::{Map, Value, json};

/// The text is no JSON.
pub(super) const PARSE_ERROR: i64 = -32_700;
/// It is no message.
pub(super) const INVALID_REQUEST: i64 = -32_600;
/// No such method.
pub(super) const METHOD_NOT_FOUND: i64 = -32_601;
/// The method does not take these parameters.
pub(super) const INVALID_PARAMS: i64 = -32_602;
/// A defect of ours.
pub(super) const INTERNAL_ERROR: i64 = -32_603;
/// A revision that is not spoken, of revision 2026-07-28.
pub(super) const UNSUPPORTED_VERSION: i64 = -32_022;

/// Longest id that is a text, in bytes.
const ID_MAX: usize = 1024;

/// What names a request: a text or an integer, never null.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Number(serde_json::Number),
    Text(String),
}

impl Id {
    /// The id that `value` is.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) if number.is_i64() || number.is_u64() => {
                Some(Self::Number(number.clone()))
            }
            Value::String(text) if text.len() <= ID_MAX => Some(Self::Text(text.clone())),
            _ => None,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone()),
        }
    }
}

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RpcError {
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Option<Box<Value>>,
}

impl RpcError {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub(super) fn params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }
}

/// What a client says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// It wants an answer.
    Request {
        id: Id,
        method: String,
        params: Map<String, Value>,
    },
    /// It wants none.
    Notification {
        method: String,
        params: Map<String, Value>,
    },
    /// It answers something that we asked. `None` for an error.
    Response { id: Id, result: Option<Value> },
}

/// A message that is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Malformed {
    /// Whom to answer, if that could be told.
    pub(super) id: Option<Id>,
    pub(super) error: RpcError,
}

/// What a line holds.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed {
    One(Result<Message, Malformed>),
    /// An array, never empty. Only revision 2025-03-26 has those.
    Batch(Vec<Result<Message, Malformed>>),
}

/// Reads a line.
pub(super) fn parse(line: &[u8]) -> Parsed {
    match serde_json::from_slice(line) {
        Ok(Value::Array(items)) if !items.is_empty() => {
            Parsed::Batch(items.into_iter().map(message).collect())
        }
        Ok(value) => Parsed::One(message(value)),
        Err(_) => Parsed::One(Err(Malformed {
            id: None,
            error: RpcError::new(PARSE_ERROR, "the line is not JSON in UTF-8"),
        })),
    }
}

fn message(value: Value) -> Result<Message, Malformed> {
    let invalid = |id: Option<&Id>, what: &str| Malformed {
        id: id.cloned(),
        error: RpcError::new(INVALID_REQUEST, what),
    };
    let Value::Object(mut fields) = value else {
        return Err(invalid(None, "a message is an object"));
    };
    let given = fields.get("id");
    let id = given.and_then(Id::of);
    if fields.get("jsonrpc") != Some(&json!("2.0")) {
        return Err(invalid(id.as_ref(), "`jsonrpc` must be \"2.0\""));
    }
    if given.is_some() && id.is_none() {
        return Err(invalid(None, "`id` must be a string or an integer"));
    }
    let method = match (fields.remove("method"), id.as_ref()) {
        (Some(Value::String(method)), _) => method,
        (Some(_), id) => return Err(invalid(id, "`method` must be a string")),
        (None, Some(id)) if fields.contains_key("result") || fields.contains_key("error") => {
            return Ok(Message::Response {
                id: id.clone(),
                result: fields.remove("result"),
            });
        }
        (None, id) => return Err(invalid(id, "`method` is missing")),
    };
    let params = match (fields.remove("params"), &id) {
        (None | Some(Value::Null), _) => Map::new(),
        (Some(Value::Object(params)), _) => params,
        (Some(_), Some(id)) => {
            return Err(Malformed {
                id: Some(id.clone()),
                error: RpcError::params("`params` must be an object"),
            });
        }
        // nobody waits for an answer to a notification
        (Some(_), None) => Map::new(),
    };
    Ok(match id {
        Some(id) => Message::Request { id, method, params },
        None => Message::Notification { method, params },
    })
}

/// The answer to the request `id`.
pub(super) fn response(id: &Id, outcome: Result<Value, RpcError>) -> Value {
    match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id.to_json(), "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id.to_json(), "error": object(error) }),
    }
}

/// The answer to a message whose id could not be told. Up to revision 2025-06-18 the id is null as
/// in JSON-RPC; later ones have none.
pub(super) fn response_to_nobody(error: RpcError, with_null: bool) -> Value {
    if with_null {
        json!({ "jsonrpc": "2.0", "id": null, "error": object(error) })
    } else {
        json!({ "jsonrpc": "2.0", "error": object(error) })
    }
}

/// Something that wants no answer.
pub(super) fn notification(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// Something that we ask the client.
pub(super) fn request(id: &Id, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.to_json(), "method": method, "params": params })
}

fn object(error: RpcError) -> Value {
    let RpcError {
        code,
        message,
        data,
    } = error;
    let mut object = json!({ "code": code, "message": message });
    if let (Some(fields), Some(data)) = (object.as_object_mut(), data) {
        fields.insert("data".into(), *data);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &[u8]) -> (Option<Id>, i64) {
        match parse(line) {
            Parsed::One(Err(malformed)) => (malformed.id, malformed.error.code),
            other => panic!("{other:?}"),
        }
    }

    fn number(n: i64) -> Id {
        Id::Number(n.into())
    }

    #[test]
    fn every_broken_message_has_its_code_and_keeps_its_id() {
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        for (line, id, code) in [
            (&b"{"[..], None, PARSE_ERROR),
            (b"\xff\xfe", None, PARSE_ERROR),
            (b"{} {}", None, PARSE_ERROR),
            (b"\0", None, PARSE_ERROR),
            (&deep, None, PARSE_ERROR),
            (b"1", None, INVALID_REQUEST),
            (b"null", None, INVALID_REQUEST),
            (b"\"x\"", None, INVALID_REQUEST),
            (b"[]", None, INVALID_REQUEST),
            (b"{}", None, INVALID_REQUEST),
            (
                br#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
                Some(number(1)),
                INVALID_REQUEST,
            ),
            (
                br#"{"id":1,"method":"x"}"#,
                Some(number(1)),
                INVALID_REQUEST,
            ),
            (
                br#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
                None,
                INVALID_REQUEST,
            ),
            (
                br#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#,
                None,
                INVALID_REQUEST,
            ),
            (
                br#"{"jsonrpc":"2.0","id":{},"method":"x"}"#,
                None,
                INVALID_REQUEST,
            ),
            (
                br#"{"jsonrpc":"2.0","id":1,"method":2}"#,
                Some(number(1)),
                INVALID_REQUEST,
            ),
            (
                br#"{"jsonrpc":"2.0","id":1}"#,
                Some(number(1)),
                INVALID_REQUEST,
            ),
            (br#"{"jsonrpc":"2.0","result":{}}"#, None, INVALID_REQUEST),
            (
                br#"{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}"#,
                Some(number(1)),
                INVALID_PARAMS,
            ),
            (
                br#"{"jsonrpc":"2.0","id":1,"method":"x","params":"y"}"#,
                Some(number(1)),
                INVALID_PARAMS,
            ),
        ] {
            let shown = String::from_utf8_lossy(line.get(..60).unwrap_or(line)).into_owned();
            assert_eq!(refused(line), (id, code), "{shown}");
        }
    }

    #[test]
    fn requests_notifications_and_responses_are_told_apart() {
        let one = |line: &str| match parse(line.as_bytes()) {
            Parsed::One(Ok(message)) => message,
            other => panic!("{other:?}"),
        };
        let Message::Request { id, method, params } =
            one(r#"{"jsonrpc":"2.0","id":"a","method":"m","params":{"x":1}}"#)
        else {
            panic!()
        };
        assert_eq!(id, Id::Text("a".into()));
        assert_eq!((method.as_str(), params.len()), ("m", 1));
        assert!(matches!(
            one(r#"{"jsonrpc":"2.0","method":"m","params":[]}"#),
            Message::Notification { .. }
        ));
        for (line, some) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, true),
            (
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"x"}}"#,
                false,
            ),
        ] {
            let Message::Response { id, result } = one(line) else {
                panic!()
            };
            assert_eq!((id, result.is_some()), (number(7), some));
        }
        // ids come back as they went
        let id = Id::of(&serde_json::from_str("18446744073709551615").unwrap()).unwrap();
        assert_eq!(
            response(&id, Ok(json!({}))).to_string(),
            r#"{"jsonrpc":"2.0","id":18446744073709551615,"result":{}}"#
        );
    }

    #[test]
    fn a_batch_is_judged_message_by_message() {
        let Parsed::Batch(items) = parse(br#"[{"jsonrpc":"2.0","id":1,"method":"ping"},7]"#) else {
            panic!()
        };
        assert!(items[0].is_ok());
        assert_eq!(items[1].as_ref().unwrap_err().error.code, INVALID_REQUEST);
    }

    #[test]
    fn an_error_never_repeats_what_was_sent() {
        for line in [
            r#"{"jsonrpc":"sk-secret","id":1,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":["sk-secret"],"method":"x"}"#,
            "sk-secret",
        ] {
            let Parsed::One(Err(malformed)) = parse(line.as_bytes()) else {
                panic!()
            };
            assert!(!malformed.error.message.contains("sk-secret"));
        }
    }
}
