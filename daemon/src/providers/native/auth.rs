//! `auth` of our own format with its `oauth` and `browser` blocks.

use crate::providers::definition::{
    Auth, BASE_URL, Browser, ClientAuth, DeviceTokenRequest, ExtractedCookie, Flow, OAuth2,
};
use crate::providers::document::{Item, Report, Table};
use crate::providers::fields::{self, checked, url_of};

use super::one_of;
use super::routes::path_scope;
use crate::routing::PathScope;

/// Spellings of [`Flow`].
pub(in crate::providers) const FLOWS: &[(&str, Flow)] = &[
    ("client_credentials", Flow::ClientCredentials),
    ("dcr_pkce", Flow::DcrPkce),
    ("device_code", Flow::DeviceCode),
    ("jwt_bearer", Flow::JwtBearer),
    ("pkce", Flow::Pkce),
];

/// Spellings of [`ClientAuth`].
pub(in crate::providers) const CLIENT_AUTHS: &[(&str, ClientAuth)] =
    &[("basic", ClientAuth::Basic), ("body", ClientAuth::Body)];

/// Spellings of [`DeviceTokenRequest`].
pub(in crate::providers) const DEVICE_TOKEN_REQUESTS: &[(&str, DeviceTokenRequest)] = &[
    ("json", DeviceTokenRequest::Json),
    ("oauth2_form", DeviceTokenRequest::OAuth2Form),
];

pub(super) fn read_auth(report: &mut Report<'_>, root: &Table<'_, '_>) -> Option<Auth> {
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
            "issuer",
            "names_itself",
            "resource",
            "self_hosted",
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
    let issuer = table.item("issuer").and_then(|item| url_of(report, &item));
    let names_itself = match table.item("names_itself") {
        Some(item) => item.flag(report),
        None => Some(false),
    };
    let resource = table
        .item("resource")
        .and_then(|item| url_of(report, &item));
    let self_hosted = table
        .item("self_hosted")
        .map(|item| read_self_hosted(report, &item));
    let facts = OAuth2 {
        issuer,
        names_itself: names_itself?,
        resource,
        self_hosted: self_hosted.clone().flatten(),
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
    };
    for flow in &facts.flows {
        if let Some(field) = facts.lacks(*flow)
            && let Some(item) = table.item("flows")
        {
            let message = format!("`{}` needs `{field}`", spelled(*flow));
            report.error(&item.path, item.at(), message);
        }
    }
    if self_hosted.is_some()
        && !(facts.base_url.is_some() && facts.is_templated())
        && let Some(item) = table.item("self_hosted")
    {
        let message =
            "an own server needs `base_url`, and every address to begin with `{base_url}`";
        report.error(&item.path, item.at(), message);
    }
    Some(facts)
}

/// How a flow is written.
pub(in crate::providers) fn spelled(flow: Flow) -> &'static str {
    FLOWS
        .iter()
        .find(|(_, known)| *known == flow)
        .map_or("", |(spelling, _)| spelling)
}

/// `{"paths": ["/api/**"]}`: which paths of a person's own server get the token.
fn read_self_hosted(report: &mut Report<'_>, item: &Item<'_, '_>) -> Option<Vec<PathScope>> {
    let table = item.table(report)?;
    table.accept_only(report, &["paths"]);
    let item = table.required(report, "paths")?;
    let list = item.list(report)?;
    if list.is_empty() {
        report.error(&item.path, item.at(), "this list cannot be empty");
    }
    let paths = list.iter().filter_map(|item| {
        let text = item.text(report)?;
        checked(report, item, path_scope(&text))
    });
    Some(paths.collect())
}

/// An https URL that may begin with `{base_url}`.
pub(in crate::providers) fn endpoint_url(
    report: &mut Report<'_>,
    item: &Item<'_, '_>,
    base: Option<&str>,
) -> Option<String> {
    let text = item.text(report)?;
    let resolved = match (text.strip_prefix(BASE_URL), base) {
        // `{base_url}.example` would be another host than the one that a person names
        (Some(rest), Some(_)) if !rest.is_empty() && !rest.starts_with('/') => {
            report.error(&item.path, item.at(), "`{base_url}` is followed by `/`");
            return None;
        }
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
    if let Some([]) = auth_cookies.as_deref()
        && let Some(item) = table.item("auth_cookies")
    {
        report.error(&item.path, item.at(), "this list cannot be empty");
    }
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
        also_asked: Vec::new(),
    })
}

/// `[{"cookie": …, "header": …, "prefix": …}]`, the same in both formats.
pub(in crate::providers) fn read_extract(
    report: &mut Report<'_>,
    item: &Item<'_, '_>,
) -> Vec<ExtractedCookie> {
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
pub(in crate::providers) fn pairs(
    report: &mut Report<'_>,
    item: &Item<'_, '_>,
) -> Vec<(String, String)> {
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
