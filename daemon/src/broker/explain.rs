//! What would become of a request, and why.
//!
//! A question about a living run is put to that run's routes; any other to those of a run that is
//! made for the question exactly as `run` would make it, and never entered. Both are judged by the
//! functions that the proxy calls ([`enter`] and [`explain`]), so what is said here is what would
//! happen. Nothing is sent anywhere, and nothing is written.

use std::collections::BTreeSet;
use std::sync::Arc;

use authsome_proto::request::{Explain, RunLife, RunStart};
use authsome_proto::response::{Explained, ExplainedOutcome, ExplainedRoute, ExplainedRule};
use authsome_proto::{ErrorCode, RunId, WireError};
use http::Method;

use super::run::Run;
use super::{Broker, Inside, now, policies, spare};
use crate::errors::{Explain as _, storage};
use crate::proxy::{RouteCredential, Unmatched, refusal_words};
use crate::routing::{
    Authority, Decision, Entry, Explanation, Finding, Methods, PathScope, Presented, RefuseCode,
    RequestView, Route, RuleSet, Ruling, Verdict, Way, enter, explain,
};
use crate::runs::life::Life;
use crate::runs::record::RunRecord;
use crate::sys::pidfd::Identity;

impl Broker {
    /// Answers `question` for the process `by`. A process inside a run learns about its own run
    /// only.
    pub async fn explain(&self, question: Explain, by: u32) -> Result<Explained, WireError> {
        let asked = Asked::parse(&question)?;
        let run = match (self.inside(by), &question.run) {
            (Inside::Living(own), None) => own,
            (Inside::Living(own), Some(id)) if own.view.id == *id => own,
            (Inside::Living(_) | Inside::Over, _) => {
                return Err(WireError::new(
                    ErrorCode::RefusedInsideRun,
                    "a program in a run can ask about its own run only",
                )
                .hint("leave `--run` out, or ask from outside of the run"));
            }
            (Inside::No, Some(id)) => self.living_run(id)?,
            (Inside::No, None) => {
                let run = self.imagine(&question, by).await?;
                return Ok(self.judge(&asked, &run, None));
            }
        };
        Ok(self.judge(&asked, &run, Some(run.view.id.clone())))
    }

    /// A run as it would be started now, of which nobody but the caller will know.
    async fn imagine(&self, question: &Explain, by: u32) -> Result<Arc<Run>, WireError> {
        let request = RunStart {
            connections: question.connections.clone(),
            only: Vec::new(),
            unmatched: None,
            variables: Vec::new(),
            life: RunLife::Process,
            project: question.project.clone(),
            environment: Vec::new(),
            program: String::new(),
            process: None,
        };
        let mut spec = self.spec_of(&request, None)?;
        let project = policies::project_of(request.project.as_ref())?;
        if let Some(project) = &project {
            self.check_project(project, &request)?;
            spec = spec.confine(project);
        }
        let process = Identity::of(by)
            .map_err(|error| storage("tell which process asks for the run", &error))?;
        let secret = self
            .vault
            .install_secret()
            .await
            .map_err(|error| error.explain("open the vault"))?;
        let names = self.names_for(&spec);
        let (id, ca) = spare::make(&secret, &names)
            .map_err(|error| storage("make the run's certificate authority", &error))?;
        let record = RunRecord {
            v: RunRecord::VERSION,
            id,
            outer: None,
            process,
            program: String::new(),
            bound: None,
            started_at: now(),
            spec,
            names: names.iter().map(ToString::to_string).collect(),
            had: BTreeSet::new(),
            had_servers: BTreeSet::new(),
            proxy_port: 0,
            direct_port: None,
            life: Life::default(),
        };
        let projects = project.into_iter().collect();
        let run = self.new_run(record, names, ca, &secret, projects, self.upstream().await?);
        self.refresh_run(&run).await;
        Ok(run)
    }

    fn judge(&self, asked: &Asked, run: &Run, id: Option<RunId>) -> Explained {
        let table = run.view.table.load();
        let mut explained = Explained {
            request: asked.shown(),
            outcome: ExplainedOutcome::Pass,
            code: None,
            message: String::new(),
            fix: None,
            provider: None,
            connection: None,
            slot: None,
            run: id,
            routes: Vec::new(),
            rules: Vec::new(),
            notes: Vec::new(),
        };
        match enter(&table, run.view.unmatched, &asked.authority, asked.way) {
            Entry::Forward => {
                "it is sent as it is: no connection of the run has this host"
                    .clone_into(&mut explained.message);
                explained.notes = self.without_connection(asked);
            }
            Entry::Tunnel => {
                explained.outcome = ExplainedOutcome::Tunnel;
                "its connection is passed on unread: no connection of the run has this host"
                    .clone_into(&mut explained.message);
                explained.notes = self.without_connection(asked);
            }
            Entry::Refuse(code) => {
                refuse(&mut explained, asked, code, None);
                explained.notes = self.without_connection(asked);
            }
            Entry::Intercept => {
                let name = asked.authority.to_string();
                let view = RequestView {
                    dialled: &asked.authority,
                    sni: None,
                    host_headers: &[name.as_bytes()],
                    scheme_https: asked.way != Way::Cleartext,
                    method: &asked.method,
                    path: &asked.path,
                    method_override: false,
                    presented: &Presented::Nothing,
                };
                let explanation = explain(&table, &view);
                explained.routes = explanation.findings.iter().map(found).collect();
                let rulings = explanation.rulings.iter();
                explained.rules = rulings.filter_map(|(set, said)| spoke(set, said)).collect();
                conclude(&mut explained, asked, run.view.unmatched, &explanation);
            }
        }
        explained
    }

    /// Providers that are for this host and are not connected.
    fn without_connection(&self, asked: &Asked) -> Vec<String> {
        let catalogue = self.catalogue.load();
        let definitions = catalogue.entries().map(|entry| &entry.definition);
        let fitting = definitions.filter(|definition| {
            definition.is_ready()
                && definition.routes.iter().any(|rule| {
                    rule.port == asked.authority.port
                        && rule
                            .hosts
                            .iter()
                            .any(|host| host.matches(&asked.authority.host))
                })
                && self.connections.default_of(&definition.name).is_none()
        });
        fitting
            .map(|definition| {
                let name = &definition.name;
                format!("`{name}` is for this host and is not connected: authsome login {name}")
            })
            .collect()
    }
}

fn conclude(
    explained: &mut Explained,
    asked: &Asked,
    unmatched: Unmatched,
    explanation: &Explanation<'_, RouteCredential>,
) {
    match explanation.decision {
        Decision::Inject(route) => {
            explained.provider = Some(route.provider.clone());
            explained.connection = Some(route.connection.clone());
            explained.slot = Some(route.slot.to_string());
            match route.credential.ready() {
                Ok(_) => {
                    explained.outcome = ExplainedOutcome::Inject;
                    explained.message = format!(
                        "it is sent with the credential of `{}`, connection `{}`",
                        route.provider, route.connection
                    );
                }
                Err(code) => refuse(explained, asked, code, Some(route)),
            }
        }
        Decision::Pass if unmatched == Unmatched::Deny => {
            refuse(explained, asked, RefuseCode::NotAllowed, None);
        }
        Decision::Pass => {
            "it is sent as it is, without a credential".clone_into(&mut explained.message);
        }
        Decision::Refuse(code) => refuse(explained, asked, code, None),
    }
}

fn refuse(
    explained: &mut Explained,
    asked: &Asked,
    code: RefuseCode,
    route: Option<&Route<RouteCredential>>,
) {
    let (message, fix) = refusal_words(
        code,
        asked.authority.host.as_str(),
        asked.method.as_str(),
        &asked.path,
        route.map(|route| (route.provider.as_str(), route.connection.as_str())),
    );
    explained.outcome = ExplainedOutcome::Refuse;
    explained.code = Some(code.code().to_owned());
    explained.message = message;
    // the answer to a program sends people here; here they are already
    explained.fix = Some(fix).filter(|fix| !fix.starts_with("authsome explain"));
}

fn found(finding: &Finding<'_, RouteCredential>) -> ExplainedRoute {
    let route = finding.route;
    let hosts = route.hosts.iter().map(|host| match route.port {
        443 => host.to_string(),
        port => format!("{host}:{port}"),
    });
    let except: Vec<String> = route.except.iter().map(PathScope::to_string).collect();
    let path = if except.is_empty() {
        route.path.to_string()
    } else {
        format!("{} except {}", route.path, except.join(", "))
    };
    ExplainedRoute {
        provider: route.provider.clone(),
        connection: route.connection.clone(),
        hosts: hosts.collect(),
        path,
        methods: match &route.methods {
            Methods::Any => "*".to_owned(),
            Methods::Only(methods) => {
                let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
                methods.join(",")
            }
        },
        slot: route.slot.to_string(),
        verdict: word(finding.verdict).to_owned(),
        why: sentence(finding.verdict).to_owned(),
    }
}

/// A rule as it is written, if the set had one to say.
fn spoke(set: &RuleSet, said: &Ruling) -> Option<ExplainedRule> {
    let rule = match said {
        Ruling::Allowed(line) => format!("allow {line}"),
        Ruling::Denied(line) => format!("deny {line}"),
        Ruling::NoneAllows => "no `allow` fits".to_owned(),
        Ruling::Silent => return None,
    };
    Some(ExplainedRule {
        source: set.source.to_string(),
        rule,
        refuses: said.refuses(),
    })
}

/// The stable word for a verdict.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Chosen => "chosen",
        Verdict::MaybePath => "maybe_path",
        Verdict::OtherChoice => "other_choice",
        Verdict::OtherMethod => "other_method",
        Verdict::OtherPath => "other_path",
        Verdict::OtherPort => "other_port",
        Verdict::Outranked => "outranked",
        Verdict::Tied => "tied",
    }
}

fn sentence(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Chosen => "it fits best",
        Verdict::MaybePath => "not for this path as written, but some servers would read it so",
        Verdict::OtherChoice => "only for requests that carry its own placeholder",
        Verdict::OtherMethod => "not for this method",
        Verdict::OtherPath => "not for this path",
        Verdict::OtherPort => "not for this port",
        Verdict::Outranked => "a narrower one fits, too",
        Verdict::Tied => "it fits as well as another one, with another credential",
    }
}

/// The request that is asked about. The path stays as it was written: what a library would make of
/// it is not what a program may send.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    method: Method,
    way: Way,
    authority: Authority,
    path: String,
}

impl Asked {
    fn parse(question: &Explain) -> Result<Self, WireError> {
        let bad = |what: String| {
            WireError::new(ErrorCode::BadRequest, what)
                .hint("write it as in `authsome explain POST https://api.example.com/v1/things`")
        };
        let method = question
            .method
            .parse()
            .map_err(|_| bad(format!("`{}` is no method", question.method)))?;
        let (scheme, rest) = question
            .url
            .split_once("://")
            .unwrap_or(("https", &question.url));
        let (way, port) = match scheme.to_ascii_lowercase().as_str() {
            "https" | "wss" => (Way::Connect, 443),
            "http" | "ws" => (Way::Cleartext, 80),
            other => return Err(bad(format!("`{other}://` is not a scheme of the proxy"))),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let authority = Authority::parse(authority, Some(port))
            .map_err(|error| bad(format!("`{authority}` is no host: {error}")))?;
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        Ok(Self {
            method,
            way,
            authority,
            path: if path.is_empty() { "/" } else { path }.to_owned(),
        })
    }

    fn shown(&self) -> String {
        let (scheme, port) = match self.way {
            Way::Cleartext => ("http", 80),
            Way::Connect | Way::Secure => ("https", 443),
        };
        let name = self.authority.to_string();
        let name = if self.authority.port == port {
            name.rsplit_once(':')
                .map_or(name.as_str(), |(host, _)| host)
        } else {
            name.as_str()
        };
        format!("{} {scheme}://{name}{}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &str, url: &str) -> Result<String, String> {
        let question = Explain {
            method: method.into(),
            url: url.into(),
            run: None,
            connections: Vec::new(),
            project: None,
        };
        match Asked::parse(&question) {
            Ok(asked) => Ok(asked.shown()),
            Err(error) => Err(error.message),
        }
    }

    #[test]
    fn a_url_is_taken_as_it_is_written() {
        for (url, shown) in [
            ("https://api.x.com", "GET https://api.x.com/"),
            ("api.x.com/v1", "GET https://api.x.com/v1"),
            (
                "HTTPS://API.x.com.:443/a/../b",
                "GET https://api.x.com/a/../b",
            ),
            (
                "https://api.x.com:8443//a%2fb?key=secret#f",
                "GET https://api.x.com:8443//a%2fb",
            ),
            ("http://api.x.com?x=/y", "GET http://api.x.com/"),
            ("http://[::1]:80/", "GET http://[::1]/"),
            ("wss://api.x.com/socket", "GET https://api.x.com/socket"),
        ] {
            assert_eq!(ask("GET", url).as_deref(), Ok(shown), "{url}");
        }
        for (method, url) in [
            ("GET", "ftp://x.com/"),
            ("GET", "https://user@x.com/"),
            ("GET", "https:///x"),
            ("GET", ""),
            ("G T", "https://x.com/"),
        ] {
            assert!(ask(method, url).is_err(), "{method} {url}");
        }
    }
}
