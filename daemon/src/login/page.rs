//! The pages themselves: HTML as text, one style sheet, no script, nothing from elsewhere. Pure.
//!
//! Everything that is not ours is escaped where it is put in ([`Escaped`]); a page never holds a
//! key. The style sheet is allowed by its hash ([`security_policy`]), so nothing that might ever
//! get into a page can bring its own.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::form::{KEY_FIELD, TOKEN_FIELD};
use super::{Asked, LoginForm};

const STYLE: &str = include_str!("page.css");

/// Hosts shown at once; more of them fold, or the button leaves a phone's screen.
const HOSTS_SHOWN: usize = 4;

/// Addresses shown; definitions have one or two.
const KEY_URLS_SHOWN: usize = 4;

const LOGO: &str = r#"<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.9" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><circle cx="8" cy="15.5" r="4.6"/><path d="m11.3 12.2 8.4-8.4M15.6 7.9l3.1 3.1"/></svg>"#;
const CHECK: &str = r#"<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="m5 12.5 4.6 4.6L19 7.5"/></svg>"#;
const ALERT: &str = r#"<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" aria-hidden="true"><path d="M12 5v8.5M12 18.6v.1"/></svg>"#;
const TERMINAL: &str = r#"<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="m5 8 4 4-4 4M12.5 16.5H19"/></svg>"#;

/// The policy sent with every page: our style sheet, our form, nothing else.
pub(super) static SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'"
    )
});

/// The form; `problem` says what was wrong with the key that came in.
pub(super) fn form(form: &LoginForm, token: &str, problem: Option<&str>) -> String {
    let Words {
        title,
        kind,
        lead,
        label,
        button,
        ..
    } = Words::of(form);
    let mut body = format!("<h1>{title}</h1>");
    if kind != "Connection" || form.connection.as_str() != "default" {
        push(
            &mut body,
            format_args!(
                "<p class=\"which\">{kind} <code class=\"chip\">{}</code></p>",
                Escaped(form.connection.as_str())
            ),
        );
    }
    push(&mut body, format_args!("<p class=\"lead\">{lead}</p>"));
    if let Some(problem) = problem {
        push(
            &mut body,
            format_args!(
                "<p class=\"problem\" id=\"problem\" role=\"alert\">{}</p>",
                Marked(problem)
            ),
        );
    }
    let described = match (problem, &form.hint) {
        (Some(_), Some(_)) => " aria-describedby=\"problem hint\"",
        (Some(_), None) => " aria-describedby=\"problem\"",
        (None, Some(_)) => " aria-describedby=\"hint\"",
        (None, None) => "",
    };
    let invalid = if problem.is_some() {
        " aria-invalid=\"true\""
    } else {
        ""
    };
    // the `data-` attributes keep password managers from offering to save it a second time
    push(
        &mut body,
        format_args!(
            "<form method=\"post\" autocomplete=\"off\">\
         <input type=\"hidden\" name=\"{TOKEN_FIELD}\" value=\"{}\">\
         <label for=\"key\">{label}</label>\
         <input type=\"password\" id=\"key\" name=\"{KEY_FIELD}\" required autofocus \
         autocomplete=\"off\" autocapitalize=\"off\" autocorrect=\"off\" spellcheck=\"false\" \
         data-1p-ignore data-bwignore data-lpignore=\"true\"{described}{invalid}>",
            Escaped(token)
        ),
    );
    if let Some(hint) = &form.hint {
        push(
            &mut body,
            format_args!("<p class=\"hint\" id=\"hint\">{}</p>", Marked(hint)),
        );
    }
    push(
        &mut body,
        format_args!("<button type=\"submit\">{button}</button></form>"),
    );
    facts(&mut body, form);
    let footer = "Served by authsome on this computer, for this login only. \
                  To cancel, press Ctrl-C in your terminal.";
    frame(&title, &body, footer)
}

/// What differs between the things that are asked for.
struct Words {
    title: String,
    /// What has the name that is shown below the title.
    kind: &'static str,
    lead: &'static str,
    label: &'static str,
    button: &'static str,
    done: String,
}

impl Words {
    fn of(form: &LoginForm) -> Self {
        let name = Escaped(&form.display_name);
        match (&form.asked, form.rotate) {
            (Asked::ApiKey, false) => Self {
                title: format!("Connect {name}"),
                kind: "Connection",
                lead: "Paste your API key. It stays in the vault on this computer; programs you run never hold it.",
                label: "API key",
                button: "Save key",
                done: format!("{name} is connected"),
            },
            (Asked::ApiKey, true) => Self {
                title: format!("Replace the key for {name}"),
                kind: "Connection",
                lead: "It takes the place of the stored key at once, also for programs that are running.",
                label: "New API key",
                button: "Replace key",
                done: format!("The key for {name} is replaced"),
            },
            (Asked::SigningSecret { .. }, false) => Self {
                title: format!("Verify webhooks of {name}"),
                kind: "Webhook",
                lead: "Paste the signing secret. It stays in the vault on this computer; the program that gets the webhooks never holds it.",
                label: "Signing secret",
                button: "Save secret",
                done: format!("Webhooks of {name} are verified"),
            },
            (Asked::SigningSecret { .. }, true) => Self {
                title: format!("Replace the signing secret of {name}"),
                kind: "Webhook",
                lead: "It counts at once. How long the one before it stays good was said in your terminal.",
                label: "New signing secret",
                button: "Replace secret",
                done: format!("The signing secret of {name} is replaced"),
            },
            (Asked::Client { .. } | Asked::ServiceAccount | Asked::Cookies { .. }, _) => todo!(),
        }
    }
}

/// The key is stored.
pub(super) fn done(form: &LoginForm) -> String {
    let title = Words::of(form).done;
    let lead = "You can close this tab and go back to your terminal.";
    notice("good", CHECK, &title, lead)
}

/// An address that is used up, over or wrong.
pub(super) fn gone() -> String {
    let lead = "It was used already, or the login ended or took longer than 10 minutes. \
                Start again with <code class=\"chip\">authsome login</code> in your terminal.";
    notice("plain", ALERT, "This link no longer works", lead)
}

/// Any other address.
pub(super) fn start() -> String {
    let lead = "A login has its own link, which <code class=\"chip\">authsome login</code> prints.";
    notice("plain", TERMINAL, "Open the link from your terminal", lead)
}

/// A second key while the first is being stored.
pub(super) fn storing() -> String {
    let lead = "The key that came in first is being stored. Your terminal shows how that ends.";
    notice("plain", TERMINAL, "One moment", lead)
}

/// A request that did not come from our page.
pub(super) fn refused() -> String {
    let lead = "It did not come from this login's own page. \
                Open the link from your terminal in a new tab.";
    notice("bad", ALERT, "This request was refused", lead)
}

/// A request by another name than our address.
pub(super) fn wrong_host() -> String {
    let lead = "This page answers only to its own address. Open the link exactly as your \
                terminal prints it.";
    notice("bad", ALERT, "This request was refused", lead)
}

/// What happens with the key.
fn facts(body: &mut String, form: &LoginForm) {
    body.push_str("<dl>");
    let urls = form
        .key_urls
        .iter()
        .filter_map(|url| KeyUrl::parse(url))
        .take(KEY_URLS_SHOWN);
    let mut urls = urls.peekable();
    if urls.peek().is_some() {
        body.push_str("<dt>Get a key</dt>");
        for KeyUrl { address, shown } in urls {
            push(
                body,
                format_args!(
                    "<dd><a href=\"{}\" target=\"_blank\" rel=\"noopener noreferrer\">{}</a></dd>",
                    Escaped(&address),
                    Escaped(&shown)
                ),
            );
        }
    }
    if !form.hosts.is_empty() {
        body.push_str("<dt>The key is sent only to</dt><dd>");
        // one chip takes no more room than the words that would fold it
        let fits = form.hosts.len() <= HOSTS_SHOWN + 1;
        let shown = if fits { form.hosts.len() } else { HOSTS_SHOWN };
        let (shown, folded) = form
            .hosts
            .split_at_checked(shown)
            .unwrap_or((&form.hosts, &[]));
        hosts(body, shown);
        if !folded.is_empty() {
            push(
                body,
                format_args!("<details><summary>{} more</summary>", folded.len()),
            );
            hosts(body, folded);
            body.push_str("</details>");
        }
        body.push_str("</dd>");
    }
    if let Asked::SigningSecret { forward } = &form.asked {
        push(
            body,
            format_args!(
                "<dt>Good webhooks go to</dt><dd><code class=\"chip\">{}</code></dd>",
                Escaped(forward)
            ),
        );
    }
    if let Some(variable) = &form.variable {
        push(
            body,
            format_args!(
                "<dt>Programs find a placeholder in</dt><dd><code class=\"chip\">{}</code></dd>",
                Escaped(variable)
            ),
        );
    }
    body.push_str("</dl>");
}

fn hosts(body: &mut String, hosts: &[String]) {
    body.push_str("<ul>");
    for host in hosts {
        push(
            body,
            format_args!("<li><code class=\"chip\">{}</code></li>", Escaped(host)),
        );
    }
    body.push_str("</ul>");
}

/// A page of one message; all of it is ours, or escaped already.
fn notice(kind: &str, icon: &str, title: &str, lead: &str) -> String {
    let body = format!(
        "<div class=\"mark {kind}\">{icon}</div><h1>{title}</h1><p class=\"lead\">{lead}</p>"
    );
    frame(title, &body, "Served by authsome on this computer.")
}

fn frame(title: &str, body: &str, footer: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"robots\" content=\"noindex\">\
         <title>{title} · authsome</title><style>{STYLE}</style></head>\
         <body><div class=\"brand\">{LOGO}authsome</div>\
         <main>{body}</main><footer>{footer}</footer></body></html>"
    )
}

/// An address that may stand on the page.
struct KeyUrl {
    address: String,
    /// As a person reads it.
    shown: String,
}

impl KeyUrl {
    /// Only `https`, and nothing before the host that could make it look like another one.
    fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_plain =
            url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
        let shown = format!("{}{}", url.host_str()?, url.path().trim_end_matches('/'));
        is_plain.then(|| Self {
            address: url.into(),
            shown,
        })
    }
}

/// A text as it may stand between tags and in quoted attributes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A sentence in which literals stand between backticks, as in all our messages.
struct Marked<'a>(&'a str);

impl fmt::Display for Marked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((before, (literal, after))) = rest
            .split_once('`')
            .and_then(|(before, tail)| Some((before, tail.split_once('`')?)))
        {
            write!(f, "{}<code>{}</code>", Escaped(before), Escaped(literal))?;
            rest = after;
        }
        Escaped(rest).fmt(f)
    }
}

fn push(body: &mut String, piece: fmt::Arguments<'_>) {
    let written = body.write_fmt(piece);
    debug_assert!(written.is_ok(), "a string refused text");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> LoginForm {
        LoginForm {
            asked: Asked::ApiKey,
            display_name: "Intercom".into(),
            connection: "default".parse().unwrap(),
            variable: Some("INTERCOM_ACCESS_TOKEN".into()),
            hosts: vec!["api.intercom.io".into()],
            key_urls: vec!["https://app.intercom.com/a/apps".into()],
            hint: Some("About 60 characters, ends in `=`".into()),
            pattern: None,
            rotate: false,
        }
    }

    #[test]
    fn form_has_what_a_person_and_a_screen_reader_need() {
        let html = form(&example(), "TOKEN", None);
        for piece in [
            "<h1>Connect Intercom</h1>",
            "<label for=\"key\">API key</label>",
            "type=\"password\" id=\"key\"",
            "autocomplete=\"off\"",
            "spellcheck=\"false\"",
            "autofocus",
            "aria-describedby=\"hint\"",
            "api.intercom.io",
            "INTERCOM_ACCESS_TOKEN",
            "rel=\"noopener noreferrer\"",
            "<html lang=\"en\">",
            "name=\"viewport\"",
        ] {
            assert!(html.contains(piece), "{piece}");
        }
        assert!(!html.contains("<script") && !html.contains("class=\"which\""));
    }

    #[test]
    fn replacing_a_key_of_a_named_connection_says_so() {
        let connection = "team".parse().unwrap();
        let html = form(
            &LoginForm {
                rotate: true,
                connection,
                ..example()
            },
            "T",
            None,
        );
        assert!(html.contains("Replace the key for Intercom") && html.contains(">team<"));
    }

    #[test]
    fn a_webhook_is_asked_for_its_signing_secret_and_says_where_good_ones_go() {
        let of = |rotate| LoginForm {
            asked: Asked::SigningSecret {
                forward: "http://127.0.0.1:3000/<hooks>".into(),
            },
            connection: "default".parse().unwrap(),
            variable: None,
            hosts: Vec::new(),
            key_urls: Vec::new(),
            rotate,
            ..example()
        };
        let html = form(&of(false), "T", None);
        for piece in [
            "<h1>Verify webhooks of Intercom</h1>",
            "Webhook <code class=\"chip\">default</code>",
            "<label for=\"key\">Signing secret</label>",
            "Good webhooks go to",
            "127.0.0.1:3000/&lt;hooks&gt;",
        ] {
            assert!(html.contains(piece), "{piece}");
        }
        assert!(!html.contains("API key") && !html.contains("placeholder"));
        assert!(form(&of(true), "T", None).contains("New signing secret"));
        assert!(done(&of(true)).contains("The signing secret of Intercom is replaced"));
    }

    #[test]
    fn problem_is_announced_and_tied_to_the_field() {
        let html = form(&example(), "T", Some("no <b>"));
        assert!(html.contains("role=\"alert\">no &lt;b&gt;<"));
        assert!(html.contains("aria-describedby=\"problem hint\" aria-invalid=\"true\""));
    }

    #[test]
    fn literals_in_sentences_are_marked_and_still_escaped() {
        let marked = |text| Marked(text).to_string();
        assert_eq!(marked("a `<b>` c `d"), "a <code>&lt;b&gt;</code> c `d");
        assert_eq!(marked("``"), "<code></code>");
    }

    #[test]
    fn only_plain_https_addresses_become_links() {
        for bad in [
            "http://x.test/",
            "javascript:alert(1)",
            "https://intercom.com@evil.test/",
            "data:text/html,x",
            "//x.test",
            "x",
            "https:",
        ] {
            assert!(KeyUrl::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(
            KeyUrl::parse("https://x.test/keys/").unwrap().shown,
            "x.test/keys"
        );
    }

    proptest! {
        #[test]
        fn texts_of_a_definition_never_become_markup(text in "[\\PC<>\"'&]{0,40}") {
            // which mark literals, and have a test of their own
            let text = text.replace('`', "");
            let plain = LoginForm { hint: Some("h".into()), ..example() };
            let plain = form(&plain, "T", Some("p"));
            let tags = |html: &str| html.matches('<').count();
            let quotes = |html: &str| html.matches('"').count();
            let html = form(
                &LoginForm {
                    display_name: text.clone(),
                    variable: Some(text.clone()),
                    hosts: vec![text.clone()],
                    hint: Some(text.clone()),
                    ..example()
                },
                "T",
                Some(&text),
            );
            prop_assert_eq!((tags(&plain), quotes(&plain)), (tags(&html), quotes(&html)));
        }
    }
}
