//! `get P`: one connection's metadata, one field of it, or, on request, its secret.
//!
//! The secret is asked for on the terminal first and revealed by the daemon only after it is in
//! the audit log; the daemon refuses processes inside a run.

use authsome_proto::{Request, Response};
use jiff::Timestamp;
use serde_json::Value;
use zeroize::Zeroizing;

use super::view;
use crate::cli::Get;
use crate::connect::{Start, connect, unexpected};
use crate::error::{Done, Failure};
use crate::prompt;
use crate::secrets;
use crate::times;
use crate::ui::Ui;

/// Spellings of the Python product's fields.
const OLD_NAMES: [(&str, &str); 5] = [
    ("auth_type", "auth"),
    ("connection_name", "connection"),
    ("is_default", "default"),
    ("state", "status"),
    ("last_used_at", "last_used"),
];

pub(super) fn get(arguments: &Get, ui: Ui) -> Done {
    if arguments.show_secret {
        return show_secret(arguments, ui);
    }
    let request = Request::Connection {
        provider: arguments.provider.clone(),
        connection: arguments.connection.clone(),
    };
    let answer = connect(Start::IfNeeded, ui)?.call(request, ui);
    let Response::Connection(connection) = answer.map_err(Failure::or_login_needed)? else {
        return Err(unexpected());
    };
    let object = view::connection(&connection);
    match &arguments.field {
        Some(name) => {
            let (name, value) = field(&object, name)?;
            if ui.json {
                return ui.object(Value::Object([(name, value)].into_iter().collect()));
            }
            ui.line(&plain(&value))
        }
        None if ui.json => ui.object(object),
        None => {
            let now = Timestamp::now();
            let fields = object.as_object().into_iter().flatten();
            // what never ends needs no renewal
            let no_news = |name: &str| name == "renews" && connection.expires_at.is_none();
            for (name, value) in fields.filter(|(name, value)| !empty(value) && !no_news(name)) {
                let value = match value.as_str() {
                    Some(when) if is_time(name) => {
                        format!("{} ({when})", times::human(when, now))
                    }
                    _ => plain(value).replace('\n', ", "),
                };
                ui.line(&format!("{name:<18}{}", crate::ui::printable(&value)))?;
            }
            ui.line(&format!(
                "{:<18}(hidden; `--show-secret` prints it)",
                "secret"
            ))
        }
    }
}

fn is_time(name: &str) -> bool {
    matches!(
        name,
        "created_at" | "rotated_at" | "last_used" | "expires_at"
    )
}

fn empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// A field by its name.
fn field(object: &Value, name: &str) -> Result<(String, Value), Failure> {
    let name = OLD_NAMES
        .iter()
        .find(|(old, _)| *old == name)
        .map_or(name, |(_, new)| *new);
    let fields = object.as_object();
    if let Some(value) = fields.and_then(|fields| fields.get(name)) {
        return Ok((name.to_owned(), value.clone()));
    }
    let known: Vec<&str> = fields
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let failure = Failure::usage(format!("a connection has no field `{name}`"));
    if matches!(
        name,
        "secret" | "api_key" | "key" | "token" | "access_token"
    ) {
        return Err(failure.hint("`--show-secret` prints the secret, after asking"));
    }
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, _)| *distance <= 3)
        .min();
    Err(match near {
        Some((_, near)) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint(format!("fields: {}", known.join(", "))),
    })
}

/// A value without quotes; a list one item a line; nothing for what is absent.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

fn show_secret(arguments: &Get, ui: Ui) -> Done {
    if arguments.field.is_some() {
        return Err(Failure::usage(
            "`--field` and `--show-secret` do not go together",
        ));
    }
    secrets::conceal();
    let provider = &arguments.provider;
    let mut daemon = connect(Start::IfNeeded, ui)?;
    if !arguments.yes
        && !prompt::confirm(
            &format!("print the secret of `{provider}` on this terminal? It will be audited"),
            "add `--yes` to print it without being asked",
        )?
    {
        return Err(Failure::failed("nothing was printed"));
    }
    let request = Request::Reveal {
        provider: provider.clone(),
        connection: arguments.connection.clone(),
    };
    let answer = daemon.call(request, ui).map_err(Failure::or_login_needed)?;
    let Response::Revealed(revealed) = answer else {
        return Err(unexpected());
    };
    let value = revealed.secret.expose();
    // room for what JSON escapes, so that the buffer does not move and leave a copy
    let mut text = Zeroizing::new(String::with_capacity(value.len() * 6 + 256));
    if ui.json {
        text.push_str("{\"v\":1,\"provider\":\"");
        text.push_str(revealed.provider.as_str());
        text.push_str("\",\"connection\":\"");
        text.push_str(revealed.connection.as_str());
        text.push_str("\",\"secret\":");
        crate::quote::json(&mut text, value);
        text.push('}');
    } else {
        text.push_str(value);
    }
    text.push('\n');
    ui.secret(&text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_by_old_and_new_names() {
        let object = json!({"status": "connected", "default": true, "hosts": ["a", "b"]});
        let get = |name| field(&object, name).map(|(_, value)| plain(&value));
        assert_eq!(get("status").unwrap(), "connected");
        assert_eq!(get("is_default").unwrap(), "true");
        assert_eq!(get("hosts").unwrap(), "a\nb");
    }

    #[test]
    fn an_unknown_field_is_a_usage_error_with_a_way_out() {
        let object = json!({"status": "connected"});
        let failure = field(&object, "staus").unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert_eq!(failure.hint.as_deref(), Some("did you mean `status`?"));
        let failure = field(&object, "api_key").unwrap_err();
        assert!(failure.hint.unwrap().contains("--show-secret"));
    }
}
