//! What the forms say, by what they ask for.

use super::super::fields::Kind;
use super::super::{Asked, LoginForm};
use super::text::Escaped;

/// What differs between the things that are asked for.
pub(super) struct Words {
    pub(super) title: String,
    /// What has the name that is shown below the title.
    pub(super) kind: &'static str,
    pub(super) lead: String,
    /// What the provider's own pages are for.
    pub(super) links: &'static str,
    /// What is sent to its hosts, and to no others.
    pub(super) sent: &'static str,
    pub(super) button: &'static str,
    pub(super) done: String,
}

/// Of a connection.
const CONNECTION: &str = "Connection";
const LINKS: &str = "Get a key";
const SENT: &str = "The key is sent only to";

impl Words {
    pub(super) fn of(form: &LoginForm) -> Self {
        let name = Escaped(&form.display_name);
        let connect = || format!("Connect {name}");
        let connected = || format!("{name} is connected");
        match (&form.asked, form.rotate) {
            (Asked::ApiKey, false) => Self {
                title: connect(),
                kind: CONNECTION,
                lead: "Paste your API key. It stays in the vault on this computer; programs you run never hold it.".into(),
                links: LINKS,
                sent: SENT,
                button: "Save key",
                done: connected(),
            },
            (Asked::ApiKey, true) => Self {
                title: format!("Replace the key for {name}"),
                kind: CONNECTION,
                lead: "It takes the place of the stored key at once, also for programs that are running.".into(),
                links: LINKS,
                sent: SENT,
                button: "Replace key",
                done: format!("The key for {name} is replaced"),
            },
            (Asked::SigningSecret { .. }, false) => Self {
                title: format!("Verify webhooks of {name}"),
                kind: "Webhook",
                lead: "Paste the signing secret. It stays in the vault on this computer; the program that gets the webhooks never holds it.".into(),
                links: LINKS,
                sent: SENT,
                button: "Save secret",
                done: format!("Webhooks of {name} are verified"),
            },
            (Asked::SigningSecret { .. }, true) => Self {
                title: format!("Replace the signing secret of {name}"),
                kind: "Webhook",
                lead: "It counts at once. How long the one before it stays good was said in your terminal.".into(),
                links: LINKS,
                sent: SENT,
                button: "Replace secret",
                done: format!("The signing secret of {name} is replaced"),
            },
            (Asked::Client { id, .. }, _) => Self {
                title: connect(),
                kind: CONNECTION,
                lead: if id.is_some() {
                    format!("Paste the secret of your app at {name}. It stays in the vault on this computer; programs you run never hold it.")
                } else {
                    format!("{name} lets you log in through an app that you register there, once. Its client ID and secret stay in the vault on this computer; programs you run never hold them.")
                },
                links: if id.is_some() { "Find your app" } else { "Register an app" },
                sent: "Access tokens are sent only to",
                button: "Continue",
                done: connected(),
            },
            (Asked::ServiceAccount, is_rotation) => Self {
                title: if is_rotation {
                    format!("Replace the key file for {name}")
                } else {
                    connect()
                },
                kind: CONNECTION,
                lead: "Paste the JSON key file of a service account, all of it. It stays in the vault on this computer; programs you run never hold it.".into(),
                links: "Make a key file",
                sent: "Access tokens are sent only to",
                button: if is_rotation { "Replace key file" } else { "Save key file" },
                done: connected(),
            },
            (Asked::Cookies { .. }, _) => Self {
                title: connect(),
                kind: CONNECTION,
                lead: "Paste the cookies of a browser in which you are logged in. They stay in the vault on this computer; programs you run never hold them.".into(),
                links: "",
                sent: "They are sent only to",
                button: "Save cookies",
                done: connected(),
            },
        }
    }
}

/// The label of a field; escaped.
pub(super) fn label(form: &LoginForm, kind: &Kind) -> String {
    let text = match kind {
        Kind::Key => match (&form.asked, form.rotate) {
            (Asked::SigningSecret { .. }, false) => "Signing secret",
            (Asked::SigningSecret { .. }, true) => "New signing secret",
            (_, false) => "API key",
            (_, true) => "New API key",
        },
        Kind::ClientId(_) => "Client ID",
        Kind::ClientSecret => "Client secret",
        Kind::KeyFile => "Key file",
        Kind::Cookie(name) => return format!("<code>{}</code>", Escaped(name)),
    };
    text.to_owned()
}
