//! The pages themselves: HTML as text, one style sheet, no script, nothing from elsewhere. Pure.
//!
//! Everything that is not ours is escaped where it is put in ([`Escaped`]); a page never holds a
//! secret. The style sheet is allowed by its hash ([`SECURITY_POLICY`]), so nothing that might ever
//! get into a page can bring its own.
//!
//! Here: the frame, and pages of one message. The forms are in `page/form.rs`.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::LoginForm;

mod form;
mod text;
mod words;

pub(super) use form::form;

use text::{Escaped, Link, Marked};
use words::Words;

const STYLE: &str = include_str!("page.css");

const LOGO: &str = r#"<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.9" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><circle cx="8" cy="15.5" r="4.6"/><path d="m11.3 12.2 8.4-8.4M15.6 7.9l3.1 3.1"/></svg>"#;
const CHECK: &str = r#"<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="m5 12.5 4.6 4.6L19 7.5"/></svg>"#;
const ALERT: &str = r#"<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" aria-hidden="true"><path d="M12 5v8.5M12 18.6v.1"/></svg>"#;
const TERMINAL: &str = r#"<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="m5 8 4 4-4 4M12.5 16.5H19"/></svg>"#;

const CLOSE: &str = "You can close this tab and go back to your terminal.";
const AGAIN: &str = "Start again with <code class=\"chip\">authsome login</code> in your terminal.";
const CANCEL: &str = "Served by authsome on this computer, for this login only. \
                      To cancel, press Ctrl-C in your terminal.";

/// The policy sent with every page: our style sheet, our form, nothing else.
pub(super) static SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'"
    )
});

/// What the form asked for is stored.
pub(super) fn done(form: &LoginForm) -> String {
    notice("good", CHECK, &Words::of(form).done, CLOSE)
}

/// A login at an authorization server is done.
pub(super) fn connected(form: &LoginForm) -> String {
    let title = format!("{} is connected", Escaped(&form.display_name));
    notice("good", CHECK, &title, CLOSE)
}

/// A login at an authorization server failed.
pub(super) fn failed(form: &LoginForm, reason: &str) -> String {
    let title = format!("The login to {} failed", Escaped(&form.display_name));
    let lead = format!("{}</p><p class=\"lead\">{AGAIN}", Marked(reason));
    notice("bad", ALERT, &title, &lead)
}

/// What became of a callback is not known in time.
pub(super) fn late() -> String {
    let lead = "There was no answer in time. Your terminal shows how the login ends.";
    notice("plain", TERMINAL, "This takes longer", lead)
}

/// An answer of an authorization server that no login waits for.
pub(super) fn foreign() -> String {
    let lead = format!(
        "It was used already, or the login that it belongs to is over. A login that still waits is \
         not touched by it. {AGAIN}"
    );
    notice(
        "bad",
        ALERT,
        "This answer is for no login that waits",
        &lead,
    )
}

/// A callback that no browser went to.
pub(super) fn refused_callback() -> String {
    let lead = "Only a browser that is sent back by the server of a login is answered here. \
                The login waits on.";
    notice("bad", ALERT, "This request was refused", lead)
}

/// Leads on to an authorization server's address; `None` if that is no plain `https` one.
///
/// A page of its own, since browsers hold a redirect after a form to `form-action` (CSP 3, 6.5.4.1).
pub(super) fn go_on(form: &LoginForm, url: &str) -> Option<String> {
    let Link { address, host, .. } = Link::parse(url)?;
    let (name, address) = (Escaped(&form.display_name), Escaped(&address));
    let title = format!("Continue to {name}");
    let body = format!(
        "<h1>{title}</h1>\
         <p class=\"lead\">Log in there and allow access. After that, your browser comes back to this \
         computer.</p>\
         <a class=\"button\" href=\"{address}\" rel=\"noreferrer\" autofocus>{title}</a>\
         <p class=\"hint centered\">Leads to <code class=\"chip\">{}</code></p>",
        Escaped(&host)
    );
    let head = format!("<meta http-equiv=\"refresh\" content=\"0;url={address}\">");
    Some(frame(&head, &title, &body, CANCEL))
}

/// An address that [`go_on`] does not lead to.
pub(super) fn no_way_on(form: &LoginForm) -> String {
    let title = format!("{} cannot be opened", Escaped(&form.display_name));
    let lead = "The address of its login page does not begin with <code>https</code>, or has a name \
                or password in it. It was not opened.";
    notice("bad", ALERT, &title, lead)
}

/// An address that is used up, over or wrong.
pub(super) fn gone() -> String {
    let lead =
        format!("It was used already, or the login ended or took longer than 10 minutes. {AGAIN}");
    notice("plain", ALERT, "This link no longer works", &lead)
}

/// Any other address.
pub(super) fn start() -> String {
    let lead = "A login has its own link, which <code class=\"chip\">authsome login</code> prints.";
    notice("plain", TERMINAL, "Open the link from your terminal", lead)
}

/// A form that comes in while the first is being stored.
pub(super) fn storing() -> String {
    let lead = "What came in first is being stored. Your terminal shows how that ends.";
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

/// A page of one message; all of it is ours, or escaped already.
fn notice(kind: &str, icon: &str, title: &str, lead: &str) -> String {
    let body = format!(
        "<div class=\"mark {kind}\">{icon}</div><h1>{title}</h1><p class=\"lead\">{lead}</p>"
    );
    frame("", title, &body, "Served by authsome on this computer.")
}

/// A page; all of it is ours, or escaped already.
fn frame(head: &str, title: &str, body: &str, footer: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"robots\" content=\"noindex\">{head}\
         <title>{title} · authsome</title><style>{STYLE}</style></head>\
         <body><div class=\"brand\">{LOGO}authsome</div>\
         <main>{body}</main><footer>{footer}</footer></body></html>"
    )
}

#[cfg(test)]
mod tests;
