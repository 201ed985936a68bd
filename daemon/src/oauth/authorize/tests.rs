use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const STATE: &str = "c3RhdGUtc3RhdGUtc3RhdGUtc3RhdGUtc3RhdGUtc3Q";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn url(endpoint: &str, scopes: &[&str], params: &[(String, String)]) -> Option<String> {
    let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    Authorization {
        endpoint,
        client_id: "id 1&x=y",
        redirect_uri: "http://127.0.0.1:7998/oauth/callback",
        scopes: &scopes,
        state: &State::of(STATE),
        pkce: &Pkce::of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        resource: Some("https://mcp.example.com/mcp"),
        params,
    }
    .url()
}

#[test]
fn the_whole_address() {
    let params = pairs(&[("access_type", "offline"), ("prompt", "consent")]);
    let golden = "https://accounts.google.com/o/oauth2/v2/auth?hd=a.example&response_type=code\
        &client_id=id%201%26x%3Dy&redirect_uri=http%3A%2F%2F127.0.0.1%3A7998%2Foauth%2Fcallback\
        &state=c3RhdGUtc3RhdGUtc3RhdGUtc3RhdGUtc3RhdGUtc3Q\
        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256\
        &scope=openid%20https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcalendar\
        &resource=https%3A%2F%2Fmcp.example.com%2Fmcp&access_type=offline&prompt=consent";
    let scopes = ["openid", "https://www.googleapis.com/auth/calendar"];
    let shown = url(
        "https://accounts.google.com/o/oauth2/v2/auth?hd=a.example",
        &scopes,
        &params,
    );
    assert_eq!(shown.as_deref(), Some(golden));
}

#[test]
fn an_endpoint_that_hides_where_it_leads_is_refused() {
    for endpoint in [
        "",
        "auth",
        "//a.example/auth",
        "http://a.example/auth",
        "http://127.0.0.1/auth",
        "javascript:alert(1)//https://a.example",
        "file:///etc/passwd",
        "https:",
        "https://",
        "https://user@a.example/auth",
        "https://user:pass@a.example/auth",
        "https://:pass@a.example/auth",
        "https://a.example/auth#",
        "https://a.example/auth#x",
        "https://a.example\\@b.example/auth",
        " https://a.example/auth",
        "https://a.exa\nmple/auth",
        "https://a.example/au th",
        "https://a.example:0x/auth",
    ] {
        assert_eq!(url(endpoint, &[], &[]), None, "{endpoint}");
    }
    for endpoint in [
        "https://a.example",
        "HTTPS://a.example/auth?",
        "https://a.example:8443/auth?x",
    ] {
        assert!(url(endpoint, &[], &[]).is_some(), "{endpoint}");
    }
}

#[test]
fn the_endpoints_own_query_is_kept_as_it_is_written() {
    let shown = url("https://a.example/auth?tenant=%41b+c&flag&&x=1", &[], &[]).unwrap();
    let begin = "https://a.example/auth?tenant=%41b+c&flag&x=1&response_type=code&";
    assert!(shown.starts_with(begin), "{shown}");
}

#[test]
fn nothing_is_said_of_scopes_where_there_are_none() {
    let params = pairs(&[("scope", "everything")]);
    let shown = url("https://a.example/auth?scope=admin", &[], &params).unwrap();
    assert!(!shown.contains("scope"), "{shown}");
}

/// O4: neither a definition nor a server's metadata gets another state, redirect or challenge in.
#[test]
fn what_is_ours_is_said_once_and_by_us() {
    let theirs: Vec<(String, String)> = OURS
        .iter()
        .flat_map(|name| {
            [
                ((*name).to_owned(), "evil".to_owned()),
                (name.to_ascii_uppercase(), "evil".to_owned()),
            ]
        })
        .collect();
    let endpoint = "https://a.example/auth?st%61te=evil&STATE=evil&code_challenge_method=plain\
        &redirect_uri=https%3A%2F%2Fevil.example&redirect_uri&x=1&x=2&request=evil";
    let shown = url(endpoint, &["read"], &theirs).unwrap();
    let read = Url::parse(&shown).unwrap();
    let mut said = HashMap::new();
    for (name, value) in read.query_pairs() {
        let before = said.insert(name.to_ascii_lowercase(), value.into_owned());
        assert_eq!(before, None, "{name} twice in {shown}");
    }
    assert!(
        !shown.contains("evil") && !shown.contains("plain"),
        "{shown}"
    );
    assert_eq!(said["state"], STATE);
    assert_eq!(said["code_challenge"], CHALLENGE);
    assert_eq!(said["code_challenge_method"], "S256");
    assert_eq!(said["response_type"], "code");
    assert_eq!(said["client_id"], "id 1&x=y");
    assert_eq!(said["redirect_uri"], "http://127.0.0.1:7998/oauth/callback");
    assert_eq!(said["scope"], "read");
    assert_eq!(said["resource"], "https://mcp.example.com/mcp");
    assert_eq!(said["x"], "1");
    assert_eq!(said.len(), 9);
}

#[test]
fn debug_hides_state_and_verifier() {
    let shown = format!(
        "{:?}",
        Authorization {
            endpoint: "https://a.example",
            client_id: "id",
            redirect_uri: "http://127.0.0.1:7998/",
            scopes: &[],
            state: &State::of("hunter2"),
            pkce: &Pkce::of("hunter3"),
            resource: None,
            params: &[],
        }
    );
    assert!(!shown.contains("hunter"), "{shown}");
}

proptest! {
    /// O4, for whatever a definition or a server may say.
    #[test]
    fn no_query_and_no_parameter_doubles_what_is_ours(
        own in "([a-zA-Z_%+=&0-9]|state=|STATE=|%73tate=|redirect_uri=|scope=){0,12}",
        params in proptest::collection::vec(("(state|State|redirect_uri|prompt|[a-z&= ]{0,4})", any::<String>()), 0..5),
    ) {
        let shown = url(&format!("https://a.example/auth?{own}"), &["a"], &params).unwrap();
        let read = Url::parse(&shown).unwrap();
        prop_assert_eq!(read.host_str(), Some("a.example"));
        prop_assert!(read.fragment().is_none());
        for (name, value) in [("state", STATE), ("code_challenge", CHALLENGE), ("scope", "a"), ("redirect_uri", "http://127.0.0.1:7998/oauth/callback")] {
            let said: Vec<String> = read.query_pairs().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.into_owned()).collect();
            prop_assert_eq!(said, [value]);
        }
    }
}
