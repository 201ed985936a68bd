//! What the daemon answered, as structured content for programs and models. Pure.
//!
//! Only metadata is ever asked for, and each field is named here: one that the daemon gains reaches
//! nobody before somebody decides. What servers and definitions wrote is stripped of control
//! characters.

use authsome_proto::response::{
    Connection, ConnectionState, Explained, Provider, Providers, Status,
};
use authsome_proto::response::{Vault, WhoAmI};
use authsome_proto::{ErrorCode, LoginId};
use serde_json::{Map, Value, json};

use super::revision::Revision;
use super::session::PAGE;
use crate::commands::{explain, view};
use crate::error::{Failure, Kind};
use crate::ui::printable;

/// Most providers that are told with everything about them.
const DETAILED_MAX: usize = 12;

/// What came of a tool's call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// It is done; an object.
    Told(Value),
    /// It is not, and the object says why in its own fields.
    Failed(Value),
    /// It is not; why, for the model.
    Complaint(String),
    /// A person must be asked first to open a page; then the call comes again.
    Ask {
        login: LoginId,
        message: String,
        url: String,
    },
}

impl Outcome {
    /// What a failure of the daemon or of the way to it is to a model.
    pub(super) fn of(failure: &Failure) -> Self {
        let mut text = explained(failure);
        if let Some(hint) = &failure.hint {
            text.push_str("\nhint: ");
            text.push_str(&printable(hint));
        }
        if let Some(advice) = advice(failure) {
            text.push_str("\nwhat to do: ");
            text.push_str(advice);
        }
        if let Value::String(code) = code_of(failure) {
            text.push_str("\ncode: ");
            text.push_str(&code);
        }
        Self::Complaint(text)
    }

    /// The result of the call.
    pub(super) fn result(self, revision: Revision) -> Value {
        let mut result = Map::new();
        let content = |text: String| json!([{ "type": "text", "text": text }]);
        match self {
            Self::Told(told) => {
                result.insert("content".into(), content(told.to_string()));
                if revision.has_structure() {
                    result.insert("structuredContent".into(), told);
                }
            }
            Self::Failed(told) => {
                result.insert("content".into(), content(told.to_string()));
                if revision.has_structure() {
                    result.insert("structuredContent".into(), told);
                }
                result.insert("isError".into(), json!(true));
            }
            Self::Complaint(why) => {
                result.insert("content".into(), content(why));
                result.insert("isError".into(), json!(true));
            }
            Self::Ask {
                login,
                message,
                url,
            } => {
                result.insert("resultType".into(), json!("input_required"));
                let asks = json!({
                    PAGE: {
                        "method": "elicitation/create",
                        "params": { "mode": "url", "message": message, "url": url },
                    },
                });
                result.insert("inputRequests".into(), asks);
                result.insert("requestState".into(), json!(login));
            }
        }
        revision.result(result)
    }
}

/// Message and causes of a failure.
pub(super) fn explained(failure: &Failure) -> String {
    let mut text = printable(&failure.message);
    for cause in &failure.causes {
        text.push_str("\ncaused by: ");
        text.push_str(&printable(cause));
    }
    text
}

/// The daemon's code, as a word.
pub(super) fn code_of(failure: &Failure) -> Value {
    failure
        .code
        .and_then(|code| serde_json::to_value(code).ok())
        .unwrap_or(Value::Null)
}

/// What a model can do about a failure that the daemon tells to people.
pub(super) fn advice(failure: &Failure) -> Option<&'static str> {
    Some(match failure.code {
        Some(ErrorCode::AlreadyConnected) => {
            "use the connection as it is, with `authsome run -- COMMAND`; a second account needs \
             another `connection` name. If its credential no longer works, only the person can \
             replace it: ask them to run `authsome login PROVIDER --force` in a terminal of their own"
        }
        Some(ErrorCode::PassphraseNeeded | ErrorCode::PassphraseWanted) => {
            "ask the person to run `authsome unlock` in a terminal of their own, then try again"
        }
        Some(ErrorCode::VaultLocked) => "ask the person to unlock their keyring, then try again",
        Some(ErrorCode::UnknownProvider) => "`list_providers` with `search` finds its name",
        Some(ErrorCode::UnknownConnection) => "`list_connections` shows which there are",
        Some(ErrorCode::LoginExpired | ErrorCode::LoginCancelled) => {
            "`login` begins another login, if the person still wants it"
        }
        Some(ErrorCode::LoginRefused) => {
            "the person or the provider said no: ask the person before you try again"
        }
        Some(ErrorCode::RefusedInsideRun) => {
            "this process is inside a run, where that is for nobody: ask the person to do it in a \
             terminal of their own"
        }
        _ if failure.kind == Kind::Unreachable => {
            "try once more; if that fails, ask the person to run `authsome doctor`"
        }
        _ => return None,
    })
}

/// Connections.
pub(super) fn connections(connections: &[Connection], who: &WhoAmI) -> Outcome {
    let listed: Vec<Value> = connections.iter().map(|one| connection(one, who)).collect();
    let worn: Vec<&str> = connections
        .iter()
        .filter(|one| {
            matches!(
                one.state,
                ConnectionState::NeedsLogin | ConnectionState::Revoked
            )
        })
        .map(|one| one.provider.as_str())
        .collect();
    let next = match (connections.is_empty(), worn.first()) {
        (true, _) => "nothing is connected; `login` begins a login".to_owned(),
        (false, Some(_)) => format!(
            "of {} the credential no longer works: ask the person to run `authsome login PROVIDER \
             --force` in a terminal of their own",
            worn.join(", ")
        ),
        (false, None) => how_to_use(who).to_owned(),
    };
    Outcome::Told(json!({ "connections": listed, "next": next }))
}

fn connection(one: &Connection, who: &WhoAmI) -> Value {
    let mut object = json!({
        "provider": one.provider,
        "display_name": printable(&one.display_name),
        "connection": one.connection,
        "default": one.is_default,
        "status": one.state.as_str(),
        "hosts": one.hosts,
        "unconfirmed_hosts": one.unconfirmed_hosts,
        "variables": one.variables,
        "sent_as": one.slot,
        "expires_at": one.expires_at,
        "renews": one.renews,
        "last_used": one.last_used,
        "scopes": one.scopes,
    });
    if let (Some(fields), Some(_)) = (object.as_object_mut(), &who.run) {
        let granted = (one.provider.clone(), one.connection.clone());
        fields.insert("in_this_run".into(), json!(who.granted.contains(&granted)));
    }
    object
}

fn how_to_use(who: &WhoAmI) -> &'static str {
    if who.run.is_some() {
        "this process is inside a run: programs that it starts use the connections with \
         `in_this_run`, without a key"
    } else {
        "start programs that use these with `authsome run -- COMMAND`"
    }
}

/// Definitions, those that `search` finds.
pub(super) fn providers(all: &Providers, search: Option<&str>) -> Outcome {
    let search = search.map(str::to_lowercase).unwrap_or_default();
    let found: Vec<&Provider> = all
        .providers
        .iter()
        .filter(|one| matches(one, &search))
        .collect();
    let detailed = found.len() <= DETAILED_MAX;
    let listed: Vec<Value> = found.iter().map(|one| provider(one, detailed)).collect();
    let next = if found.is_empty() {
        "none fits; try another word. A service that authsome does not know can be described by the \
         person: `authsome register FILE`"
    } else if detailed {
        "`login` begins a login to one that is `ready`"
    } else {
        "`search` narrows the list and tells hosts and variables"
    };
    let problems: Vec<String> = all.problems.iter().map(|text| printable(text)).collect();
    Outcome::Told(json!({ "providers": listed, "problems": problems, "next": next }))
}

fn matches(one: &Provider, search: &str) -> bool {
    let fits = |text: &str| text.to_lowercase().contains(search);
    fits(one.provider.as_str())
        || fits(&one.display_name)
        || one.hosts.iter().any(|host| fits(host))
        || one.variables.iter().any(|variable| fits(variable))
}

fn provider(one: &Provider, detailed: bool) -> Value {
    let mut object = json!({
        "provider": one.provider,
        "ready": one.not_yet.is_none(),
        "connections": one.connections,
    });
    if let (Some(fields), true) = (object.as_object_mut(), detailed) {
        let more = json!({
            "display_name": printable(&one.display_name),
            "auth": one.auth,
            "not_yet": one.not_yet.as_deref().map(printable),
            "hosts": one.hosts,
            "variables": one.variables,
            "regions": one.regions,
            "flows": one.flows,
            "get_a_key_at": one.key_urls,
        });
        if let Value::Object(more) = more {
            fields.extend(more);
        }
    }
    object
}

/// The daemon, and whoever asks.
pub(super) fn status(status: &Status, who: &WhoAmI) -> Outcome {
    let Vault {
        store,
        chosen: _,
        problem,
        hint,
    } = &status.vault;
    let warnings: Vec<String> = status.warnings.iter().map(|text| printable(text)).collect();
    let problem = problem.as_deref().map(printable);
    let next = match (&problem, &who.run) {
        (Some(_), _) => "the vault is in trouble: tell the person its problem and hint",
        (None, Some(_)) => {
            "this process is inside a run: programs that it starts can call the hosts of `granted` \
             as they are, without a key"
        }
        (None, None) => {
            "this process is outside of every run: start programs that need a credential with \
             `authsome run -- COMMAND`"
        }
    };
    Outcome::Told(json!({
        "version": status.version,
        "vault": {
            "store": store,
            "problem": problem,
            "hint": hint.as_deref().map(printable),
        },
        "connections": status.connections,
        "runs": status.runs,
        "run": who.run,
        "granted": view::grants(&who.granted),
        "warnings": warnings,
        "next": next,
    }))
}

/// What would become of a request.
pub(super) fn explanation(explained: &Explained) -> Outcome {
    Outcome::Told(explain::object(explained))
}

#[cfg(test)]
mod tests {
    use authsome_proto::WireError;

    use super::*;

    #[test]
    fn a_failure_keeps_code_and_hint_and_says_what_an_agent_can_do() {
        let error = WireError::new(ErrorCode::AlreadyConnected, "`x` is connected already\u{7}")
            .hint("replace its key with `--force`");
        let Outcome::Complaint(text) = Outcome::of(&error.into()) else {
            panic!()
        };
        insta::assert_snapshot!(text, @r"
        `x` is connected already�
        hint: replace its key with `--force`
        what to do: use the connection as it is, with `authsome run -- COMMAND`; a second account needs another `connection` name. If its credential no longer works, only the person can replace it: ask them to run `authsome login PROVIDER --force` in a terminal of their own
        code: already_connected
        ");
    }

    #[test]
    fn structured_content_is_for_revisions_that_have_it_and_text_for_all() {
        let told = || Outcome::Told(json!({ "a": 1 }));
        let old = told().result(Revision::V2025_03_26);
        assert_eq!(
            old,
            json!({ "content": [{ "type": "text", "text": "{\"a\":1}" }] })
        );
        let new = told().result(Revision::V2025_06_18);
        assert_eq!(new["structuredContent"], json!({ "a": 1 }));
        let asked = Outcome::Ask {
            login: "abc".parse().unwrap(),
            message: "m".into(),
            url: "http://x/".into(),
        };
        let asked = asked.result(Revision::V2026_07_28);
        assert_eq!(asked["resultType"], "input_required");
        assert_eq!(asked["requestState"], "abc");
        assert!(asked.get("content").is_none());
    }

    fn provider_of(n: usize) -> Provider {
        Provider {
            provider: format!("p{n}").parse().unwrap(),
            display_name: format!("Provider {n}"),
            auth: "api_key".into(),
            source: authsome_proto::response::Source::Bundled,
            not_yet: None,
            hosts: vec![format!("api.p{n}.example")],
            variables: vec![format!("P{n}_API_KEY")],
            key_pattern: None,
            key_hint: None,
            key_urls: Vec::new(),
            connections: 0,
            regions: Vec::new(),
            flows: Vec::new(),
            redirect_uri: None,
        }
    }

    #[test]
    fn a_search_finds_names_hosts_and_variables_and_a_long_list_is_short_about_each() {
        let all = Providers {
            providers: (0..30).map(provider_of).collect(),
            problems: Vec::new(),
        };
        let found = |search| match providers(&all, search) {
            Outcome::Told(told) => told,
            other => panic!("{other:?}"),
        };
        let everything = found(None);
        assert_eq!(everything["providers"].as_array().unwrap().len(), 30);
        assert!(everything["providers"][0].get("hosts").is_none());
        for search in ["P17", "provider 17", "api.p17.", "p17_api"] {
            let one = found(Some(search));
            assert_eq!(
                one["providers"][0]["hosts"][0], "api.p17.example",
                "{search}"
            );
        }
        assert!(
            found(Some("nosuch"))["next"]
                .as_str()
                .unwrap()
                .contains("none fits")
        );
    }
}
