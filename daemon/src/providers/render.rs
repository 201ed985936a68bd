//! Writing a definition in our own format: complete, and read back as the same definition.

use serde_json::{Map, Value, json};

use crate::routing::{BasicPair, Methods, PathScope, Slot};

use super::definition::{
    Auth, Availability, Browser, Definition, EnvValue, HTTPS_PORT, OAuth2, RouteRule,
};
use super::native::auth::{CLIENT_AUTHS, DEVICE_TOKEN_REQUESTS, FLOWS};
use super::native::routes::SECRET;
use super::native::{ENV_VALUES, KINDS, VERSION};

impl Definition {
    /// The definition as JSON for people, ending in a line break, ready to be saved as
    /// `providers/NAME.json`. Reading it gives the same definition (tested for all bundled ones).
    pub fn to_json(&self) -> String {
        let mut out = Map::new();
        let mut put = |name: &str, value: Value| out.insert(name.into(), value);
        put("v", json!(VERSION));
        put("name", json!(self.name.as_str()));
        put("display_name", json!(self.display_name));
        put("kind", json!(spelling(KINDS, &self.kind)));
        put(
            "auth",
            json!(match &self.auth {
                Auth::ApiKey => "api_key",
                Auth::Browser(_) => "browser",
                Auth::OAuth2(_) => "oauth2",
            }),
        );
        if let Availability::NotYet { reason } = &self.availability {
            put("availability", json!({ "not_yet": reason }));
        }
        put("routes", self.routes.iter().map(rule).collect());
        if !self.regions.is_empty() {
            let regions = self.regions.iter().map(|(name, hosts)| {
                let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
                (name.clone(), json!(hosts))
            });
            put("regions", Value::Object(regions.collect()));
        }
        let env = self.env.iter().map(|variable| {
            let value = match &variable.value {
                EnvValue::Cookie(name) => format!("cookie:{name}"),
                value => spelling(ENV_VALUES, value).to_owned(),
            };
            (variable.name.clone(), Value::String(value))
        });
        put("env", Value::Object(env.collect()));
        let mut key = Map::new();
        if let Some(pattern) = &self.key_pattern {
            key.insert("pattern".into(), json!(pattern.source()));
        }
        put_text(&mut key, "hint", self.key_hint.as_deref());
        if let Some(template) = &self.key_placeholder {
            key.insert("placeholder".into(), json!(template.to_string()));
        }
        if !self.key_urls.is_empty() {
            key.insert("urls".into(), json!(self.key_urls));
        }
        if !key.is_empty() {
            put("key", Value::Object(key));
        }
        match &self.auth {
            Auth::ApiKey => {}
            Auth::Browser(facts) => {
                put("browser", browser(facts));
            }
            Auth::OAuth2(facts) => {
                put("oauth", oauth(facts));
            }
        }
        put_text(&mut out, "docs_url", self.docs_url.as_deref());
        if !self.notes.is_empty() {
            out.insert("notes".into(), json!(self.notes));
        }
        // the alternate form of `Value` is indented JSON, and cannot fail
        format!("{:#}\n", Value::Object(out))
    }
}

fn rule(rule: &RouteRule) -> Value {
    let mut out = Map::new();
    let hosts: Vec<String> = rule.hosts.iter().map(ToString::to_string).collect();
    out.insert("hosts".into(), json!(hosts));
    if rule.port != HTTPS_PORT {
        out.insert("port".into(), json!(rule.port));
    }
    let path = rule.path.to_string();
    if PathScope::parse("").is_ok_and(|everything| everything.to_string() != path) {
        out.insert("path".into(), json!(path));
    }
    if !rule.except.is_empty() {
        let except: Vec<String> = rule.except.iter().map(ToString::to_string).collect();
        out.insert("except".into(), json!(except));
    }
    if let Methods::Only(methods) = &rule.methods {
        let methods: Vec<&str> = methods.iter().map(http::Method::as_str).collect();
        out.insert("methods".into(), json!(methods));
    }
    let (slot, value) = match &rule.slot {
        Slot::Header { name, prefix } if prefix.is_empty() => {
            ("header", json!({ "name": shown_header(name) }))
        }
        Slot::Header { name, prefix } => (
            "header",
            json!({ "name": shown_header(name), "prefix": prefix }),
        ),
        Slot::Basic(BasicPair::Username) => ("basic", json!({ "username": SECRET })),
        Slot::Basic(BasicPair::Password { user }) => {
            ("basic", json!({ "username": user, "password": SECRET }))
        }
        Slot::Basic(BasicPair::Whole) => ("basic", json!({ "pair": SECRET })),
        Slot::Query { name } => ("query", json!({ "name": name })),
        Slot::Cookie { name } => ("cookie", json!({ "name": name })),
        // one of its cookies stands for all; the first is one that proves the login
        Slot::Session(session) => {
            let mut names = session.cookies().iter().map(|cookie| &cookie.name);
            ("cookie", json!({ "name": names.next() }))
        }
    };
    out.insert(slot.into(), value);
    Value::Object(out)
}

/// Header names are kept in lower case; the usual one is shown as people write it.
fn shown_header(name: &http::HeaderName) -> &str {
    if *name == http::header::AUTHORIZATION {
        "Authorization"
    } else {
        name.as_str()
    }
}

fn oauth(facts: &OAuth2) -> Value {
    let mut out = Map::new();
    put_text(&mut out, "base_url", facts.base_url.as_deref());
    put_text(
        &mut out,
        "authorization_url",
        facts.authorization_url.as_deref(),
    );
    out.insert("token_url".into(), json!(facts.token_url));
    put_text(&mut out, "revocation_url", facts.revocation_url.as_deref());
    put_text(
        &mut out,
        "device_authorization_url",
        facts.device_authorization_url.as_deref(),
    );
    put_text(
        &mut out,
        "registration_endpoint",
        facts.registration_endpoint.as_deref(),
    );
    let flows: Vec<&str> = facts
        .flows
        .iter()
        .map(|flow| spelling(FLOWS, flow))
        .collect();
    out.insert("flows".into(), json!(flows));
    out.insert("scopes".into(), json!(facts.scopes));
    out.insert("pkce".into(), json!(facts.pkce));
    out.insert(
        "client_auth".into(),
        json!(spelling(CLIENT_AUTHS, &facts.client_auth)),
    );
    if !facts.authorization_params.is_empty() {
        out.insert(
            "authorization_params".into(),
            object(&facts.authorization_params),
        );
    }
    if let Some(request) = &facts.device_token_request {
        let request = spelling(DEVICE_TOKEN_REQUESTS, request);
        out.insert("device_token_request".into(), json!(request));
    }
    put_text(&mut out, "issuer", facts.issuer.as_deref());
    if facts.names_itself {
        out.insert("names_itself".into(), json!(true));
    }
    put_text(&mut out, "resource", facts.resource.as_deref());
    if let Some(paths) = &facts.self_hosted {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        out.insert("self_hosted".into(), json!({ "paths": paths }));
    }
    Value::Object(out)
}

fn browser(facts: &Browser) -> Value {
    let mut out = Map::new();
    out.insert("entry_url".into(), json!(facts.entry_url));
    out.insert("cookie_domains".into(), json!(facts.cookie_domains));
    out.insert("auth_cookies".into(), json!(facts.auth_cookies));
    if let Some(hours) = facts.ttl_hours {
        out.insert("ttl_hours".into(), json!(hours));
    }
    put_text(
        &mut out,
        "ttl_from_cookie",
        facts.ttl_from_cookie.as_deref(),
    );
    if !facts.extra_headers.is_empty() {
        out.insert("extra_headers".into(), object(&facts.extra_headers));
    }
    let extract = facts.extract.iter().map(|rule| {
        let mut out = Map::new();
        out.insert("cookie".into(), json!(rule.cookie));
        out.insert("header".into(), json!(rule.header));
        if !rule.prefix.is_empty() {
            out.insert("prefix".into(), json!(rule.prefix));
        }
        Value::Object(out)
    });
    if !facts.extract.is_empty() {
        out.insert("extract".into(), extract.collect());
    }
    out.insert("cookie_header".into(), json!(facts.cookie_header));
    Value::Object(out)
}

fn object(pairs: &[(String, String)]) -> Value {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)));
    Value::Object(pairs.collect())
}

fn put_text(out: &mut Map<String, Value>, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        out.insert(name.into(), json!(text));
    }
}

/// How `value` is spelled; the tables name every value (tested), so `""` is never seen.
fn spelling<T: PartialEq>(table: &'static [(&'static str, T)], value: &T) -> &'static str {
    table
        .iter()
        .find(|(_, known)| known == value)
        .map_or("", |(spelling, _)| spelling)
}
