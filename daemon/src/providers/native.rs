//! Our own format, version 1: every field known, every mistake an error with its line.
//!
//! ```jsonc
//! {
//!   "v": 1,
//!   "name": "intercom",
//!   "display_name": "Intercom",
//!   "kind": "app",                  // app | llm | mcp | browser
//!   "auth": "api_key",              // api_key | oauth2 (with "oauth") | browser (with "browser")
//!   "routes": [{
//!     "hosts": ["api.intercom.io", "*.example.com"],
//!     "port": 443, "path": "/v1", "methods": ["GET"],           // all three optional
//!     "header": { "name": "Authorization", "prefix": "Bearer" } // or exactly one of
//!     // "basic": { "username": "{secret}" } | { "username": "u", "password": "{secret}" } | { "pair": "{secret}" }
//!     // "query": { "name": "api_key" } | "cookie": { "name": "session" }
//!   }],
//!   "env": { "INTERCOM_API_KEY": "api_key" },
//!   "key": { "pattern": "…", "hint": "…", "urls": ["https://…"] },
//!   "docs_url": "https://…", "notes": ["…"],
//!   "availability": { "not_yet": "why" }                        // absent: it works
//! }
//! ```

use authsome_proto::ProviderName;
use http::Method;

use crate::routing::{BasicPair, Methods, PathScope, Slot};

use super::definition::{
    Auth, Availability, Browser, ClientAuth, Definition, DeviceTokenRequest, EnvValue, EnvVariable,
    ExtractedCookie, Flow, HTTPS_PORT, Kind, OAuth2, RouteRule,
};
use super::document::{Item, Report, Table};
use super::fields::{self, checked, url_of};
use super::key_pattern::KeyPattern;
use super::problem::quoted;
use super::suggest;

/// The version this reader knows.
pub(super) const VERSION: u32 = 1;

/// What stands for the credential in a Basic pair.
pub(super) const SECRET: &str = "{secret}";

const SLOTS: &[&str] = &["header", "basic", "query", "cookie"];

/// Spellings of [`Kind`].
pub(super) const KINDS: &[(&str, Kind)] = &[
    ("app", Kind::App),
    ("browser", Kind::Browser),
    ("llm", Kind::Llm),
    ("mcp", Kind::Mcp),
];

/// Spellings of [`Flow`].
pub(super) const FLOWS: &[(&str, Flow)] = &[
    ("dcr_pkce", Flow::DcrPkce),
    ("device_code", Flow::DeviceCode),
    ("pkce", Flow::Pkce),
];

/// Spellings of [`ClientAuth`].
pub(super) const CLIENT_AUTHS: &[(&str, ClientAuth)] =
    &[("basic", ClientAuth::Basic), ("body", ClientAuth::Body)];

/// Spellings of [`DeviceTokenRequest`].
pub(super) const DEVICE_TOKEN_REQUESTS: &[(&str, DeviceTokenRequest)] = &[
    ("json", DeviceTokenRequest::Json),
    ("oauth2_form", DeviceTokenRequest::OAuth2Form),
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
    let auth = read_auth(report, root);
    let availability = match root.item("availability") {
        Some(item) => read_availability(report, &item),
        None => auth.as_ref().map(default_availability),
    };
    let routes = read_routes(report, root);
    let env = root
        .item("env")
        .map_or_else(Vec::new, |item| read_env(report, &item));
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
        key_urls: key.urls,
        docs_url,
        notes,
    })
}

/// What holds for a way of logging in where the definition says nothing.
pub(super) fn default_availability(auth: &Auth) -> Availability {
    match auth.not_yet() {
        Some(reason) => Availability::NotYet {
            reason: reason.into(),
        },
        None => Availability::Ready,
    }
}

fn read_availability(report: &mut Report<'_>, item: &Item<'_, '_>) -> Option<Availability> {
    let table = item.table(report)?;
    table.accept_only(report, &["not_yet"]);
    let reason = table.required(report, "not_yet")?.words(report)?;
    Some(Availability::NotYet { reason })
}

fn read_auth(report: &mut Report<'_>, root: &Table<'_, '_>) -> Option<Auth> {
    let item = root.required(report, "auth")?;
    let auth = one_of(
        report,
        &item,
        &[
            ("api_key", None),
            ("browser", Some("browser")),
            ("oauth2", Some("oauth")),
        ],
    )?;
    for block in ["oauth", "browser"] {
        if auth != Some(block)
            && let Some(stray) = root.item(block)
        {
            let message = "this block does not belong to this way of `auth`";
            report.error(&stray.path, stray.at(), message);
        }
    }
    match auth {
        None => Some(Auth::ApiKey),
        Some("browser") => {
            let table = root.required(report, "browser")?.table(report)?;
            read_browser(report, &table).map(Auth::Browser)
        }
        Some(_) => {
            let table = root.required(report, "oauth")?.table(report)?;
            read_oauth(report, &table).map(Auth::OAuth2)
        }
    }
}

fn read_routes(report: &mut Report<'_>, root: &Table<'_, '_>) -> Vec<RouteRule> {
    let Some(item) = root.required(report, "routes") else {
        return Vec::new();
    };
    let Some(list) = item.list(report) else {
        return Vec::new();
    };
    if list.is_empty() {
        report.error(&item.path, item.at(), "this list cannot be empty");
    }
    list.iter()
        .filter_map(|rule| read_rule(report, rule))
        .collect()
}

fn read_rule(report: &mut Report<'_>, item: &Item<'_, '_>) -> Option<RouteRule> {
    let table = item.table(report)?;
    table.accept_only(
        report,
        &[
            "hosts", "port", "path", "methods", "header", "basic", "query", "cookie",
        ],
    );
    let hosts = table.required(report, "hosts").and_then(|item| {
        let list = item.list(report)?;
        if list.is_empty() {
            report.error(&item.path, item.at(), "this list cannot be empty");
        }
        let read = list.iter().filter_map(|host| {
            let text = host.text(report)?;
            checked(report, host, fields::host_pattern(&text))
        });
        Some(read.collect::<Vec<_>>())
    });
    let port = match table.item("port") {
        Some(item) => item.number::<std::num::NonZeroU16>(report).map(Into::into),
        None => Some(HTTPS_PORT),
    };
    let path = match table.item("path") {
        Some(item) => item
            .text(report)
            .and_then(|text| checked(report, &item, path_scope(&text))),
        None => PathScope::parse("").ok(),
    };
    let methods = match table.item("methods") {
        Some(item) => read_methods(report, &item),
        None => Some(Methods::Any),
    };
    let slot = read_slot(report, &table);
    Some(RouteRule {
        hosts: hosts?,
        port: port?,
        path: path?,
        methods: methods?,
        slot: slot?,
    })
}

/// A path scope, with our words around the reason.
pub(super) fn path_scope(text: &str) -> Result<PathScope, String> {
    PathScope::parse(text).map_err(|error| format!("{} is no path: {error}", quoted(text)))
}

fn read_methods(report: &mut Report<'_>, item: &Item<'_, '_>) -> Option<Methods> {
    let list = item.list(report)?;
    if list.is_empty() {
        report.error(
            &item.path,
            item.at(),
            "this list cannot be empty; leave it out to mean all",
        );
    }
    let methods = list.iter().filter_map(|item| {
        let text = item.text(report)?;
        let method = Method::from_bytes(text.as_bytes()).ok();
        let plain = text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        if let (Some(method), true) = (method, plain) {
            return Some(method);
        }
        let message = format!(
            "{} is no method; they are written as in `GET`",
            quoted(&text)
        );
        report.error(&item.path, item.at(), message);
        None
    });
    Some(Methods::Only(methods.collect()))
}

fn read_slot(report: &mut Report<'_>, table: &Table<'_, '_>) -> Option<Slot> {
    let mut given = SLOTS
        .iter()
        .filter_map(|slot| Some((*slot, table.item(slot)?)));
    let (Some((slot, item)), None) = (given.next(), given.next()) else {
        let message = "a route has exactly one of `header`, `basic`, `query` and `cookie`";
        report.error(table.path(), table.at(), message);
        return None;
    };
    let inner = item.table(report)?;
    match slot {
        "header" => {
            inner.accept_only(report, &["name", "prefix"]);
            let name_item = inner.required(report, "name")?;
            let name = name_item.text(report)?;
            let name = checked(report, &name_item, fields::header_name(&name));
            let prefix = match inner.item("prefix") {
                Some(item) => {
                    let text = item.text(report)?;
                    checked(report, &item, fields::header_prefix(&text))?
                }
                None => "".into(),
            };
            Some(Slot::Header {
                name: name?,
                prefix,
            })
        }
        "basic" => read_basic(report, &inner).map(Slot::Basic),
        _ => {
            inner.accept_only(report, &["name"]);
            let name_item = inner.required(report, "name")?;
            let name = name_item.text(report)?;
            let name = checked(report, &name_item, fields::token(&name))?;
            Some(if slot == "query" {
                Slot::Query { name }
            } else {
                Slot::Cookie { name }
            })
        }
    }
}

fn read_basic(report: &mut Report<'_>, table: &Table<'_, '_>) -> Option<BasicPair> {
    table.accept_only(report, &["username", "password", "pair"]);
    let mut texts = ["username", "password", "pair"].into_iter().map(|field| {
        let text = table.item(field).and_then(|item| item.text(report));
        (table.item(field).is_some(), text.unwrap_or_default())
    });
    let (username, password, pair) = (texts.next()?, texts.next()?, texts.next()?);
    let result = match (username.1.as_str(), password.1.as_str(), pair) {
        (_, _, (true, whole)) if whole == SECRET && !username.0 && !password.0 => {
            Some(BasicPair::Whole)
        }
        (SECRET, "", (false, _)) => Some(BasicPair::Username),
        (user, SECRET, (false, _)) if user != SECRET && !user.contains(':') => {
            Some(BasicPair::Password { user: user.into() })
        }
        _ => None,
    };
    if result.is_none() {
        let message = "write `{secret}` in exactly one place: as `username` with no password, as `password` (a `username` has no `:`), or as the whole `pair`";
        report.error(table.path(), table.at(), message);
    }
    result
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
    urls: Vec<String>,
}

fn read_key(report: &mut Report<'_>, item: &Item<'_, '_>) -> Key {
    let Some(table) = item.table(report) else {
        return Key::default();
    };
    table.accept_only(report, &["pattern", "hint", "urls"]);
    let pattern = table.item("pattern").and_then(|item| {
        let text = item.words(report)?;
        let pattern = KeyPattern::parse(&text).map_err(|error| error.to_string());
        checked(report, &item, pattern)
    });
    let hint = table.item("hint").and_then(|item| item.words(report));
    let urls = table
        .item("urls")
        .map_or_else(Vec::new, |item| url_list(report, &item));
    Key {
        pattern,
        hint,
        urls,
    }
}

fn url_list(report: &mut Report<'_>, item: &Item<'_, '_>) -> Vec<String> {
    let list = item.list(report).unwrap_or_default();
    list.iter()
        .filter_map(|item| url_of(report, item))
        .collect()
}

fn read_oauth(report: &mut Report<'_>, table: &Table<'_, '_>) -> Option<OAuth2> {
    table.accept_only(
        report,
        &[
            "base_url",
            "authorization_url",
            "token_url",
            "revocation_url",
            "device_authorization_url",
            "registration_endpoint",
            "flows",
            "scopes",
            "pkce",
            "client_auth",
            "authorization_params",
            "device_token_request",
        ],
    );
    let base_url = table
        .item("base_url")
        .and_then(|item| url_of(report, &item));
    let mut endpoint = |name: &str| {
        let item = table.item(name)?;
        endpoint_url(report, &item, base_url.as_deref())
    };
    let authorization_url = endpoint("authorization_url");
    let revocation_url = endpoint("revocation_url");
    let device_authorization_url = endpoint("device_authorization_url");
    let registration_endpoint = endpoint("registration_endpoint");
    let token_url = table
        .required(report, "token_url")
        .and_then(|item| endpoint_url(report, &item, base_url.as_deref()));
    let flows = table.required(report, "flows").and_then(|item| {
        let list = item.list(report)?;
        if list.is_empty() {
            report.error(&item.path, item.at(), "this list cannot be empty");
        }
        Some(
            list.iter()
                .filter_map(|item| one_of(report, item, FLOWS))
                .collect::<Vec<_>>(),
        )
    });
    let scopes = table
        .item("scopes")
        .and_then(|item| item.texts(report))
        .unwrap_or_default();
    let pkce = match table.item("pkce") {
        Some(item) => item.flag(report),
        None => Some(true),
    };
    let client_auth = match table.item("client_auth") {
        Some(item) => one_of(report, &item, CLIENT_AUTHS),
        None => Some(ClientAuth::Body),
    };
    let authorization_params = table
        .item("authorization_params")
        .map_or_else(Vec::new, |item| pairs(report, &item));
    let device_token_request = table
        .item("device_token_request")
        .and_then(|item| one_of(report, &item, DEVICE_TOKEN_REQUESTS));
    Some(OAuth2 {
        base_url,
        authorization_url,
        token_url: token_url?,
        revocation_url,
        device_authorization_url,
        registration_endpoint,
        flows: flows?,
        scopes,
        pkce: pkce?,
        client_auth: client_auth?,
        authorization_params,
        device_token_request,
    })
}

/// An https URL that may begin with `{base_url}`.
pub(super) fn endpoint_url(
    report: &mut Report<'_>,
    item: &Item<'_, '_>,
    base: Option<&str>,
) -> Option<String> {
    let text = item.text(report)?;
    let resolved = match (text.strip_prefix("{base_url}"), base) {
        (Some(rest), Some(base)) => format!("{}{rest}", base.trim_end_matches('/')),
        (Some(_), None) => {
            report.error(
                &item.path,
                item.at(),
                "`{base_url}` is used, but `base_url` is missing",
            );
            return None;
        }
        (None, _) => text.clone(),
    };
    checked(report, item, fields::https_url(&resolved))?;
    Some(text)
}

fn read_browser(report: &mut Report<'_>, table: &Table<'_, '_>) -> Option<Browser> {
    table.accept_only(
        report,
        &[
            "entry_url",
            "cookie_domains",
            "auth_cookies",
            "ttl_hours",
            "ttl_from_cookie",
            "extra_headers",
            "extract",
            "cookie_header",
        ],
    );
    let entry_url = table
        .required(report, "entry_url")
        .and_then(|item| url_of(report, &item));
    let mut texts = |name: &str| table.required(report, name)?.texts(report);
    let cookie_domains = texts("cookie_domains");
    let auth_cookies = texts("auth_cookies");
    let ttl_hours = table.item("ttl_hours").and_then(|item| item.number(report));
    let ttl_from_cookie = table
        .item("ttl_from_cookie")
        .and_then(|item| item.words(report));
    let extra_headers = table
        .item("extra_headers")
        .map_or_else(Vec::new, |item| pairs(report, &item));
    let extract = table
        .item("extract")
        .map_or_else(Vec::new, |item| read_extract(report, &item));
    let cookie_header = match table.item("cookie_header") {
        Some(item) => item.flag(report),
        None => Some(true),
    };
    Some(Browser {
        entry_url: entry_url?,
        cookie_domains: cookie_domains?,
        auth_cookies: auth_cookies?,
        ttl_hours,
        ttl_from_cookie,
        extra_headers,
        extract,
        cookie_header: cookie_header?,
    })
}

/// `[{"cookie": …, "header": …, "prefix": …}]`, the same in both formats.
pub(super) fn read_extract(report: &mut Report<'_>, item: &Item<'_, '_>) -> Vec<ExtractedCookie> {
    let list = item.list(report).unwrap_or_default();
    let rules = list.iter().filter_map(|item| {
        let table = item.table(report)?;
        table.accept_only(report, &["cookie", "header", "prefix"]);
        let cookie = table.required(report, "cookie")?.words(report)?;
        let header_item = table.required(report, "header")?;
        let header = header_item.text(report)?;
        checked(report, &header_item, fields::header_name(&header))?;
        let prefix = match table.present("prefix") {
            Some(item) => {
                let text = item.text(report)?;
                checked(report, &item, fields::header_prefix(&text))?.into()
            }
            None => String::new(),
        };
        Some(ExtractedCookie {
            cookie,
            header,
            prefix,
        })
    });
    rules.collect()
}

/// An object whose values are all texts, in order.
pub(super) fn pairs(report: &mut Report<'_>, item: &Item<'_, '_>) -> Vec<(String, String)> {
    let Some(table) = item.table(report) else {
        return Vec::new();
    };
    table.accept_only(
        report,
        &table.items().map(|(name, _)| name).collect::<Vec<_>>(),
    );
    let pairs = table.items().filter_map(|(name, item)| {
        checked(report, &item, fields::token(name))?;
        Some((name.to_owned(), item.text(report)?))
    });
    pairs.collect()
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
        assert_eq!(definition.hosts(), ["api.x.com"]);
        assert_eq!(definition.availability, Availability::Ready);
        assert!(definition.key_pattern.unwrap().matches("x_abc"));
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
            (
                "api.x.com",
                "*.com",
                9,
                "routes[0].hosts[0]",
                "top-level domain",
            ),
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
}
