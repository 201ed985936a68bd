//! `auth_type` with its `oauth`, `registration` and `browser` blocks.

use crate::providers::definition::{Auth, Browser, ClientAuth, DeviceTokenRequest, Flow, OAuth2};
use crate::providers::document::{Report, Table};
use crate::providers::fields::{self, checked, url_of};
use crate::providers::native::auth::{
    CLIENT_AUTHS, DEVICE_TOKEN_REQUESTS, FLOWS, endpoint_url, pairs, read_extract, spelled,
};
use crate::providers::native::one_of;

use super::warn_unknown;

pub(super) fn read_auth(
    report: &mut Report<'_>,
    root: &Table<'_, '_>,
    oauth: Option<&Table<'_, '_>>,
) -> Option<Auth> {
    let item = root.required(report, "auth_type")?;
    match one_of(
        report,
        &item,
        &[("api_key", 0), ("browser", 1), ("oauth2", 2)],
    )? {
        0 => Some(Auth::ApiKey),
        1 => {
            let table = root.required(report, "browser")?.table(report)?;
            read_browser(report, &table).map(Auth::Browser)
        }
        _ => {
            let Some(table) = oauth else {
                report.error("", root.at(), "`oauth` is missing");
                return None;
            };
            read_oauth(report, root, table).map(Auth::OAuth2)
        }
    }
}

fn read_oauth(
    report: &mut Report<'_>,
    root: &Table<'_, '_>,
    table: &Table<'_, '_>,
) -> Option<OAuth2> {
    warn_unknown(
        report,
        table,
        &[
            "base_url",
            "authorization_url",
            "token_url",
            "revocation_url",
            "device_authorization_url",
            "registration_endpoint",
            "scopes",
            "pkce",
            "supports_device_code",
            "supports_device_flow",
            "supports_dcr",
            "authorization_method",
            "authorization_params",
            "device_token_request",
        ],
    );
    let base_url = table
        .present("base_url")
        .and_then(|item| url_of(report, &item));
    let registration = root
        .present("registration")
        .and_then(|item| item.table(report));
    let mut endpoint = |table: &Table<'_, '_>, name: &str| {
        let item = table.present(name)?;
        endpoint_url(report, &item, base_url.as_deref())
    };
    let authorization_url = endpoint(table, "authorization_url");
    let revocation_url = endpoint(table, "revocation_url");
    let device_authorization_url = endpoint(table, "device_authorization_url");
    let registration_endpoint = endpoint(table, "registration_endpoint")
        .or_else(|| endpoint(registration.as_ref()?, "registration_endpoint"));
    let token_url = table
        .required(report, "token_url")
        .and_then(|item| endpoint_url(report, &item, base_url.as_deref()));
    let mut flag = |names: &[&str], default| match names.iter().find_map(|name| table.present(name))
    {
        Some(item) => item.flag(report),
        None => Some(default),
    };
    let pkce = flag(&["pkce"], true)?;
    let device = flag(&["supports_device_code", "supports_device_flow"], false)?;
    let dcr = flag(&["supports_dcr"], false)?;
    let scopes = table
        .present("scopes")
        .and_then(|item| item.texts(report))
        .unwrap_or_default();
    let client_auth = match table.present("authorization_method") {
        Some(item) => one_of(report, &item, CLIENT_AUTHS)?,
        None => ClientAuth::Body,
    };
    let authorization_params = table
        .present("authorization_params")
        .map_or_else(Vec::new, |item| pairs(report, &item));
    let request = match table.present("device_token_request") {
        Some(item) => one_of(report, &item, DEVICE_TOKEN_REQUESTS)?,
        None => DeviceTokenRequest::OAuth2Form,
    };
    let mut flows = match root.present("flow") {
        Some(item) => vec![one_of(report, &item, FLOWS)?],
        None => Vec::new(),
    };
    let possible = [
        (
            Flow::Pkce,
            authorization_url.is_some() && !flows.contains(&Flow::DcrPkce),
        ),
        (
            Flow::DeviceCode,
            device && device_authorization_url.is_some(),
        ),
        (Flow::DcrPkce, dcr && registration_endpoint.is_some()),
    ];
    for (flow, works) in possible {
        if works && !flows.contains(&flow) {
            flows.push(flow);
        }
    }
    let mut facts = OAuth2 {
        issuer: None,
        names_itself: false,
        resource: None,
        self_hosted: None,
        base_url,
        authorization_url,
        token_url: token_url?,
        revocation_url,
        registration_endpoint,
        device_token_request: flows.contains(&Flow::DeviceCode).then_some(request),
        device_authorization_url,
        flows,
        scopes,
        pkce,
        client_auth,
        authorization_params,
    };
    let asked = root.present("flow");
    facts.flows = std::mem::take(&mut facts.flows)
        .into_iter()
        .filter(|flow| {
            let lacks = facts.lacks(*flow);
            if let (Some(field), Some(item)) = (lacks, &asked) {
                let message = format!("`{}` needs `{field}`", spelled(*flow));
                report.left_out(&item.path, item.at(), message);
            }
            lacks.is_none()
        })
        .collect();
    if facts.flows.is_empty() {
        let message = "no flow can work with these endpoints";
        report.error(table.path(), table.at(), message);
        return None;
    }
    Some(facts)
}

fn read_browser(report: &mut Report<'_>, table: &Table<'_, '_>) -> Option<Browser> {
    warn_unknown(
        report,
        table,
        &[
            "entry_url",
            "domains",
            "auth_cookies",
            "ttl_hours",
            "ttl_from_cookie",
            "extra_headers",
            "extract",
        ],
    );
    let entry_url = table
        .required(report, "entry_url")
        .and_then(|item| url_of(report, &item));
    let cookie_domains = table
        .required(report, "domains")
        .and_then(|item| item.texts(report));
    let cookies_item = table.required(report, "auth_cookies")?;
    let auth_cookies = cookies_item.texts(report)?;
    match auth_cookies.first() {
        Some(first) => {
            checked(report, &cookies_item, fields::token(first))?;
        }
        None => report.error(
            &cookies_item.path,
            cookies_item.at(),
            "this list cannot be empty",
        ),
    }
    let ttl_hours = table
        .present("ttl_hours")
        .and_then(|item| item.number(report));
    let ttl_from_cookie = table
        .present("ttl_from_cookie")
        .and_then(|item| item.words(report));
    let extra_headers = table
        .present("extra_headers")
        .map_or_else(Vec::new, |item| pairs(report, &item));
    let extract = table
        .present("extract")
        .map_or_else(Vec::new, |item| read_extract(report, &item));
    Some(Browser {
        entry_url: entry_url?,
        cookie_domains: cookie_domains?,
        auth_cookies,
        ttl_hours,
        ttl_from_cookie,
        extra_headers,
        extract,
        cookie_header: true,
        also_asked: Vec::new(),
    })
}
