//! What a login says: each step for people and as an object, and how it ended. Pure.

use authsome_proto::LoginId;
use authsome_proto::response::{LoggedIn, LoginAsks, LoginStarted, LoginStep};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::times;
use crate::ui::printable;

/// Most scopes that are named one by one.
const SCOPES_NAMED: usize = 6;

/// What is asked for, as people call it.
pub(super) fn noun(asks: &LoginAsks) -> &'static str {
    match asks {
        LoginAsks::ApiKey => "the key",
        LoginAsks::Client { .. } => "the OAuth client",
        LoginAsks::Cookies { .. } => "the cookies",
        LoginAsks::ServiceAccount => "the service account's key file",
        LoginAsks::SigningSecret => "the signing secret",
    }
}

/// What is waited for, for the spinner.
pub(super) fn waiting(step: &LoginStep) -> &'static str {
    match step {
        LoginStep::Authorize { .. } => "waiting for the browser",
        LoginStep::Device { .. } => "waiting for the code to be entered",
        LoginStep::Enter { .. } => "waiting for an answer",
        LoginStep::Form { .. } => "waiting for the form",
        LoginStep::Wait => "waiting for the server",
    }
}

/// What a person must know before the terminal asks: where to get it, and what to enter there.
pub(super) fn guide(asks: &LoginAsks, key_urls: &[String], hint: Option<&str>) -> Vec<String> {
    let mut lines: Vec<String> = key_urls
        .iter()
        .map(|url| {
            let url = printable(url);
            match asks {
                LoginAsks::Client { .. } => format!("make an OAuth client at {url}"),
                _ => format!("get a key at {url}"),
            }
        })
        .collect();
    lines.extend(hint.map(printable));
    if let LoginAsks::Client {
        redirect_uri: Some(redirect_uri),
        ..
    } = asks
    {
        lines.push("its redirect URI (callback URL) must be exactly:".into());
        lines.push(printable(redirect_uri));
    }
    lines
}

/// Where the values of cookies are found.
pub(super) fn cookies(entry_url: &str) -> [String; 2] {
    [
        format!("log in at {} in a browser", printable(entry_url)),
        "the values are in its developer tools (F12), under Application or Storage, Cookies".into(),
    ]
}

/// Where a step's page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// Nowhere yet: a person opens it.
    Closed,
    /// A page that is open already leads on to it.
    LedTo,
    /// A browser opens it.
    Opened,
}

/// What surrounds a step that is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// The provider's name for people.
    pub(super) name: &'a str,
    /// The login.
    pub(super) login: &'a LoginId,
    /// Where its page is.
    pub(super) page: Page,
    /// Whether a person can paste an address.
    pub(super) may_type: bool,
}

/// A step for people.
pub(super) fn step(step: &LoginStep, around: Around<'_>) -> Vec<String> {
    let Around {
        name,
        login,
        page,
        may_type,
    } = around;
    let name = printable(name);
    match step {
        LoginStep::Form { url, asks, .. } => vec![format!(
            "enter {} for {name} at {}",
            noun(asks),
            printable(url)
        )],
        LoginStep::Authorize {
            url,
            redirect_uri,
            listens,
        } => {
            let mut lines = vec![
                match page {
                    Page::Closed => {
                        format!("open this address in any browser and log in to {name} there:")
                    }
                    Page::LedTo => format!("the page leads on to {name}, at this address:"),
                    Page::Opened => {
                        format!("log in to {name} in the browser that opens; its address is:")
                    }
                },
                printable(url),
            ];
            let redirect_uri = printable(redirect_uri);
            if page != Page::Closed && *listens {
                return lines;
            }
            let when = if *listens {
                "if that browser is not on this machine, paste"
            } else {
                "then paste"
            };
            lines.push(if may_type {
                format!(
                    "{when} the address that it ends at here, and press Enter; it begins with \
                     {redirect_uri} and is not shown"
                )
            } else {
                format!(
                    "a browser on another machine ends at an address that begins with \
                     {redirect_uri} and shows nothing; `authsome login --resume {login} --stdin` \
                     takes that address"
                )
            });
            lines
        }
        LoginStep::Device {
            url,
            url_with_code,
            code,
        } => {
            let mut lines = vec![format!("enter {} at {}", printable(code), printable(url))];
            if page == Page::Opened && url_with_code.is_some() {
                lines.push("the page that opens must show the same code".into());
            }
            lines
        }
        LoginStep::Enter { .. } | LoginStep::Wait => Vec::new(),
    }
}

/// A step as an object for programs.
pub(super) fn object(begun: &LoginStarted) -> Value {
    let mut object = json!({
        "status": "waiting",
        "session": begun.login,
        "display_name": begun.display_name,
        "connection": begun.connection,
        "seconds_left": begun.seconds_left,
    });
    let step = match &begun.step {
        LoginStep::Form {
            url,
            moved_from,
            asks,
        } => {
            let redirect_uri = match asks {
                LoginAsks::Client { redirect_uri, .. } => redirect_uri.as_deref(),
                _ => None,
            };
            json!({
                "step": "form",
                "url": url,
                "asks": asks_word(asks),
                "moved_from": moved_from,
                "redirect_uri": redirect_uri,
            })
        }
        LoginStep::Authorize {
            url,
            redirect_uri,
            listens,
        } => json!({
            "step": "authorize",
            "url": url,
            "redirect_uri": redirect_uri,
            "listens": listens,
        }),
        LoginStep::Device {
            url,
            url_with_code,
            code,
        } => json!({
            "step": "device",
            "url": url,
            "url_with_code": url_with_code,
            "user_code": code,
        }),
        LoginStep::Enter { asks } => json!({ "step": "enter", "asks": asks_word(asks) }),
        LoginStep::Wait => json!({ "step": "wait" }),
    };
    if let (Some(object), Value::Object(step)) = (object.as_object_mut(), step) {
        object.extend(step.into_iter().filter(|(_, value)| !value.is_null()));
    }
    object
}

fn asks_word(asks: &LoginAsks) -> &'static str {
    match asks {
        LoginAsks::ApiKey => "api_key",
        LoginAsks::Client { .. } => "client",
        LoginAsks::Cookies { .. } => "cookies",
        LoginAsks::ServiceAccount => "service_account",
        LoginAsks::SigningSecret => "signing_secret",
    }
}

/// A login that is done, as an object.
pub(super) fn done_object(logged_in: &LoggedIn) -> Value {
    let LoggedIn {
        provider,
        display_name,
        connection,
        is_default,
        replaced,
        variables,
        store,
        runs,
        expires_at,
        renews,
        scopes,
    } = logged_in;
    json!({
        "status": "connected",
        "provider": provider,
        "display_name": display_name,
        "connection": connection,
        "default": is_default,
        "replaced": replaced,
        "variables": variables,
        "store": store,
        "runs": runs,
        "expires_at": expires_at,
        "renews": renews,
        "scopes": scopes,
    })
}

/// A login that is done: who is connected, what programs see, how long it lasts.
pub(super) fn done(logged_in: &LoggedIn, now: Timestamp) -> String {
    let mut text = format!(
        "connected: {} ({})",
        logged_in.provider, logged_in.connection
    );
    text.push_str(if logged_in.replaced {
        "; replaced in "
    } else {
        "; stored in "
    });
    text.push_str(match logged_in.store.as_str() {
        "file" => "encrypted files",
        "keyring" => "the keyring",
        other => other,
    });
    match logged_in.scopes.as_slice() {
        [] => {}
        scopes if scopes.len() <= SCOPES_NAMED => {
            text.push_str("; scopes ");
            text.push_str(&printable(&scopes.join(", ")));
        }
        scopes => {
            text.push_str("; ");
            text.push_str(&crate::commands::view::count(
                scopes.len(),
                "scope",
                "scopes",
            ));
        }
    }
    if logged_in.renews {
        text.push_str("; renews itself");
    } else if let Some(when) = &logged_in.expires_at {
        text.push_str("; expires ");
        text.push_str(&times::left(when, now));
    }
    if !logged_in.variables.is_empty() {
        text.push_str("; programs see ");
        text.push_str(&logged_in.variables.join(", "));
    }
    if logged_in.runs > 0 {
        text.push_str("; works at once in ");
        let runs = usize::try_from(logged_in.runs).unwrap_or(usize::MAX);
        text.push_str(&crate::commands::view::count(
            runs,
            "living run",
            "living runs",
        ));
    }
    if !logged_in.is_default {
        text.push_str("; `authsome run --connection ");
        text.push_str(logged_in.provider.as_str());
        text.push('=');
        text.push_str(logged_in.connection.as_str());
        text.push_str("` uses it");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged_in() -> LoggedIn {
        LoggedIn {
            provider: "intercom".parse().unwrap(),
            display_name: "Intercom".into(),
            connection: authsome_proto::ConnectionName::default_name(),
            is_default: true,
            replaced: false,
            variables: vec!["INTERCOM_API_KEY".into()],
            store: "keyring".into(),
            runs: 0,
            expires_at: None,
            renews: false,
            scopes: Vec::new(),
        }
    }

    fn now() -> Timestamp {
        "2030-06-15T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_login_says_who_is_connected_and_what_programs_see() {
        assert_eq!(
            done(&logged_in(), now()),
            "connected: intercom (default); stored in the keyring; programs see INTERCOM_API_KEY"
        );
        let second = LoggedIn {
            connection: "team".parse().unwrap(),
            is_default: false,
            replaced: true,
            runs: 1,
            ..logged_in()
        };
        assert_eq!(
            done(&second, now()),
            "connected: intercom (team); replaced in the keyring; programs see INTERCOM_API_KEY; \
             works at once in 1 living run; `authsome run --connection intercom=team` uses it"
        );
    }

    #[test]
    fn a_login_says_what_was_granted_and_how_long_it_lasts() {
        let token = |renews, scopes: &[&str]| LoggedIn {
            variables: Vec::new(),
            expires_at: Some("2030-06-15T13:30:00Z".into()),
            renews,
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            ..logged_in()
        };
        assert_eq!(
            done(&token(true, &["repo", "read:user"]), now()),
            "connected: intercom (default); stored in the keyring; scopes repo, read:user; renews \
             itself"
        );
        assert_eq!(
            done(&token(false, &["a", "b", "c", "d", "e", "f", "g"]), now()),
            "connected: intercom (default); stored in the keyring; 7 scopes; expires in 1 h 30 min"
        );
    }

    fn around(page: Page, may_type: bool, login: &LoginId) -> Around<'_> {
        Around {
            name: "GitHub",
            login,
            page,
            may_type,
        }
    }

    fn authorize(listens: bool) -> LoginStep {
        LoginStep::Authorize {
            url: "https://github.com/login/oauth/authorize?state=x".into(),
            redirect_uri: "http://127.0.0.1:7998/callback/github".into(),
            listens,
        }
    }

    #[test]
    fn whoever_has_the_browser_elsewhere_is_told_how_to_bring_its_answer_back() {
        let login = "abc".parse().unwrap();
        let say = |listens, page, may_type| {
            step(&authorize(listens), around(page, may_type, &login)).join("\n")
        };
        insta::assert_snapshot!(say(true, Page::Opened, true), @r"
        log in to GitHub in the browser that opens; its address is:
        https://github.com/login/oauth/authorize?state=x
        ");
        insta::assert_snapshot!(say(true, Page::Closed, true), @r"
        open this address in any browser and log in to GitHub there:
        https://github.com/login/oauth/authorize?state=x
        if that browser is not on this machine, paste the address that it ends at here, and press Enter; it begins with http://127.0.0.1:7998/callback/github and is not shown
        ");
        insta::assert_snapshot!(say(true, Page::Closed, false), @r"
        open this address in any browser and log in to GitHub there:
        https://github.com/login/oauth/authorize?state=x
        a browser on another machine ends at an address that begins with http://127.0.0.1:7998/callback/github and shows nothing; `authsome login --resume abc --stdin` takes that address
        ");
        insta::assert_snapshot!(say(false, Page::Opened, true), @r"
        log in to GitHub in the browser that opens; its address is:
        https://github.com/login/oauth/authorize?state=x
        then paste the address that it ends at here, and press Enter; it begins with http://127.0.0.1:7998/callback/github and is not shown
        ");
    }

    #[test]
    fn a_devices_code_comes_before_its_address() {
        let login = "abc".parse().unwrap();
        let device = LoginStep::Device {
            url: "https://github.com/login/device".into(),
            url_with_code: Some("https://github.com/login/device?code=ABCD-EFGH".into()),
            code: "ABCD-EFGH".into(),
        };
        let say = |page| step(&device, around(page, false, &login));
        assert_eq!(
            say(Page::Closed),
            ["enter ABCD-EFGH at https://github.com/login/device"]
        );
        assert_eq!(
            say(Page::Opened)[1],
            "the page that opens must show the same code"
        );
    }

    #[test]
    fn the_redirect_uri_stands_on_a_line_of_its_own() {
        let asks = LoginAsks::Client {
            redirect_uri: Some("http://127.0.0.1:7998/callback/github".into()),
            id: None,
            secret_needed: true,
        };
        let urls = ["https://github.com/settings/developers".to_owned()];
        assert_eq!(
            guide(&asks, &urls, Some("a hint")),
            [
                "make an OAuth client at https://github.com/settings/developers",
                "a hint",
                "its redirect URI (callback URL) must be exactly:",
                "http://127.0.0.1:7998/callback/github",
            ]
        );
    }

    #[test]
    fn what_servers_say_does_not_reach_the_terminal_raw() {
        let login = "abc".parse().unwrap();
        let evil = |text: &str| format!("{text}\u{1b}[2J");
        let steps = [
            LoginStep::Authorize {
                url: evil("https://x/"),
                redirect_uri: evil("http://127.0.0.1/"),
                listens: false,
            },
            LoginStep::Device {
                url: evil("https://x/"),
                url_with_code: None,
                code: evil("ABCD"),
            },
        ];
        for one in steps {
            let text = step(&one, around(Page::Closed, true, &login)).concat();
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
        let scopes = LoggedIn {
            scopes: vec![evil("read")],
            ..logged_in()
        };
        assert!(!done(&scopes, now()).contains('\u{1b}'));
    }
}
