//! `routes` of our own format: hosts, scope and the one slot that is filled.

use http::Method;

use crate::routing::{BasicPair, Methods, PathScope, Slot};

use crate::providers::definition::{HTTPS_PORT, RouteRule};
use crate::providers::document::{Item, Report, Table};
use crate::providers::fields::{self, checked};
use crate::providers::problem::quoted;

/// What stands for the credential in a Basic pair.
pub(in crate::providers) const SECRET: &str = "{secret}";

const SLOTS: &[&str] = &["header", "basic", "query", "cookie"];

pub(super) fn read_routes(report: &mut Report<'_>, root: &Table<'_, '_>) -> Vec<RouteRule> {
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
            "hosts", "port", "path", "except", "methods", "header", "basic", "query", "cookie",
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
    let except = match table.item("except") {
        Some(item) => read_except(report, &item, path.as_ref()),
        None => Some(Vec::new()),
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
        except: except?,
        methods: methods?,
        slot: slot?,
    })
}

/// A path scope, with our words around the reason.
pub(in crate::providers) fn path_scope(text: &str) -> Result<PathScope, String> {
    PathScope::parse(text).map_err(|error| format!("{} is no path: {error}", quoted(text)))
}

/// Paths that another definition is for. They must lie inside of the route's own path, else the
/// line does nothing and somebody is mistaken about it.
fn read_except(
    report: &mut Report<'_>,
    item: &Item<'_, '_>,
    path: Option<&PathScope>,
) -> Option<Vec<PathScope>> {
    let list = item.list(report)?;
    let mut scopes = Vec::new();
    for item in &list {
        let text = item.text(report)?;
        let scope = checked(report, item, path_scope(&text))?;
        if path.is_some_and(|path| !path.contains(&scope)) {
            let message = format!(
                "{} does not lie inside of the route's `path`",
                quoted(&text)
            );
            report.error(&item.path, item.at(), message);
        }
        scopes.push(scope);
    }
    Some(scopes)
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
