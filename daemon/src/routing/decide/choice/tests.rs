use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use proptest::prelude::*;

use super::super::{Decision, RequestView, Verdict, decide, explain};
use super::*;
use crate::routing::host::{Authority, HostPattern};
use crate::routing::path::PathScope;
use crate::routing::placeholder::{LITERAL, Placeholder, Template};
use crate::routing::slot::BasicPair;
use crate::routing::table::{Choice, Methods};

fn header(name: &str) -> Slot {
    Slot::Header {
        name: HeaderName::from_bytes(name.as_bytes()).unwrap(),
        prefix: "".into(),
    }
}

/// Route of `provider/connection`; one that is called `default` is taken by default. The
/// placeholder is made from the name.
fn route(name: &str, host: &str, path: &str, slot: Slot) -> Route<()> {
    let (provider, connection) = name.split_once('/').unwrap();
    Route {
        provider: provider.parse().unwrap(),
        connection: connection.parse().unwrap(),
        hosts: vec![HostPattern::parse(host).unwrap()],
        port: 443,
        path: PathScope::parse(path).unwrap(),
        except: Vec::new(),
        methods: Methods::Any,
        slot,
        credential: (),
        choice: Choice {
            by_default: connection == "default",
            placeholder: Some(placeholder(name)),
        },
        rules: Arc::default(),
    }
}

fn placeholder(name: &str) -> Placeholder {
    let mut random = [0; 17];
    for (at, byte) in name.bytes().enumerate() {
        random[at % 17] ^= byte.rotate_left(u32::try_from(at / 17).unwrap());
    }
    let template: Template = if name.starts_with("mail/") {
        "SG.{random}".parse().unwrap()
    } else {
        Template::plain()
    };
    template.fill(&random)
}

/// Two Intercom keys on one host, one of them in two connections, and every kind of slot.
fn routes() -> Vec<Route<()>> {
    let mut rest = route("rest/default", "api.one.test", "", header("authorization"));
    rest.except = vec![PathScope::parse("/fin/**").unwrap()];
    let mut fin = route(
        "fin/default",
        "api.one.test",
        "/fin/**",
        header("authorization"),
    );
    fin.methods = Methods::Only(vec![Method::POST]);
    let mut team = rest.clone();
    team.connection = "team".parse().unwrap();
    team.choice = Choice {
        by_default: false,
        placeholder: Some(placeholder("rest/team")),
    };
    let query = Slot::Query { name: "key".into() };
    let cookie = Slot::Cookie { name: "sid".into() };
    vec![
        rest,
        fin,
        team,
        route("mail/default", "api.mail.test", "", header("authorization")),
        route("named/default", "api.named.test", "", header("x-api-key")),
        route(
            "basic/default",
            "api.basic.test",
            "",
            Slot::Basic(BasicPair::Username),
        ),
        route("query/default", "api.query.test", "", query),
        route("cookie/default", "api.cookie.test", "", cookie),
        route("lone/added", "api.lone.test", "", header("authorization")),
    ]
}

/// What becomes of a request: `provider/connection`, `pass` or a code.
fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> String {
    let table = RouteTable::build(routes());
    let uri: Uri = url.parse().unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    let host = uri.host().unwrap().to_owned();
    let https = uri.scheme_str() == Some("https");
    let dialled = Authority::parse(&host, Some(if https { 443 } else { 80 })).unwrap();
    let view = RequestView {
        dialled: &dialled,
        sni: None,
        host_headers: &[host.as_bytes()],
        scheme_https: https,
        method: &method.parse().unwrap(),
        path: uri.path(),
        method_override: false,
        presented: &Presented::find(&map, &uri),
    };
    match decide(&table, &view) {
        Decision::Inject(route) => format!("{}/{}", route.provider, route.connection),
        Decision::Pass => "pass".to_owned(),
        Decision::Refuse(code) => code.code().to_owned(),
    }
}

const MISPLACED: &str = "placeholder_misplaced";
const UNKNOWN: &str = "placeholder_unknown";

/// D7
#[test]
fn a_placeholder_gets_exactly_its_connection_where_that_may_be_used() {
    let bearer = |name: &str| format!("Bearer {}", placeholder(name).as_str());
    for (method, url, carried, expected) in [
        ("GET", "https://api.one.test/contacts", "", "rest/default"),
        (
            "GET",
            "https://api.one.test/contacts",
            "rest/default",
            "rest/default",
        ),
        (
            "GET",
            "https://api.one.test/contacts",
            "rest/team",
            "rest/team",
        ),
        ("POST", "https://api.one.test/fin/start", "", "fin/default"),
        (
            "POST",
            "https://api.one.test/fin/start",
            "fin/default",
            "fin/default",
        ),
        // never silently replaced
        (
            "GET",
            "https://api.one.test/contacts",
            "fin/default",
            MISPLACED,
        ),
        (
            "POST",
            "https://api.one.test/fin/start",
            "rest/default",
            MISPLACED,
        ),
        (
            "POST",
            "https://api.one.test/fin/start",
            "rest/team",
            MISPLACED,
        ),
        (
            "GET",
            "https://api.one.test/fin/start",
            "fin/default",
            MISPLACED,
        ),
        (
            "GET",
            "https://api.mail.test/",
            "mail/default",
            "mail/default",
        ),
        ("GET", "https://api.mail.test/", "rest/default", MISPLACED),
        ("GET", "https://api.named.test/", "rest/team", MISPLACED),
        // what has two readings is said to, whoever it is for
        (
            "POST",
            "https://api.one.test/fin%2fstart",
            "rest/team",
            "bad_path",
        ),
        (
            "GET",
            "https://api.one.test/contacts/..;/x",
            "rest/team",
            "bad_path",
        ),
        // another run's, or an old one
        (
            "GET",
            "https://api.one.test/contacts",
            "rest/other",
            UNKNOWN,
        ),
        ("GET", "https://api.mail.test/", "mail/other", UNKNOWN),
        // a connection that nothing takes by default
        ("GET", "https://api.lone.test/", "lone/added", "lone/added"),
        ("GET", "https://api.lone.test/", "", "path_not_allowed"),
        // hosts without a route
        ("GET", "https://evil.test/", "", "pass"),
        ("GET", "https://evil.test/", "rest/default", MISPLACED),
        ("GET", "https://evil.test/", "rest/other", UNKNOWN),
        ("GET", "http://evil.test/", "", "pass"),
        ("GET", "http://evil.test/", "rest/team", MISPLACED),
        ("GET", "http://evil.test/", "rest/other", UNKNOWN),
        // D3 says it first
        (
            "GET",
            "http://api.one.test/",
            "rest/default",
            "cleartext_refused",
        ),
    ] {
        let value = if carried.is_empty() {
            "Bearer own".to_owned()
        } else {
            bearer(carried)
        };
        let asked = ask(method, url, &[("authorization", &value)]);
        assert_eq!(asked, expected, "{method} {url} with {carried:?}");
    }
}

/// D7: each slot, each place
#[test]
fn a_placeholder_stands_in_the_slot_of_its_connection_and_nowhere_else() {
    use base64::Engine as _;
    for (provider, right) in [
        ("one", "bearer"),
        ("mail", "bearer"),
        ("named", "named"),
        ("basic", "basic"),
        ("query", "query"),
        ("cookie", "cookie"),
    ] {
        let name = match provider {
            "one" => "rest/default".to_owned(),
            other => format!("{other}/default"),
        };
        let placeholder = placeholder(&name);
        let text = placeholder.as_str();
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{text}:x"));
        for place in [
            "bearer",
            "basic",
            "named",
            "twin",
            "other",
            "query",
            "other query",
            "cookie",
            "other cookie",
            "path",
            "twice",
            "inside",
            "shaped",
        ] {
            let target = match place {
                "query" => format!("?key={text}"),
                "other query" => format!("?KEY={text}"),
                "path" => format!("/{text}"),
                _ => String::new(),
            };
            let url = format!("https://api.{provider}.test/v1{target}");
            let headers: Vec<(&str, String)> = match place {
                "bearer" => vec![("authorization", format!("Bearer {text}"))],
                "basic" => vec![("authorization", format!("Basic {pair}"))],
                "named" => vec![("x-api-key", text.to_owned())],
                "twin" => vec![("x_api_key", text.to_owned())],
                "other" => vec![("x-other", text.to_owned())],
                "cookie" => vec![("cookie", format!("sid={text}"))],
                "other cookie" => vec![("cookie", format!("x={text}"))],
                "twice" => vec![
                    ("authorization", format!("Bearer {text}")),
                    ("x-api-key", text.to_owned()),
                ],
                "inside" => vec![("authorization", format!("Bearer <{text}>"))],
                "shaped" => vec![("authorization", format!("Bearer sk-{text}"))],
                _ => Vec::new(),
            };
            let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            // both halves of `Authorization` are one place
            let fits = place == right
                || matches!((right, place), ("bearer", "basic") | ("basic", "bearer"));
            let expected = if fits { name.as_str() } else { MISPLACED };
            assert_eq!(ask("GET", &url, &headers), expected, "{name} as {place}");
        }
    }
}

#[test]
fn the_literal_is_fine_where_a_route_is_and_stopped_where_none_is() {
    let bearer = format!("Bearer {LITERAL}");
    let literal = [("authorization", bearer.as_str())];
    let other = [("x-other", bearer.as_str())];
    for headers in [&literal, &other] {
        assert_eq!(
            ask("GET", "https://api.one.test/x", headers),
            "rest/default"
        );
        assert_eq!(ask("GET", "https://evil.test/x", headers), MISPLACED);
        assert_eq!(ask("GET", "http://evil.test/x", headers), MISPLACED);
    }
    let query = |host: &str| ask("GET", &format!("https://{host}/?k={LITERAL}"), &[]);
    assert_eq!(query("api.query.test"), "query/default");
    assert_eq!(query("evil.test"), MISPLACED);
}

#[test]
fn explaining_tells_which_routes_were_not_meant() {
    let table = RouteTable::build(routes());
    let dialled = Authority::parse("api.one.test", Some(443)).unwrap();
    let name = http::header::AUTHORIZATION;
    let placeholder = placeholder("rest/team");
    let presented = Presented::One {
        text: placeholder.as_str().into(),
        place: Place::Header(&name),
    };
    let view = RequestView {
        dialled: &dialled,
        sni: None,
        host_headers: &[b"api.one.test"],
        scheme_https: true,
        method: &Method::GET,
        path: "/contacts",
        method_override: false,
        presented: &presented,
    };
    let verdicts: Vec<_> = explain(&table, &view)
        .findings
        .iter()
        .map(|finding| finding.verdict)
        .collect();
    assert_eq!(
        verdicts,
        [Verdict::OtherChoice, Verdict::OtherChoice, Verdict::Chosen]
    );
}

proptest! {
    /// D7, D13: with a placeholder a request gets its connection or none, whatever else there is,
    /// and in whatever order.
    #[test]
    fn no_request_gets_another_connection_than_its_placeholder_means(
        host in prop::sample::select(vec![
            "api.one.test", "api.mail.test", "api.named.test", "api.lone.test", "evil.test",
        ]),
        path in prop::sample::select(vec!["/", "/contacts", "/fin", "/fin/x", "/fin%2fx", "/finx"]),
        method in prop::sample::select(vec!["GET", "POST"]),
        name in prop::sample::select(vec![
            "rest/default", "rest/team", "fin/default", "mail/default", "named/default",
            "lone/added", "rest/gone",
        ]),
        at in prop::sample::select(vec!["authorization", "x-api-key", "x-other"]),
    ) {
        let placeholder = placeholder(name);
        let asked = ask(method, &format!("https://{host}{path}"), &[(at, placeholder.as_str())]);
        prop_assert!(
            asked == name || asked == MISPLACED || asked == UNKNOWN || asked == "bad_path",
            "{} for {}", asked, name
        );
        prop_assert_eq!(asked == UNKNOWN, name == "rest/gone" && asked != "bad_path");
    }
}
