//! The Python product's definitions, accepted as they are: 0.3 (`host_url`) and 0.7 (`api_url`).
//!
//! The two differ in little: the host field and whether it can be a list, `export` (0.3 has
//! `{"env": {"api_key": "VAR"}}`, 0.7 `{"VAR": "API_TOKEN"}`, and browser sessions still the
//! former), names of a few OAuth flags, and where dynamic registration is described. Both spellings
//! are read wherever they stand. That product ignores fields it does not know, so an unknown field
//! here is a warning.
//!
//! Invariant: nothing is widened (P2). A `regex:` host becomes names and whole-label wildcards; one
//! that cannot is left out, with an error that names it.

mod auth;
mod hosts;

use authsome_proto::ProviderName;

use crate::routing::{Methods, Slot};

use self::auth::read_auth;
use self::hosts::read_places;
use super::definition::{Auth, Availability, Definition, EnvValue, EnvVariable, Kind, RouteRule};
use super::document::{Item, Report, Table};
use super::fields::{self, checked, url_of};
use super::key_pattern::KeyPattern;
use super::native::{KINDS, one_of, put_session};
use super::problem::quoted;

/// Fields that only people and that product's web pages read.
const IGNORED: &[&str] = &[
    "$schema",
    "comment",
    "description",
    "logo",
    "metadata",
    "tags",
];

/// Reads a whole document.
pub(super) fn read(
    report: &mut Report<'_>,
    root: &Table<'_, '_>,
    name: Option<ProviderName>,
) -> Option<Definition> {
    warn_unknown(
        report,
        root,
        &[
            "schema_version",
            "name",
            "display_name",
            "type",
            "auth_type",
            "flow",
            "api_url",
            "host_url",
            "oauth",
            "registration",
            "api_key",
            "browser",
            "export",
            "docs_url",
        ],
    );
    if let Some(item) = root.present("schema_version")
        && let Some(version) = item.number::<u32>(report)
        && version != 1
    {
        let message = format!("schema version {version} is not known here, only 1");
        report.error(&item.path, item.at(), message);
    }
    let name = name?;
    let display_name = match root.present("display_name") {
        Some(item) => item.words(report),
        None => Some(name.to_string()),
    };
    let oauth = root.present("oauth").and_then(|item| item.table(report));
    let auth = read_auth(report, root, oauth.as_ref());
    let kind = match root.present("type") {
        Some(item) => one_of(report, &item, KINDS),
        None if matches!(auth, Some(Auth::Browser(_))) => Some(Kind::Browser),
        None => Some(Kind::App),
    };
    let key = root.present("api_key").and_then(|item| item.table(report));
    let slot = match &auth {
        Some(Auth::ApiKey) => read_slot(report, key.as_ref()),
        Some(Auth::OAuth2(_)) => fields::header_slot("authorization", "Bearer").ok(),
        Some(Auth::Browser(browser)) => {
            let first = browser.auth_cookies.first();
            first
                .and_then(|name| fields::token(name).ok())
                .map(|name| Slot::Cookie { name })
        }
        None => None,
    };
    let base_url = match &auth {
        Some(Auth::OAuth2(oauth)) => oauth.base_url.clone(),
        _ => None,
    };
    let places = read_places(report, root, base_url.as_deref());
    let mut env = root.present("export").map_or_else(Vec::new, |item| {
        read_export(report, &item, matches!(auth, Some(Auth::Browser(_))))
    });
    let mut pattern = None;
    let mut hint = None;
    if let Some(key) = &key {
        pattern = read_pattern(report, key);
        hint = ["key_pattern_hint", "key_hint"]
            .iter()
            .find_map(|field| key.present(field))
            .and_then(|item| item.words(report));
        if let Some(item) = key.present("env_var")
            && let Some(text) = item.text(report)
            && let Some(variable) = checked(report, &item, fields::variable(&text))
            && !env.iter().any(|known| known.name == variable)
        {
            env.push(EnvVariable {
                name: variable,
                value: EnvValue::ApiKey,
            });
        }
    }
    let docs_url = root
        .present("docs_url")
        .and_then(|item| url_of(report, &item));
    if report.is_fatal() {
        return None;
    }
    let (mut auth, slot) = (auth?, slot?);
    let routes = places.into_iter().map(|place| RouteRule {
        hosts: place.hosts,
        port: place.port,
        path: place.path,
        except: Vec::new(),
        methods: Methods::Any,
        slot: slot.clone(),
    });
    let mut routes: Vec<RouteRule> = routes.collect();
    if let Auth::Browser(browser) = &mut auth {
        let at = root.item("browser").map_or(root.at(), |item| item.at());
        put_session(report, at, browser, &env, &mut routes);
    }
    if report.is_fatal() {
        return None;
    }
    Some(Definition {
        name,
        display_name: display_name?,
        kind: kind?,
        availability: Availability::Ready,
        auth,
        routes,
        env,
        key_pattern: pattern,
        key_hint: hint,
        key_placeholder: None,
        key_urls: Vec::new(),
        docs_url,
        notes: Vec::new(),
        regions: Vec::new(),
    })
}

fn warn_unknown(report: &mut Report<'_>, table: &Table<'_, '_>, known: &[&str]) {
    for (name, at, hint) in table.unknown(known) {
        // `_comment` and the like are how people annotate JSON
        if !name.starts_with('_') && !IGNORED.contains(&name) {
            let message = format!("{} is not read{hint}", quoted(name));
            report.warning(table.path(), at, message);
        }
    }
}

/// Absent means `Bearer`; `null` and `""` both mean no prefix.
fn read_slot(report: &mut Report<'_>, key: Option<&Table<'_, '_>>) -> Option<Slot> {
    let Some(key) = key else {
        return fields::header_slot("authorization", "Bearer").ok();
    };
    warn_unknown(
        report,
        key,
        &[
            "header_name",
            "header_prefix",
            "env_var",
            "key_pattern",
            "key_regex",
            "key_pattern_hint",
            "key_hint",
        ],
    );
    let name = match key.present("header_name") {
        Some(item) => {
            let text = item.text(report)?;
            checked(report, &item, fields::header_name(&text))?
        }
        None => http::header::AUTHORIZATION,
    };
    let prefix: Box<str> = match key.item("header_prefix") {
        Some(item) if item.is_null() => "".into(),
        Some(item) => {
            let text = item.text(report)?;
            checked(report, &item, fields::header_prefix(&text))?
        }
        None => "Bearer".into(),
    };
    if prefix.eq_ignore_ascii_case("basic")
        && let Some(item) = key.item("header_prefix")
    {
        let message = "with this prefix the stored key has to be base64 of `user:password` already; a `basic` slot in our own format encodes it";
        report.warning(&item.path, item.at(), message);
    }
    Some(Slot::Header { name, prefix })
}

fn read_pattern(report: &mut Report<'_>, key: &Table<'_, '_>) -> Option<KeyPattern> {
    let item = ["key_pattern", "key_regex"]
        .iter()
        .find_map(|field| key.present(field))?;
    let text = item.words(report)?;
    match KeyPattern::parse(&text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            // that product's engine knows more; a key is only checked for a wrong paste
            report.left_out(
                &item.path,
                item.at(),
                format!("{error}, so keys are not checked"),
            );
            None
        }
    }
}

fn read_export(report: &mut Report<'_>, item: &Item<'_, '_>, cookies: bool) -> Vec<EnvVariable> {
    let Some(table) = item.table(report) else {
        return Vec::new();
    };
    let mut variables = Vec::new();
    for (name, value) in table.items() {
        if name == "env" && value.is_table() {
            let Some(inner) = value.table(report) else {
                continue;
            };
            for (field, variable) in inner.items() {
                let Some(text) = variable.text(report) else {
                    continue;
                };
                add_variable(report, &mut variables, &variable, (field, &text), cookies);
            }
        } else if !value.is_null() {
            let Some(field) = value.text(report) else {
                continue;
            };
            add_variable(report, &mut variables, &value, (&field, name), cookies);
        }
    }
    variables
}

fn add_variable(
    report: &mut Report<'_>,
    variables: &mut Vec<EnvVariable>,
    item: &Item<'_, '_>,
    (field, variable): (&str, &str),
    cookies: bool,
) {
    let value = match field.to_ascii_lowercase().as_str() {
        "access_token" => EnvValue::AccessToken,
        "api_key" | "api_token" => EnvValue::ApiKey,
        "api_url" | "host_url" => EnvValue::ApiUrl,
        "base_url" => EnvValue::BaseUrl,
        "refresh_token" => EnvValue::RefreshToken,
        _ if cookies && fields::token(field).is_ok() => EnvValue::Cookie(field.to_owned()),
        _ => {
            let message = format!("{} is nothing a variable can stand for here", quoted(field));
            report.warning(&item.path, item.at(), message);
            return;
        }
    };
    if let Some(name) = checked(report, item, fields::variable(variable))
        && !variables.iter().any(|known| known.name == name)
    {
        variables.push(EnvVariable { name, value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{Availability, Problem, Severity, parse_definition};
    use crate::providers::{ClientAuth, DeviceTokenRequest, Flow};
    use crate::routing::PathScope;

    fn read(text: &str) -> (Definition, Vec<Problem>) {
        let (definition, problems) = parse_definition(text, "x.json".as_ref(), None);
        (
            definition.unwrap_or_else(|| panic!("{problems:#?}")),
            problems,
        )
    }

    fn header(definition: &Definition) -> (String, String) {
        match &definition.routes.first().unwrap().slot {
            Slot::Header { name, prefix } => (name.to_string(), prefix.to_string()),
            slot => panic!("{slot:?}"),
        }
    }

    fn variables(definition: &Definition) -> Vec<(&str, EnvValue)> {
        definition
            .env
            .iter()
            .map(|v| (v.name.as_str(), v.value.clone()))
            .collect()
    }

    #[test]
    fn an_api_key_of_0_3_loads_as_it_is() {
        let (definition, problems) = read(
            r#"{
                "schema_version": 1,
                "name": "acme",
                "display_name": "Acme Mail",
                "auth_type": "api_key",
                "flow": "api_key",
                "host_url": "api.acme.example",
                "api_key": { "header_name": "X-Acme-Token", "header_prefix": "" },
                "export": { "env": { "api_key": "ACME_API_KEY" } }
            }"#,
        );
        assert_eq!(problems, []);
        assert_eq!(definition.hosts(), ["api.acme.example"]);
        assert_eq!(header(&definition), ("x-acme-token".into(), String::new()));
        assert_eq!(variables(&definition), [("ACME_API_KEY", EnvValue::ApiKey)]);
        assert_eq!(definition.availability, Availability::Ready);
    }

    #[test]
    fn an_oauth_provider_of_0_3_loads_as_it_is() {
        let (definition, problems) = read(
            r#"{
                "schema_version": 1,
                "name": "acme-drive",
                "display_name": "Acme Drive",
                "auth_type": "oauth2",
                "flow": "device_code",
                "host_url": "https://drive.acme.example/api/v2/",
                "oauth": {
                    "authorization_url": "https://id.acme.example/authorize",
                    "token_url": "https://id.acme.example/token",
                    "revocation_url": null,
                    "device_authorization_url": "https://id.acme.example/device",
                    "device_token_request": "json",
                    "scopes": ["files"],
                    "pkce": true,
                    "supports_device_flow": true,
                    "supports_dcr": true,
                    "registration_endpoint": "https://id.acme.example/register"
                },
                "export": { "env": { "access_token": "ACME_TOKEN", "refresh_token": "ACME_RT" } }
            }"#,
        );
        assert_eq!(problems, []);
        let Auth::OAuth2(oauth) = &definition.auth else {
            panic!()
        };
        assert_eq!(oauth.flows, [Flow::DeviceCode, Flow::Pkce, Flow::DcrPkce]);
        assert_eq!(oauth.device_token_request, Some(DeviceTokenRequest::Json));
        let path = &definition.routes.first().unwrap().path;
        assert_eq!(*path, PathScope::parse("/api/v2").unwrap());
        assert_eq!(
            header(&definition),
            ("authorization".into(), "Bearer".into())
        );
        assert_eq!(
            variables(&definition),
            [
                ("ACME_TOKEN", EnvValue::AccessToken),
                ("ACME_RT", EnvValue::RefreshToken)
            ]
        );
        assert!(definition.is_ready());
    }

    #[test]
    fn an_api_key_of_0_7_loads_as_it_is() {
        let (definition, problems) = read(
            r#"// Acme Models
            {
                "schema_version": 1,
                "name": "acme-models",
                "display_name": "Acme Models",
                "logo": "img.acme.example",
                "description": "Models by Acme.",
                "type": "llm",
                "auth_type": "api_key",
                "flow": "api_key",
                "api_url": ["https://api.acme.example/v1", "eu.acme.example", "us.acme.example"],
                "api_key": {
                    "header_name": "x-acme-key",
                    "header_prefix": null,
                    "env_var": "ACME_KEY",
                    "key_pattern": "^acme-[a-z0-9]+$",
                    "key_pattern_hint": "Keys of Acme begin with acme-."
                },
                "export": { "ACME_API_KEY": "API_TOKEN", "ACME_BASE": "BASE_URL" },
                "docs_url": "https://docs.acme.example"
            }"#,
        );
        assert_eq!(problems, []);
        assert_eq!(definition.kind, Kind::Llm);
        assert_eq!(definition.routes.len(), 2);
        assert_eq!(
            definition.hosts(),
            [
                "api.acme.example/v1/**",
                "eu.acme.example",
                "us.acme.example"
            ]
        );
        assert_eq!(header(&definition), ("x-acme-key".into(), String::new()));
        assert!(definition.key_pattern.as_ref().unwrap().matches("acme-1"));
        assert_eq!(
            variables(&definition),
            [
                ("ACME_API_KEY", EnvValue::ApiKey),
                ("ACME_BASE", EnvValue::BaseUrl),
                ("ACME_KEY", EnvValue::ApiKey)
            ]
        );
    }

    #[test]
    fn an_oauth_provider_of_0_7_loads_as_it_is() {
        let (definition, problems) = read(
            r#"{
                "schema_version": 1,
                "name": "acme-git",
                "display_name": "Acme Git",
                "type": "app",
                "auth_type": "oauth2",
                "flow": "pkce",
                "api_url": ["api.acmegit.example", "regex:^.*\\.acmegit\\.example$", "{base_url}/raw"],
                "oauth": {
                    "base_url": "https://acmegit.example/",
                    "authorization_url": "{base_url}/login",
                    "token_url": "{base_url}/token",
                    "authorization_method": "basic",
                    "authorization_params": { "duration": "permanent" },
                    "_comment": "the token endpoint wants Basic",
                    "supports_device_code": false
                },
                "registration": { "registration_endpoint": null },
                "export": { "ACMEGIT_TOKEN": "ACCESS_TOKEN" }
            }"#,
        );
        assert_eq!(problems, []);
        let Auth::OAuth2(oauth) = &definition.auth else {
            panic!()
        };
        assert_eq!(oauth.client_auth, ClientAuth::Basic);
        assert_eq!(
            oauth.authorization_params,
            [("duration".into(), "permanent".into())]
        );
        assert_eq!(
            oauth.resolve(&oauth.token_url, Some("https://git.corp.example")),
            "https://git.corp.example/token"
        );
        assert_eq!(
            definition.hosts(),
            [
                "api.acmegit.example",
                "*.acmegit.example",
                "acmegit.example/raw/**"
            ]
        );
    }

    #[test]
    fn a_browser_session_of_0_7_loads_as_it_is() {
        let (definition, problems) = read(
            r#"{
                "schema_version": 1, "name": "acme-web", "auth_type": "browser", "flow": "browser",
                "api_url": "regex:^(www\\.acme\\.example|acme\\.example)",
                "browser": {
                    "entry_url": "https://acme.example/login", "domains": [".acme.example"],
                    "auth_cookies": ["sid"], "ttl_hours": 24,
                    "extract": [{ "cookie": "csrf", "header": "x-csrf-token" }]
                },
                "export": { "env": { "sid": "ACME_SID" } }
            }"#,
        );
        assert_eq!(definition.hosts(), ["www.acme.example", "acme.example"]);
        assert_eq!(
            variables(&definition),
            [("ACME_SID", EnvValue::Cookie("sid".into()))]
        );
        assert_eq!(definition.kind, Kind::Browser);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].severity, Severity::Warning);
        assert!(
            problems[0].message.contains("not anchored at the end"),
            "{}",
            problems[0]
        );
    }

    fn with_hosts(hosts: &str) -> (Option<Definition>, Vec<Problem>) {
        let text =
            format!("{{\"name\": \"x\", \"auth_type\": \"api_key\",\n\"api_url\": {hosts}}}");
        parse_definition(&text, "x.json".as_ref(), None)
    }

    #[test]
    fn an_absent_prefix_means_bearer() {
        let (definition, _) = with_hosts("\"api.x.com\"");
        assert_eq!(
            header(&definition.unwrap()),
            ("authorization".into(), "Bearer".into())
        );
    }

    #[test]
    fn an_expression_that_cannot_be_kept_costs_only_its_own_host() {
        let (definition, problems) =
            with_hosts("[\"api.x.com\",\n\"regex:.*googleapis.*\", \"http://y.com\"]");
        assert_eq!(definition.unwrap().hosts(), ["api.x.com"]);
        assert_eq!(problems.len(), 2);
        assert_eq!(problems[0].severity, Severity::Error);
        assert_eq!(problems[0].field.as_deref(), Some("api_url[1]"));
        assert_eq!(problems[0].line, Some(3));
        assert!(
            problems[0].message.contains("cannot be kept safely"),
            "{}",
            problems[0]
        );
        assert!(problems[1].message.contains("not https"), "{}", problems[1]);
    }

    #[test]
    fn a_definition_without_any_host_left_is_refused() {
        for hosts in [
            "\"regex:.*googleapis.*\"",
            "[]",
            "\"http://x.com\"",
            "\"x.com?a\"",
            "\"*.com\"",
        ] {
            let (definition, problems) = with_hosts(hosts);
            assert!(definition.is_none(), "{hosts}");
            assert!(
                problems
                    .iter()
                    .any(|p| p.message.contains("no host is left")),
                "{hosts}"
            );
        }
    }

    #[test]
    fn ports_paths_and_lookalikes_are_kept_narrow() {
        let (definition, problems) =
            with_hosts("[\"https://api.x.com:8443/v1\", \"regex:.*evil\\\\.com$\"]");
        let definition = definition.unwrap();
        assert_eq!(
            definition.hosts(),
            ["api.x.com:8443/v1/**", "evil.com", "*.evil.com"]
        );
        assert!(
            problems[0].message.contains("end in the same letters"),
            "{}",
            problems[0]
        );
    }

    #[test]
    fn unknown_fields_are_only_warned_about() {
        let (_, problems) = read(
            r#"{"name": "x", "auth_type": "api_key", "api_url": "x.com", "_note": 1, "exprot": {},
                "api_key": {"header_prefix": "Basic"}, "export": {"X": "SOMETHING"}}"#,
        );
        assert!(
            problems
                .iter()
                .all(|problem| problem.severity == Severity::Warning)
        );
        assert_eq!(problems.len(), 3, "{problems:#?}");
        assert!(
            problems[0].message.contains("did you mean `export`?"),
            "{}",
            problems[0]
        );
    }
}
