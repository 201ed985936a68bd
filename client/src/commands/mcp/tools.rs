//! The tools: what they are called, and what a model is told of them. Pure.
//!
//! No tool takes or gives a secret, and none replaces or deletes a credential: those are a person's
//! commands.
//!
//! Not here: the form of what they take and give (`schema`), arguments that came (`arguments`).

mod arguments;
mod schema;
#[cfg(test)]
mod tests;

use std::time::Duration;

use authsome_proto::request::OAuthFlow;
use authsome_proto::{ConnectionName, LoginId, ProviderName};
use serde_json::{Map, Value, json};

use super::revision::Revision;

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
}

/// The list of tools.
pub(super) fn list(revision: Revision) -> Value {
    Tool::ALL
        .into_iter()
        .map(|tool| tool.listed(revision))
        .collect()
}
