//! What a login asks for, answered: from a value that was read, or by asking on the terminal.

use std::path::PathBuf;

use authsome_proto::Secret;
use authsome_proto::request::LoginAnswer;
use authsome_proto::response::LoginAsks;
use zeroize::Zeroizing;

use super::means::{AtHand, Source};
use super::texts::{self, noun};
use crate::error::Failure;
use crate::interrupt::Interrupt;
use crate::prompt;
use crate::secrets;
use crate::ui::{Ui, printable};

/// What a value that was read answers.
pub(super) fn from_value(
    asks: &LoginAsks,
    at_hand: AtHand,
    client_id: Option<&str>,
) -> Result<LoginAnswer, Failure> {
    let AtHand { secret, source } = at_hand;
    if matches!(source, Source::File(_)) && *asks != LoginAsks::ServiceAccount {
        return Err(Failure::usage(format!(
            "`--key-file` gives the key of a service account; this login asks for {}",
            noun(asks)
        )));
    }
    match asks {
        LoginAsks::ApiKey | LoginAsks::ServiceAccount | LoginAsks::SigningSecret => {
            Ok(LoginAnswer::Secret(secret))
        }
        LoginAsks::Client { id, .. } => {
            let Some(id) = id.as_deref().or(client_id) else {
                return Err(Failure::usage(format!(
                    "{} gives the secret of an OAuth client, but not which client",
                    source.what()
                ))
                .hint("add `--client-id ID`"));
            };
            Ok(LoginAnswer::Client {
                id: id.to_owned(),
                secret: Some(secret),
            })
        }
        LoginAsks::Cookies { names, needed, .. } => {
            cookies(secret.expose(), names, *needed, &source.what())
        }
    }
}

/// Cookies as `NAME=VALUE`, one a line or as in a `Cookie` header; those that nobody asked for are
/// left out, since a header that is copied from a browser has them all.
fn cookies(text: &str, names: &[String], needed: u32, what: &str) -> Result<LoginAnswer, Failure> {
    let text = text.trim();
    let text = match text.get(..7) {
        Some(start) if start.eq_ignore_ascii_case("cookie:") => text.get(7..).unwrap_or_default(),
        _ => text,
    };
    let mut found: Vec<(String, Secret)> = Vec::new();
    for pair in text.split(['\n', ';']) {
        let Some((name, value)) = pair.trim().split_once('=') else {
            continue;
        };
        let (name, value) = (name.trim_end(), value.trim());
        if names.iter().any(|wanted| wanted == name)
            && !value.is_empty()
            && !found.iter().any(|(known, _)| known == name)
        {
            found.push((name.to_owned(), Secret::new(value.to_owned())));
        }
    }
    let needed = usize::try_from(needed).unwrap_or(usize::MAX);
    if let Some(missing) = names
        .iter()
        .take(needed)
        .find(|name| !found.iter().any(|(found, _)| found == *name))
    {
        return Err(Failure::failed(format!(
            "{what} does not have the cookie `{}`",
            printable(missing)
        ))
        .hint("write one `NAME=VALUE` a line, or what the browser sends as `Cookie`"));
    }
    Ok(LoginAnswer::Cookies(found))
}

/// Asks on the terminal; `name` is the provider's for people.
pub(super) fn ask(
    asks: &LoginAsks,
    name: &str,
    interrupt: &Interrupt,
    ui: Ui,
) -> Result<LoginAnswer, Failure> {
    let name = printable(name);
    match asks {
        LoginAsks::ApiKey => {
            prompt::hidden(&format!("Key for {name} (hidden): ")).map(LoginAnswer::Secret)
        }
        LoginAsks::SigningSecret => {
            prompt::hidden(&format!("Signing secret for {name} (hidden): "))
                .map(LoginAnswer::Secret)
        }
        LoginAsks::Client {
            id, secret_needed, ..
        } => {
            let id = match id {
                Some(id) => id.clone(),
                None => prompt::visible(&format!("Client id for {name}: "), interrupt)?,
            };
            let secret = if *secret_needed {
                Some(prompt::hidden("Client secret (hidden): ")?)
            } else {
                prompt::hidden_or_none("Client secret (hidden; Enter if it has none): ")?
            };
            Ok(LoginAnswer::Client { id, secret })
        }
        LoginAsks::ServiceAccount => loop {
            let path = prompt::visible("Path of the JSON key file: ", interrupt)?;
            match secrets::from_file(&home_of(&path)) {
                Ok(secret) => return Ok(LoginAnswer::Secret(secret)),
                Err(failure) => ui.failure(&failure),
            }
        },
        LoginAsks::Cookies {
            entry_url,
            names,
            needed,
        } => {
            for line in texts::cookies(entry_url) {
                ui.instruct(&line);
            }
            let needed = usize::try_from(*needed).unwrap_or(usize::MAX);
            let mut found = Vec::new();
            for (at, name) in names.iter().enumerate() {
                let shown = printable(name);
                let value = if at < needed {
                    Some(prompt::hidden(&format!("{shown} (hidden): "))?)
                } else {
                    prompt::hidden_or_none(&format!("{shown} (hidden; Enter if there is none): "))?
                };
                found.extend(value.map(|value| (name.clone(), value)));
            }
            Ok(LoginAnswer::Cookies(found))
        }
    }
}

/// What can be answered where nobody can be asked: that a client has no secret, if it needs none.
pub(super) fn without_a_person(asks: &LoginAsks) -> Option<LoginAnswer> {
    match asks {
        LoginAsks::Client {
            id: Some(id),
            secret_needed: false,
            ..
        } => Some(LoginAnswer::Client {
            id: id.clone(),
            secret: None,
        }),
        _ => None,
    }
}

/// A path as a shell would read it.
fn home_of(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// The address that a browser ended at, as it was pasted: what a terminal or a chat put around it is
/// not part of it.
pub(super) fn redirect(pasted: &Secret) -> Secret {
    let text = Zeroizing::new(pasted.expose().trim().to_owned());
    let inner = text
        .strip_prefix(['<', '"', '\'', '`'])
        .and_then(|rest| rest.strip_suffix(['>', '"', '\'', '`']))
        .unwrap_or(&text);
    Secret::new(inner.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_hand(text: &str, source: Source) -> AtHand {
        AtHand {
            secret: Secret::new(text.to_owned()),
            source,
        }
    }

    fn client(id: Option<&str>) -> LoginAsks {
        LoginAsks::Client {
            redirect_uri: None,
            id: id.map(str::to_owned),
            secret_needed: true,
        }
    }

    #[test]
    fn a_value_is_the_secret_of_the_client_that_is_known() {
        for (asked, given) in [(Some("one"), None), (None, Some("one"))] {
            let answer =
                from_value(&client(asked), at_hand("canary", Source::Stdin), given).unwrap();
            let LoginAnswer::Client { id, secret } = answer else {
                panic!()
            };
            assert_eq!((id.as_str(), secret.unwrap().expose()), ("one", "canary"));
        }
        let failure =
            from_value(&client(None), at_hand("canary", Source::Stdin), None).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
    }

    #[test]
    fn a_key_file_answers_nothing_but_a_service_account() {
        let file = || Source::File("/x/key.json".into());
        assert!(from_value(&LoginAsks::ServiceAccount, at_hand("{}", file()), None).is_ok());
        for asks in [LoginAsks::ApiKey, client(Some("one"))] {
            let failure = from_value(&asks, at_hand("{}", file()), Some("one")).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
        }
    }

    #[test]
    fn cookies_are_taken_as_lines_or_as_a_header_and_no_others() {
        let names = ["auth_token".to_owned(), "ct0".to_owned()];
        let read = |text: &str| {
            cookies(text, &names, 1, "standard input").map(|answer| {
                let LoginAnswer::Cookies(cookies) = answer else {
                    panic!()
                };
                let shown: Vec<String> = cookies
                    .iter()
                    .map(|(name, value)| format!("{name}={}", value.expose()))
                    .collect();
                shown.join(" ")
            })
        };
        for text in [
            "auth_token=a=b\nct0=c\n",
            "lang=en; auth_token=a=b; ct0=c; x",
            "Cookie: auth_token=a=b;ct0=c",
            " auth_token = a=b ;ct0=c; ct0=second",
        ] {
            assert_eq!(read(text).unwrap(), "auth_token=a=b ct0=c", "{text}");
        }
        assert_eq!(read("auth_token=a").unwrap(), "auth_token=a");
        for text in ["ct0=canary", "canary", "auth_token=; ct0=canary"] {
            let failure = read(text).unwrap_err();
            assert!(failure.message.contains("`auth_token`"), "{failure:?}");
            assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
        }
    }

    #[test]
    fn what_stands_around_a_pasted_address_is_not_part_of_it() {
        for pasted in [
            "http://x/?code=1",
            " http://x/?code=1\t",
            "<http://x/?code=1>",
            "'http://x/?code=1'",
        ] {
            assert_eq!(
                redirect(&Secret::new(pasted.to_owned())).expose(),
                "http://x/?code=1"
            );
        }
    }
}
