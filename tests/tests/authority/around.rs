//! The resource server and the MCP server.

use authsome_tests::authority::{Agent, Pkce, REDIRECT_URI, Site, Tokens, parameter};
use authsome_tests::{Api, Authority, Home, Mcp};
use serde_json::json;

use authsome_tests::authority::Endpoint;

#[test]
fn the_api_answers_to_good_access_tokens_only() {
    let authority = Authority::start();
    let api = Api::start(&authority);
    let agent = Agent::of(&api);
    let url = "https://api.example.com/things?page=2";
    let tokens = authority.log_in(authority.public());
    let good = agent.get_with(url, &tokens.access).expect(200);
    assert_eq!(good.json()["path"], "/things?page=2");
    let bare = agent.get(url).expect(401);
    assert_eq!(bare.header("www-authenticate"), Some("Bearer"));
    let invalid = Some("Bearer error=\"invalid_token\"");
    for bad in ["nonsense", &tokens.refresh] {
        let refused = agent.get_with(url, bad).expect(401);
        assert_eq!(refused.header("www-authenticate"), invalid);
    }
    api.reject_next(1);
    agent.get_with(url, &tokens.access).expect(401);
    let bearer = format!("Bearer {}", tokens.access);
    agent
        .post_json(url, &[("authorization", &bearer)], &json!({ "a": 1 }))
        .expect(200);
    authority.expire_access_tokens();
    agent.get_with(url, &tokens.access).expect(401);
    let access = Some(tokens.access.clone());
    assert_eq!(
        api.bearers(),
        [
            access.clone(),
            None,
            Some("nonsense".to_owned()),
            Some(tokens.refresh.clone()),
            access.clone(),
            access.clone(),
            access,
        ]
    );
    assert_eq!((api.answered(200), api.answered(401)), (2, 5));
    let posted = &api.requests()[5];
    assert_eq!(
        (&*posted.method, &posted.body[..]),
        ("POST", &b"{\"a\":1}"[..])
    );
    api.forget();
    assert_eq!(api.requests().len(), 0);
}

/// A home that [`authsome_tests::HomeBuilder::reaches`] a site finds it by name and trusts it: here
/// by HTTP/2, through the proxy, which passes the request as it is.
#[test]
fn a_home_reaches_the_sites_it_is_told_of() {
    let authority = Authority::start();
    let api = Api::start(&authority);
    let home = Home::builder().reaches(&authority).reaches(&api).build();
    let tokens = authority.log_in(authority.public());
    let script = format!(
        "curl -sS --http2 -w 'http/%{{http_version}} ' --cacert {} -H 'Authorization: Bearer {}' https://api.example.com/x \
         && curl -sS --cacert {} https://auth.example.com/.well-known/oauth-authorization-server",
        api.ca_path().display(),
        tokens.access,
        authority.ca_path().display(),
    );
    home.login("intercom-fin"); // a run wants somebody to be logged in
    let output = home.run_shell(&script).output().succeeded();
    assert!(output.stdout.contains("\"ok\":true"), "{output}");
    assert!(output.stdout.contains("http/2 "), "{output}");
    assert!(output.stdout.contains("token_endpoint"), "{output}");
    assert_eq!(api.bearers(), [Some(tokens.access)]);
}

#[test]
fn the_mcp_server_leads_to_the_authority_and_talks_to_its_tokens() {
    let authority = Authority::start();
    let mcp = Mcp::start(&authority);
    let agent = Agent::of(&mcp);
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {} });
    let refused = agent.post_json(&mcp.url(), &[], &hello).expect(401);
    let metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
    assert_eq!(
        refused.header("www-authenticate"),
        Some(&*format!("Bearer resource_metadata=\"{metadata}\""))
    );
    let about = agent.get(metadata).expect(200).json();
    assert_eq!(about["resource"], mcp.url());
    assert_eq!(about["authorization_servers"], json!([authority.issuer()]));

    let plain = authority.log_in(authority.public());
    let tokens = log_in_for(&authority, &mcp.url());
    assert_eq!(authority.token(&tokens.access).audience, [mcp.url()]);
    let ask = |token: &str, method: &str| {
        let call = json!({ "jsonrpc": "2.0", "id": 7, "method": method });
        let bearer = format!("Bearer {token}");
        agent.post_json(&mcp.url(), &[("authorization", &bearer)], &call)
    };
    ask(&plain.access, "initialize").expect(401);
    let answer = ask(&tokens.access, "initialize").expect(200).json();
    assert_eq!(answer["id"], 7);
    assert_eq!(answer["result"]["serverInfo"]["name"], "small");
    let stream = ask(&tokens.access, "tools/list").expect(200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert!(
        stream.body.starts_with("event: message\ndata: {"),
        "{stream:?}"
    );
    mcp.set_streams(true);
    let stream = ask(&tokens.access, "initialize").expect(200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));

    mcp.set_audience_checked(false);
    ask(&plain.access, "initialize").expect(200);
    mcp.set_challenge(None);
    let silent = ask("nonsense", "initialize").expect(401);
    assert_eq!(silent.header("www-authenticate"), None);
    mcp.set_metadata(Some(json!({ "resource": "https://other.example/mcp" })));
    let about = agent.get(metadata).expect(200).json();
    assert_eq!(about["resource"], "https://other.example/mcp");
    mcp.set_metadata(None);
    agent.get(metadata).expect(404);
    assert_eq!(mcp.requests()[0].bearer, None);
    assert_eq!(mcp.requests().len(), 10);

    // what a refresh gives is for the same resource
    let again = authority.refresh(authority.public(), &tokens.refresh);
    let again = Tokens::of(again.expect(200).json());
    assert_eq!(authority.token(&again.access).audience, [mcp.url()]);
}

fn log_in_for(authority: &Authority, resource: &str) -> Tokens {
    let (client, pkce) = (authority.public(), Pkce::new());
    let more = [("scope", "read"), ("resource", resource)];
    let back = authority.approve(&authority.authorization_url(client, &pkce, &more));
    let code = parameter(&back, "code").unwrap_or_else(|| panic!("no code in {back}"));
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", &pkce.verifier),
        ("resource", resource),
    ];
    Tokens::of(
        authority
            .post_as(client, Endpoint::Token, &fields)
            .expect(200)
            .json(),
    )
}
