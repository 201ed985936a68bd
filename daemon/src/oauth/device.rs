//! A code that a person types on another device (RFC 8628), and Postiz's JSON dialect of it.
//!
//! Pure: [`Poll`] says how long to wait before the next question, given what came.
//!
//! Postiz's dialect ([`DeviceTokenRequest::Json`]) speaks JSON in both directions. Its server is the
//! client towards Postiz itself and asks nobody for a secret, so none is sent.
//!
//! Not here: when to give up. Whoever asks counts [`DeviceCode::expires_in`] from the answer on.

use std::time::Duration;

use authsome_proto::Secret;
use serde::Deserialize;
use serde_json::Value;

use super::client::post;
use super::{Client, Grant, Incoming, Outgoing, TokenError, Tokens, address, answer, json, token};
use crate::providers::{ClientAuth, DeviceTokenRequest};

/// Least wait between two questions, and the default (RFC 8628 section 3.5). With less a hostile
/// server has us hammer whatever it names (threat O5).
const INTERVAL_MIN: Duration = Duration::from_secs(5);

/// Longest wait that a server may ask for at first, and longest that we take upon ourselves: a person
/// who is done does not want to look at a spinner for longer.
const INTERVAL_MAX: Duration = Duration::from_secs(60);

/// What `slow_down` adds.
const SLOWER: Duration = Duration::from_secs(5);

/// How long a code is good where the server does not say it.
const EXPIRES_IN_DEFAULT: Duration = Duration::from_secs(600);

/// Longest life of a code that is believed; RFC 8628's example has it. A port and a person wait.
const EXPIRES_IN_MAX: Duration = Duration::from_secs(1800);

/// Longest code for a person: what is longer nobody types.
const USER_CODE_MAX: usize = 64;

/// Longest code for the server. Microsoft's have about 200 bytes.
const DEVICE_CODE_MAX: usize = 4096;

/// What the device authorization endpoint answered (section 3.2).
#[derive(Debug)]
pub struct DeviceCode {
    /// For the token endpoint.
    pub device_code: Secret,
    /// For the person; printable and short.
    pub user_code: String,
    /// Where it is typed; `https`.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// How long both are good; 10 minutes where the server is silent, 30 at most.
    pub expires_in: Duration,
    /// How long to wait between two questions: what the server says, but 5 seconds at least
    /// (section 3.5, threat O5) and 60 at most.
    pub interval: Duration,
}

/// The request for a device code (section 3.1). The client proves who it is as it does at the token
/// endpoint.
pub fn request(client: &Client, scopes: &[String], how: DeviceTokenRequest) -> Outgoing {
    let scope = scopes.join(" ");
    let mut pairs = Vec::new();
    if !scope.is_empty() {
        pairs.push(("scope", scope.as_str()));
    }
    match how {
        DeviceTokenRequest::OAuth2Form => {
            // Basic says who we are, too, but section 3.1 wants the id in the form
            let is_said = client.secret.is_none() || client.auth == ClientAuth::Body;
            if !is_said {
                pairs.push(("client_id", client.id.as_str()));
            }
            post(&pairs, Some(client))
        }
        DeviceTokenRequest::Json => {
            if !client.id.is_empty() {
                pairs.insert(0, ("client_id", client.id.as_str()));
            }
            in_json(&pairs)
        }
    }
}

fn in_json(pairs: &[(&str, &str)]) -> Outgoing {
    Outgoing {
        headers: json::headers(),
        body: Some((json::TYPE, json::object(pairs))),
    }
}

/// What its answer holds.
pub fn read(answer: &Incoming, how: DeviceTokenRequest) -> Result<DeviceCode, TokenError> {
    // the dialect differs in its questions only
    let (DeviceTokenRequest::Json | DeviceTokenRequest::OAuth2Form) = how;
    if let Some(error) = answer::refusal(answer) {
        return Err(error);
    }
    let body: Body = serde_json::from_slice(&answer.body)
        .map_err(|_| TokenError::Malformed("it is no JSON object with a device code"))?;
    if body.device_code.is_empty() || body.device_code.len() > DEVICE_CODE_MAX {
        return Err(TokenError::Malformed(
            "its device code is empty or too long",
        ));
    }
    let user_code = body.user_code.trim();
    if !can_be_typed(user_code) {
        return Err(TokenError::Malformed("its user code cannot be typed"));
    }
    let page = body
        .verification_uri
        .or(body.verification_url)
        .and_then(|text| address::page(&text))
        .ok_or(TokenError::Malformed("it names no `https` page to go to"))?;
    // another host's page in place of the one that is shown would ask for anything
    let complete = body
        .verification_uri_complete
        .as_str()
        .and_then(address::page)
        .filter(|complete| complete.origin() == page.origin());
    Ok(DeviceCode {
        device_code: body.device_code,
        user_code: user_code.to_owned(),
        verification_uri: page.into(),
        verification_uri_complete: complete.map(Into::into),
        expires_in: duration(&body.expires_in)
            .unwrap_or(EXPIRES_IN_DEFAULT)
            .min(EXPIRES_IN_MAX),
        interval: duration(&body.interval)
            .unwrap_or(INTERVAL_MIN)
            .clamp(INTERVAL_MIN, INTERVAL_MAX),
    })
}

/// The request that asks for the tokens (section 3.4).
pub fn token_request(code: &DeviceCode, client: &Client, how: DeviceTokenRequest) -> Outgoing {
    match how {
        DeviceTokenRequest::Json => {
            let mut pairs = vec![("device_code", code.device_code.expose())];
            if !client.id.is_empty() {
                pairs.push(("client_id", client.id.as_str()));
            }
            in_json(&pairs)
        }
        DeviceTokenRequest::OAuth2Form => {
            let grant = Grant::Device {
                code: &code.device_code,
            };
            token::request(&grant, Some(client), None)
        }
    }
}

/// Asking until the person is done.
#[derive(Debug)]
pub struct Poll {
    /// What the server wants.
    wanted: Duration,
    /// What we wait: longer while it does not answer.
    wait: Duration,
}

/// What to do after an answer.
#[derive(Debug)]
pub enum Next {
    /// Ask again after this long.
    Wait(Duration),
    /// Here they are.
    Done(Tokens),
    /// It is over.
    Failed(TokenError),
}

impl Poll {
    /// Waits `code.interval` before the first question.
    pub fn new(code: &DeviceCode) -> Self {
        Self {
            wanted: code.interval,
            wait: code.interval,
        }
    }

    /// How long to wait now.
    pub fn interval(&self) -> Duration {
        self.wait
    }

    /// After an answer: `slow_down` adds 5 seconds for good (section 3.5).
    pub fn answered(&mut self, answer: &Incoming, how: DeviceTokenRequest) -> Next {
        // the dialect answers as RFC 6749 does, in JSON, which is read either way
        let (DeviceTokenRequest::Json | DeviceTokenRequest::OAuth2Form) = how;
        self.told(token::read(answer))
    }

    /// After no answer: twice as long as before, as section 3.5 asks, but a minute at most. Never
    /// less than the server asked for.
    pub fn unanswered(&mut self) -> Duration {
        self.wait = self
            .wait
            .saturating_mul(2)
            .min(INTERVAL_MAX)
            .max(self.wanted);
        self.wait
    }

    fn told(&mut self, outcome: Result<Tokens, TokenError>) -> Next {
        match outcome {
            Ok(tokens) => Next::Done(tokens),
            Err(TokenError::Refused { code, .. }) if code == "authorization_pending" => {
                self.wait = self.wanted;
                Next::Wait(self.wait)
            }
            Err(TokenError::Refused { code, .. }) if code == "slow_down" => {
                self.wanted = self.wanted.saturating_add(SLOWER);
                self.wait = self.wanted;
                Next::Wait(self.wait)
            }
            Err(TokenError::Unavailable { retry_after, .. }) => {
                let asked = retry_after.unwrap_or_default().min(INTERVAL_MAX);
                self.wait = self.unanswered().max(asked);
                Next::Wait(self.wait)
            }
            Err(error @ (TokenError::Refused { .. } | TokenError::Malformed(_))) => {
                Next::Failed(error)
            }
        }
    }
}

/// Section 3.2. What is not needed may be of any type.
#[derive(Deserialize)]
struct Body {
    device_code: Secret,
    user_code: String,
    verification_uri: Option<String>,
    /// As Google and Microsoft spelt it before there was an RFC.
    verification_url: Option<String>,
    #[serde(default)]
    verification_uri_complete: Value,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    interval: Value,
}

/// Letters, digits and signs of ASCII, perhaps in groups: a person compares and types it, and
/// letters that look like others would not be told apart.
fn can_be_typed(code: &str) -> bool {
    (1..=USER_CODE_MAX).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

/// Seconds as a number, or as text as some write it. None if that is nothing or less.
fn duration(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // more than a day is a day: `Duration` has an end
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds.min(86_400.0)).ok())?
}

#[cfg(test)]
mod tests;
