//! Arguments that came, turned into a [`Call`].
//!
//! What is wrong with them is told to the model, which can mend them; their values are not repeated,
//! for a key may have been put where none belongs.

use std::time::Duration;

use authsome_proto::request::OAuthFlow;
use serde_json::{Map, Value};

use super::{Call, Login, Tool};
use crate::ui::printable;

/// Longest wait of one call. Clients give up a request after a minute, unless told otherwise.
pub(super) const WAIT_MAX: u64 = 55;

/// Wait of one call unless said.
pub(super) const WAIT_DEFAULT: u64 = 25;

/// Most refusals that are told at once.
pub(super) const REFUSALS_MAX: u64 = 50;

/// Refusals that are told unless said.
pub(super) const REFUSALS_DEFAULT: u64 = 10;

/// Longest argument in bytes.
const TEXT_MAX: usize = 8192;

/// Longest name of an argument that is repeated in an error.
const NAME_SHOWN: usize = 40;

/// The ways to log in that can be asked for.
pub(super) const FLOWS: [OAuthFlow; 5] = [
    OAuthFlow::Pkce,
    OAuthFlow::DcrPkce,
    OAuthFlow::DeviceCode,
    OAuthFlow::ClientCredentials,
    OAuthFlow::JwtBearer,
];

impl Tool {
    /// Reads its arguments; the reason is for the model.
    pub(in crate::commands::mcp) fn read(
        self,
        arguments: Map<String, Value>,
    ) -> Result<Call, String> {
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
