//! What a tool takes and gives, as JSON Schema.

use authsome_proto::request::OAuthFlow;
use serde_json::{Value, json};

use super::Tool;
use super::arguments::{FLOWS, REFUSALS_DEFAULT, REFUSALS_MAX, WAIT_DEFAULT, WAIT_MAX};

impl Tool {
    pub(super) fn input(self) -> Value {
        let (properties, required) = match self {
            Self::Status => (json!({}), json!([])),
            Self::ListConnections => (
                json!({ "provider": text("Only this provider, for instance `github`.") }),
                json!([]),
            ),
            Self::ListProviders => (
                json!({ "search": text("Part of a name, host or variable, for instance `openai`.") }),
                json!([]),
            ),
            Self::Login => (
                json!({
                    "provider": text("The provider, as `list_providers` names it."),
                    "connection": text("A name for a second account of the provider; `default` if absent."),
                    "region": text("The region that the account lives in, where the provider has regions."),
                    "flow": {
                        "type": "string",
                        "enum": FLOWS.map(OAuthFlow::as_str),
                        "description": "The OAuth flow; the provider's first if absent. \
                            `device_code` where no browser runs on this machine.",
                    },
                    "scopes": {
                        "type": "array",
                        "items": { "type": "string" },
                        "description": "OAuth scopes; the provider's usual ones if absent.",
                    },
                }),
                json!(["provider"]),
            ),
            Self::LoginStatus => (
                json!({
                    "login": text("The id that `login` returned."),
                    "wait_seconds": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": WAIT_MAX,
                        "default": WAIT_DEFAULT,
                        "description": "How long to wait for it to end.",
                    },
                }),
                json!(["login"]),
            ),
            Self::CancelLogin => (
                json!({ "login": text("The id that `login` returned.") }),
                json!(["login"]),
            ),
            Self::ExplainRequest => (
                json!({
                    "url": text("The whole URL, for instance `https://api.github.com/user`."),
                    "method": text("The method; `GET` if absent."),
                }),
                json!(["url"]),
            ),
            Self::RecentRefusals => (
                json!({
                    "limit": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": REFUSALS_MAX,
                        "default": REFUSALS_DEFAULT,
                        "description": "Most refusals to list.",
                    },
                }),
                json!([]),
            ),
        };
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }

    /// What the structured content is like. Fields may be added to it.
    pub(super) fn output(self) -> Value {
        let (properties, required) = match self {
            Self::Status => (
                json!({
                    "version": string(),
                    "vault": { "type": "object" },
                    "connections": integer(),
                    "runs": integer(),
                    "run": nullable("string"),
                    "granted": objects(),
                    "warnings": strings(),
                    "next": string(),
                }),
                json!([
                    "version",
                    "vault",
                    "connections",
                    "runs",
                    "run",
                    "granted",
                    "warnings",
                    "next"
                ]),
            ),
            Self::ListConnections => (
                json!({ "connections": objects(), "next": string() }),
                json!(["connections", "next"]),
            ),
            Self::ListProviders => (
                json!({ "providers": objects(), "problems": strings(), "next": string() }),
                json!(["providers", "problems", "next"]),
            ),
            Self::Login | Self::LoginStatus | Self::CancelLogin => (
                json!({
                    "login": string(),
                    "status": {
                        "type": "string",
                        "enum": ["waiting", "exchanging", "storing", "connected", "failed", "cancelled"],
                    },
                    "provider": string(),
                    "connection": string(),
                    "step": string(),
                    "url": string(),
                    "user_code": string(),
                    "seconds_left": integer(),
                    "rejected": string(),
                    "code": nullable("string"),
                    "message": string(),
                    "hint": nullable("string"),
                    "variables": strings(),
                    "say_to_person": string(),
                    "next": string(),
                }),
                json!(["login", "status", "next"]),
            ),
            Self::ExplainRequest => (
                json!({
                    "request": string(),
                    "outcome": { "type": "string", "enum": ["inject", "pass", "tunnel", "refuse"] },
                    "code": nullable("string"),
                    "message": string(),
                    "fix": nullable("string"),
                    "provider": nullable("string"),
                    "connection": nullable("string"),
                    "slot": nullable("string"),
                    "run": nullable("string"),
                    "routes": objects(),
                    "rules": objects(),
                    "notes": strings(),
                }),
                json!([
                    "request", "outcome", "code", "message", "fix", "routes", "rules", "notes"
                ]),
            ),
            Self::RecentRefusals => (
                json!({ "run": nullable("string"), "refusals": objects(), "next": string() }),
                json!(["run", "refusals", "next"]),
            ),
        };
        json!({ "type": "object", "properties": properties, "required": required })
    }
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn string() -> Value {
    json!({ "type": "string" })
}

fn integer() -> Value {
    json!({ "type": "integer" })
}

fn nullable(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn strings() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

fn objects() -> Value {
    json!({ "type": "array", "items": { "type": "object" } })
}
