//! The two keys of Intercom on its hosts, by the bundled definitions: which request gets which, and
//! which gets none (threats D1, D4, D5, D6, D13).
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

use std::sync::Arc;

use authsome_proto::ConnectionName;
use authsomed::providers::Catalogue;
use authsomed::routing::{
    Authority, Choice, Decision, Presented, RefuseCode, RequestView, Route, RouteTable, decide,
};
use http::Method;

const FIN: &str = "intercom-fin";
const REST: &str = "intercom";
const HOSTS: [&str; 3] = [
    "api.intercom.io",
    "api.eu.intercom.io",
    "api.au.intercom.io",
];

/// The routes of a run that is granted these providers, in this order.
fn routes(providers: &[&str]) -> Vec<Route<()>> {
    let catalogue = Catalogue::load(None);
    let mut routes = Vec::new();
    for provider in providers {
        let definition = &catalogue.find(provider).unwrap().definition;
        for rule in &definition.routes {
            routes.push(Route {
                provider: definition.name.clone(),
                connection: ConnectionName::default_name(),
                hosts: rule.hosts.clone(),
                port: rule.port,
                path: rule.path.clone(),
                except: rule.except.clone(),
                methods: rule.methods.clone(),
                slot: rule.slot.clone(),
                credential: (),
                choice: Choice {
                    by_default: true,
                    placeholder: None,
                },
                rules: Arc::default(),
            });
        }
    }
    routes
}

/// A request to `https://DIALLED PATH`: the provider whose key it gets, `pass`, or the refusal's code.
struct Asked<'a> {
    method: &'a str,
    dialled: &'a str,
    host: &'a str,
    path: &'a str,
    https: bool,
}

impl<'a> Asked<'a> {
    fn of(method: &'a str, dialled: &'a str, path: &'a str) -> Self {
        Self {
            method,
            dialled,
            host: dialled,
            path,
            https: true,
        }
    }

    fn by(&self, providers: &[&str]) -> String {
        let table = RouteTable::build(routes(providers));
        let port = if self.https { 443 } else { 80 };
        let request = RequestView {
            dialled: &Authority::parse(self.dialled, Some(port)).unwrap(),
            sni: None,
            host_headers: &[self.host.as_bytes()],
            scheme_https: self.https,
            method: &Method::from_bytes(self.method.as_bytes()).unwrap(),
            path: self.path,
            method_override: false,
            presented: &Presented::Nothing,
        };
        match decide(&table, &request) {
            Decision::Inject(route) => route.provider.to_string(),
            Decision::Pass => "pass".to_owned(),
            Decision::Refuse(code) => code.code().to_owned(),
        }
    }
}

/// What a run is granted, in every order.
const BOTH: [&[&str]; 2] = [&[REST, FIN], &[FIN, REST]];
const GRANTS: [&[&str]; 4] = [&[REST, FIN], &[FIN, REST], &[REST], &[FIN]];

#[test]
fn the_fin_key_is_for_post_below_fin_and_the_rest_key_for_everything_else() {
    let refused = RefuseCode::MethodNotAllowed.code();
    let outside = RefuseCode::PathNotAllowed.code();
    // method, path, with both keys, with the REST key alone, with the Fin key alone
    let table = [
        ("POST", "/fin/start", FIN, outside, FIN),
        ("POST", "/fin/reply", FIN, outside, FIN),
        ("POST", "/fin", FIN, outside, FIN),
        ("POST", "/fin/", FIN, outside, FIN),
        ("POST", "/fin/procedures/1/run", FIN, outside, FIN),
        ("POST", "/fin/contacts", FIN, outside, FIN),
        ("GET", "/fin/start", refused, outside, refused),
        ("HEAD", "/fin/start", refused, outside, refused),
        ("PUT", "/fin/start", refused, outside, refused),
        ("PATCH", "/fin/start", refused, outside, refused),
        ("DELETE", "/fin/start", refused, outside, refused),
        ("OPTIONS", "/fin/start", refused, outside, refused),
        ("post", "/fin/start", refused, outside, refused),
        ("GET", "/contacts", REST, REST, outside),
        ("POST", "/contacts", REST, REST, outside),
        ("POST", "/contacts/fin", REST, REST, outside),
        ("DELETE", "/contacts/1", REST, REST, outside),
        ("GET", "/", REST, REST, outside),
        ("GET", "/me", REST, REST, outside),
        ("POST", "/conversations/1/reply", REST, REST, outside),
        // whole segments
        ("POST", "/fin_voice/register", REST, REST, outside),
        ("POST", "/finx", REST, REST, outside),
        ("POST", "/fin-start", REST, REST, outside),
        ("POST", "/finance/start", REST, REST, outside),
        ("POST", "/fi", REST, REST, outside),
        // never for anybody (D6)
        ("TRACE", "/fin/start", refused, refused, refused),
        ("TRACK", "/contacts", refused, refused, refused),
        ("CONNECT", "/contacts", refused, refused, refused),
    ];
    for host in HOSTS {
        for (method, path, both, rest, fin) in table {
            let asked = Asked::of(method, host, path);
            let shown = format!("{method} {host}{path}");
            assert_eq!(asked.by(BOTH[0]), both, "{shown} with both");
            assert_eq!(asked.by(BOTH[1]), both, "{shown} with both, reversed");
            assert_eq!(asked.by(&[REST]), rest, "{shown} with the REST key alone");
            assert_eq!(asked.by(&[FIN]), fin, "{shown} with the Fin key alone");
        }
    }
}

/// D5: no key, whichever the run is granted, with any method
#[test]
fn a_path_that_some_server_reads_as_the_fin_api_or_out_of_it_gets_no_key() {
    for path in [
        "/fin/../contacts",
        "/fin/%2e%2e/contacts",
        "/fin/..;/contacts",
        "//fin/start",
        "/fin%2fstart",
        "/fin/%252e%252e/contacts",
        "/FIN/start",
        "/fin\\start",
        "/contacts?x=/fin/start",
        "/contacts#/fin/start",
        "/contacts/../fin/start",
        "/%66in/start",
        "/fin;x/start",
        "/;x/fin/start",
        "/fin%5cstart",
        "/fin%00/start",
        "/fin./start",
        "/fin%20/start",
        "/fin//start",
        "/%2ffin/start",
        "/ﬁn/start",
        "/fin%ef%bc%8fstart",
        "",
        "*",
        "fin/start",
        "https://api.intercom.io/fin/start",
    ] {
        for method in ["POST", "GET"] {
            for granted in GRANTS {
                let asked = Asked::of(method, HOSTS[0], path).by(granted);
                assert_eq!(
                    asked,
                    RefuseCode::BadPath.code(),
                    "{method} {path:?} {granted:?}"
                );
            }
        }
    }
}

/// D4: the same host in another spelling has the same rules
#[test]
fn other_spellings_of_a_host_have_its_rules() {
    for dialled in [
        "API.INTERCOM.IO",
        "api.intercom.io.",
        "api.intercom.io:443",
        "API.intercom.io.:443",
        "api。intercom。io",
    ] {
        for granted in BOTH {
            let key = |path| Asked::of("POST", dialled, path).by(granted);
            assert_eq!(key("/fin/start"), FIN, "{dialled}");
            assert_eq!(key("/contacts"), REST, "{dialled}");
        }
    }
}

/// D4, D1: other hosts have no route, and cannot borrow one by naming it
#[test]
fn hosts_that_are_not_the_api_get_no_key() {
    for dialled in [
        "primary-realtime.intercom-messenger.com",
        "app.intercom.com",
        "api.intercom.com",
        "intercom.io",
        "eu.intercom.io",
        "api.us.intercom.io",
        "x.api.intercom.io",
        "api.intercom.io.evil.test",
        "evil.test",
        "evilapi.intercom.io",
        "api-intercom.io",
        "api.intercom.io:8443",
        "api.intercom.io:80",
        "127.0.0.1",
        "[::1]",
    ] {
        for granted in GRANTS {
            for path in ["/fin/start", "/contacts"] {
                let asked = Asked::of("POST", dialled, path);
                assert_eq!(asked.by(granted), "pass", "{dialled}{path}");
                for host in HOSTS {
                    let asked = Asked { host, ..asked };
                    assert_eq!(
                        asked.by(granted),
                        RefuseCode::NamesDiffer.code(),
                        "{dialled}{path} that names {host}"
                    );
                    let asked = Asked {
                        host: dialled,
                        ..Asked::of("POST", host, path)
                    };
                    assert_eq!(
                        asked.by(granted),
                        RefuseCode::NamesDiffer.code(),
                        "{host}{path} that names {dialled}"
                    );
                }
            }
        }
    }
    // regions do not name each other
    let asked = Asked {
        host: HOSTS[1],
        ..Asked::of("POST", HOSTS[0], "/fin/start")
    };
    assert_eq!(asked.by(BOTH[0]), RefuseCode::NamesDiffer.code());
}

/// D3
#[test]
fn nothing_goes_to_the_api_in_cleartext() {
    for host in HOSTS {
        for (path, granted) in [("/fin/start", GRANTS[3]), ("/contacts", GRANTS[2])] {
            let asked = Asked {
                https: false,
                ..Asked::of("POST", host, path)
            };
            assert_eq!(
                asked.by(granted),
                RefuseCode::CleartextRefused.code(),
                "{host}"
            );
        }
    }
}
