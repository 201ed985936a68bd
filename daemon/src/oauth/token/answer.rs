//! The members of a token endpoint's answer, as loosely as servers write them.
//!
//! Tokens go from the answer's bytes straight into [`Secret`]. Nothing is `flatten` or `untagged`, and
//! there is no `Value`: each of them would keep copies that nobody wipes. (What `serde_json` itself
//! needs to undo an escape is out of reach; tokens hold none, but for the `\/` of some servers.)

use std::fmt;

use authsome_proto::Secret;
use http::header::CONTENT_TYPE;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::{Incoming, form};

/// A whole answer.
#[derive(Default)]
pub(in crate::oauth) struct Answer {
    pub(in crate::oauth) granted: Granted,
    pub(in crate::oauth) said: Said,
}

/// What may be granted.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::oauth) struct Granted {
    #[serde(deserialize_with = "secret")]
    pub(super) access_token: Option<Secret>,
    #[serde(deserialize_with = "secret")]
    pub(super) refresh_token: Option<Secret>,
    pub(super) token_type: Loose,
    pub(super) expires_in: Loose,
    pub(super) scope: Loose,
}

/// What else may be said.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
pub(in crate::oauth) struct Said {
    /// Slack's, beside status 200.
    pub(super) ok: Loose,
    /// Slack's: the tokens of a person, beside those of a bot.
    #[serde(deserialize_with = "object")]
    pub(super) authed_user: Option<Granted>,
    error: Loose,
    error_description: Loose,
    /// The form of many APIs' own errors, which their token endpoints fall back to.
    code: Loose,
    /// The code of those that have no `error`, such as `BAD_REFRESH_TOKEN`.
    status: Loose,
    message: Loose,
    /// Another name of it.
    reason: Loose,
}

/// What could be anything.
#[derive(Debug, Default, Clone, PartialEq)]
pub(in crate::oauth) enum Loose {
    /// `null`, or not there.
    #[default]
    Nothing,
    Flag(bool),
    /// A number; one that is too large is the largest.
    Number(f64),
    Text(String),
    /// The texts of a list.
    List(Vec<String>),
    /// An error as an object.
    Object {
        code: Option<String>,
        message: Option<String>,
    },
}

/// Reads the body of `answer`, or says why it cannot be.
pub(in crate::oauth) fn parse(answer: &Incoming) -> Result<Answer, &'static str> {
    let text = str::from_utf8(&answer.body)
        .map_err(|_| "it is not UTF-8")?
        .trim();
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.starts_with('{') {
        // serde's own message may quote what it did not understand
        return Ok(Answer {
            granted: serde_json::from_str(text).map_err(|_| "it is no valid JSON object")?,
            said: serde_json::from_str(text).map_err(|_| "it is no valid JSON object")?,
        });
    }
    let kind = answer
        .headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .map_or("", |kind| kind.split(';').next().unwrap_or_default().trim());
    if [form::TYPE, "text/plain", ""]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(kind))
    {
        return of_form(text);
    }
    Err("it is neither JSON nor a form")
}

fn of_form(text: &str) -> Result<Answer, &'static str> {
    let mut answer = Answer::default();
    let Answer { granted, said } = &mut answer;
    for (name, mut value) in form::decode(text.as_bytes()) {
        let secret = match name.as_str() {
            "access_token" => Some(&mut granted.access_token),
            "refresh_token" => Some(&mut granted.refresh_token),
            _ => None,
        };
        if let Some(secret) = secret {
            // the buffer itself, which `Secret` wipes
            let before = secret.replace(Secret::new(std::mem::take(&mut *value)));
            if before.is_some() {
                return Err(TWICE);
            }
            continue;
        }
        let loose = match name.as_str() {
            "token_type" => &mut granted.token_type,
            "expires_in" => &mut granted.expires_in,
            "scope" => &mut granted.scope,
            "error" => &mut said.error,
            "error_description" => &mut said.error_description,
            _ => continue,
        };
        if *loose != Loose::Nothing {
            return Err(TWICE);
        }
        *loose = Loose::Text(value.to_string());
    }
    Ok(answer)
}

const TWICE: &str = "a member stands in it twice";

impl Said {
    /// The code of an error, as the server wrote it. What is only an error beside a status that says
    /// so counts if `is_error`: `status` and `code` may be anything in a success.
    pub(super) fn code(&self, is_error: bool) -> Option<String> {
        let error = match &self.error {
            Loose::Text(text) if !text.trim().is_empty() => Some(text.clone()),
            Loose::Object { code, .. } => Some(code.clone().unwrap_or_else(|| "error".to_owned())),
            // Reddit repeats the status
            Loose::Number(number) => Some(format!("error {number}")),
            Loose::Flag(true) => Some("error".to_owned()),
            _ => None,
        };
        let fallback = || [&self.code, &self.status].into_iter().find_map(Loose::text);
        match error {
            Some(code) => Some(code),
            None if is_error => fallback().map(str::to_owned),
            None => None,
        }
    }

    /// What is said about it.
    pub(super) fn description(&self) -> Option<&str> {
        let object = match &self.error {
            Loose::Object { message, .. } => message.as_deref(),
            _ => None,
        };
        self.error_description
            .text()
            .or(object)
            .or_else(|| self.message.text())
            .or_else(|| self.reason.text())
    }
}

impl Loose {
    /// A text that says something.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.trim().is_empty() => Some(text),
            _ => None,
        }
    }
}

/// A text, or nothing: some servers write `false` or `null` where there is no token.
fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Option<Secret>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a token")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(Secret::new(text.to_owned())))
        }

        fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
            Ok(Some(Secret::new(text)))
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    from.deserialize_any(Text)
}

/// An object, or nothing. The derived reader would take a list for one, member by member.
fn object<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Granted>, D::Error> {
    struct Object;

    impl<'de> Visitor<'de> for Object {
        type Value = Option<Granted>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Granted::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    from.deserialize_any(Object)
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Loose, E> {
        Ok(Loose::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Loose, E> {
        Ok(Loose::Number(
            u32::try_from(number).map_or(f64::MAX, f64::from),
        ))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Loose, E> {
        Ok(Loose::Number(
            i32::try_from(number).map_or(f64::MIN, f64::from),
        ))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Loose, E> {
        Ok(Loose::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
        Ok(Loose::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Loose, A::Error> {
        let mut texts = Vec::new();
        while let Some(item) = list.next_element()? {
            if let Loose::Text(text) = item {
                texts.push(text);
            }
        }
        Ok(Loose::List(texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
        let (mut code, mut message) = (None, None);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "code" | "type" | "status" => code = code.or(text(map.next_value()?)),
                "message" => message = message.or(text(map.next_value()?)),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Loose::Object { code, message })
    }
}

fn text(loose: Loose) -> Option<String> {
    match loose {
        Loose::Text(text) => Some(text),
        _ => None,
    }
}
