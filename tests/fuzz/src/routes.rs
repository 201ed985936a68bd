//! The routes that targets decide on: two keys on one host, as Intercom has them.

use std::sync::Arc;

use authsomed::routing::{
    Authority, Choice, Decision, HostPattern, Methods, PathScope, Presented, RefuseCode,
    RequestView, Route, RouteTable, Slot, decide,
};
use http::{Method, header};

/// A route of `provider` that fills the usual header.
pub fn route(provider: &str, host: &str, path: &str, except: &[&str]) -> Route<()> {
    let scope = |text: &str| PathScope::parse(text).expect("a scope");
    Route {
        provider: provider.parse().expect("a provider's name"),
        connection: "default".parse().expect("a connection's name"),
        hosts: vec![HostPattern::parse(host).expect("a host")],
        port: 443,
        path: scope(path),
        except: except.iter().map(|text| scope(text)).collect(),
        methods: Methods::Any,
        slot: Slot::Header {
            name: header::AUTHORIZATION,
            prefix: "Bearer".into(),
        },
        credential: (),
        choice: Choice {
            by_default: true,
            placeholder: None,
        },
        rules: Arc::default(),
    }
}

/// What is done with a `POST` to `dialled`, by the names in `hosts`: a provider, or a refusal, or
/// nothing where it passes.
pub fn judge<'t>(
    table: &'t RouteTable<()>,
    dialled: &Authority,
    hosts: &[&[u8]],
    path: &str,
) -> Result<Option<&'t str>, RefuseCode> {
    let decision = decide(
        table,
        &RequestView {
            dialled,
            sni: None,
            host_headers: hosts,
            scheme_https: true,
            method: &Method::POST,
            path,
            method_override: false,
            presented: &Presented::Nothing,
        },
    );
    match decision {
        Decision::Inject(route) => Ok(Some(route.provider.as_str())),
        Decision::Pass => Ok(None),
        Decision::Refuse(code) => Err(code),
    }
}
