use std::sync::Arc;

use http::{Method, header};
use proptest::prelude::*;

use super::*;
use crate::routing::placeholder::Presented;
use crate::routing::slot::Slot;
use crate::routing::table::{Choice, Methods};
use crate::routing::{Decision, RequestView, Route, RouteTable, decide, explain};

fn lines(texts: &[&str]) -> Arc<[RuleLine]> {
    texts
        .iter()
        .map(|text| RuleLine::parse(text).unwrap())
        .collect()
}

fn set(allow: Option<&[&str]>, deny: &[&str]) -> RuleSet {
    RuleSet {
        source: "config.toml".into(),
        allow: allow.map(lines),
        deny: lines(deny),
    }
}

const HOST: &str = "api.intercom.io";

fn rule(set: &RuleSet, method: &str, host: &str, path: &str) -> Ruling {
    set.rule(
        &Authority::parse(host, Some(443)).unwrap(),
        &Method::from_bytes(method.as_bytes()).unwrap(),
        &RawPath::parse(path).unwrap(),
    )
}

#[test]
fn an_allow_line_fits_exactly_what_it_names() {
    for (line, method, host, path, allowed) in [
        ("GET /contacts/**", "GET", HOST, "/contacts", true),
        ("GET /contacts/**", "GET", HOST, "/contacts/1", true),
        ("GET /contacts", "GET", HOST, "/contacts/1", true),
        ("GET /contacts/**", "HEAD", HOST, "/contacts", false),
        ("GET /contacts/**", "get", HOST, "/contacts", false),
        ("GET /contacts/**", "GET", HOST, "/contactsx", false),
        ("GET /contacts/**", "GET", HOST, "/Contacts", false),
        ("GET /contacts/**", "GET", HOST, "/%63ontacts", false),
        ("GET /contacts/**", "GET", HOST, "/contacts;x", false),
        ("GET /contacts/**", "GET", HOST, "//contacts", false),
        ("GET /contacts/**", "GET", HOST, "/x/contacts", false),
        ("GET /contacts/**", "GET", HOST, "/contacts/a%2fb", true),
        ("GET /contacts/**", "GET", HOST, "/contacts//1", false),
        ("POST,PUT /x", "PUT", HOST, "/x", true),
        ("POST,PUT /x", "POST", HOST, "/x", true),
        ("POST,PUT /x", "PATCH", HOST, "/x", false),
        ("GET", "GET", HOST, "/any/thing//at;all", true),
        ("GET /", "GET", HOST, "/any", true),
        ("*", "PROPFIND", HOST, "/any", true),
        ("* *", "PROPFIND", HOST, "/any", true),
        ("GET api.eu.intercom.io", "GET", HOST, "/", false),
        (
            "GET api.intercom.io/contacts",
            "GET",
            HOST,
            "/contacts",
            true,
        ),
        (
            "GET API.Intercom.IO/contacts",
            "GET",
            HOST,
            "/contacts",
            true,
        ),
        ("GET *.intercom.io/contacts", "GET", HOST, "/contacts", true),
        ("GET *.intercom.io", "GET", "intercom.io", "/", false),
        ("GET *.intercom.io", "GET", "xintercom.io", "/", false),
        ("GET 192.0.2.1/x", "GET", "192.0.2.1", "/x", true),
        ("GET [2001:db8::1]/x", "GET", "[2001:db8::1]", "/x", true),
    ] {
        let ruling = rule(&set(Some(&[line]), &[]), method, host, path);
        let expected = if allowed {
            Ruling::Allowed(line.into())
        } else {
            Ruling::NoneAllows
        };
        assert_eq!(ruling, expected, "allow {line}: {method} {host}{path}");
    }
}

#[test]
fn a_deny_line_fits_what_any_server_might_read() {
    for (line, method, host, path, denied) in [
        ("DELETE", "DELETE", HOST, "/x", true),
        ("DELETE", "delete", HOST, "/x", true),
        ("DELETE", "Delete", HOST, "/x", true),
        ("DELETE", "GET", HOST, "/x", false),
        ("GET /x", "HEAD", HOST, "/x", false),
        ("* /admins/**", "GET", HOST, "/admins", true),
        ("* /admins/**", "GET", HOST, "/admins/1", true),
        ("* /admins", "GET", HOST, "/admins/1", true),
        ("* /admins/**", "GET", HOST, "/ADMINS/1", true),
        ("* /admins/**", "GET", HOST, "/%61dmins/1", true),
        ("* /admins/**", "GET", HOST, "/%2561dmins/1", true),
        ("* /admins/**", "GET", HOST, "/admins;v=1/1", true),
        ("* /admins/**", "GET", HOST, "/admins./1", true),
        ("* /admins/**", "GET", HOST, "/;x/admins", true),
        ("* /admins/**", "GET", HOST, "//admins/1", true),
        ("* /admins/**", "GET", HOST, "/admins%2f1", true),
        ("* /admins/1", "GET", HOST, "/admins%2f1", true),
        // a lenient parser takes `elsewhere` for a host
        ("* /admins/**", "GET", HOST, "//elsewhere/admins", true),
        ("* /admins/**", "GET", HOST, "/%2felsewhere/admins", true),
        // a format, which routers of Rails and Spring take off
        ("* /admins/**", "GET", HOST, "/admins.json", true),
        ("* /admins/**", "GET", HOST, "/Admins%2ejson", true),
        ("* /admins/**", "GET", HOST, "/admins.json;v=1", true),
        ("* /admins/**", "GET", HOST, "/+admins.json/", true),
        ("* /admins/1", "GET", HOST, "/admins/1.xml", true),
        ("* /admins/**", "GET", HOST, "/adminsx.json", false),
        ("* /admins/**", "GET", HOST, "/me/admins.json", false),
        ("* /admins/1", "GET", HOST, "/admins.1", false),
        ("* /admins/**", "GET", HOST, "/adminsx", false),
        ("* /admins/**", "GET", HOST, "/me/admins", false),
        ("* /admins/1", "GET", HOST, "/admins/2", false),
        ("* /admins/1", "GET", HOST, "/admins", false),
        ("* api.eu.intercom.io", "GET", HOST, "/", false),
        ("* *.intercom.io/x", "GET", HOST, "/x", true),
    ] {
        let ruling = rule(&set(None, &[line]), method, host, path);
        let expected = if denied {
            Ruling::Denied(line.into())
        } else {
            Ruling::Silent
        };
        assert_eq!(ruling, expected, "deny {line}: {method} {host}{path}");
    }
}

#[test]
fn deny_beats_allow_and_an_empty_allow_allows_nothing() {
    let both = set(Some(&["* /contacts"]), &["DELETE"]);
    assert_eq!(
        rule(&both, "DELETE", HOST, "/contacts"),
        Ruling::Denied("DELETE".into())
    );
    assert!(!rule(&both, "GET", HOST, "/contacts").refuses());
    assert_eq!(
        rule(&set(Some(&[]), &[]), "GET", HOST, "/"),
        Ruling::NoneAllows
    );
    assert_eq!(rule(&set(None, &[]), "GET", HOST, "/"), Ruling::Silent);
}

#[test]
fn a_line_that_would_not_mean_what_it_says_is_an_error() {
    use ParseRuleError as E;
    for (text, expected) in [
        ("", E::Words),
        ("GET /a /b", E::Words),
        ("POST, PUT /a", E::Words),
        ("/contacts/**", E::Methods),
        ("api.intercom.io/contacts", E::Methods),
        ("GET,/x", E::Methods),
        ("GET,,PUT /x", E::Methods),
        ("*,GET /x", E::Methods),
        ("get /x", E::MethodCase("GET".into())),
        ("GET,Post /x", E::MethodCase("POST".into())),
        ("GET contacts", E::HostWithoutDot("contacts".into())),
        ("GET contacts/1", E::HostWithoutDot("contacts".into())),
        ("GET *.io/x", E::Host(ParseHostError::WildcardTooWide)),
        ("GET a.*.io/x", E::Host(ParseHostError::Wildcard)),
        ("GET u@a.io/x", E::Host(ParseHostError::UserInfo)),
        ("GET a.io:8443/x", E::Host(ParseHostError::Character(':'))),
        ("GET /a/*/b", E::Path(ParsePathScopeError::Star)),
        ("GET /a//b", E::Path(ParsePathScopeError::EmptySegment)),
        ("GET /a/", E::Path(ParsePathScopeError::EmptySegment)),
        ("GET /a/../b", E::Path(ParsePathScopeError::DotSegment)),
        ("GET /a?b", E::Path(ParsePathScopeError::Character('?'))),
        ("GET /%61", E::Path(ParsePathScopeError::Character('%'))),
    ] {
        assert_eq!(RuleLine::parse(text), Err(expected), "{text:?}");
    }
    assert_eq!(
        RuleLine::parse("  GET  /x ").unwrap().to_string(),
        "GET  /x"
    );
    assert!(RuleLine::parse("M-SEARCH localhost/x").is_ok());
    let host = |text: &str| RuleLine::parse(text).unwrap().host().cloned();
    assert_eq!(
        host("GET *.intercom.io/x"),
        HostPattern::parse("*.intercom.io").ok()
    );
    assert_eq!((host("GET /x"), host("GET *")), (None, None));
}

fn route(rules: Vec<RuleSet>, path: &str) -> Route<()> {
    Route {
        provider: "intercom".parse().unwrap(),
        connection: "default".parse().unwrap(),
        hosts: vec![HostPattern::parse(HOST).unwrap()],
        port: 443,
        path: PathScope::parse(path).unwrap(),
        except: Vec::new(),
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
        rules: rules.into(),
    }
}

fn ask<T>(method: &Method, path: &str, judge: impl FnOnce(&RequestView<'_>) -> T) -> T {
    judge(&RequestView {
        dialled: &Authority::parse(HOST, Some(443)).unwrap(),
        sni: None,
        host_headers: &[HOST.as_bytes()],
        scheme_https: true,
        method,
        path,
        method_override: false,
        presented: &Presented::Nothing,
    })
}

/// The code of the refusal, or nothing.
fn outcome(rules: Vec<RuleSet>, method: &Method, path: &str) -> Option<&'static str> {
    let table = RouteTable::build(vec![route(rules, "/**")]);
    ask(method, path, |request| match decide(&table, request) {
        Decision::Inject(_) => None,
        Decision::Pass => Some("pass"),
        Decision::Refuse(code) => Some(code.code()),
    })
}

#[test]
fn the_winner_is_refused_and_no_wider_route_takes_its_place() {
    let narrow = route(vec![set(None, &["DELETE"])], "/fin/**");
    let table = RouteTable::build(vec![route(Vec::new(), "/**"), narrow]);
    let code = |method, path| {
        ask(&method, path, |request| match decide(&table, request) {
            Decision::Refuse(code) => Some(code.code()),
            _ => None,
        })
    };
    assert_eq!(code(Method::DELETE, "/fin/1"), Some("denied_by_rule"));
    assert_eq!(code(Method::GET, "/fin/1"), None);
    assert_eq!(code(Method::DELETE, "/contacts"), None);
}

#[test]
fn every_set_that_spoke_is_reported() {
    let mut project = set(Some(&["GET /contacts", "* /me"]), &[]);
    project.source = "authsome.toml".into();
    let sets = vec![
        set(None, &["DELETE", "* /contacts/secret"]),
        set(None, &["PATCH"]),
        project,
    ];
    let table = RouteTable::build(vec![route(sets, "/**")]);
    let rulings = |method: Method, path: &str| {
        ask(&method, path, |request| {
            let explanation = explain(&table, request);
            let same = match (explanation.decision, decide(&table, request)) {
                (Decision::Inject(_), Decision::Inject(_)) => true,
                (Decision::Refuse(one), Decision::Refuse(other)) => one == other,
                _ => false,
            };
            assert!(same, "explain and decide differ");
            let rulings = explanation.rulings.iter();
            rulings
                .map(|(set, ruling)| format!("{}: {ruling:?}", set.source))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(
        rulings(Method::DELETE, "/contacts/secret"),
        [
            "config.toml: Denied(\"DELETE\")",
            "authsome.toml: NoneAllows"
        ]
    );
    assert_eq!(
        rulings(Method::GET, "/contacts"),
        ["authsome.toml: Allowed(\"GET /contacts\")"]
    );
}

#[test]
fn two_equal_routes_under_different_rules_refuse_each_other() {
    let strict = route(vec![set(None, &["*"])], "/**");
    for routes in [
        vec![route(Vec::new(), "/**"), strict.clone()],
        vec![strict.clone(), route(Vec::new(), "/**")],
    ] {
        let table = RouteTable::build(routes);
        ask(&Method::GET, "/", |request| {
            let decision = decide(&table, request);
            let Decision::Refuse(code) = decision else {
                panic!("{decision:?}")
            };
            assert_eq!(code.code(), "ambiguous");
        });
    }
}

fn any_line() -> impl Strategy<Value = RuleLine> {
    let method = prop::sample::select(vec!["*", "GET", "DELETE", "GET,POST"]);
    let host = prop::sample::select(vec!["", HOST, "*.intercom.io", "api.other.io"]);
    let path = prop::sample::select(vec!["", "/**", "/a", "/a/b/**", "/b"]);
    (method, host, path).prop_map(|(method, host, path)| {
        RuleLine::parse(&format!("{method} {host}{path}")).unwrap()
    })
}

fn any_set() -> impl Strategy<Value = RuleSet> {
    let line = || prop::collection::vec(any_line(), 0..4);
    (prop::option::of(line()), line()).prop_map(|(allow, deny)| RuleSet {
        source: "x".into(),
        allow: allow.map(Into::into),
        deny: deny.into(),
    })
}

fn any_request() -> impl Strategy<Value = (Method, &'static str)> {
    let method = prop::sample::select(vec!["GET", "POST", "DELETE", "delete", "HEAD"]);
    let path = prop::sample::select(vec![
        "/", "/a", "/a/b", "/A", "/%61", "/a%2fb", "//a", "/a;x/b", "/b", "/c",
    ]);
    (method, path).prop_map(|(method, path)| (Method::from_bytes(method.as_bytes()).unwrap(), path))
}

fn turned(lines: &Arc<[RuleLine]>) -> Arc<[RuleLine]> {
    lines.iter().rev().cloned().collect()
}

proptest! {
    #[test]
    fn the_order_of_sets_and_lines_changes_no_outcome(
        sets in prop::collection::vec(any_set(), 0..4),
        (method, path) in any_request(),
        turn in any::<bool>(),
    ) {
        let mut other: Vec<RuleSet> = sets.iter().map(|set| RuleSet {
            source: Arc::clone(&set.source),
            allow: set.allow.as_ref().map(turned),
            deny: turned(&set.deny),
        }).collect();
        if turn {
            other.reverse();
        }
        prop_assert_eq!(outcome(sets, &method, path), outcome(other, &method, path));
    }

    #[test]
    fn a_set_more_never_turns_a_refusal_into_an_allow(
        sets in prop::collection::vec(any_set(), 0..4),
        more in any_set(),
        (method, path) in any_request(),
    ) {
        let before = outcome(sets.clone(), &method, path);
        let mut with = sets;
        with.push(more);
        let after = outcome(with, &method, path);
        if before.is_some() {
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn what_one_line_could_allow_the_same_line_denies(
        line in any_line(),
        (method, path) in any_request(),
    ) {
        let one: Arc<[RuleLine]> = vec![line].into();
        let allow = RuleSet { source: "x".into(), allow: Some(Arc::clone(&one)), deny: Arc::default() };
        let deny = RuleSet { source: "x".into(), allow: None, deny: one };
        if outcome(vec![allow], &method, path).is_none() {
            prop_assert_eq!(outcome(vec![deny], &method, path), Some("denied_by_rule"));
        }
    }
}
