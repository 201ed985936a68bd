use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};
use proptest::prelude::*;

use super::*;
use crate::routing::endpoint::{Endpoint, EndpointPath};
use crate::routing::host::HostPattern;
use crate::routing::path::PathScope;
use crate::routing::path::tests::server;
use crate::routing::slot::Slot;
use crate::routing::table::{Choice, Methods};

fn route(connection: &str, hosts: &[&str], path: &str, methods: &[Method]) -> Route<()> {
    let (provider, name) = connection
        .split_once('/')
        .unwrap_or((connection, "default"));
    Route {
        provider: provider.parse().unwrap(),
        connection: name.parse().unwrap(),
        hosts: hosts
            .iter()
            .map(|host| HostPattern::parse(host).unwrap())
            .collect(),
        port: 443,
        path: PathScope::parse(path).unwrap(),
        except: Vec::new(),
        choice: Choice {
            by_default: true,
            placeholder: None,
        },
        rules: Arc::default(),
        methods: if methods.is_empty() {
            Methods::Any
        } else {
            Methods::Only(methods.to_vec())
        },
        slot: Slot::Header {
            name: header::AUTHORIZATION,
            prefix: "Bearer".into(),
        },
        credential: (),
    }
}

/// The two Intercom keys on one host, and a plain provider.
fn routes() -> Vec<Route<()>> {
    vec![
        route(
            "intercom",
            &["api.intercom.io", "api.eu.intercom.io"],
            "/**",
            &[],
        ),
        route(
            "intercom-fin",
            &["api.intercom.io"],
            "/fin/**",
            &[Method::POST],
        ),
        route(
            "openai",
            &["api.openai.com", "*.openai.azure.com"],
            "/**",
            &[],
        ),
    ]
}

/// One request, said shortly; `run` gives the provider, "pass" or the code.
#[derive(Clone)]
struct Ask {
    dialled: &'static str,
    sni: Option<&'static str>,
    hosts: Vec<&'static [u8]>,
    https: bool,
    method: Method,
    path: String,
    method_override: bool,
    presented: Presented<'static>,
}

impl Ask {
    fn of(method: Method, dialled: &'static str, path: &str) -> Self {
        Self {
            dialled,
            sni: None,
            hosts: vec![dialled.as_bytes()],
            https: true,
            method,
            path: path.to_owned(),
            method_override: false,
            presented: Presented::Nothing,
        }
    }

    fn get(dialled: &'static str, path: &str) -> Self {
        Self::of(Method::GET, dialled, path)
    }

    fn with<T>(&self, f: impl FnOnce(&RequestView<'_>) -> T) -> T {
        f(&RequestView {
            dialled: &Authority::parse(self.dialled, Some(443)).unwrap(),
            sni: self.sni,
            host_headers: &self.hosts,
            scheme_https: self.https,
            method: &self.method,
            path: &self.path,
            method_override: self.method_override,
            presented: &self.presented,
        })
    }

    fn run(&self, routes: Vec<Route<()>>) -> String {
        let table = RouteTable::build(routes);
        self.with(|request| match decide(&table, request) {
            Decision::Inject(route) => format!("{}/{}", route.provider, route.connection),
            Decision::Pass => "pass".to_owned(),
            Decision::Refuse(code) => code.code().to_owned(),
        })
    }
}

#[test]
fn the_longest_scope_wins_and_its_methods_are_not_a_way_around_it() {
    for (method, path, expected) in [
        (Method::POST, "/fin/start", "intercom-fin/default"),
        (Method::POST, "/fin", "intercom-fin/default"),
        (Method::GET, "/fin/start", "method_not_allowed"),
        (Method::OPTIONS, "/fin/start", "method_not_allowed"),
        (Method::HEAD, "/fin/start", "method_not_allowed"),
        (
            Method::from_bytes(b"post").unwrap(),
            "/fin/start",
            "method_not_allowed",
        ),
        (Method::POST, "/contacts", "intercom/default"),
        (Method::GET, "/", "intercom/default"),
        (Method::POST, "/fin_voice/register", "intercom/default"),
        (Method::POST, "/finx", "intercom/default"),
        (Method::GET, "/files/a%2fb", "intercom/default"),
    ] {
        let asked = Ask::of(method.clone(), "api.intercom.io", path).run(routes());
        assert_eq!(asked, expected, "{method} {path}");
    }
}

/// D5: a path that some server would read into the narrower scope gets neither key
#[test]
fn a_path_with_two_readings_gets_no_credential() {
    for path in [
        "/fin/../contacts",
        "/fin/%2e%2e/contacts",
        "/fin/..;/contacts",
        "//fin/start",
        "/fin%2fstart",
        "/fin/%252e%252e/contacts",
        "/FIN/start",
        "/fin\\start",
        "/%66in/start",
        "/fin;x/start",
        "/fin./start",
        "/fin//start",
        "//contacts",
        "/contacts//x",
        "/contacts/%2fx",
        "/%252fcontacts",
        "/;/fin",
        "/contacts?x=/fin/start",
        "/contacts#/fin/start",
        "*",
        "",
    ] {
        let asked = Ask::of(Method::POST, "api.intercom.io", path).run(routes());
        assert_eq!(asked, "bad_path", "{path}");
    }
}

/// D5: where one credential is for the whole host, no reading changes the answer; what no honest
/// client sends is refused all the same
#[test]
fn a_host_without_scopes_takes_the_unusual_and_refuses_the_dishonest() {
    for (path, expected) in [
        ("//bucket//key", "openai/default"),
        ("/projects/group%2Fproject", "openai/default"),
        ("/a;v=1/b", "openai/default"),
        ("/a/../b", "bad_path"),
        ("/a/%252e%252e/b", "bad_path"),
        ("/a%00", "bad_path"),
        ("/a\\b", "bad_path"),
    ] {
        assert_eq!(
            Ask::get("api.openai.com", path).run(routes()),
            expected,
            "{path}"
        );
    }
}

#[test]
fn a_path_outside_every_scope_of_a_covered_host_is_refused() {
    let scoped = || vec![route("a", &["a.example"], "/v1", &[])];
    assert_eq!(Ask::get("a.example", "/v1/x").run(scoped()), "a/default");
    assert_eq!(
        Ask::get("a.example", "/v2").run(scoped()),
        "path_not_allowed"
    );
    assert_eq!(Ask::get("a.example", "/v1%2fx").run(scoped()), "bad_path");
}

/// D5, D13: servers that fold case see two routes that fit equally well
#[test]
fn scopes_that_differ_only_in_case_refuse_each_other() {
    let routes = || {
        vec![
            route("a", &["a.example"], "/v1", &[]),
            route("b", &["a.example"], "/V1", &[]),
        ]
    };
    assert_eq!(Ask::get("a.example", "/v1/x").run(routes()), "bad_path");
    assert_eq!(Ask::get("a.example", "/V1/x").run(routes()), "bad_path");
}

/// D1: five sources of a name, each good, evil, missing or duplicate
#[test]
fn a_credential_is_used_only_when_every_name_agrees() {
    let good: &[&[u8]] = &[b"api.openai.com", b"API.OPENAI.COM.", b"api.openai.com:443"];
    let evil: &[&[u8]] = &[
        b"evil.test",
        b"api.openai.com.evil.test",
        b"evilapi.openai.com",
        b"openai.com",
        b"api.openai.com:8443",
        b"api.intercom.io",
        b"127.0.0.1",
        b"x.openai.azure.com",
    ];
    let broken: &[&[u8]] = &[
        b"",
        b"api.openai.com:",
        b"api.openai.com:0443",
        b"u@api.openai.com",
        b"api.openai.com,x",
        b" api.openai.com",
        b"\xffapi.openai.com",
        b"api%2eopenai.com",
    ];
    let ask = |hosts: Vec<&'static [u8]>, sni| {
        let ask = Ask {
            sni,
            hosts,
            ..Ask::get("api.openai.com", "/v1")
        };
        ask.run(routes())
    };
    let leak = |name: &[u8]| -> &'static [u8] { Box::leak(name.to_vec().into_boxed_slice()) };
    for first in good {
        let first = leak(first);
        for sni in [
            None,
            Some("api.openai.com"),
            Some("API.openai.com"),
            Some("api.openai.com."),
        ] {
            assert_eq!(ask(vec![first], sni), "openai/default");
            assert_eq!(ask(vec![first, first], sni), "openai/default");
        }
        for sni in [
            "evil.test",
            "openai.com",
            "",
            "api.openai.com:443",
            "127.0.0.1",
        ] {
            assert_eq!(ask(vec![first], Some(sni)), "names_differ", "{sni}");
        }
        for other in evil {
            let other = leak(other);
            assert_eq!(ask(vec![other], None), "names_differ", "{other:?}");
            assert_eq!(ask(vec![first, other], None), "names_differ");
            assert_eq!(
                ask(vec![other, first], Some("api.openai.com")),
                "names_differ"
            );
        }
        for other in broken {
            let other = leak(other);
            assert_eq!(ask(vec![other], None), "malformed", "{other:?}");
            assert_eq!(ask(vec![first, other], None), "malformed");
        }
    }
    assert_eq!(ask(vec![], Some("api.openai.com")), "malformed");
    // dialled evil, named good: there is nothing to inject, and it is refused all the same
    let elsewhere = Ask {
        hosts: vec![b"api.openai.com"],
        ..Ask::get("evil.test", "/")
    };
    assert_eq!(elsewhere.run(routes()), "names_differ");
    let elsewhere = Ask {
        sni: Some("api.openai.com"),
        ..Ask::get("evil.test", "/")
    };
    assert_eq!(elsewhere.run(routes()), "names_differ");
}

/// D3
#[test]
fn cleartext_to_a_host_with_a_route_is_refused_on_every_port() {
    for (dialled, host, expected) in [
        ("api.openai.com:80", "api.openai.com", "cleartext_refused"),
        (
            "api.openai.com:443",
            "api.openai.com:443",
            "cleartext_refused",
        ),
        (
            "api.openai.com:8080",
            "API.openai.com.:8080",
            "cleartext_refused",
        ),
        (
            "x.openai.azure.com:80",
            "x.openai.azure.com",
            "cleartext_refused",
        ),
        ("evil.test:80", "evil.test", "pass"),
        ("evil.test:80", "api.openai.com", "names_differ"),
    ] {
        let ask = Ask {
            hosts: vec![host.as_bytes()],
            https: false,
            ..Ask::get(dialled, "/v1")
        };
        assert_eq!(ask.run(routes()), expected, "{dialled} {host}");
    }
}

/// D4
#[test]
fn only_the_very_host_and_port_get_the_credential() {
    for (dialled, expected) in [
        ("API.INTERCOM.IO.", "intercom/default"),
        ("api.intercom.io:443", "intercom/default"),
        ("api。intercom。io", "intercom/default"),
        ("api.eu.intercom.io", "intercom/default"),
        ("api.au.intercom.io", "pass"),
        ("intercom.io", "pass"),
        ("app.intercom.com", "pass"),
        ("api.intercom.io.evil.test", "pass"),
        ("xapi.intercom.io", "pass"),
        ("x.api.intercom.io", "pass"),
        ("api.intercom.io:8443", "pass"),
        ("x.openai.azure.com", "openai/default"),
        ("a.b.openai.azure.com", "openai/default"),
        ("openai.azure.com", "pass"),
        ("evilopenai.azure.com", "pass"),
        ("127.0.0.1", "pass"),
        ("[::1]", "pass"),
    ] {
        assert_eq!(Ask::get(dialled, "/x").run(routes()), expected, "{dialled}");
    }
}

/// D6
#[test]
fn echoing_tunnelling_and_overridden_methods_never_carry_a_credential() {
    for method in ["TRACE", "TRACK", "CONNECT", "trace", "Track", "connect"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        for host in ["api.openai.com", "evil.test"] {
            assert_eq!(
                Ask::of(method.clone(), host, "/v1").run(routes()),
                "method_not_allowed",
                "{method}"
            );
        }
    }
    let ask = Ask {
        method_override: true,
        presented: Presented::Nothing,
        ..Ask::get("api.openai.com", "/v1")
    };
    assert_eq!(ask.run(routes()), "method_not_allowed");
    let ask = Ask {
        method_override: true,
        presented: Presented::Nothing,
        ..Ask::get("evil.test", "/v1")
    };
    assert_eq!(ask.run(routes()), "pass");
}

/// D6
#[test]
fn every_header_that_overrides_a_method_or_path_is_known() {
    let has = |name: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static("DELETE"),
        );
        overrides_method(&headers)
    };
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x_http_method_override",
        "x-http_method",
    ] {
        assert!(has(name), "{name}");
    }
    for name in [
        "x-api-key",
        "x-http-methods",
        "http-method",
        "content-type",
        "x-original-ur",
    ] {
        assert!(!has(name), "{name}");
    }
}

/// D13
#[test]
fn the_narrower_route_wins_and_equal_ones_refuse_each_other() {
    let host = "a.b.example.com";
    let wide = || route("wide", &["*.example.com"], "/**", &[]);
    let narrow = || route("narrow", &["*.b.example.com"], "/**", &[]);
    let exact = || route("exact", &["a.b.example.com"], "/**", &[]);
    let deep = || route("deep", &["*.example.com"], "/v1/x", &[]);
    let ask = |routes| Ask::get(host, "/v1/x").run(routes);
    assert_eq!(ask(vec![wide(), narrow()]), "narrow/default");
    assert_eq!(ask(vec![narrow(), exact(), wide()]), "exact/default");
    assert_eq!(
        ask(vec![exact(), deep()]),
        "deep/default",
        "the path speaks first"
    );

    let twin = route("twin", &["a.b.example.com"], "/**", &[]);
    assert_eq!(ask(vec![exact(), twin.clone()]), "ambiguous");
    let other = route("exact/other", &["a.b.example.com"], "/**", &[]);
    assert_eq!(ask(vec![exact(), other]), "ambiguous");
    assert_eq!(
        ask(vec![exact(), exact()]),
        "exact/default",
        "the same connection and slot"
    );
    let mut key = exact();
    key.slot = Slot::Query { name: "key".into() };
    assert_eq!(ask(vec![exact(), key]), "ambiguous", "another slot");
    let twice = route(
        "exact",
        &["a.b.example.com", "A.b.example.com", "*.b.example.com"],
        "",
        &[],
    );
    assert_eq!(ask(vec![twice]), "exact/default");

    let get = route("get", &["a.b.example.com"], "/**", &[Method::GET]);
    let post = route("post", &["a.b.example.com"], "/**", &[Method::POST]);
    assert_eq!(ask(vec![get.clone(), post.clone()]), "get/default");
    assert_eq!(ask(vec![get, twin.clone()]), "ambiguous");
    assert_eq!(ask(vec![post, twin]), "twin/default");
}

#[test]
fn the_table_covers_hosts_by_port_and_for_cleartext_by_name() {
    let table = RouteTable::build(routes());
    let authority = |text| Authority::parse(text, Some(443)).unwrap();
    assert!(table.covers(&authority("api.openai.com")));
    assert!(!table.covers(&authority("api.openai.com:8443")));
    assert!(table.covers_host(&authority("api.openai.com:8443").host));
    assert!(table.covers(&authority("x.openai.azure.com")));
    assert!(!table.covers(&authority("openai.azure.com")));
    assert_eq!(table.routes().count(), 3);
    assert_eq!(format!("{table:?}"), "RouteTable(3 routes)");
}

#[test]
fn explain_names_every_route_of_the_host_and_decides_as_decide() {
    let mut all = routes();
    let mut other_port = route("admin", &["api.intercom.io"], "/**", &[]);
    other_port.port = 8443;
    all.push(other_port);
    let table = RouteTable::build(all);
    let verdicts = |ask: &Ask| {
        ask.with(|request| {
            let explained = explain(&table, request);
            let names = explained.findings.iter();
            names
                .map(|f| (f.route.provider.to_string(), f.verdict))
                .collect::<Vec<_>>()
        })
    };
    let found = verdicts(&Ask::get("api.intercom.io", "/fin/start"));
    let expected = [
        ("intercom".to_owned(), Verdict::Outranked),
        ("intercom-fin".to_owned(), Verdict::OtherMethod),
        ("admin".to_owned(), Verdict::OtherPort),
    ];
    assert_eq!(found, expected);
    let found = verdicts(&Ask::get("api.intercom.io", "/Fin"));
    assert_eq!(found.first().unwrap().1, Verdict::Chosen);
    assert_eq!(found.get(1).unwrap().1, Verdict::MaybePath);
}

fn scopes(texts: &[&str]) -> Vec<PathScope> {
    let scopes = texts.iter().map(|text| PathScope::parse(text).unwrap());
    scopes.collect()
}

/// A path of a few segments in odd spellings.
fn any_path() -> impl Strategy<Value = String> {
    let segment = prop::sample::select(vec![
        "v1", "v2", "x", "V1", "", "%76%31", "v1;a", "v1.", ";a", "%2f", "v%31", "v1%2fx", "ｖ1",
        "v3",
    ]);
    prop::collection::vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/")))
}

/// D5: what is written, what some server reads, and what nobody reads as an exception
#[test]
fn an_exception_takes_its_paths_from_the_route_in_every_reading() {
    let except = |texts: &[&str]| {
        let mut route = route("rest", &["a.example"], "/**", &[]);
        route.except = scopes(texts);
        vec![route]
    };
    for (path, expected) in [
        ("/", "rest/default"),
        ("/x", "rest/default"),
        ("/finx", "rest/default"),
        ("/x/fin", "rest/default"),
        ("/x%2ffin", "rest/default"),
        ("/fin", "path_not_allowed"),
        ("/fin/start", "path_not_allowed"),
        ("/v1/voice/x", "path_not_allowed"),
        ("/v1/voices", "rest/default"),
        ("/v1", "rest/default"),
        ("/FIN", "bad_path"),
        ("/%66in", "bad_path"),
        ("/fin;x", "bad_path"),
        ("/fin%2fx", "bad_path"),
        ("/v1%2fvoice", "bad_path"),
        ("/v1/Voice", "bad_path"),
        ("//fin", "bad_path"),
        ("//x", "bad_path"),
        ("/x//y", "bad_path"),
    ] {
        let asked = Ask::get("a.example", path).run(except(&["/fin", "/v1/voice"]));
        assert_eq!(asked, expected, "{path}");
    }
    // an exception inside another route's scope does not take that route's paths
    let mut both = except(&["/fin"]);
    both.push(route("fin", &["a.example"], "/fin", &[]));
    assert_eq!(
        Ask::get("a.example", "/fin/x").run(both.clone()),
        "fin/default"
    );
    assert_eq!(Ask::get("a.example", "/x").run(both), "rest/default");
}

fn endpoint(authority: &str, path: &str) -> Endpoint {
    Endpoint {
        authority: Authority::parse(authority, Some(443)).unwrap(),
        path: EndpointPath::of(path),
    }
}

/// D14
#[test]
fn no_credential_goes_to_where_tokens_are_given_out() {
    let table = |endpoints: Vec<Endpoint>| {
        let routes = vec![
            route("wide", &["a.example", "*.a.example"], "/**", &[]),
            route("deep", &["a.example"], "/oauth/token/info", &[]),
            route("api", &["b.example"], "/v1", &[]),
        ];
        RouteTable::build(routes).guarding(endpoints)
    };
    let guarded = table(vec![
        endpoint("a.example", "/oauth/token"),
        endpoint("x.a.example", "/token"),
        endpoint("b.example", "/oauth/token"),
        endpoint("elsewhere.example", "/token"),
        endpoint("a.example:8443", "/v2"),
    ]);
    let ask = |table: &RouteTable<()>, dialled: &'static str, method: Method, path: &str| {
        Ask::of(method, dialled, path).with(|request| match decide(table, request) {
            Decision::Inject(route) => route.provider.to_string(),
            Decision::Pass => "pass".to_owned(),
            Decision::Refuse(code) => {
                // what is asked about is judged by the same code
                let explained = explain(table, request).decision;
                assert!(matches!(explained, Decision::Refuse(same) if same == code));
                code.code().to_owned()
            }
        })
    };
    for (dialled, path, expected) in [
        ("a.example", "/oauth/token", "oauth_endpoint"),
        ("A.Example.:443", "/oauth/token", "oauth_endpoint"),
        ("a.example", "/OAUTH/token/", "oauth_endpoint"),
        ("a.example", "/oauth%2Ftoken", "oauth_endpoint"),
        ("a.example", "//oauth/token", "oauth_endpoint"),
        ("a.example", "/oauth/token;jsessionid=1", "oauth_endpoint"),
        ("a.example", "/oauth/token.json", "oauth_endpoint"),
        ("a.example", "/oauth/ｔoken", "oauth_endpoint"),
        // a route of a longer path is no way in
        ("a.example", "/oauth/token/info", "oauth_endpoint"),
        ("a.example", "/x/../oauth/token", "bad_path"),
        ("a.example", "/oauth/tokens", "wide"),
        ("a.example", "/oauth/authorize", "wide"),
        ("a.example", "/v2", "wide"),
        ("x.a.example", "/token", "oauth_endpoint"),
        ("y.a.example", "/token", "wide"),
        ("b.example", "/oauth/token", "oauth_endpoint"),
        ("b.example", "/v1/x", "api"),
        // nothing of it is read where there is no route
        ("elsewhere.example", "/token", "pass"),
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            assert_eq!(
                ask(&guarded, dialled, method, path),
                expected,
                "{dialled} {path}"
            );
        }
    }
    let open = table(Vec::new());
    assert_eq!(
        ask(&open, "a.example", Method::POST, "/oauth/token"),
        "wide"
    );
}

/// A path near an endpoint in odd spellings.
fn near_an_endpoint() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("/"),
        3 => Just("oauth"),
        3 => Just("token"),
        1 => prop::sample::select(vec![
            "x", "OAuth", "TOKEN", "%6f", "auth", "to", "ken", "%6b", "%256b", "%2f", "%252f", ";",
            ";x=1", "%3b", "%3f", "%23", ".", "%2e", "%20", "+", ".json", "ｏ", "s", "-", "%",
        ]),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn any_route() -> impl Strategy<Value = Route<()>> {
    let host = prop::sample::select(vec!["a.b.example.com", "*.b.example.com", "*.example.com"]);
    let path = prop::sample::select(vec!["", "/v1", "/v1/x", "/V1", "/v2"]);
    let methods = prop::sample::select(vec![
        vec![],
        vec![Method::GET],
        vec![Method::GET, Method::POST],
    ]);
    let port = prop::sample::select(vec![443_u16, 443, 443, 8443]);
    let except = prop::sample::select(vec![vec![], vec!["/v1"], vec!["/v1/x", "/v2"], vec!["/V1"]]);
    (
        prop::sample::select(vec!["p", "q", "p/two"]),
        host,
        path,
        methods,
        port,
        except,
        any::<bool>(),
    )
        .prop_map(|(name, host, path, methods, port, except, key)| {
            let mut route = route(name, &[host], path, &methods);
            route.port = port;
            route.except = scopes(&except);
            if key {
                route.slot = Slot::Query { name: "key".into() };
            }
            route
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// D14: whatever a server does with a path, it reads no request of ours as one to the endpoint
    #[test]
    fn no_spelling_that_a_server_reads_as_the_endpoint_is_injected(path in near_an_endpoint(), server in server()) {
        let table = RouteTable::build(vec![
            route("wide", &["a.example"], "/**", &[]),
            route("deep", &["a.example"], "/oauth", &[]),
        ]);
        let table = table.guarding([endpoint("a.example", "/oauth/token")]);
        let there = server.segments(&path);
        let read: Vec<&str> = there.iter().map(String::as_str).collect();
        Ask::of(Method::POST, "a.example", &path).with(|request| {
            if let Decision::Inject(_) = decide(&table, request) {
                prop_assert!(!matches!(read.as_slice(), ["oauth", "token", ..]), "{:?}", there);
            }
            Ok(())
        })?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// D13, and: a covered destination is injected or refused, never passed
    #[test]
    fn the_order_of_routes_never_changes_a_decision(
        (routes, shuffled) in prop::collection::vec(any_route(), 0..6)
            .prop_flat_map(|routes| (Just(routes.clone()), Just(routes).prop_shuffle())),
        path in any_path(),
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::DELETE]),
        https in any::<bool>(),
    ) {
        let ask = Ask { https, hosts: vec![b"a.b.example.com:443"], ..Ask::of(method.clone(), "a.b.example.com:443", &path) };
        let (one, other) = (RouteTable::build(routes.clone()), RouteTable::build(shuffled));
        ask.with(|request| {
            let shown = |decision: Decision<'_, ()>| match decision {
                Decision::Inject(route) => format!("{} {} {:?}", route.provider, route.connection, route.slot),
                Decision::Pass => "pass".into(),
                Decision::Refuse(code) => code.code().into(),
            };
            let decision = decide(&one, request);
            prop_assert_eq!(shown(decision), shown(decide(&other, request)));
            prop_assert_eq!(shown(decision), shown(explain(&one, request).decision));
            let covered = one.covers(request.dialled);
            match decision {
                Decision::Pass => prop_assert!(!covered),
                Decision::Inject(route) => {
                    prop_assert!(covered && https && route.port == 443);
                    prop_assert!(route.methods.allow(&method));
                    let raw = RawPath::parse(&path).unwrap();
                    prop_assert!(route.path.matches(&raw));
                    prop_assert!(!route.except.iter().any(|except| except.may_match(&raw)));
                    prop_assert!(route.hosts.iter().any(|host| host.matches(&request.dialled.host)));
                }
                Decision::Refuse(_) => {}
            }
            Ok(())
        })?;
    }

    /// D4: every spelling with the same canonical form gets the same decision
    #[test]
    fn equal_canonical_forms_get_equal_decisions(flips in prop::collection::vec(any::<bool>(), 15), dot in any::<bool>(), port in any::<bool>()) {
        let mut text: String = "api.intercom.io".chars().zip(flips)
            .map(|(c, up)| if up { c.to_ascii_uppercase() } else { c }).collect();
        if dot { text.push('.'); }
        if port { text.push_str(":443"); }
        let table = RouteTable::build(routes());
        let dialled = Authority::parse(&text, Some(443)).unwrap();
        let request = RequestView {
            dialled: &dialled, sni: None, host_headers: &[text.as_bytes()], scheme_https: true,
            method: &Method::POST, path: "/fin/start", method_override: false,
            presented: &Presented::Nothing,
        };
        let Decision::Inject(route) = decide(&table, &request) else { panic!("{text}") };
        prop_assert_eq!(route.provider.as_str(), "intercom-fin");
    }
}
