//! `webhook …`: endpoints for signed webhooks.
//!
//! Adding and rotating get the secret as `login` gets a key; verifying and signing read the body
//! from standard input, byte for byte, and leave the judgement to the daemon, which has the secret.

use std::io::{self, Read as _};

use authsome_proto::frame::FRAME_MAX;
use authsome_proto::response::{Webhook, WebhookStored, WebhookVerified};
use authsome_proto::{Request, Response, WebhookName, request};
use serde_json::{Value, json};

use super::login::{self, Means};
use crate::cli::{
    SecretSource, WebhookAdd, WebhookRotate, WebhookSign, WebhookVerb, WebhookVerify,
};
use crate::connect::{Start, connect, unexpected};
use crate::error::{Done, Failure};
use crate::ui::{Field, Mood, Ui};

/// Longest body of `verify` and `sign`: what fits a frame with its headers.
const BODY_MAX: usize = FRAME_MAX - 64 * 1024;

/// Longest description of a scheme that is read; the daemon says it more exactly.
const SCHEME_MAX: u64 = 256 * 1024;

pub(super) fn webhook(verb: Option<WebhookVerb>, ui: Ui) -> Done {
    match verb {
        None | Some(WebhookVerb::List) => list(ui),
        Some(WebhookVerb::Add(arguments)) => add(arguments, ui),
        Some(WebhookVerb::Rotate(arguments)) => rotate(arguments, ui),
        Some(WebhookVerb::Remove(arguments)) => remove(&arguments.name, ui),
        Some(WebhookVerb::Verify(arguments)) => verify(arguments, ui),
        Some(WebhookVerb::Sign(arguments)) => sign(arguments, ui),
    }
}

fn add(arguments: WebhookAdd, ui: Ui) -> Done {
    let means = means(&arguments.secret, &arguments.name)?;
    let definition = arguments
        .scheme_file
        .as_deref()
        .map(|path| {
            let text = read_scheme(path)?;
            Ok::<_, Failure>((text, path.display().to_string()))
        })
        .transpose()?;
    let request = Request::WebhookAdd(request::WebhookAdd {
        webhook: arguments.name,
        scheme: arguments.scheme,
        definition,
        forward: arguments.forward,
        port: arguments.port,
        max_body: arguments.max_body,
        wait: arguments.wait,
        via: means.via(),
    });
    store(request, &means, ui)
}

fn rotate(arguments: WebhookRotate, ui: Ui) -> Done {
    let means = means(&arguments.secret, &arguments.name)?;
    let request = Request::WebhookRotate {
        webhook: arguments.name,
        keep_old: arguments.keep_old.unwrap_or(0),
        via: means.via(),
    };
    store(request, &means, ui)
}

/// Begins what `request` says, and gets the secret for it.
fn store(request: Request, means: &Means, ui: Ui) -> Done {
    let mut daemon = connect(Start::IfNeeded, ui)?;
    match login::see_through(&mut daemon, means, request, ui)? {
        Response::WebhookStored(stored) => show_stored(&stored, ui),
        _ => Err(unexpected()),
    }
}

fn means(source: &SecretSource, name: &WebhookName) -> Result<Means, Failure> {
    let means = Means::of_secret(source);
    if means.are_none() {
        return Err(Failure::failed(format!(
            "there is neither a browser nor a terminal to ask for the secret of webhook `{name}`"
        ))
        .hint("`--stdin` and `--from-env VAR` read it"));
    }
    Ok(means)
}

/// Says what was stored, and where the sender's requests are to go.
pub(super) fn show_stored(stored: &WebhookStored, ui: Ui) -> Done {
    let WebhookStored {
        webhook,
        rotated,
        store,
    } = stored;
    if ui.json {
        let mut fields = object(webhook);
        if let Value::Object(fields) = &mut fields {
            fields.insert("rotated".into(), json!(rotated));
            fields.insert("store".into(), json!(store));
        }
        return ui.object(fields);
    }
    ui.done(&stored_text(stored))?;
    if let Some(problem) = &webhook.problem {
        ui.warning(&crate::ui::printable(problem));
    }
    if !rotated {
        ui.note(&format!(
            "point a tunnel or reverse proxy at {}; `authsome webhook list` shows how it fares",
            webhook.url
        ));
    }
    Ok(())
}

fn stored_text(stored: &WebhookStored) -> String {
    let WebhookStored {
        webhook,
        rotated,
        store,
    } = stored;
    let place = match store.as_str() {
        "file" => "encrypted files",
        "keyring" => "the keyring",
        other => other,
    };
    let name = &webhook.webhook;
    if !rotated {
        return format!(
            "added: {name} ({}), secret stored in {place}; {} -> {}",
            webhook.scheme, webhook.url, webhook.forward
        );
    }
    let live = webhook.secrets.unwrap_or(1);
    let others = match live.saturating_sub(1) {
        0 => "the one before it is dead".to_owned(),
        1 => "the one before it stays good for now".to_owned(),
        others => format!("{others} before it stay good for now"),
    };
    format!("rotated: {name}; the new secret is stored in {place}, {others}")
}

fn list(ui: Ui) -> Done {
    let answer = connect(Start::IfNeeded, ui)?.call(Request::Webhooks, ui)?;
    let Response::Webhooks(webhooks) = answer else {
        return Err(unexpected());
    };
    if ui.json {
        let webhooks: Value = webhooks.iter().map(object).collect();
        return ui.object(json!({ "webhooks": webhooks }));
    }
    if webhooks.is_empty() {
        ui.note("no webhooks; `authsome webhook add NAME --scheme S --forward URL` adds one");
        return Ok(());
    }
    ui.table(
        &[
            "NAME",
            "SCHEME",
            "LISTENS ON",
            "FORWARDS TO",
            "SECRETS",
            "ACCEPTED",
            "REFUSED",
            "FAILED",
            "PROBLEM",
        ],
        webhooks.iter().map(row).collect(),
    )
}

fn row(webhook: &Webhook) -> Vec<Field> {
    let secrets = match webhook.secrets {
        Some(0) => Field::new("none", Mood::Bad),
        Some(count) => count.to_string().into(),
        None => Field::new("locked", Mood::Careful),
    };
    vec![
        webhook.webhook.as_str().into(),
        webhook.scheme.as_str().into(),
        webhook.url.as_str().into(),
        webhook.forward.as_str().into(),
        secrets,
        webhook.accepted.to_string().into(),
        webhook.refused.to_string().into(),
        webhook.failed.to_string().into(),
        Field::new(webhook.problem.clone().unwrap_or_default(), Mood::Bad),
    ]
}

fn object(webhook: &Webhook) -> Value {
    let Webhook {
        webhook,
        scheme,
        url,
        forward,
        max_body,
        wait,
        created_at,
        rotated_at,
        secrets,
        accepted,
        refused,
        failed,
        problem,
    } = webhook;
    json!({
        "webhook": webhook,
        "scheme": scheme,
        "url": url,
        "forward": forward,
        "max_body": max_body,
        "wait": wait,
        "created_at": created_at,
        "rotated_at": rotated_at,
        "secrets": secrets,
        "accepted": accepted,
        "refused": refused,
        "failed": failed,
        "problem": problem,
    })
}

fn remove(name: &WebhookName, ui: Ui) -> Done {
    let request = Request::WebhookRemove {
        webhook: name.clone(),
    };
    let Response::Done = connect(Start::IfNeeded, ui)?.call(request, ui)? else {
        return Err(unexpected());
    };
    if ui.json {
        return ui.object(json!({ "webhook": name, "removed": true }));
    }
    ui.done(&format!(
        "removed: {name}; its port is closed, its secrets are gone"
    ))
}

fn verify(arguments: WebhookVerify, ui: Ui) -> Done {
    let request = Request::WebhookVerify(request::WebhookVerify {
        webhook: arguments.name,
        headers: arguments.headers,
        signature: arguments.signature,
        timestamp: arguments.timestamp,
        id: arguments.id,
        body: read_body()?,
    });
    let answer = connect(Start::IfNeeded, ui)?.call(request, ui)?;
    let Response::WebhookVerified(WebhookVerified { good, code, reason }) = answer else {
        return Err(unexpected());
    };
    if ui.json {
        ui.object(json!({ "good": good, "code": code, "reason": reason }))?;
    } else if good {
        ui.done("good")?;
    } else {
        ui.done(&format!("bad: {}", reason.unwrap_or_default()))?;
    }
    if good { Ok(()) } else { Err(Failure::said(1)) }
}

fn sign(arguments: WebhookSign, ui: Ui) -> Done {
    let request = Request::WebhookSign(request::WebhookSign {
        webhook: arguments.name,
        timestamp: arguments.timestamp,
        id: arguments.id,
        body: read_body()?,
    });
    let answer = connect(Start::IfNeeded, ui)?.call(request, ui)?;
    let Response::WebhookSigned { headers } = answer else {
        return Err(unexpected());
    };
    if ui.json {
        let headers: Value = headers
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        return ui.object(json!({ "headers": headers }));
    }
    for (name, value) in &headers {
        ui.line(&format!("{name}: {value}"))?;
    }
    Ok(())
}

fn read_body() -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let most = u64::try_from(BODY_MAX).unwrap_or(u64::MAX);
    io::stdin()
        .lock()
        .take(most.saturating_add(1))
        .read_to_end(&mut body)
        .map_err(|error| {
            Failure::failed("cannot read the body from standard input").because(&error)
        })?;
    if body.len() > BODY_MAX {
        return Err(Failure::failed(format!(
            "the body is longer than the {BODY_MAX} bytes that this command takes"
        ))
        .hint("send it to the endpoint itself, whose limit is `--max-body`"));
    }
    Ok(body)
}

fn read_scheme(path: &std::path::Path) -> Result<String, Failure> {
    let cannot = |error: &io::Error| {
        Failure::failed(format!("cannot read `{}`", path.display())).because(error)
    };
    let mut text = String::new();
    std::fs::File::open(path)
        .map_err(|error| cannot(&error))?
        .take(SCHEME_MAX)
        .read_to_string(&mut text)
        .map_err(|error| cannot(&error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_said_exactly() {
        let webhook = Webhook {
            webhook: "fin".parse().unwrap(),
            scheme: "intercom-fin".parse().unwrap(),
            url: "http://127.0.0.1:23981/".into(),
            forward: "http://127.0.0.1:3000/hooks".into(),
            max_body: 1,
            wait: 4,
            created_at: String::new(),
            rotated_at: None,
            secrets: Some(1),
            accepted: 0,
            refused: 0,
            failed: 0,
            problem: None,
        };
        let mut stored = WebhookStored {
            webhook,
            rotated: false,
            store: "keyring".into(),
        };
        assert_eq!(
            stored_text(&stored),
            "added: fin (intercom-fin), secret stored in the keyring; \
             http://127.0.0.1:23981/ -> http://127.0.0.1:3000/hooks"
        );
        stored.rotated = true;
        assert!(stored_text(&stored).ends_with("the one before it is dead"));
        stored.webhook.secrets = Some(3);
        assert!(stored_text(&stored).ends_with("2 before it stay good for now"));
    }
}
