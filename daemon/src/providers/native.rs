//! Our own format, version 1: every field known, every mistake an error with its line.
//!
//! ```jsonc
//! {
//!   "v": 1,
//!   "name": "intercom",
//!   "display_name": "Intercom",
//!   "kind": "app",                  // app | llm | mcp | browser
//!   "auth": "api_key",              // api_key | oauth2 (with "oauth") | browser (with "browser")
//!   "oauth": {                      // addresses, flows and facts of the authorization server
//!     "base_url": "https://x.com", "token_url": "{base_url}/token", "flows": ["pkce"],
//!     "self_hosted": { "paths": ["/api/**"] }                 // what of an own server gets the token
//!   },
//!   "routes": [{
//!     "hosts": ["api.intercom.io", "*.example.com"],
//!     "port": 443, "path": "/v1", "methods": ["GET"],           // all optional, as is
//!     "except": ["/v1/admin/**"],                               // what of the path is not meant
//!     "header": { "name": "Authorization", "prefix": "Bearer" } // or exactly one of
//!     // "basic": { "username": "{secret}" } | { "username": "u", "password": "{secret}" } | { "pair": "{secret}" }
//!     // "query": { "name": "api_key" } | "cookie": { "name": "session" }
//!     // with "browser" it is a "cookie" of its `auth_cookies`; the others go with it
//!   }],
//!   "regions": { "eu": ["eu.example.com"] },                    // hosts that serve one region each
//!   "env": { "INTERCOM_API_KEY": "api_key" },
//!   "key": { "pattern": "…", "hint": "…", "urls": ["https://…"],
//!     "placeholder": "x_{random}" },                            // what stands for it in variables
//!   "docs_url": "https://…", "notes": ["…"],
//!   "availability": { "not_yet": "why" }                        // absent: it works
//! }
//! ```

pub(super) mod auth;
pub(super) mod routes;

use std::sync::Arc;

use authsome_proto::ProviderName;

use self::auth::read_auth;
use self::routes::read_routes;
use super::definition::{
    Auth, Availability, Browser, Definition, EnvValue, EnvVariable, Kind, RouteRule,
};
use super::document::{Item, Report, Table};
use super::fields::{self, checked, url_of};
use super::key_pattern::KeyPattern;
use super::problem::quoted;
use super::{session, suggest};
use crate::routing::{HostPattern, Slot, Template};

/// The version this reader knows.
pub(super) const VERSION: u32 = 1;

/// Spellings of [`Kind`].
pub(super) const KINDS: &[(&str, Kind)] = &[
    ("app", Kind::App),
    ("browser", Kind::Browser),
    ("llm", Kind::Llm),
    ("mcp", Kind::Mcp),
];

/// Spellings of [`EnvValue`] other than `cookie:NAME`.
pub(super) const ENV_VALUES: &[(&str, EnvValue)] = &[
    ("access_token", EnvValue::AccessToken),
    ("api_key", EnvValue::ApiKey),
    ("api_url", EnvValue::ApiUrl),
    ("base_url", EnvValue::BaseUrl),
    ("refresh_token", EnvValue::RefreshToken),
];

/// Reads a whole document.
pub(super) fn read(
    report: &mut Report<'_>,
    root: &Table<'_, '_>,
    name: Option<ProviderName>,
) -> Option<Definition> {
    if let Some(v) = root.required(report, "v")
        && let Some(version) = v.number::<u32>(report)
        && version != VERSION
    {
        let message = format!("format {version} is not known here, only {VERSION}");
        report.error(&v.path, v.at(), message);
        return None; // every further message would be about a format we do not know
    }
    root.accept_only(
        report,
        &[
            "v",
            "name",
            "display_name",
            "kind",
            "auth",
            "availability",
            "routes",
            "regions",
            "env",
            "key",
            "oauth",
            "browser",
            "docs_url",
            "notes",
        ],
    );
    let display_name = root
        .required(report, "display_name")
        .and_then(|item| item.words(report));
    let kind = match root.item("kind") {
        Some(item) => one_of(report, &item, KINDS),
        None => Some(Kind::App),
    };
    let mut auth = read_auth(report, root);
    let availability = match root.item("availability") {
        Some(item) => read_availability(report, &item),
        None => Some(Availability::Ready),
    };
    let mut routes = read_routes(report, root);
    let regions = root
        .item("regions")
        .map_or_else(Vec::new, |item| read_regions(report, &item, &routes));
    let env = root
        .item("env")
        .map_or_else(Vec::new, |item| read_env(report, &item));
    if let Some(Auth::Browser(browser)) = &mut auth {
        let at = root.item("browser").map_or(root.at(), |item| item.at());
        put_session(report, at, browser, &env, &mut routes);
    }
    let key = root
        .item("key")
        .map_or_else(Key::default, |item| read_key(report, &item));
    let docs_url = root.item("docs_url").and_then(|item| url_of(report, &item));
    let notes = root
        .item("notes")
        .and_then(|item| item.texts(report))
        .unwrap_or_default();
    if report.is_fatal() {
        return None;
    }
    Some(Definition {
        name: name?,
        display_name: display_name?,
        kind: kind?,
        auth: auth?,
        availability: availability?,
        routes,
        env,
        key_pattern: key.pattern,
        key_hint: key.hint,
        key_placeholder: key.placeholder,
        key_urls: key.urls,
        docs_url,
        notes,
        regions,
    })
}

/// Puts the whole session where the routes name one of its cookies. `at` is where it is described.
pub(super) fn put_session(
    report: &mut Report<'_>,
    at: usize,
    browser: &mut Browser,
    env: &[EnvVariable],
    routes: &mut [RouteRule],
) {
    browser.also_asked = session::also_asked(browser, env);
    let session = match session::session_of(browser) {
        Ok(session) => Arc::new(session),
        Err(message) => return report.error("browser", at, message),
    };
    for rule in routes {
        let proves = |name: &str| browser.auth_cookies.iter().any(|it| it == name);
        if matches!(&rule.slot, Slot::Cookie { name } if proves(name)) {
            rule.slot = Slot::Session(Arc::clone(&session));
        } else {
            let message = "a route of a browser session has a `cookie` of its `auth_cookies`";
            report.error("routes", at, message);
        }
    }
}

fn read_availability(report: &mut Report<'_>, item: &Item<'_, '_>) -> Option<Availability> {
    let table = item.table(report)?;
    table.accept_only(report, &["not_yet"]);
    let reason = table.required(report, "not_yet")?.words(report)?;
    Some(Availability::NotYet { reason })
}

/// Regions with the hosts of each. A region's hosts are among the routes', and no host is in two.
fn read_regions(
    report: &mut Report<'_>,
    item: &Item<'_, '_>,
    routes: &[RouteRule],
) -> Vec<(String, Vec<HostPattern>)> {
    let Some(table) = item.table(report) else {
        return Vec::new();
    };
    let mut regions: Vec<(String, Vec<HostPattern>)> = Vec::new();
    for (name, item) in table.items() {
        checked(report, &item, fields::token(name));
        let mut hosts = Vec::new();
        for item in item.list(report).unwrap_or_default() {
            let Some(text) = item.text(report) else {
                continue;
            };
            let Some(host) = checked(report, &item, fields::host_pattern(&text)) else {
                continue;
            };
            if !routes.iter().any(|rule| rule.hosts.contains(&host)) {
                let message = format!("{} is in no route", quoted(&text));
                report.error(&item.path, item.at(), message);
            }
            if regions.iter().any(|(_, known)| known.contains(&host)) {
                let message = format!("{} is in another region already", quoted(&text));
                report.error(&item.path, item.at(), message);
            }
            hosts.push(host);
        }
        if hosts.is_empty() {
            report.error(&item.path, item.at(), "a region has at least one host");
        }
        regions.push((name.to_owned(), hosts));
    }
    regions
}

fn read_env(report: &mut Report<'_>, item: &Item<'_, '_>) -> Vec<EnvVariable> {
    let Some(table) = item.table(report) else {
        return Vec::new();
    };
    table.accept_only(
        report,
        &table.items().map(|(name, _)| name).collect::<Vec<_>>(),
    );
    let variables = table.items().filter_map(|(name, item)| {
        let name = checked(report, &item, fields::variable(name));
        let text = item.text(report)?;
        let value = match text.strip_prefix("cookie:") {
            Some(cookie) => {
                let cookie = checked(report, &item, fields::token(cookie))?;
                EnvValue::Cookie(cookie.into())
            }
            None => one_of(report, &item, ENV_VALUES)?,
        };
        Some(EnvVariable { name: name?, value })
    });
    variables.collect()
}

#[derive(Default)]
struct Key {
    pattern: Option<KeyPattern>,
    hint: Option<String>,
    placeholder: Option<Template>,
    urls: Vec<String>,
}

fn read_key(report: &mut Report<'_>, item: &Item<'_, '_>) -> Key {
    let Some(table) = item.table(report) else {
        return Key::default();
    };
    table.accept_only(report, &["pattern", "hint", "placeholder", "urls"]);
    let pattern = table.item("pattern").and_then(|item| {
        let text = item.words(report)?;
        let pattern = KeyPattern::parse(&text).map_err(|error| error.to_string());
        checked(report, &item, pattern)
    });
    let hint = table.item("hint").and_then(|item| item.words(report));
    let placeholder = table.item("placeholder").and_then(|item| {
        let template = item.text(report)?.parse::<Template>();
        checked(report, &item, template.map_err(|error| error.to_string()))
    });
    let urls = table
        .item("urls")
        .map_or_else(Vec::new, |item| url_list(report, &item));
    Key {
        pattern,
        hint,
        placeholder,
        urls,
    }
}

fn url_list(report: &mut Report<'_>, item: &Item<'_, '_>) -> Vec<String> {
    let list = item.list(report).unwrap_or_default();
    list.iter()
        .filter_map(|item| url_of(report, item))
        .collect()
}

/// The value that `item` spells; an error that names all spellings otherwise.
pub(super) fn one_of<T: Clone>(
    report: &mut Report<'_>,
    item: &Item<'_, '_>,
    choices: &[(&str, T)],
) -> Option<T> {
    let text = item.text(report)?;
    if let Some((_, value)) = choices.iter().find(|(spelling, _)| *spelling == text) {
        return Some(value.clone());
    }
    let hint = suggest::hint(&text, choices.iter().map(|(spelling, _)| *spelling));
    let known: Vec<String> = choices
        .iter()
        .map(|(spelling, _)| format!("`{spelling}`"))
        .collect();
    let message = format!("{} is none of {}{hint}", quoted(&text), known.join(", "));
    report.error(&item.path, item.at(), message);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{Severity, parse_definition};
    use crate::routing::BasicPair;

    const GOOD: &str = r#"{
  "v": 1,
  "name": "x", // comments are welcome
  "display_name": "X",
  "kind": "app",
  "auth": "api_key",
  "routes": [
    {
      "hosts": ["api.x.com"],
      "path": "/v1",
      "methods": ["GET"],
      "header": { "name": "Authorization", "prefix": "Bearer" }
    }
  ],
  "env": { "X_API_KEY": "api_key" },
  "key": { "pattern": "x_[a-z]+", "urls": ["https://x.com/keys"] },
}"#;

    fn with(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        GOOD.replacen(from, to, 1)
    }

    fn slot(written: &str) -> Slot {
        let header = r#""header": { "name": "Authorization", "prefix": "Bearer" }"#;
        let (definition, problems) =
            parse_definition(&with(header, written), "x.json".as_ref(), None);
        assert_eq!(problems, [], "{written}");
        definition.unwrap().routes.first().unwrap().slot.clone()
    }

    #[test]
    fn a_good_definition_has_no_problems() {
        let (definition, problems) = parse_definition(GOOD, "x.json".as_ref(), None);
        assert_eq!(problems, []);
        let definition = definition.unwrap();
        assert_eq!(definition.hosts(), ["api.x.com/v1/**"]);
        assert_eq!(definition.availability, Availability::Ready);
        assert!(definition.key_pattern.unwrap().matches("x_abc"));
    }

    #[test]
    fn regions_and_exceptions_are_read_and_checked() {
        let path = r#""path": "/v1","#;
        let key = r#""key": {"#;
        let (definition, problems) = parse_definition(
            &with(
                path,
                r#""path": "/v1", "except": ["/v1/admin/**", "/v1/x"],"#,
            )
            .replace(key, r#""regions": {"us": ["api.x.com"]}, "key": {"#),
            "x.json".as_ref(),
            None,
        );
        assert_eq!(problems, []);
        let definition = definition.unwrap();
        let except: Vec<_> = definition
            .routes
            .first()
            .unwrap()
            .except
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(except, ["/v1/admin/**", "/v1/x/**"]);
        assert_eq!(definition.hosts_in(Some("us")), ["api.x.com/v1/**"]);
        assert_eq!(definition.hosts_in(Some("eu")), [""; 0]);
        let (again, problems) = parse_definition(&definition.to_json(), "x.json".as_ref(), None);
        assert_eq!(
            (again, problems.as_slice()),
            (Some(definition), [].as_slice())
        );

        for (from, to, part) in [
            (
                path,
                r#""path": "/v1", "except": ["/v2/**"],"#,
                "does not lie inside",
            ),
            (
                path,
                r#""path": "/v1", "except": ["/v1"],"#,
                "does not lie inside",
            ),
            (
                path,
                r#""path": "/v1", "except": ["/v1/../x"],"#,
                "segments of dots",
            ),
            (
                key,
                r#""regions": {"us": ["other.com"]}, "key": {"#,
                "is in no route",
            ),
            (
                key,
                r#""regions": {"us": []}, "key": {"#,
                "at least one host",
            ),
            (
                key,
                r#""regions": {"us": ["api.x.com"], "eu": ["api.x.com"]}, "key": {"#,
                "in another region already",
            ),
        ] {
            let (_, problems) = parse_definition(&with(from, to), "x.json".as_ref(), None);
            let said = problems
                .iter()
                .any(|problem| problem.to_string().contains(part));
            assert!(said, "{to}: {problems:?}");
        }
    }

    #[test]
    fn every_slot_can_be_written() {
        let name = http::HeaderName::from_static("x-api-key");
        for (written, wanted) in [
            (
                r#""header": {"name": "X-Api-Key"}"#,
                Slot::Header {
                    name,
                    prefix: "".into(),
                },
            ),
            (
                r#""query": {"name": "api_key"}"#,
                Slot::Query {
                    name: "api_key".into(),
                },
            ),
            (
                r#""cookie": {"name": "li_at"}"#,
                Slot::Cookie {
                    name: "li_at".into(),
                },
            ),
            (
                r#""basic": {"username": "{secret}"}"#,
                Slot::Basic(BasicPair::Username),
            ),
            (
                r#""basic": {"username": "", "password": "{secret}"}"#,
                Slot::Basic(BasicPair::Password { user: "".into() }),
            ),
            (
                r#""basic": {"username": "api", "password": "{secret}"}"#,
                Slot::Basic(BasicPair::Password { user: "api".into() }),
            ),
            (
                r#""basic": {"pair": "{secret}"}"#,
                Slot::Basic(BasicPair::Whole),
            ),
        ] {
            assert_eq!(slot(written), wanted, "{written}");
        }
    }

    #[test]
    fn mistakes_are_named_with_field_and_line() {
        let bearer = r#""header": { "name": "Authorization", "prefix": "Bearer" }"#;
        for (from, to, line, field, part) in [
            ("\"v\": 1", "\"v\": 2", 2, "v", "format 2 is not known here"),
            (
                "\"kind\"",
                "\"knd\"",
                5,
                "",
                "unknown field `knd`; did you mean `kind`?",
            ),
            ("\"app\"", "\"apps\"", 5, "kind", "did you mean `app`?"),
            (
                "\"app\"",
                "7",
                5,
                "kind",
                "this has to be text, not a number",
            ),
            (
                "\"x\"",
                "\"X Y\"",
                3,
                "name",
                "a provider name cannot contain",
            ),
            (
                "\"display_name\": \"X\",",
                "",
                1,
                "",
                "`display_name` is missing",
            ),
            ("\"X\"", "\" \"", 4, "display_name", "cannot be empty"),
            (
                "\"X\"",
                "\"a\\u001bb\"",
                4,
                "display_name",
                "control characters",
            ),
            (
                "\"X\"",
                "\"a\\u202eb\"",
                4,
                "display_name",
                "control characters",
            ),
            ("\"X\",", "\"X\", \"v\": 1,", 4, "", "`v` is given twice"),
            ("\"v\": 1,", "\"v\": 1", 2, "", "expected comma"),
            ("api.x.com", "*.com", 9, "routes[0].hosts[0]", "`*.com`"),
            (
                "api.x.com",
                "https://api.x.com",
                9,
                "routes[0].hosts[0]",
                "is no host",
            ),
            (
                "api.x.com",
                "regex:.*",
                9,
                "routes[0].hosts[0]",
                "is no host",
            ),
            (
                "[\"api.x.com\"]",
                "[]",
                9,
                "routes[0].hosts",
                "cannot be empty",
            ),
            (
                "[\"api.x.com\"]",
                "\"api.x.com\"",
                9,
                "routes[0].hosts",
                "has to be a list",
            ),
            ("/v1", "v1", 10, "routes[0].path", "is no path"),
            (
                "\"path\": \"/v1\"",
                "\"port\": 0",
                10,
                "routes[0].port",
                "whole number in range",
            ),
            ("GET", "get", 11, "routes[0].methods[0]", "is no method"),
            (
                "\"header\"",
                "\"heder\"",
                12,
                "routes[0]",
                "did you mean `header`?",
            ),
            (
                "Authorization",
                "Host",
                12,
                "routes[0].header.name",
                "cannot carry a credential",
            ),
            (
                "Authorization",
                "a b",
                12,
                "routes[0].header.name",
                "is no name of a header",
            ),
            (bearer, "\"path\": \"/\"", 8, "routes[0]", "exactly one of"),
            (
                bearer,
                "\"basic\": {}",
                12,
                "routes[0].basic",
                "in exactly one place",
            ),
            (
                bearer,
                "\"basic\": {\"username\": \"{secret}\", \"password\": \"{secret}\"}",
                12,
                "routes[0].basic",
                "in exactly one place",
            ),
            (
                bearer,
                "\"query\": {\"name\": \"a&b=\"}",
                12,
                "routes[0].query.name",
                "is no name",
            ),
            (
                "X_API_KEY",
                "PATH",
                15,
                "env.PATH",
                "a definition cannot set `PATH`",
            ),
            (
                "{ \"X_API_KEY\": \"api_key\" }",
                "{ \"X\": \"apikey\" }",
                15,
                "env.X",
                "`api_key`?",
            ),
            ("x_[a-z]+", "(?=x)", 16, "key.pattern", "linear time"),
            (
                "https://x.com/keys",
                "http://x.com",
                16,
                "key.urls[0]",
                "https://",
            ),
            (
                "\"api_key\",\n",
                "\"oauth2\",\n",
                1,
                "",
                "`oauth` is missing",
            ),
        ] {
            let (definition, problems) = parse_definition(&with(from, to), "x.json".as_ref(), None);
            assert!(definition.is_none(), "{from} -> {to}");
            let hit = problems
                .iter()
                .find(|problem| problem.message.contains(part));
            let hit = hit.unwrap_or_else(|| panic!("{from} -> {to}: {problems:#?}"));
            assert_eq!(hit.line, Some(line), "{from} -> {to}");
            assert_eq!(
                hit.field.as_deref().unwrap_or_default(),
                field,
                "{from} -> {to}"
            );
            assert_eq!(hit.severity, Severity::Error);
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = with("\"app\"", "\"apps\"")
            .replace("api.x.com", "*")
            .replace("GET", "get");
        let (_, problems) = parse_definition(&text, "x.json".as_ref(), None);
        assert_eq!(problems.len(), 3, "{problems:#?}");
        assert!(
            problems
                .iter()
                .all(|problem| problem.provider.as_deref() == Some("x"))
        );
    }

    fn problems_of(text: &str) -> Vec<String> {
        let (_, problems) = parse_definition(text, "x.json".as_ref(), None);
        problems.iter().map(ToString::to_string).collect()
    }

    fn oauth(fields: &str) -> String {
        format!(
            r#"{{"v": 1, "name": "x", "display_name": "X", "auth": "oauth2",
                "routes": [{{"hosts": ["api.x.com"], "header": {{"name": "Authorization", "prefix": "Bearer"}}}}],
                "oauth": {{{fields}}}}}"#
        )
    }

    #[test]
    fn facts_of_an_authorization_server_are_read_written_and_checked() {
        let good = r#""base_url": "https://x.com", "authorization_url": "{base_url}/a",
            "token_url": "{base_url}/t", "flows": ["pkce"], "issuer": "https://x.com",
            "names_itself": true, "resource": "https://x.com/mcp",
            "self_hosted": {"paths": ["/api/**", "/raw"]}"#;
        let (definition, problems) = parse_definition(&oauth(good), "x.json".as_ref(), None);
        assert_eq!(problems, []);
        let definition = definition.unwrap();
        let Auth::OAuth2(facts) = &definition.auth else {
            panic!()
        };
        assert_eq!(facts.issuer.as_deref(), Some("https://x.com"));
        assert!(facts.names_itself);
        assert_eq!(facts.resource.as_deref(), Some("https://x.com/mcp"));
        let paths: Vec<String> = facts
            .self_hosted
            .iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        assert_eq!(paths, ["/api/**", "/raw/**"]);
        let (again, problems) = parse_definition(&definition.to_json(), "x.json".as_ref(), None);
        assert_eq!((again, problems), (Some(definition), vec![]));

        for (from, to, part) in [
            (
                r#""authorization_url": "{base_url}/a","#,
                "",
                "`pkce` needs `authorization_url`",
            ),
            (
                r#"["pkce"]"#,
                r#"["pkce", "device_code"]"#,
                "`device_code` needs `device_authorization_url`",
            ),
            (
                r#"["pkce"]"#,
                r#"["dcr_pkce"]"#,
                "`dcr_pkce` needs `registration_endpoint`",
            ),
            (
                r#""{base_url}/t""#,
                r#""https://x.com/t""#,
                "every address to begin with",
            ),
            (
                r#""{base_url}/t""#,
                r#""{base_url}.evil.com/t""#,
                "is followed by `/`",
            ),
            (
                r#""{base_url}/t""#,
                r#""{base_url}@evil.com/t""#,
                "is followed by `/`",
            ),
            (
                r#""base_url": "https://x.com", "#,
                "",
                "`base_url` is missing",
            ),
            (r#"["/api/**", "/raw"]"#, "[]", "cannot be empty"),
            (r#"["/api/**", "/raw"]"#, r#"["api"]"#, "is no path"),
            (
                r#"{"paths": ["/api/**", "/raw"]}"#,
                r#"{"hosts": []}"#,
                "unknown field",
            ),
            (
                r#""https://x.com/mcp""#,
                r#""http://x.com/mcp""#,
                "https://",
            ),
            ("true", "\"yes\"", "has to be"),
        ] {
            assert!(good.contains(from), "{from}");
            let problems = problems_of(&oauth(&good.replacen(from, to, 1)));
            assert!(
                problems.iter().any(|it| it.contains(part)),
                "{to}: {problems:?}"
            );
        }
    }

    #[test]
    fn a_session_is_read_written_and_checked() {
        let good = r#"{"v": 1, "name": "x", "display_name": "X", "auth": "browser",
            "routes": [{"hosts": ["x.com"], "cookie": {"name": "sid"}}],
            "env": {"X_SID": "cookie:sid", "X_LANG": "cookie:lang"},
            "browser": {"entry_url": "https://x.com/login", "cookie_domains": ["x.com"],
                "auth_cookies": ["sid"], "extra_headers": {"x-active": "yes"},
                "extract": [{"cookie": "csrf", "header": "x-csrf"}]}}"#;
        let (definition, problems) = parse_definition(good, "x.json".as_ref(), None);
        assert_eq!(problems, []);
        let definition = definition.unwrap();
        assert_eq!(
            definition.routes.first().unwrap().slot.to_string(),
            "cookies `sid`, `csrf`, `lang`; headers `x-csrf`, `x-active`"
        );
        let (again, problems) = parse_definition(&definition.to_json(), "x.json".as_ref(), None);
        assert_eq!((again, problems), (Some(definition), vec![]));

        for (from, to, part) in [
            (
                r#"{"name": "sid"}"#,
                r#"{"name": "csrf"}"#,
                "of its `auth_cookies`",
            ),
            (
                r#""cookie": {"name": "sid"}"#,
                r#""header": {"name": "x-a"}"#,
                "of its `auth_cookies`",
            ),
            (r#"["sid"]"#, "[]", "cannot be empty"),
            (r#"["sid"]"#, r#"["sid", "a=b"]"#, "is no name of a cookie"),
            (
                r#""x-active": "yes""#,
                r#""host": "evil.com""#,
                "cannot carry a credential",
            ),
            (r#""x-active": "yes""#, r#""x_csrf": "yes""#, "filled twice"),
            (
                r#""header": "x-csrf""#,
                r#""header": "Cookie""#,
                "cannot carry a credential",
            ),
        ] {
            assert!(good.contains(from), "{from}");
            let problems = problems_of(&good.replacen(from, to, 1));
            assert!(
                problems.iter().any(|it| it.contains(part)),
                "{to}: {problems:?}"
            );
        }
    }
}
