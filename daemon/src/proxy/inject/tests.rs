use authsome_proto::Secret;
use proptest::prelude::*;

use super::*;
use crate::routing::slot::session::{CookieCopy, Session, SessionCookie};
use crate::routing::{BasicPair, Slot};

fn request(version: Version, headers: &[(&str, &str)]) -> request::Parts {
    let mut builder = http::Request::builder().uri("/v1/x?a=1").version(version);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs
        .map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned()))
        .collect()
}

fn assert_headers(headers: &HeaderMap, expected: &[(&str, &str)]) {
    let listed = listed(headers);
    let listed: Vec<_> = listed
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(listed, expected);
}

fn stripped(version: Version, headers: &[(&str, &str)], expected: &[(&str, &str)]) {
    let mut parts = request(version, headers);
    strip(&mut parts);
    assert_headers(&parts.headers, expected);
}

fn fill(slot: &Slot, secret: &str) -> Filled {
    slot.fill(&Secret::new(secret.into())).unwrap()
}

fn bearer() -> Filled {
    let name = http::header::AUTHORIZATION;
    fill(
        &Slot::Header {
            name,
            prefix: "Bearer".into(),
        },
        "real",
    )
}

fn api_key() -> Filled {
    let name = HeaderName::from_static("x-api-key");
    fill(
        &Slot::Header {
            name,
            prefix: "".into(),
        },
        "real",
    )
}

/// D9
#[test]
fn hop_by_hop_and_nominated_fields_go_and_the_rest_keeps_its_order() {
    stripped(
        Version::HTTP_11,
        &[
            ("host", "a.example"),
            ("connection", "keep-alive, X-Mine"),
            ("accept", "*/*"),
            ("proxy-authorization", "Basic eDp5"),
            ("accept", "text/html"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("user-agent", "t"),
            ("te", "trailers, gzip"),
            ("connection", "Authorization"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("authorization", "Bearer x"),
            ("expect", "100-continue"),
            ("content-length", "3"),
        ],
        &[
            ("host", "a.example"),
            ("accept", "*/*"),
            ("accept", "text/html"),
            ("user-agent", "t"),
            ("expect", "100-continue"),
            ("content-length", "3"),
        ],
    );
}

/// D9
#[test]
fn a_nominated_slot_is_filled_all_the_same() {
    let mut parts = request(
        Version::HTTP_11,
        &[
            ("connection", "authorization, close"),
            ("authorization", "x"),
            ("accept", "*/*"),
        ],
    );
    strip(&mut parts);
    inject(&mut parts, &bearer()).unwrap();
    assert_headers(
        &parts.headers,
        &[("accept", "*/*"), ("authorization", "Bearer real")],
    );
}

#[test]
fn host_and_framing_cannot_be_nominated_away() {
    let kept = [("host", "a.example"), ("content-length", "3")];
    stripped(
        Version::HTTP_11,
        &[
            kept[0],
            kept[1],
            ("connection", "host, content-length, transfer-encoding"),
        ],
        &kept,
    );
}

/// H2: a value that is no text hides nothing that stands beside it
#[test]
fn an_odd_byte_in_connection_does_not_save_what_it_nominates() {
    let mut parts = request(Version::HTTP_11, &[("x-mine", "1")]);
    let odd = HeaderValue::from_bytes(b"\xff, x-mine").unwrap();
    parts.headers.insert(CONNECTION, odd);
    strip(&mut parts);
    assert_headers(&parts.headers, &[]);
}

#[test]
fn a_chunked_request_keeps_its_framing_and_odd_codings_do_not() {
    let chunked = [("transfer-encoding", "chunked")];
    stripped(Version::HTTP_11, &chunked, &chunked);
    stripped(Version::HTTP_10, &chunked, &[]);
    stripped(Version::HTTP_2, &chunked, &[]);
    stripped(
        Version::HTTP_11,
        &[("transfer-encoding", "gzip, chunked")],
        &[],
    );
    stripped(Version::HTTP_11, &[chunked[0], chunked[0]], &[]);
    stripped(
        Version::HTTP_11,
        &[chunked[0], ("content-length", "3")],
        &[("content-length", "3")],
    );
}

#[test]
fn te_trailers_stays_on_http2_and_nothing_else_of_te_does() {
    stripped(
        Version::HTTP_2,
        &[("te", "trailers")],
        &[("te", "trailers")],
    );
    stripped(
        Version::HTTP_2,
        &[("te", "gzip, trailers"), ("te", "x")],
        &[("te", "trailers")],
    );
    stripped(Version::HTTP_2, &[("te", "gzip")], &[]);
    stripped(
        Version::HTTP_11,
        &[("te", "trailers"), ("connection", "te")],
        &[],
    );
}

/// H3
#[test]
fn only_a_websocket_opening_keeps_its_upgrade() {
    let expected = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", "k"),
    ];
    let key = expected[2];
    stripped(
        Version::HTTP_11,
        &[
            ("connection", "keep-alive, upgrade"),
            ("upgrade", "WebSocket"),
            key,
        ],
        &expected,
    );
    stripped(
        Version::HTTP_11,
        &[
            ("connection", "keep-alive"),
            ("upgrade", "websocket"),
            key,
            ("connection", "Upgrade"),
        ],
        &expected,
    );
    let upgrade = ("connection", "upgrade");
    stripped(
        Version::HTTP_11,
        &[upgrade, ("upgrade", "websocket, h2c"), key],
        &[key],
    );
    stripped(
        Version::HTTP_11,
        &[upgrade, ("upgrade", "h2c"), key],
        &[key],
    );
    stripped(Version::HTTP_11, &[("upgrade", "websocket"), key], &[key]);
    stripped(
        Version::HTTP_10,
        &[upgrade, ("upgrade", "websocket"), key],
        &[key],
    );
    stripped(
        Version::HTTP_11,
        &[upgrade, ("upgrade", "websocket"), ("upgrade", "h2c"), key],
        &[key],
    );
    let mut parts = request(Version::HTTP_11, &[upgrade, ("upgrade", "websocket")]);
    parts.method = Method::POST;
    strip(&mut parts);
    assert_headers(&parts.headers, &[]);
}

#[test]
fn a_request_without_hop_fields_is_left_alone() {
    let headers = [
        ("host", "a.example"),
        ("accept", "*/*"),
        ("cookie", "a=b"),
        ("user-agent", "t"),
    ];
    stripped(Version::HTTP_2, &headers, &headers);
    stripped(Version::HTTP_11, &headers, &headers);
}

/// D8
#[test]
fn three_copies_become_one_in_the_place_of_the_first() {
    let mut parts = request(
        Version::HTTP_11,
        &[
            ("accept", "*/*"),
            ("Authorization", "Bearer one"),
            ("user-agent", "t"),
            ("authorization", "Bearer two, Bearer three"),
            ("AUTHORIZATION", "authsome-proxy-managed"),
        ],
    );
    inject(&mut parts, &bearer()).unwrap();
    assert_headers(
        &parts.headers,
        &[
            ("accept", "*/*"),
            ("authorization", "Bearer real"),
            ("user-agent", "t"),
        ],
    );
    assert!(parts.headers["authorization"].is_sensitive());
}

/// D8
#[test]
fn a_name_that_cgi_cannot_tell_apart_is_the_same_slot() {
    let mut parts = request(
        Version::HTTP_11,
        &[
            ("x_api_key", "mine"),
            ("accept", "*/*"),
            ("x-api_key", "mine"),
            ("user-agent", "t"),
        ],
    );
    inject(&mut parts, &api_key()).unwrap();
    assert_headers(
        &parts.headers,
        &[
            ("accept", "*/*"),
            ("user-agent", "t"),
            ("x-api-key", "real"),
        ],
    );
}

#[test]
fn basic_goes_into_authorization() {
    let mut parts = request(Version::HTTP_11, &[("authorization", "Bearer x")]);
    let user = BasicPair::Password { user: "git".into() };
    inject(&mut parts, &fill(&Slot::Basic(user), "real")).unwrap();
    assert_headers(&parts.headers, &[("authorization", "Basic Z2l0OnJlYWw=")]);
}

/// D8
#[test]
fn a_cookie_is_replaced_in_all_fields_and_the_others_stay() {
    let slot = Slot::Cookie { name: "sid".into() };
    for (sent, expected) in [
        (vec![], "sid=real"),
        (vec!["sid=evil"], "sid=real"),
        (vec!["a=1; sid=evil; b=\"2\""], "a=1; b=\"2\"; sid=real"),
        (
            vec!["a=1", "sid=evil", "b=2;sid =x;c"],
            "a=1; b=2; c; sid=real",
        ),
        (
            vec!["SID=1; sid2=2; xsid=3; sid"],
            "SID=1; sid2=2; xsid=3; sid=real",
        ),
        (vec![" ; ;"], "sid=real"),
    ] {
        let headers: Vec<_> = sent.iter().map(|value| ("cookie", *value)).collect();
        let mut parts = request(Version::HTTP_11, &headers);
        inject(&mut parts, &fill(&slot, "real")).unwrap();
        assert_headers(&parts.headers, &[("cookie", expected)]);
        assert!(parts.headers["cookie"].is_sensitive());
    }
}

/// D8
#[test]
fn a_query_parameter_is_replaced_in_every_spelling_and_other_bytes_stay() {
    let slot = Slot::Query {
        name: "api key".into(),
    };
    for (sent, expected) in [
        ("/p", Ok("/p?api%20key=r%2Fs")),
        ("/p?", Ok("/p?api%20key=r%2Fs")),
        ("/p?a=1", Ok("/p?a=1&api%20key=r%2Fs")),
        (
            "/p?api+key=evil&a=%41&api%20key=2&b",
            Ok("/p?a=%41&b&api%20key=r%2Fs"),
        ),
        (
            "/p?%61pi%20%6bey=evil&API+key=1",
            Ok("/p?API+key=1&api%20key=r%2Fs"),
        ),
        ("/p?api+key", Ok("/p?api%20key=r%2Fs")),
        ("/p?a&&b=+", Ok("/p?a&&b=+&api%20key=r%2Fs")),
        (
            "/p%2fq//r?x=api+key",
            Ok("/p%2fq//r?x=api+key&api%20key=r%2Fs"),
        ),
        (
            "https://a.example/p?a=1",
            Ok("https://a.example/p?a=1&api%20key=r%2Fs"),
        ),
        ("/p?a=1;api+key=evil", Err(RefuseCode::Malformed)),
        ("/p?a=1;b=2", Ok("/p?a=1;b=2&api%20key=r%2Fs")),
    ] {
        let mut parts = request(Version::HTTP_11, &[]);
        parts.uri = sent.parse().unwrap();
        let result = inject(&mut parts, &fill(&slot, "r/s")).map(|()| parts.uri.to_string());
        assert_eq!(result.as_deref(), expected.as_ref().copied(), "{sent}");
    }
}

#[test]
fn a_response_loses_hop_fields_and_hints_to_go_elsewhere() {
    let clean = |status: u16, headers: &[(&str, &str)], expected: &[(&str, &str)]| {
        let mut builder = http::Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let mut parts = builder.body(()).unwrap().into_parts().0;
        clean_response(&mut parts);
        assert_headers(&parts.headers, expected);
    };
    // D11
    let kept = [
        ("content-type", "text/plain"),
        ("x-ratelimit-limit", "10"),
        ("trailer", "etag"),
    ];
    clean(200, &kept, &kept);
    clean(
        200,
        &[
            kept[0],
            ("alt-svc", "h3=\":443\""),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            kept[1],
            ("proxy-authenticate", "Basic"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            kept[2],
        ],
        &kept,
    );
    clean(
        302,
        &[("location", "https://evil.test/")],
        &[("location", "https://evil.test/")],
    );
    let opened = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "x"),
    ];
    clean(101, &opened, &opened);
    clean(200, &opened, &opened[2..]);
    clean(101, &[("upgrade", "h2c"), opened[1]], &[]);
}

/// H2
#[test]
fn trailers_cannot_frame_route_or_authenticate() {
    let mut trailers = HeaderMap::new();
    for name in [
        "grpc-status",
        "authorization",
        "content-length",
        "host",
        "transfer-encoding",
        "x-api-key",
        "etag",
        "private-token",
        "proxy-authorization",
        "cookie",
        "slot-name",
        "slot_name",
    ] {
        trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
    }
    let name = HeaderName::from_static("slot-name");
    let filled = fill(
        &Slot::Header {
            name,
            prefix: "".into(),
        },
        "real",
    );
    clean_trailers(&mut trailers, Some(&filled));
    assert_headers(&trailers, &[("grpc-status", "1"), ("etag", "1")]);

    let listed = [("trailer", "grpc-status, etag")];
    stripped(Version::HTTP_11, &listed, &listed);
    stripped(Version::HTTP_11, &[("trailer", "etag, Authorization")], &[]);
}

/// A session with two cookies, of which one is copied and one may be missing.
fn session(secret: &str, cookie_header: bool) -> Filled {
    let cookie = |name: &str, needed| SessionCookie {
        name: name.into(),
        needed,
    };
    let copy = |cookie: &str, header| CookieCopy {
        cookie: cookie.into(),
        header: HeaderName::from_static(header),
        prefix: "".into(),
    };
    let fixed = (
        HeaderName::from_static("x-active"),
        HeaderValue::from_static("yes"),
    );
    let session = Session::new(
        vec![cookie("sid", true), cookie("csrf", false)],
        cookie_header,
        vec![copy("csrf", "x-csrf-token")],
        vec![fixed],
    );
    fill(&Slot::Session(session.unwrap().into()), secret)
}

/// D8: every place of a session is emptied, whatever was there, then filled once
#[test]
fn a_session_takes_all_its_places_and_a_childs_cookies_go() {
    let sent = [
        ("x_csrf_token", "evil"),
        ("cookie", "sid=evil; other=1"),
        ("x-csrf-token", "evil, evil"),
        ("accept", "*/*"),
        ("cookie", "auth_multi=evil"),
        ("x-csrf-token", "evil"),
        ("x_active", "no"),
        ("x-active", "no"),
        ("authorization", "Bearer of the page"),
    ];
    let mut parts = request(Version::HTTP_11, &sent);
    inject(&mut parts, &session("sid=real; csrf=token", true)).unwrap();
    assert_headers(
        &parts.headers,
        &[
            ("cookie", "sid=real; csrf=token"),
            ("x-csrf-token", "token"),
            ("accept", "*/*"),
            ("x-active", "yes"),
            ("authorization", "Bearer of the page"),
        ],
    );
    for name in ["cookie", "x-csrf-token"] {
        assert!(parts.headers[name].is_sensitive(), "{name}");
    }

    // what the session does not have is not the child's to add
    let mut parts = request(Version::HTTP_11, &sent);
    inject(&mut parts, &session("sid=real", true)).unwrap();
    assert_headers(
        &parts.headers,
        &[
            ("cookie", "sid=real"),
            ("accept", "*/*"),
            ("x-active", "yes"),
            ("authorization", "Bearer of the page"),
        ],
    );

    // and no cookie at all goes out where only the copies do
    let mut parts = request(Version::HTTP_11, &sent);
    inject(&mut parts, &session("sid=real; csrf=token", false)).unwrap();
    assert_headers(
        &parts.headers,
        &[
            ("x-csrf-token", "token"),
            ("accept", "*/*"),
            ("x-active", "yes"),
            ("authorization", "Bearer of the page"),
        ],
    );
}

/// H2
#[test]
fn no_place_of_a_session_can_come_as_a_trailer() {
    let mut trailers = HeaderMap::new();
    for name in ["x-active", "x_active", "cookie", "x-csrf", "grpc-status"] {
        trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
    }
    let name = HeaderName::from_static("x-csrf");
    let copy = CookieCopy {
        cookie: "csrf".into(),
        header: name,
        prefix: "".into(),
    };
    let cookies = ["sid", "csrf"].map(|name| SessionCookie {
        name: name.into(),
        needed: name == "sid",
    });
    let fixed = (
        HeaderName::from_static("x-active"),
        HeaderValue::from_static("yes"),
    );
    let session = Session::new(cookies.into(), true, vec![copy], vec![fixed]).unwrap();
    // its csrf cookie is missing, so that header is only emptied
    let filled = fill(&Slot::Session(session.into()), "sid=real");
    clean_trailers(&mut trailers, Some(&filled));
    assert_headers(&trailers, &[("grpc-status", "1")]);
}

proptest! {
    /// D8, D9: the same of every place of a session
    #[test]
    fn each_place_of_a_session_is_filled_exactly_once(
        fields in prop::collection::vec((
            prop::sample::select(vec![
                "cookie", "x-csrf-token", "x_csrf_token", "X-Csrf_Token", "x-active", "x_active",
                "connection", "accept", "x-b",
            ]),
            prop::sample::select(vec!["evil", "sid=evil", "x-csrf-token, cookie", "x-active", "close"]),
        ), 0..12),
        has_csrf in any::<bool>(),
        cookie_header in any::<bool>(),
    ) {
        let secret = if has_csrf { "sid=real; csrf=token" } else { "sid=real" };
        let before = request(Version::HTTP_11, &fields);
        let mut parts = before.clone();
        strip(&mut parts);
        inject(&mut parts, &session(secret, cookie_header)).unwrap();
        let all = |name: &str| {
            let same = |known: &HeaderName| known.as_str().replace('_', "-") == name;
            let headers = parts.headers.iter().filter(|(name, _)| same(name));
            headers.map(|(_, value)| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let cookie: &[&str] = if cookie_header { &[secret] } else { &[] };
        let csrf: &[&str] = if has_csrf { &["token"] } else { &[] };
        prop_assert_eq!(all("cookie"), cookie);
        prop_assert_eq!(all("x-csrf-token"), csrf);
        prop_assert_eq!(all("x-active"), ["yes"]);
        let kept = |headers: &HeaderMap| {
            let all = listed(headers).into_iter();
            all.filter(|(n, _)| ["accept", "x-b"].contains(&n.as_str())).collect::<Vec<_>>()
        };
        prop_assert_eq!(kept(&before.headers), kept(&parts.headers));
    }

    /// D8, D9: whatever a client sends, the upstream gets the slot exactly once
    #[test]
    fn the_slot_is_filled_exactly_once_and_unrelated_fields_are_kept_in_order(
        fields in prop::collection::vec((
            prop::sample::select(vec![
                "authorization", "Authorization", "connection", "te", "upgrade", "x-a", "x-b",
                "proxy-authorization", "keep-alive", "accept", "cookie",
            ]),
            prop::sample::select(vec!["x", "authorization", "close", "websocket", "upgrade, x-a", "trailers"]),
        ), 0..10),
    ) {
        let fields: Vec<_> = fields.iter().map(|(n, v)| (*n, *v)).collect();
        let before = request(Version::HTTP_11, &fields);
        let mut parts = before.clone();
        strip(&mut parts);
        inject(&mut parts, &bearer()).unwrap();
        let sent: Vec<_> = parts.headers.get_all("authorization").iter().collect();
        prop_assert_eq!(sent, [&"Bearer real"]);
        prop_assert!(!parts.headers.keys().any(|name| name.as_str().starts_with("proxy-")));
        prop_assert!(!parts.headers.contains_key("keep-alive"));
        let kept = |headers: &HeaderMap| {
            let all = listed(headers).into_iter();
            all.filter(|(n, _)| ["x-b", "accept", "cookie"].contains(&n.as_str())).collect::<Vec<_>>()
        };
        prop_assert_eq!(kept(&before.headers), kept(&parts.headers));
    }
}
