//! `api_url` and `host_url`: names, URLs with a path, and `regex:` expressions.

use crate::routing::{HostPattern, PathScope};

use crate::providers::definition::HTTPS_PORT;
use crate::providers::document::{Item, Report, Table};
use crate::providers::native::routes::path_scope;
use crate::providers::problem::quoted;
use crate::providers::{fields, host_regex};

/// Hosts that share a port and a path.
pub(super) struct Place {
    pub(super) hosts: Vec<HostPattern>,
    pub(super) port: u16,
    pub(super) path: PathScope,
}

pub(super) fn read_places(
    report: &mut Report<'_>,
    root: &Table<'_, '_>,
    base_url: Option<&str>,
) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let given = ["api_url", "host_url"]
        .into_iter()
        .filter_map(|field| root.present(field));
    let given: Vec<_> = given.collect();
    if given.is_empty() {
        let message = "`api_url` is missing: no host would get the credential";
        report.error(root.path(), root.at(), message);
    }
    let anchor = given.first().map(|item| (item.path.clone(), item.at()));
    for item in given.into_iter().flat_map(Item::list_or_one) {
        let Some(text) = item.words(report) else {
            continue;
        };
        let text = match base_url {
            Some(base) => text.replace("{base_url}", base.trim_end_matches('/')),
            None => text,
        };
        let read = match text.strip_prefix("regex:") {
            Some(expression) => translate(report, &item, expression),
            None => read_place(&text).map_err(|message| {
                report.left_out(
                    &item.path,
                    item.at(),
                    format!("{message}; this host is left out"),
                );
            }),
        };
        let Ok(place) = read else {
            continue;
        };
        let same = places
            .iter_mut()
            .find(|known| known.port == place.port && known.path == place.path);
        match same {
            Some(known) => {
                let new: Vec<_> = place
                    .hosts
                    .into_iter()
                    .filter(|host| !known.hosts.contains(host))
                    .collect();
                known.hosts.extend(new);
            }
            None => places.push(place),
        }
    }
    if places.is_empty()
        && let Some((path, at)) = anchor
    {
        report.error(&path, at, "no host is left that would get the credential");
    }
    places
}

fn translate(report: &mut Report<'_>, item: &Item<'_, '_>, expression: &str) -> Result<Place, ()> {
    let translation = host_regex::translate(expression).map_err(|reason| {
        let message = format!(
            "{} cannot be kept safely: {reason}; this host is left out, write the names instead, such as `api.example.com` or `*.example.com`",
            quoted(expression)
        );
        report.left_out(&item.path, item.at(), message);
    })?;
    if !translation.looser.is_empty() {
        let shown: Vec<String> = translation
            .hosts
            .iter()
            .map(|host| format!("`{host}`"))
            .collect();
        let message = format!(
            "{} is looser than it looks: {}; read as {}",
            quoted(expression),
            translation.looser.join(", "),
            shown.join(", ")
        );
        report.warning(&item.path, item.at(), message);
    }
    let path = PathScope::parse("").map_err(drop)?;
    Ok(Place {
        hosts: translation.hosts,
        port: HTTPS_PORT,
        path,
    })
}

/// `api.x.com`, `https://api.x.com:8443/v1`: a host with an optional port and path.
fn read_place(text: &str) -> Result<Place, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    if !scheme.eq_ignore_ascii_case("https") {
        return Err(format!(
            "{} is not https, and credentials go nowhere else",
            quoted(text)
        ));
    }
    if rest.contains(['?', '#', '@', '{', '}']) {
        return Err(format!("{} is more than a host and a path", quoted(text)));
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => {
            let port = port.parse::<std::num::NonZeroU16>();
            let port = port.map_err(|_| format!("{} has no valid port", quoted(text)))?;
            (host, port.get())
        }
        _ => (authority, HTTPS_PORT),
    };
    Ok(Place {
        hosts: vec![fields::host_pattern(host)?],
        port,
        path: path_scope(path.trim_end_matches('/'))?,
    })
}
