use super::*;
use crate::commands::mcp::message::{INVALID_PARAMS, Parsed, parse};

fn say(session: &mut Session, line: &Value) -> Reaction {
    match parse(line.to_string().as_bytes()) {
        Parsed::One(Ok(message)) => session.take(message, false),
        other => panic!("{other:?}"),
    }
}

fn request(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

fn initialize(version: &str, capabilities: &Value) -> Value {
    request(
        "initialize",
        &json!({
            "protocolVersion": version,
            "capabilities": capabilities,
            "clientInfo": { "name": "test", "version": "1" },
        }),
    )
}

fn meta(version: &str) -> Value {
    json!({ VERSION_KEY: version, CAPABILITIES_KEY: {} })
}

fn answered(reaction: Reaction) -> Value {
    match reaction {
        Reaction::Answer(Ok(result)) => result,
        other => panic!("{other:?}"),
    }
}

fn refused(reaction: Reaction) -> i64 {
    match reaction {
        Reaction::Answer(Err(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

fn agreed(version: &str) -> Session {
    let mut session = Session::default();
    let result = answered(say(&mut session, &initialize(version, &json!({}))));
    assert_eq!(result["protocolVersion"], version);
    session
}

#[test]
fn a_handshake_agrees_on_a_revision_and_says_what_there_is() {
    let mut session = Session::default();
    let result = answered(say(&mut session, &initialize("2030-01-01", &json!({}))));
    assert_eq!(result["protocolVersion"], "2025-11-25");
    assert_eq!(result["capabilities"], json!({ "tools": {} }));
    assert_eq!(result["serverInfo"]["name"], "authsome");
    assert!(
        result["instructions"]
            .as_str()
            .unwrap()
            .contains("authsome run -- ")
    );
    assert!(result.get("resultType").is_none());
    for broken in [
        request("initialize", &json!({})),
        request(
            "initialize",
            &json!({ "protocolVersion": 1, "capabilities": {} }),
        ),
        request("initialize", &json!({ "protocolVersion": "2025-11-25" })),
    ] {
        assert_eq!(refused(say(&mut session, &broken)), INVALID_PARAMS);
    }
}

#[test]
fn before_either_beginning_only_ping_is_answered() {
    let mut session = Session::default();
    assert_eq!(
        answered(say(&mut session, &request("ping", &json!({})))),
        json!({})
    );
    for method in ["tools/list", "tools/call", "server/discover", "nonsense"] {
        let code = refused(say(&mut session, &request(method, &json!({}))));
        assert_eq!(code, INVALID_PARAMS, "{method}");
    }
}

#[test]
fn unknown_methods_are_refused_and_unknown_notifications_are_not_answered() {
    let mut session = agreed("2025-11-25");
    for method in [
        "logging/setLevel",
        "resources/list",
        "prompts/list",
        "completion/complete",
        "server/discover",
        "subscriptions/listen",
        "tools/List",
        "",
    ] {
        let code = refused(say(&mut session, &request(method, &json!({}))));
        assert_eq!(code, METHOD_NOT_FOUND, "{method}");
    }
    for method in [
        "notifications/initialized",
        "notifications/nonsense",
        "tools/list",
    ] {
        let line = json!({ "jsonrpc": "2.0", "method": method });
        assert_eq!(say(&mut session, &line), Reaction::Nothing);
    }
    let cancel = |id: Value| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    assert_eq!(
        say(&mut session, &cancel(json!("a"))),
        Reaction::Cancel(Id::Text("a".into()))
    );
    assert_eq!(say(&mut session, &cancel(json!(null))), Reaction::Nothing);
}

#[test]
fn a_request_may_speak_for_itself() {
    let mut session = Session::default();
    let ask = |method: &str, params: Value| {
        let mut params = params;
        params["_meta"] = meta("2026-07-28");
        request(method, &params)
    };
    let found = answered(say(&mut session, &ask("server/discover", json!({}))));
    assert_eq!(found["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(found["resultType"], "complete");
    assert!(found["ttlMs"].is_u64());
    let listed = answered(say(&mut session, &ask("tools/list", json!({}))));
    assert_eq!(listed["cacheScope"], "public");
    // what is gone in that revision
    for method in ["ping", "initialize", "logging/setLevel"] {
        let code = refused(say(&mut session, &ask(method, json!({}))));
        assert_eq!(code, METHOD_NOT_FOUND, "{method}");
    }
    let subscription = ask("subscriptions/listen", json!({ "notifications": {} }));
    assert_eq!(say(&mut session, &subscription), Reaction::Listen);
    // neither beginning gets in the way of the other
    let mut session = agreed("2025-06-18");
    assert_eq!(
        answered(say(&mut session, &ask("tools/list", json!({}))))["resultType"],
        "complete"
    );
    let old = answered(say(&mut session, &request("tools/list", &json!({}))));
    assert!(old.get("resultType").is_none());
}

#[test]
fn a_revision_that_is_not_spoken_is_refused_with_those_that_are() {
    let mut session = Session::default();
    for version in ["2025-11-25", "2099-01-01", ""] {
        let line = request("tools/list", &json!({ "_meta": meta(version) }));
        let Reaction::Answer(Err(error)) = say(&mut session, &line) else {
            panic!()
        };
        assert_eq!(error.code, UNSUPPORTED_VERSION);
        assert_eq!(
            error.data,
            Some(Box::new(
                json!({ "supported": ["2026-07-28"], "requested": version })
            ))
        );
    }
    for broken in [
        json!({ VERSION_KEY: "2026-07-28" }),
        json!({ VERSION_KEY: 7 }),
    ] {
        let line = request("tools/list", &json!({ "_meta": broken }));
        assert_eq!(refused(say(&mut session, &line)), INVALID_PARAMS);
    }
}

#[test]
fn calls_are_told_apart_from_what_is_no_call() {
    let mut session = agreed("2025-11-25");
    for params in [
        json!({}),
        json!({ "name": 7 }),
        json!({ "name": "export" }),
        json!({ "name": "status", "arguments": [] }),
        json!({ "name": "status", "arguments": "x" }),
    ] {
        let line = request("tools/call", &params);
        assert_eq!(refused(say(&mut session, &line)), INVALID_PARAMS);
    }
    // a model can mend what is wrong with arguments: that is an answer of the tool
    let line = request(
        "tools/call",
        &json!({ "name": "login", "arguments": { "key": "k" } }),
    );
    let result = answered(say(&mut session, &line));
    assert_eq!(result["isError"], true);
    let line = request(
        "tools/call",
        &json!({ "name": "status", "_meta": { "progressToken": "t" } }),
    );
    let Reaction::Call(called) = say(&mut session, &line) else {
        panic!()
    };
    assert_eq!(called.progress, Some(json!("t")));
    assert_eq!(called.elicits, Elicits::No);
    // a page for everybody; a cursor that we never gave is nobody's
    for (cursor, good) in [(json!(null), true), (json!(""), true), (json!("2"), false)] {
        let reaction = say(
            &mut session,
            &request("tools/list", &json!({ "cursor": cursor })),
        );
        assert_eq!(
            matches!(reaction, Reaction::Answer(Ok(_))),
            good,
            "{cursor}"
        );
    }
}

#[test]
fn only_a_client_that_shows_pages_is_asked_to() {
    let elicits = |version: &str, capabilities: Value| {
        let mut session = Session::default();
        answered(say(&mut session, &initialize(version, &capabilities)));
        match say(
            &mut session,
            &request("tools/call", &json!({ "name": "status" })),
        ) {
            Reaction::Call(called) => called.elicits,
            other => panic!("{other:?}"),
        }
    };
    let pages = json!({ "elicitation": { "url": {} } });
    assert_eq!(elicits("2025-11-25", pages.clone()), Elicits::ByRequest);
    assert_eq!(elicits("2025-06-18", pages), Elicits::No);
    assert_eq!(
        elicits("2025-11-25", json!({ "elicitation": {} })),
        Elicits::No
    );
    let mut meta = meta("2026-07-28");
    meta[CAPABILITIES_KEY] = json!({ "elicitation": { "url": {} } });
    let mut session = Session::default();
    let line = request(
        "tools/call",
        &json!({
            "name": "login", "arguments": { "provider": "github" }, "_meta": meta,
            "requestState": "abc", "inputResponses": { PAGE: { "action": "decline" } },
        }),
    );
    let Reaction::Call(called) = say(&mut session, &line) else {
        panic!()
    };
    assert_eq!(called.elicits, Elicits::ByAnswer);
    let retry = Retry {
        state: "abc".into(),
        consent: Consent::Declined,
    };
    assert_eq!(called.retry, Some(retry));
}

#[test]
fn one_revision_has_batches() {
    for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        assert!(!agreed(version).has_batches(), "{version}");
    }
    let mut session = agreed("2025-03-26");
    assert!(session.has_batches());
    let Parsed::One(Ok(message)) =
        parse(initialize("2025-03-26", &json!({})).to_string().as_bytes())
    else {
        panic!()
    };
    assert_eq!(refused(session.take(message, true)), INVALID_REQUEST);
}
