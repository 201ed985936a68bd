//! Where a login stands: what the daemon tells goes in, what a model is told comes out. Pure.

use authsome_proto::response::{LoginAsks, LoginStarted, LoginStep};
use authsome_proto::{ConnectionName, LoginId, LoginStage, ProviderName, Response};
use serde_json::{Map, Value, json};

use super::answers::{Outcome, advice, code_of, explained};
use crate::error::Failure;
use crate::ui::printable;

/// Where a login stands.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// The provider; of a login that another process began it is not known.
    pub(super) provider: Option<ProviderName>,
    login: LoginId,
    display_name: String,
    connection: Option<ConnectionName>,
    step: LoginStep,
    hint: Option<String>,
    key_urls: Vec<String>,
    seconds_left: u64,
    rejected: Option<String>,
    phase: Phase,
    /// How many times something changed that a person or a model should hear of.
    pub(super) news: u64,
}

#[derive(Debug, Clone)]
enum Phase {
    Waiting,
    Exchanging,
    Storing,
    Connected(Connected),
    Failed(Failure),
}

#[derive(Debug, Clone)]
struct Connected {
    /// Absent for a webhook's secret.
    provider: Option<ProviderName>,
    connection: Option<ConnectionName>,
    variables: Vec<String>,
}

impl Standing {
    /// Of a login that has just begun.
    pub(super) fn begun(provider: ProviderName, begun: LoginStarted) -> Self {
        let LoginStarted {
            login,
            display_name,
            connection,
            step,
            hint,
            key_urls,
            seconds_left,
        } = begun;
        Self {
            provider: Some(provider),
            login,
            display_name,
            connection: Some(connection),
            step,
            hint,
            key_urls,
            seconds_left,
            rejected: None,
            phase: Phase::Waiting,
            news: 0,
        }
    }

    /// Of a login that another process began.
    pub(super) fn of_another(login: LoginId) -> Self {
        Self {
            provider: None,
            login,
            display_name: "the provider".into(),
            connection: None,
            step: LoginStep::Wait,
            hint: None,
            key_urls: Vec::new(),
            seconds_left: 0,
            rejected: None,
            phase: Phase::Waiting,
            news: 0,
        }
    }

    pub(super) fn login(&self) -> &LoginId {
        &self.login
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Connected(_) | Phase::Failed(_))
    }

    /// Takes what the daemon tells of its progress.
    pub(super) fn hear(&mut self, stage: LoginStage) {
        match stage {
            LoginStage::Waiting { seconds_left } => self.seconds_left = seconds_left,
            LoginStage::Rejected { reason } => {
                self.phase = Phase::Waiting;
                if self.rejected.as_ref() != Some(&reason) {
                    self.rejected = Some(reason);
                    self.news = self.news.saturating_add(1);
                }
            }
            LoginStage::Storing => self.phase = Phase::Storing,
            LoginStage::Exchanging => self.phase = Phase::Exchanging,
            LoginStage::Step(step) => {
                self.phase = Phase::Waiting;
                if step != self.step {
                    self.step = step;
                    self.rejected = None;
                    self.news = self.news.saturating_add(1);
                }
            }
        }
    }

    /// Takes its end.
    pub(super) fn end(&mut self, end: Result<Response, Failure>) {
        self.news = self.news.saturating_add(1);
        self.phase = match end {
            Ok(Response::LoggedIn(logged_in)) => Phase::Connected(Connected {
                provider: Some(logged_in.provider),
                connection: Some(logged_in.connection),
                variables: logged_in.variables,
            }),
            Ok(_) => Phase::Connected(Connected {
                provider: None,
                connection: None,
                variables: Vec::new(),
            }),
            Err(failure) => Phase::Failed(failure),
        };
    }

    /// The page that a person is to open now, and what it is for.
    pub(super) fn page(&self) -> Option<(String, String)> {
        if !matches!(self.phase, Phase::Waiting) {
            return None;
        }
        let name = printable(&self.display_name);
        let (url, what) = match &self.step {
            LoginStep::Form { url, asks, .. } => {
                (url, format!("enter {} of {name} there", noun(asks)))
            }
            LoginStep::Authorize { url, .. } => (url, format!("log in to {name} there")),
            LoginStep::Device {
                url,
                url_with_code,
                code,
            } => (
                url_with_code.as_ref().unwrap_or(url),
                format!("log in to {name} there with the code {}", printable(code)),
            ),
            LoginStep::Enter { .. } | LoginStep::Wait => return None,
        };
        Some((web(url)?, what))
    }

    /// One line for whoever watches.
    pub(super) fn line(&self) -> String {
        let what = match (&self.phase, &self.step) {
            (Phase::Waiting, LoginStep::Form { .. }) => "waiting for the form",
            (Phase::Waiting, LoginStep::Authorize { .. }) => "waiting for the browser",
            (Phase::Waiting, LoginStep::Device { .. }) => "waiting for the code to be entered",
            (Phase::Waiting, LoginStep::Enter { .. }) => "waiting for an answer",
            (Phase::Waiting, LoginStep::Wait) => "waiting for the server",
            (Phase::Exchanging, _) => "asking the server for tokens",
            (Phase::Storing, _) => "storing it",
            (Phase::Connected(_), _) => "connected",
            (Phase::Failed(_), _) => "failed",
        };
        format!("{what}; {} s left", self.seconds_left)
    }

    /// As the result of a tool.
    pub(super) fn outcome(&self) -> Outcome {
        let mut told = Map::new();
        let mut put = |name: &str, value: Value| {
            told.insert(name.into(), value);
        };
        put("login", json!(self.login));
        match &self.phase {
            Phase::Waiting | Phase::Exchanging | Phase::Storing => {
                put("status", json!(self.word()));
                if let Some(provider) = &self.provider {
                    put("provider", json!(provider));
                }
                if let Some(connection) = &self.connection {
                    put("connection", json!(connection));
                }
                self.tell_step(&mut put);
                put("seconds_left", json!(self.seconds_left));
                if let Some(reason) = &self.rejected {
                    put("rejected", json!(printable(reason)));
                }
                put(
                    "next",
                    json!(match (&self.phase, &self.step) {
                        (Phase::Waiting, LoginStep::Enter { .. }) =>
                            "whoever began this login must answer; wait with `login_status`",
                        (
                            Phase::Waiting,
                            LoginStep::Form { .. }
                            | LoginStep::Authorize { .. }
                            | LoginStep::Device { .. },
                        ) =>
                            "tell the person what `say_to_person` says, the address in full; then call `login_status`",
                        _ => "call `login_status` again",
                    }),
                );
                Outcome::Told(Value::Object(told))
            }
            Phase::Connected(connected) => {
                put("status", json!("connected"));
                if let Some(provider) = &connected.provider {
                    put("provider", json!(provider));
                }
                if let Some(connection) = &connected.connection {
                    put("connection", json!(connection));
                }
                put("variables", json!(connected.variables));
                put("next", json!(CONNECTED));
                Outcome::Told(Value::Object(told))
            }
            Phase::Failed(failure) => {
                put("status", json!("failed"));
                if let Some(provider) = &self.provider {
                    put("provider", json!(provider));
                }
                put("code", code_of(failure));
                put("message", json!(explained(failure)));
                put("hint", json!(failure.hint.as_deref().map(printable)));
                put(
                    "next",
                    json!(advice(failure).unwrap_or("`login` begins another login")),
                );
                Outcome::Failed(Value::Object(told))
            }
        }
    }

    /// The step's own fields, and the sentence for the person.
    fn tell_step(&self, put: &mut impl FnMut(&str, Value)) {
        if !matches!(self.phase, Phase::Waiting) {
            return;
        }
        let or_no_page = |said: Option<String>| Some(said.unwrap_or_else(|| NO_PAGE.to_owned()));
        let (word, say) = match &self.step {
            LoginStep::Form { url, asks, .. } => {
                let say = web(url).map(|url| self.say_form(&url, asks));
                ("form", or_no_page(say))
            }
            LoginStep::Authorize {
                url, redirect_uri, ..
            } => {
                let say = web(url).map(|url| self.say_authorize(&url, redirect_uri));
                ("authorize", or_no_page(say))
            }
            LoginStep::Device { url, code, .. } => {
                let (code, name) = (printable(code), printable(&self.display_name));
                put("user_code", json!(code));
                let say = web(url).map(|url| {
                    format!(
                        "Please open {url} in any browser and log in to {name} with the code {code}."
                    )
                });
                ("device", or_no_page(say))
            }
            LoginStep::Enter { .. } => ("enter", None),
            LoginStep::Wait => ("wait", None),
        };
        put("step", json!(word));
        if let Some((url, _)) = self.page() {
            put("url", json!(url));
        }
        if let Some(say) = say {
            put("say_to_person", json!(say));
        }
    }

    fn say_form(&self, url: &str, asks: &LoginAsks) -> String {
        let name = printable(&self.display_name);
        let mut say = vec![format!(
            "Please open {url} in a browser on the machine that authsome runs on, and enter {} of \
             {name} there.",
            noun(asks)
        )];
        let urls: Vec<String> = self.key_urls.iter().map(|url| printable(url)).collect();
        if !urls.is_empty() {
            let urls = urls.join(", ");
            say.push(match asks {
                LoginAsks::Client { .. } => format!("One is made at {urls} ."),
                _ => format!("It is found at {urls} ."),
            });
        }
        if let LoginAsks::Client {
            redirect_uri: Some(redirect_uri),
            ..
        } = asks
        {
            say.push(format!(
                "Its redirect URI must be exactly {} .",
                printable(redirect_uri)
            ));
        }
        if let Some(hint) = &self.hint {
            say.push(format!("({})", printable(hint)));
        }
        say.push("Do not paste it into this conversation.".into());
        say.join(" ")
    }

    fn say_authorize(&self, url: &str, redirect_uri: &str) -> String {
        format!(
            "Please open {url} in a browser and log in to {} there. If that browser is on another \
             machine it ends at an address that begins with {} and shows nothing: then run `authsome \
             login --resume {} --stdin` in a terminal here and paste that address into it, not into \
             this conversation.",
            printable(&self.display_name),
            printable(redirect_uri),
            self.login
        )
    }

    fn word(&self) -> &'static str {
        match self.phase {
            Phase::Waiting => "waiting",
            Phase::Exchanging => "exchanging",
            Phase::Storing => "storing",
            Phase::Connected(_) => "connected",
            Phase::Failed(_) => "failed",
        }
    }
}

/// What a model does when a login is done.
const CONNECTED: &str = "it is connected. Start programs that use it with `authsome run -- COMMAND`; \
    inside a run it works at the next request. The variables hold placeholders there, only in runs \
    started from now on";

/// What a person is told who cannot be shown the page.
const NO_PAGE: &str = "The server sent you to an address that is none of the web. It is not shown: \
    something is wrong with that server, or with its definition.";

/// An address to show. They come from servers: only one of the web is shown.
fn web(url: &str) -> Option<String> {
    (url.starts_with("https://") || url.starts_with("http://")).then(|| printable(url))
}

/// What is asked for, as people call it.
fn noun(asks: &LoginAsks) -> &'static str {
    match asks {
        LoginAsks::ApiKey => "the API key",
        LoginAsks::Client { .. } => "the OAuth client",
        LoginAsks::Cookies { .. } => "the cookies",
        LoginAsks::ServiceAccount => "the service account's key file",
        LoginAsks::SigningSecret => "the signing secret",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::mcp::revision::Revision;
    use authsome_proto::response::LoggedIn;
    use authsome_proto::{ErrorCode, WireError};

    fn begun(step: LoginStep) -> Standing {
        Standing::begun(
            "github".parse().unwrap(),
            LoginStarted {
                login: "abc".parse().unwrap(),
                display_name: "GitHub\u{1b}[2J".into(),
                connection: ConnectionName::default_name(),
                step,
                hint: None,
                key_urls: vec!["https://github.com/settings/tokens".into()],
                seconds_left: 600,
            },
        )
    }

    fn form() -> LoginStep {
        LoginStep::Form {
            url: "http://127.0.0.1:7998/login/x".into(),
            moved_from: None,
            asks: LoginAsks::ApiKey,
        }
    }

    fn told(standing: &Standing) -> Value {
        match standing.outcome() {
            Outcome::Told(told) => told,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_step_has_a_sentence_for_the_person_with_its_address() {
        let authorize = LoginStep::Authorize {
            url: "https://github.com/login/oauth/authorize?state=x".into(),
            redirect_uri: "http://127.0.0.1:7998/callback/github".into(),
            listens: true,
        };
        let device = LoginStep::Device {
            url: "https://github.com/login/device".into(),
            url_with_code: None,
            code: "ABCD-EFGH".into(),
        };
        for (step, url) in [
            (form(), "http://127.0.0.1:7998/login/x"),
            (
                authorize,
                "https://github.com/login/oauth/authorize?state=x",
            ),
            (device, "https://github.com/login/device"),
        ] {
            let told = told(&begun(step));
            assert_eq!(told["url"], url);
            let say = told["say_to_person"].as_str().unwrap();
            assert!(say.contains(url), "{say}");
            assert!(!say.contains('\u{1b}'), "{say}");
            assert_eq!(told["status"], "waiting");
        }
    }

    #[test]
    fn an_address_that_is_not_of_the_web_is_no_page() {
        let evil = begun(LoginStep::Authorize {
            url: "file:///etc/passwd".into(),
            redirect_uri: "http://127.0.0.1/".into(),
            listens: true,
        });
        assert_eq!(evil.page(), None);
        let device = begun(LoginStep::Device {
            url: "javascript:alert(1)".into(),
            url_with_code: None,
            code: "AB-CD".into(),
        });
        for standing in [evil, device] {
            let told = told(&standing);
            assert!(told.get("url").is_none());
            let text = told.to_string();
            assert!(
                !text.contains("file:") && !text.contains("script:"),
                "{told}"
            );
            assert_eq!(told["say_to_person"], NO_PAGE);
        }
    }

    #[test]
    fn a_login_goes_from_step_to_step_to_its_end() {
        let mut standing = begun(form());
        standing.hear(LoginStage::Step(form()));
        assert_eq!(standing.news, 0, "that is known");
        standing.hear(LoginStage::Rejected {
            reason: "not a key".into(),
        });
        standing.hear(LoginStage::Rejected {
            reason: "not a key".into(),
        });
        assert_eq!(standing.news, 1);
        assert_eq!(told(&standing)["rejected"], "not a key");
        standing.hear(LoginStage::Storing);
        assert_eq!(told(&standing)["status"], "storing");
        assert!(told(&standing).get("url").is_none());
        assert!(!standing.is_over());
        standing.end(Ok(Response::LoggedIn(LoggedIn {
            provider: "github".parse().unwrap(),
            display_name: "GitHub".into(),
            connection: ConnectionName::default_name(),
            is_default: true,
            replaced: false,
            variables: vec!["GITHUB_TOKEN".into()],
            store: "file".into(),
            runs: 0,
            expires_at: None,
            renews: false,
            scopes: Vec::new(),
        })));
        assert!(standing.is_over());
        assert_eq!(told(&standing)["status"], "connected");
        assert_eq!(told(&standing)["variables"], json!(["GITHUB_TOKEN"]));
    }

    #[test]
    fn a_login_that_failed_is_an_error_with_its_code_and_what_to_do() {
        let mut standing = begun(form());
        let error = WireError::new(ErrorCode::LoginExpired, "not finished").hint("again");
        standing.end(Err(error.into()));
        let result = standing.outcome().result(Revision::V2025_11_25);
        assert_eq!(result["isError"], true);
        let told = &result["structuredContent"];
        assert_eq!(told["status"], "failed");
        assert_eq!(told["code"], "login_expired");
        assert!(told["next"].as_str().unwrap().contains("`login`"));
    }
}
