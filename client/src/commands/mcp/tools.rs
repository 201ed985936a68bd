//! The tools: what each takes and gives, and arguments turned into a [`Call`]. Pure.
//!
//! No tool takes or gives a secret, and none replaces or deletes a credential: those are a person's
//! commands. What is wrong with arguments is told to the model, which can mend them; their values
//! are not repeated, for a key may have been put where none belongs.

use std::time::Duration;

use authsome_proto::request::OAuthFlow;
use authsome_proto::{ConnectionName, LoginId, ProviderName};
use serde_json::{Map, Value, json};

use super::revision::Revision;
use crate::ui::printable;

/// Longest wait of one call. Clients give up a request after a minute, unless told otherwise.
const WAIT_MAX: u64 = 55;

/// Wait of one call unless said.
const WAIT_DEFAULT: u64 = 25;

/// Most refusals that are told at once.
const REFUSALS_MAX: u64 = 50;

/// Refusals that are told unless said.
const REFUSALS_DEFAULT: u64 = 10;

/// Longest argument in bytes.
const TEXT_MAX: usize = 8192;

/// Longest name of an argument that is repeated in an error.
const NAME_SHOWN: usize = 40;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    CancelLogin(LoginId),
    Connections(Option<ProviderName>),
    Explain { method: String, url: String },
    Login(Login),
    LoginStatus { login: LoginId, wait: Duration },
    Providers(Option<String>),
    Refusals(usize),
    Status,
}

/// Arguments of `login`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) provider: ProviderName,
    pub(super) connection: Option<ConnectionName>,
    pub(super) flow: Option<OAuthFlow>,
    pub(super) region: Option<String>,
    pub(super) scopes: Vec<String>,
}

/// A tool by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    CancelLogin,
    ExplainRequest,
    ListConnections,
    ListProviders,
    Login,
    LoginStatus,
    RecentRefusals,
    Status,
}

impl Tool {
    /// All, in the order that they are listed in.
    pub(super) const ALL: [Self; 8] = [
        Self::Status,
        Self::ListConnections,
        Self::ListProviders,
        Self::Login,
        Self::LoginStatus,
        Self::CancelLogin,
        Self::ExplainRequest,
        Self::RecentRefusals,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CancelLogin => "cancel_login",
            Self::ExplainRequest => "explain_request",
            Self::ListConnections => "list_connections",
            Self::ListProviders => "list_providers",
            Self::Login => "login",
            Self::LoginStatus => "login_status",
            Self::RecentRefusals => "recent_refusals",
            Self::Status => "status",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    fn title(self) -> &'static str {
        match self {
            Self::CancelLogin => "Give a login up",
            Self::ExplainRequest => "Explain a request",
            Self::ListConnections => "List connections",
            Self::ListProviders => "List providers",
            Self::Login => "Begin a login",
            Self::LoginStatus => "Wait for a login",
            Self::RecentRefusals => "Recent refusals",
            Self::Status => "Status of authsome",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::CancelLogin => {
                "Give up a login that `login` began: its page stops working. Nothing else changes."
            }
            Self::ExplainRequest => {
                "Tell what authsome would do with an HTTP request, and why: `inject` (it gets a \
                 credential), `pass`, `tunnel`, or `refuse` with a code and a fix. Nothing is sent \
                 anywhere. Leave keys and other query parameters out of the URL."
            }
            Self::ListConnections => {
                "List the services that a person has logged in to: status, hosts, and the \
                 environment variables that programs read. Never contains a key. A program started \
                 with `authsome run -- COMMAND` can call these hosts without holding the key."
            }
            Self::ListProviders => {
                "List the services that authsome knows and can log in to. With few results each has \
                 its hosts and variables: pass `search`."
            }
            Self::Login => {
                "Begin a login and return at once with the page that a person must open. Show them \
                 the URL (and the code, if there is one), then call `login_status`. Takes no key: \
                 the person enters it on that page, and you never see it. Do not ask for it."
            }
            Self::LoginStatus => {
                "Wait until a login that `login` began is done, at most `wait_seconds`, and tell \
                 where it stands. Call it again while the status is `waiting`, `exchanging` or \
                 `storing`."
            }
            Self::RecentRefusals => {
                "List the last requests that authsome refused, each with its code, the reason and \
                 what would help. Inside a run: those of this run."
            }
            Self::Status => {
                "Tell whether authsome works, and whether this process is inside of a run, where \
                 programs that it starts have their requests authenticated already."
            }
        }
    }

    /// Whether it changes something.
    fn is_read_only(self) -> bool {
        !matches!(self, Self::CancelLogin | Self::Login)
    }

    fn annotations(self) -> Value {
        let mut annotations = json!({
            "title": self.title(),
            "readOnlyHint": self.is_read_only(),
            // a login leads to a provider's pages; everything else stays on this machine
            "openWorldHint": self == Self::Login,
        });
        if let Some(fields) = annotations.as_object_mut()
            && !self.is_read_only()
        {
            fields.insert("destructiveHint".into(), json!(false));
            fields.insert("idempotentHint".into(), json!(true));
        }
        annotations
    }

    fn input(self) -> Value {
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
    fn output(self) -> Value {
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

    /// Its entry in the list of tools.
    fn listed(self, revision: Revision) -> Value {
        let mut entry = Map::new();
        entry.insert("name".into(), json!(self.name()));
        if revision.has_structure() {
            entry.insert("title".into(), json!(self.title()));
        }
        entry.insert("description".into(), json!(self.description()));
        entry.insert("inputSchema".into(), self.input());
        if revision.has_structure() {
            entry.insert("outputSchema".into(), self.output());
        }
        if revision.has_annotations() {
            entry.insert("annotations".into(), self.annotations());
        }
        Value::Object(entry)
    }

    /// Reads its arguments; the reason is for the model.
    pub(super) fn read(self, arguments: Map<String, Value>) -> Result<Call, String> {
        let mut arguments = Arguments(arguments);
        let call = match self {
            Self::Status => Call::Status,
            Self::ListConnections => Call::Connections(arguments.name("provider")?),
            Self::ListProviders => Call::Providers(arguments.text("search")?),
            Self::Login => Call::Login(Login {
                provider: arguments.needed("provider", Arguments::name)?,
                connection: arguments.name("connection")?,
                region: arguments.text("region")?,
                flow: arguments.flow()?,
                scopes: arguments.texts("scopes")?,
            }),
            Self::LoginStatus => Call::LoginStatus {
                login: arguments.needed("login", Arguments::name)?,
                wait: Duration::from_secs(
                    arguments
                        .number("wait_seconds", 0, WAIT_MAX)?
                        .unwrap_or(WAIT_DEFAULT),
                ),
            },
            Self::CancelLogin => Call::CancelLogin(arguments.needed("login", Arguments::name)?),
            Self::ExplainRequest => Call::Explain {
                url: arguments.needed("url", Arguments::text)?,
                method: arguments
                    .text("method")?
                    .map_or_else(|| "GET".into(), |method| method.to_ascii_uppercase()),
            },
            Self::RecentRefusals => {
                let limit = arguments.number("limit", 1, REFUSALS_MAX)?;
                let limit = limit.unwrap_or(REFUSALS_DEFAULT);
                Call::Refusals(usize::try_from(limit).unwrap_or(usize::MAX))
            }
        };
        arguments.none_left(self)?;
        Ok(call)
    }
}

/// The list of tools.
pub(super) fn list(revision: Revision) -> Value {
    Tool::ALL
        .into_iter()
        .map(|tool| tool.listed(revision))
        .collect()
}

const FLOWS: [OAuthFlow; 5] = [
    OAuthFlow::Pkce,
    OAuthFlow::DcrPkce,
    OAuthFlow::DeviceCode,
    OAuthFlow::ClientCredentials,
    OAuthFlow::JwtBearer,
];

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

/// The arguments that nobody has read yet.
struct Arguments(Map<String, Value>);

impl Arguments {
    /// Takes one out; null is as good as absent, which is what some models send.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= TEXT_MAX => Ok(Some(text)),
            Some(Value::String(_)) => Err(format!("`{name}` is longer than {TEXT_MAX} bytes")),
            Some(_) => Err(format!("`{name}` must be a string")),
        }
    }

    fn texts(&mut self, name: &str) -> Result<Vec<String>, String> {
        let wrong = || format!("`{name}` must be an array of strings");
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) if text.len() <= TEXT_MAX => Ok(text),
                    _ => Err(wrong()),
                })
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// A name of one of our kinds. The error of the kind shows one character at most.
    fn name<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, String> {
        self.text(name)?
            .map(|text| text.parse().map_err(|why| format!("`{name}`: {why}")))
            .transpose()
    }

    fn number(&mut self, name: &str, least: u64, most: u64) -> Result<Option<u64>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match whole(&value) {
                Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
                _ => Err(format!(
                    "`{name}` must be an integer from {least} to {most}"
                )),
            },
        }
    }

    fn flow(&mut self) -> Result<Option<OAuthFlow>, String> {
        let Some(word) = self.text("flow")? else {
            return Ok(None);
        };
        match FLOWS.into_iter().find(|flow| flow.as_str() == word) {
            Some(flow) => Ok(Some(flow)),
            None => Err(format!(
                "`flow` must be one of `{}`",
                FLOWS.map(OAuthFlow::as_str).join("`, `")
            )),
        }
    }

    fn needed<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self, &str) -> Result<Option<T>, String>,
    ) -> Result<T, String> {
        read(self, name)?.ok_or_else(|| format!("`{name}` is missing"))
    }

    fn none_left(self, tool: Tool) -> Result<(), String> {
        let Some(name) = self.0.into_iter().next().map(|(name, _)| name) else {
            return Ok(());
        };
        let shown = if name.len() <= NAME_SHOWN {
            format!("`{}` is no argument of this tool", printable(&name))
        } else {
            "there is an argument that this tool does not have".into()
        };
        Err(match tool {
            Tool::Login => format!(
                "{shown}. A key is never an argument: the person enters it on the page that `login` \
                 returns. Replacing a credential is for the person alone: `authsome login PROVIDER \
                 --force` in a terminal of their own"
            ),
            _ => shown,
        })
    }
}

/// A whole number, also one that was written `5.0`.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && (0.0..=1e9).contains(&number))
            .then(|| format!("{number:.0}").parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tool: Tool, arguments: Value) -> Result<Call, String> {
        match arguments {
            Value::Object(arguments) => tool.read(arguments),
            _ => panic!(),
        }
    }

    #[test]
    fn names_follow_the_protocol_and_are_found_again() {
        for tool in Tool::ALL {
            let name = tool.name();
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
            assert_eq!(Tool::named(name), Some(tool));
        }
        assert_eq!(Tool::named("export"), None);
    }

    /// No tool has room for a secret: every argument is in this list.
    #[test]
    fn no_tool_takes_a_secret() {
        let mut names = Vec::new();
        for tool in Tool::ALL {
            let input = tool.input();
            assert_eq!(input["additionalProperties"], false);
            names.extend(input["properties"].as_object().unwrap().keys().cloned());
        }
        names.sort();
        names.dedup();
        assert_eq!(
            names,
            [
                "connection",
                "flow",
                "limit",
                "login",
                "method",
                "provider",
                "region",
                "scopes",
                "search",
                "url",
                "wait_seconds"
            ]
        );
    }

    #[test]
    fn arguments_become_calls() {
        assert_eq!(read(Tool::Status, json!({})), Ok(Call::Status));
        assert_eq!(
            read(
                Tool::Login,
                json!({ "provider": "github", "flow": "device_code", "scopes": ["repo"], "region": null })
            ),
            Ok(Call::Login(Login {
                provider: "github".parse().unwrap(),
                connection: None,
                flow: Some(OAuthFlow::DeviceCode),
                region: None,
                scopes: vec!["repo".into()],
            }))
        );
        assert_eq!(
            read(
                Tool::LoginStatus,
                json!({ "login": "abc", "wait_seconds": 5.0 })
            ),
            Ok(Call::LoginStatus {
                login: "abc".parse().unwrap(),
                wait: Duration::from_secs(5),
            })
        );
        assert_eq!(
            read(
                Tool::ExplainRequest,
                json!({ "url": "https://x/", "method": "post" })
            ),
            Ok(Call::Explain {
                method: "POST".into(),
                url: "https://x/".into()
            })
        );
    }

    #[test]
    fn what_is_wrong_is_named_and_never_repeated() {
        for (tool, arguments, says) in [
            (Tool::Login, json!({}), "`provider` is missing"),
            (Tool::Login, json!({ "provider": 7 }), "must be a string"),
            (
                Tool::Login,
                json!({ "provider": "sk-SECRET secret" }),
                "`provider`: a provider name",
            ),
            (
                Tool::Login,
                json!({ "provider": "github", "api_key": "sk-SECRET" }),
                "never an argument",
            ),
            (
                Tool::Login,
                json!({ "provider": "github", "force": true }),
                "for the person alone",
            ),
            (
                Tool::Login,
                json!({ "provider": "github", "flow": "sk-SECRET" }),
                "must be one of `pkce`",
            ),
            (
                Tool::Login,
                json!({ "provider": "github", "scopes": "sk-SECRET" }),
                "array of strings",
            ),
            (
                Tool::Login,
                json!({ "provider": "github", "scopes": [["sk-SECRET"]] }),
                "array of strings",
            ),
            (
                Tool::Status,
                json!({ "sk-SECRETSECRETSECRETSECRETSECRETSECRETSECRET": 1 }),
                "does not have",
            ),
            (
                Tool::LoginStatus,
                json!({ "login": "x", "wait_seconds": 56 }),
                "from 0 to 55",
            ),
            (
                Tool::LoginStatus,
                json!({ "login": "x", "wait_seconds": -1 }),
                "from 0 to 55",
            ),
            (
                Tool::LoginStatus,
                json!({ "login": "x", "wait_seconds": 1.5 }),
                "from 0 to 55",
            ),
            (Tool::RecentRefusals, json!({ "limit": 0 }), "from 1 to 50"),
            (
                Tool::ExplainRequest,
                json!({ "url": "x".repeat(9000) }),
                "longer than",
            ),
        ] {
            let why = read(tool, arguments).unwrap_err();
            assert!(why.contains(says), "{why}");
            assert!(!why.contains("SECRET"), "{why}");
        }
    }

    #[test]
    fn a_revision_gets_only_what_it_knows() {
        let keys = |revision| -> Vec<String> {
            list(revision)[3]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect()
        };
        let old = ["name", "description", "inputSchema"];
        assert_eq!(keys(Revision::V2024_11_05), old);
        assert_eq!(
            keys(Revision::V2025_03_26),
            [&old[..], &["annotations"]].concat()
        );
        assert_eq!(
            keys(Revision::V2025_06_18),
            [
                "name",
                "title",
                "description",
                "inputSchema",
                "outputSchema",
                "annotations"
            ]
        );
    }
}
