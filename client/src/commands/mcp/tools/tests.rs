use super::*;

fn read(tool: Tool, arguments: Value) -> Result<Call, String> {
    match arguments {
        Value::Object(arguments) => tool.read(arguments),
        _ => panic!(),
    }
}

#[test]
fn names_follow_the_protocol_and_are_found_again() {
    for tool in Tool::ALL {
        let name = tool.name();
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name}"
        );
        assert_eq!(Tool::named(name), Some(tool));
    }
    assert_eq!(Tool::named("export"), None);
}

/// No tool has room for a secret: every argument is in this list.
#[test]
fn no_tool_takes_a_secret() {
    let mut names = Vec::new();
    for tool in Tool::ALL {
        let input = tool.input();
        assert_eq!(input["additionalProperties"], false);
        names.extend(input["properties"].as_object().unwrap().keys().cloned());
    }
    names.sort();
    names.dedup();
    assert_eq!(
        names,
        [
            "connection",
            "flow",
            "limit",
            "login",
            "method",
            "provider",
            "region",
            "scopes",
            "search",
            "url",
            "wait_seconds"
        ]
    );
}

#[test]
fn arguments_become_calls() {
    assert_eq!(read(Tool::Status, json!({})), Ok(Call::Status));
    assert_eq!(
        read(
            Tool::Login,
            json!({ "provider": "github", "flow": "device_code", "scopes": ["repo"], "region": null })
        ),
        Ok(Call::Login(Login {
            provider: "github".parse().unwrap(),
            connection: None,
            flow: Some(OAuthFlow::DeviceCode),
            region: None,
            scopes: vec!["repo".into()],
        }))
    );
    assert_eq!(
        read(
            Tool::LoginStatus,
            json!({ "login": "abc", "wait_seconds": 5.0 })
        ),
        Ok(Call::LoginStatus {
            login: "abc".parse().unwrap(),
            wait: Duration::from_secs(5),
        })
    );
    assert_eq!(
        read(
            Tool::ExplainRequest,
            json!({ "url": "https://x/", "method": "post" })
        ),
        Ok(Call::Explain {
            method: "POST".into(),
            url: "https://x/".into()
        })
    );
}

#[test]
fn what_is_wrong_is_named_and_never_repeated() {
    for (tool, arguments, says) in [
        (Tool::Login, json!({}), "`provider` is missing"),
        (Tool::Login, json!({ "provider": 7 }), "must be a string"),
        (
            Tool::Login,
            json!({ "provider": "sk-SECRET secret" }),
            "`provider`: a provider name",
        ),
        (
            Tool::Login,
            json!({ "provider": "github", "api_key": "sk-SECRET" }),
            "never an argument",
        ),
        (
            Tool::Login,
            json!({ "provider": "github", "force": true }),
            "for the person alone",
        ),
        (
            Tool::Login,
            json!({ "provider": "github", "flow": "sk-SECRET" }),
            "must be one of `pkce`",
        ),
        (
            Tool::Login,
            json!({ "provider": "github", "scopes": "sk-SECRET" }),
            "array of strings",
        ),
        (
            Tool::Login,
            json!({ "provider": "github", "scopes": [["sk-SECRET"]] }),
            "array of strings",
        ),
        (
            Tool::Status,
            json!({ "sk-SECRETSECRETSECRETSECRETSECRETSECRETSECRET": 1 }),
            "does not have",
        ),
        (
            Tool::LoginStatus,
            json!({ "login": "x", "wait_seconds": 56 }),
            "from 0 to 55",
        ),
        (
            Tool::LoginStatus,
            json!({ "login": "x", "wait_seconds": -1 }),
            "from 0 to 55",
        ),
        (
            Tool::LoginStatus,
            json!({ "login": "x", "wait_seconds": 1.5 }),
            "from 0 to 55",
        ),
        (Tool::RecentRefusals, json!({ "limit": 0 }), "from 1 to 50"),
        (
            Tool::ExplainRequest,
            json!({ "url": "x".repeat(9000) }),
            "longer than",
        ),
    ] {
        let why = read(tool, arguments).unwrap_err();
        assert!(why.contains(says), "{why}");
        assert!(!why.contains("SECRET"), "{why}");
    }
}

#[test]
fn a_revision_gets_only_what_it_knows() {
    let keys = |revision| -> Vec<String> {
        list(revision)[3]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let old = ["name", "description", "inputSchema"];
    assert_eq!(keys(Revision::V2024_11_05), old);
    assert_eq!(
        keys(Revision::V2025_03_26),
        [&old[..], &["annotations"]].concat()
    );
    assert_eq!(
        keys(Revision::V2025_06_18),
        [
            "name",
            "title",
            "description",
            "inputSchema",
            "outputSchema",
            "annotations"
        ]
    );
}
