//! `authsome mcp`: what an agent sees over standard input and output, from the first message to a
//! login that a person finishes in the browser; broken input; ends. No secret ever comes over it: every
//! home searches what its commands printed.

mod mcp {
    pub(super) mod official;
    pub(super) mod person;
    pub(super) mod server;
}

use std::time::Duration;

use authsome_tests::{Canary, Home, LiveRun, StandIn, wait_until};
use mcp::person::enter;
use mcp::server::Server;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const HOST: &str = "api.intercom.io";
const PATIENCE: Duration = Duration::from_secs(20);

/// The whole way: nothing is connected, a person logs in, the agent's program calls the API.
#[test]
fn an_agent_gets_a_person_to_log_in_and_never_sees_the_key() {
    let stand_in = StandIn::start(&[HOST]);
    let home = Home::with(&stand_in);
    let mut server = Server::of(&home).initialized("2025-11-25");
    let listed = server.call("list_connections", json!({}));
    assert_eq!(listed["connections"], json!([]));
    assert!(text(&listed, "next").contains("`login`"), "{listed}");
    let found = server.call("list_providers", json!({ "search": HOST }));
    assert_eq!(found["providers"][0]["provider"], "intercom");
    assert_eq!(found["providers"][0]["ready"], true);

    let begun = server.call("login", json!({ "provider": "intercom" }));
    assert_eq!(
        (text(&begun, "status"), text(&begun, "step")),
        ("waiting", "form")
    );
    let url = text(&begun, "url").to_owned();
    assert!(text(&begun, "say_to_person").contains(&url), "{begun}");
    // whoever asks twice is shown the same page
    let again = server.call("login", json!({ "provider": "intercom" }));
    assert_eq!(
        (&again["login"], &again["url"]),
        (&begun["login"], &begun["url"])
    );

    let login = json!({ "login": begun["login"], "wait_seconds": 0 });
    assert_eq!(server.call("login_status", login)["status"], "waiting");
    let waits = server.ask_tool(
        "login_status",
        json!({ "login": begun["login"], "wait_seconds": 55 }),
        json!({ "progressToken": "waits" }),
    );
    let progress = server.wait_for(|message| message["method"] == "notifications/progress");
    assert_eq!(progress["params"]["progressToken"], "waits");
    assert_eq!(progress["params"]["total"], 55.0);
    // others are answered while that one waits
    assert_eq!(server.call("status", json!({}))["connections"], 0);
    assert!(server.answered(waits).is_none(), "it still waits");

    enter(&home, &url, &home.canary());
    let done = server.answer(waits)["result"]["structuredContent"].clone();
    assert_eq!(
        (text(&done, "status"), text(&done, "provider")),
        ("connected", "intercom")
    );
    assert_eq!(done["variables"], json!(["INTERCOM_API_KEY"]));

    let listed = server.call("list_connections", json!({ "provider": "intercom" }));
    assert_eq!(listed["connections"][0]["status"], "connected");
    assert_eq!(
        listed["connections"][0]["variables"],
        json!(["INTERCOM_API_KEY"])
    );
    let told = server.call(
        "explain_request",
        json!({ "url": format!("https://{HOST}/me") }),
    );
    assert_eq!(
        (text(&told, "outcome"), text(&told, "provider")),
        ("inject", "intercom")
    );
    home.run(["curl", "-sS", &format!("https://{HOST}/me")])
        .output()
        .succeeded();
    let requests = stand_in.requests();
    let sent = requests[0].header("authorization");
    assert_eq!(sent, [format!("Bearer {}", home.canary().secret())]);
    // a second login replaces nothing
    let refused = server.complaint("login", json!({ "provider": "intercom" }));
    assert!(refused.contains("code: already_connected"), "{refused}");
    assert!(refused.contains("in a terminal of their own"), "{refused}");
    server.ends();
}

/// The usual place of an agent: inside a run. It sees its run, learns what was refused, and may begin
/// a login; what is not for it is refused by the daemon, with the way out.
#[test]
fn inside_a_run_an_agent_learns_about_its_run_and_why_it_was_refused() {
    let stand_in = StandIn::start(&[HOST]);
    let home = Home::with(&stand_in);
    home.login("intercom");
    let other = LiveRun::start(&home, &[]);
    let refused = other.proxy().ask(
        HOST,
        "GET /fin/%2e%2e/contacts HTTP/1.1\r\nHost: api.intercom.io\r\n\r\n",
    );
    assert_eq!(refused.unwrap().code(), Some("bad_path"));

    let mut server = Server::inside_a_run(&home).initialized("2025-06-18");
    let status = server.call("status", json!({}));
    let run = text(&status, "run").to_owned();
    assert_ne!(run, other.id());
    assert_eq!(status["granted"][0]["provider"], "intercom");
    let listed = server.call("list_connections", json!({}));
    assert_eq!(listed["connections"][0]["in_this_run"], true);
    assert_eq!(
        server.call("recent_refusals", json!({}))["refusals"],
        json!([])
    );

    // the run's own program does something that is refused, twice
    for _ in 0..2 {
        server.program(&[
            "curl",
            "-sS",
            "-X",
            "POST",
            &format!("https://{HOST}/fin/start"),
        ]);
    }
    let told = server.call("recent_refusals", json!({}));
    assert_eq!(text(&told, "run"), run);
    let refusals = told["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 1, "{told}");
    assert_eq!(refusals[0]["code"], "login_needed");
    assert_eq!(refusals[0]["times"], 2);
    assert_eq!(refusals[0]["path"], "/fin/start");
    assert_eq!(refusals[0]["fix"], "authsome login intercom-fin");

    let begun = server.call("login", json!({ "provider": "intercom-fin" }));
    enter(&home, text(&begun, "url"), &home.canary());
    let done = server.call("login_status", json!({ "login": begun["login"] }));
    assert_eq!(done["status"], "connected");
    server.program(&[
        "curl",
        "-sS",
        "-X",
        "POST",
        &format!("https://{HOST}/fin/start"),
    ]);
    assert_eq!(stand_in.requests().len(), 1, "it works at the next request");

    // another run's affairs, and another place for a key, are nobody's here
    let refused = server.complaint("login", json!({ "provider": "intercom", "force": true }));
    assert!(refused.contains("for the person alone"), "{refused}");
    server.ends();
}

/// The login lives as long as the server, not as long as a call; and ends with it.
#[test]
fn a_login_outlives_the_calls_that_look_at_it_and_ends_with_the_server() {
    let home = Home::new();
    let mut server = Server::of(&home).initialized("2025-11-25");
    let begun = server.call("login", json!({ "provider": "intercom" }));
    let arguments = json!({ "login": begun["login"], "wait_seconds": 55 });
    let waits = server.ask_tool("login_status", arguments.clone(), json!({}));
    server.say(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": waits, "reason": "enough" },
    }));
    // the id of a cancelled request is free again, and its answer never comes
    server.say(&json!({ "jsonrpc": "2.0", "id": waits, "method": "ping" }));
    let answer = server.answer(waits);
    assert_eq!(answer["result"], json!({}), "{answer}");
    let still = server.call(
        "login_status",
        json!({ "login": begun["login"], "wait_seconds": 1 }),
    );
    assert_eq!(still["status"], "waiting");
    let page = text(&begun, "url").to_owned();
    assert_eq!(mcp::person::status(&home, &page), "200");

    // a call that waits does not hold up the end
    let waits = server.ask_tool("login_status", arguments, json!({}));
    server.ping();
    let all = server.ends();
    let last = all.last().unwrap();
    assert_eq!(last["id"], waits, "it was told where the login stands");
    assert_eq!(last["result"]["structuredContent"]["status"], "waiting");
    wait_until("the page to be gone", PATIENCE, || {
        mcp::person::status(&home, &page) != "200"
    });
    home.authsome(["get", "intercom"]).output().exited(4);
}

#[test]
fn a_login_can_be_given_up_and_one_of_another_process_be_looked_at() {
    let home = Home::new();
    let mut server = Server::of(&home).initialized("2025-11-25");
    let begun = server.call("login", json!({ "provider": "intercom" }));
    let page = text(&begun, "url").to_owned();
    let arguments = json!({ "login": begun["login"] });
    assert_eq!(
        server.call("cancel_login", arguments.clone())["status"],
        "cancelled"
    );
    let failed = server.failed("login_status", arguments);
    assert_eq!(
        (text(&failed, "status"), text(&failed, "code")),
        ("failed", "login_cancelled")
    );
    assert_ne!(mcp::person::status(&home, &page), "200");

    let command = home.authsome(["login", "intercom", "--no-wait", "--json"]);
    let begun = command.output().succeeded().json();
    let arguments = json!({ "login": begun["session"], "wait_seconds": 0 });
    let seen = server.call("login_status", arguments.clone());
    assert_eq!(
        (text(&seen, "status"), &seen["url"]),
        ("waiting", &begun["url"])
    );
    server.ends();
    // whoever only looked on ends nothing
    enter(&home, text(&begun, "url"), &home.canary());
    let mut server = Server::of(&home).initialized("2025-11-25");
    assert_eq!(
        server.call("login_status", arguments)["status"],
        "connected"
    );
    let unknown = server.failed("login_status", json!({ "login": "nosuchlogin" }));
    assert_eq!(unknown["code"], "login_expired");
    server.ends();
}

#[test]
fn a_daemon_that_went_away_is_found_again_and_its_logins_are_over() {
    let home = Home::new();
    let mut server = Server::of(&home).initialized("2025-11-25");
    let before = home.daemon_pid();
    assert_eq!(before, None, "a handshake needs no daemon");
    let begun = server.call("login", json!({ "provider": "intercom" }));
    home.crash_daemon();
    let gone = server.failed("login_status", json!({ "login": begun["login"] }));
    assert_eq!(gone["status"], "failed");
    assert!(
        text(&gone, "message").contains("connection to the daemon was lost"),
        "{gone}"
    );
    assert_eq!(server.call("status", json!({}))["connections"], 0);
    let again = server.call("login", json!({ "provider": "intercom" }));
    assert_ne!(again["login"], begun["login"]);
    assert_eq!(mcp::person::status(&home, text(&again, "url")), "200");
    server.ends();
}

/// The revision in which every request speaks for itself.
#[test]
fn a_client_of_the_stateless_revision_needs_no_handshake() {
    let home = Home::new();
    let mut server = Server::of(&home).stateless(json!({}));
    let found = server.request("server/discover", json!({}));
    let result = &found["result"];
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(
        result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "authsome"
    );
    let begun = server.call("login", json!({ "provider": "intercom" }));
    assert_eq!(begun["status"], "waiting");

    let listens = server.ask(
        "subscriptions/listen",
        json!({ "notifications": { "toolsListChanged": true } }),
    );
    let heard =
        server.wait_for(|message| message["method"] == "notifications/subscriptions/acknowledged");
    assert_eq!(heard["params"]["notifications"], json!({}));
    assert_eq!(
        heard["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        listens
    );
    let all = server.ends();
    let closed = all.iter().find(|message| message["id"] == listens).unwrap();
    assert_eq!(closed["result"]["resultType"], "complete");
}

/// A client that can bring its person to a page is asked to, in the manner of its revision.
#[test]
fn the_person_is_asked_by_the_client_where_it_can() {
    let home = Home::new();
    let pages = json!({ "elicitation": { "url": {} } });
    let mut server = Server::of(&home).stateless(pages.clone());
    let login = json!({ "name": "login", "arguments": { "provider": "intercom" } });
    let asked = server.request("tools/call", login.clone())["result"].clone();
    assert_eq!(asked["resultType"], "input_required");
    let question = &asked["inputRequests"]["page"];
    assert_eq!(question["method"], "elicitation/create");
    assert_eq!(question["params"]["mode"], "url");
    let page = text(&question["params"], "url").to_owned();
    let retry = |action: &str, state: &Value| {
        let mut params = login.clone();
        params["requestState"] = state.clone();
        params["inputResponses"] = json!({ "page": { "action": action } });
        params
    };
    let answer = server.request("tools/call", retry("accept", &asked["requestState"]));
    assert_eq!(answer["result"]["structuredContent"]["url"], page);
    let declined = server.request("tools/call", retry("decline", &asked["requestState"]));
    assert_eq!(declined["result"]["isError"], true);
    assert_ne!(
        mcp::person::status(&home, &page),
        "200",
        "the login was given up"
    );
    for forged in [json!("../../x"), json!("nosuchlogin")] {
        let answer = server.request("tools/call", retry("accept", &forged));
        assert!(
            answer["result"]["structuredContent"]["status"] != "connected",
            "{answer}"
        );
        assert_eq!(answer["result"]["isError"], true, "{answer}");
    }
    server.ends();

    let mut server = Server::of(&home).initialized_with("2025-11-25", pages);
    for (action, ends) in [("accept", false), ("cancel", false), ("decline", true)] {
        let call = server.ask("tools/call", login.clone());
        let question = server.wait_for(|message| message["method"] == "elicitation/create");
        let page = text(&question["params"], "url").to_owned();
        assert!(question["params"]["elicitationId"].is_string());
        server.forget(&question);
        server.say(
            &json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": action } }),
        );
        let answer = server.answer(call)["result"].clone();
        assert_eq!(answer["isError"] == true, ends, "{answer}");
        assert_eq!(mcp::person::status(&home, &page) != "200", ends, "{action}");
    }
    // a client that goes away instead of answering ends it all
    server.ask("tools/call", login);
    server.wait_for(|message| message["method"] == "elicitation/create");
    server.ends();
}

/// Whatever comes in: the server goes on, answers what has an id, and says nothing else.
#[test]
fn broken_input_hurts_nobody() {
    let home = Home::new();
    let mut server = Server::of(&home).initialized("2025-11-25");
    let codes = |server: &mut Server, line: &str| -> Vec<i64> {
        server.say_raw(line);
        server
            .since_ping()
            .iter()
            .map(|answer| answer["error"]["code"].as_i64().unwrap())
            .collect()
    };
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(1024 * 1024));
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for (line, expected) in [
        ("{", &[-32_700][..]),
        ("\u{0}\u{1}\u{feff}", &[-32_700]),
        ("GET / HTTP/1.1", &[-32_700]),
        ("Content-Length: 20\r", &[-32_700]),
        (&deep, &[-32_700]),
        (&long, &[-32_600]),
        ("[]", &[-32_600]),
        ("17", &[-32_600]),
        ("{}", &[-32_600]),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, &[-32_600]),
        (r#"[{"jsonrpc":"2.0","id":5,"method":"ping"}]"#, &[-32_600]),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"no/such"}"#,
            &[-32_601],
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"tools/call"}"#,
            &[-32_602],
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"export"}}"#,
            &[-32_602],
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"tools/list","params":{"cursor":"x"}}"#,
            &[-32_602],
        ),
        ("", &[]),
        (" \t\r", &[]),
        (r#"{"jsonrpc":"2.0","method":"no/such"}"#, &[]),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}"#,
            &[],
        ),
        (r#"{"jsonrpc":"2.0","id":99,"result":{}}"#, &[]),
        (
            r#"{"jsonrpc":"2.0","id":99,"error":{"code":1,"message":"x"}}"#,
            &[],
        ),
    ] {
        let shown: String = line.chars().take(60).collect();
        assert_eq!(codes(&mut server, line), expected, "{shown:?}");
    }
    // not UTF-8, which `say` cannot say
    let output = home
        .authsome(["mcp"])
        .stdin(b"\xff\xfe{}\n".to_vec())
        .output()
        .succeeded();
    assert!(output.stdout.contains("-32700"), "{output}");
    server.ends();
    assert_eq!(home.daemon_pid(), None, "none of that needs a daemon");
}

#[test]
fn batches_are_answered_together_in_the_one_revision_that_has_them() {
    let home = Home::new();
    let mut server = Server::of(&home).initialized("2025-03-26");
    server.say_raw(
        r#"[{"jsonrpc":"2.0","id":"b1","method":"ping"},{"jsonrpc":"2.0","method":"x"},7,
           {"jsonrpc":"2.0","id":"b2","method":"tools/call","params":{"name":"status"}}]"#
            .replace('\n', "")
            .as_str(),
    );
    let answers = server.wait_for(Value::is_array);
    let ids: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(ids, [json!("b1"), json!(null), json!("b2")]);
    server.forget(&answers);
    // nothing to answer is not answered
    server.say_raw(r#"[{"jsonrpc":"2.0","method":"x"}]"#);
    assert_eq!(server.since_ping(), Vec::<Value>::new());
    server.ends();
}

#[test]
fn the_end_of_the_input_or_a_signal_ends_it() {
    let home = Home::new();
    home.authsome(["mcp"]).output().succeeded();
    // a last line without its end counts, and what was asked before the end is answered
    let line = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"status"}}"#;
    let output = home.authsome(["mcp"]).stdin(line).output().succeeded();
    assert_eq!(output.stdout.lines().count(), 2, "{output}");
    assert_eq!(output.stderr, "");

    let mut server = Server::of(&home).initialized("2025-11-25");
    let begun = server.call("login", json!({ "provider": "intercom" }));
    let ended = server.signalled(Signal::SIGTERM);
    assert_eq!(ended.signal(), Some(15), "{ended}");
    wait_until("the page to be gone", PATIENCE, || {
        mcp::person::status(&home, text(&begun, "url")) != "200"
    });
}

/// L5: nothing that an agent puts into a wrong place comes back, and no answer has a key in it.
#[test]
fn what_an_agent_puts_into_a_wrong_place_is_not_repeated() {
    let mut home = Home::new();
    let wrong = home.watch(Canary::alphanumeric("sk-proj-"));
    let key = wrong.secret().to_owned();
    home.login("intercom");
    let mut server = Server::of(&home).initialized("2025-11-25");
    for arguments in [
        json!({ "provider": "openai", "api_key": key }),
        json!({ "provider": "openai", "key": { "value": key } }),
        json!({ "provider": "openai", "flow": key }),
        json!({ "provider": format!("OpenAI {key}") }),
        json!({ "provider": "openai", "connection": format!("{key} /") }),
    ] {
        server.complaint("login", arguments);
    }
    let told = server.call(
        "explain_request",
        json!({ "url": format!("https://{HOST}/me?api_key={key}") }),
    );
    assert_eq!(told["outcome"], "inject");
    for tool in [
        "status",
        "list_connections",
        "list_providers",
        "recent_refusals",
    ] {
        server.call(tool, json!({}));
    }
    // the harness searches what was printed for this home's own key; the one that the agent had is
    // searched for here, since the agent's own words are no place to search
    for message in server.ends() {
        let text = message.to_string();
        assert_eq!(wrong.search("an answer", text.as_bytes()), [], "{text}");
    }
}

/// A vault with a passphrase: nobody is asked on the terminal, the agent is told whom to ask.
#[test]
fn a_passphrase_is_never_asked_for() {
    let home = Home::builder().config("").build();
    let path = home.path().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("[vault]\n", "[vault]\npassphrase = true\n");
    std::fs::write(&path, text).unwrap();
    let mut server = Server::of(&home).initialized("2025-11-25");
    let refused = server.complaint("login", json!({ "provider": "intercom" }));
    assert!(refused.contains("authsome unlock"), "{refused}");
    assert!(refused.contains("code: passphrase_wanted"), "{refused}");
    server.ends();
}

/// Many at once: each is answered once; those over the limit are refused, not queued without bound.
#[test]
fn many_calls_at_once_are_bounded_and_each_is_answered_once() {
    let home = Home::new();
    let mut server = Server::of(&home).initialized("2025-11-25");
    let begun = server.call("login", json!({ "provider": "intercom" }));
    let arguments = json!({ "login": begun["login"], "wait_seconds": 55 });
    let ids: Vec<_> = (0..40)
        .map(|_| server.ask_tool("login_status", arguments.clone(), json!({})))
        .collect();
    // an id that is in flight cannot be used again
    server.say(
        &json!({ "jsonrpc": "2.0", "id": ids[0], "method": "tools/call",
        "params": { "name": "status" } }),
    );
    let doubled = server.since_ping();
    let refused: Vec<_> = doubled
        .iter()
        .filter(|one| one["error"]["code"] == -32_603)
        .collect();
    assert_eq!(refused.len(), 40 - 32);
    assert_eq!(
        doubled
            .iter()
            .filter(|one| one["error"]["code"] == -32_600)
            .count(),
        1
    );
    let all = server.ends();
    for id in ids {
        let answers = all
            .iter()
            .filter(|one| one["id"] == id && one["error"]["code"] != -32_600);
        assert_eq!(answers.count(), 1, "{id}");
    }
}

/// The official clients, of either kind: they check each message, and each answer of a tool, against
/// its schema.
#[test]
fn the_official_clients_find_nothing_wrong() {
    for (kind, revision) in [("OLD", json!(null)), ("NEW", json!("2026-07-28"))] {
        let home = Home::new();
        let seen = mcp::official::story(&home, kind);
        assert_eq!(seen["errors"], json!([]), "{seen}");
        assert_eq!(seen["protocol"], revision);
        assert_eq!(seen["server"]["name"], "authsome");
        assert_eq!(seen["instructions"], true);
        assert_eq!(seen["tools"].as_array().unwrap().len(), 8);
        assert_eq!(seen["status"]["run"], json!(null));
        assert_eq!(seen["providers"]["providers"][0]["provider"], "intercom");
        assert_eq!(seen["explained"]["outcome"], "tunnel");
        assert_eq!(seen["login"]["status"], "waiting");
        assert_eq!(
            seen["login"]["url"], seen["pages"][0],
            "the person was asked"
        );
        assert!(seen["progress"].as_u64().unwrap() >= 2, "{seen}");
        assert_eq!(seen["mistake"]["isError"], true);
        assert_eq!(seen["cancelled"]["status"], "cancelled");
        assert_eq!(seen["failed"]["code"], "login_cancelled");
        assert_eq!(seen["unknown"], -32_602);
        assert_eq!(seen["aborted"], true);
        assert_eq!(seen["after"], 0);
    }
}

/// The official suite: every scenario that is about a server as such. Others want tools, prompts or
/// resources that only a test's server has, or are about HTTP.
#[test]
fn the_conformance_suite_finds_nothing_wrong() {
    let home = Home::new();
    let bridge = mcp::official::Bridge::start(&home);
    // what fails for other reasons than ours, check by check
    let http = "sep-2575-http-server-header-mismatch-400"; // a header of the bridge's
    let fixtures = [
        "sep-2575-server-rejects-undeclared-capability",
        "sep-2575-missing-capability-http-400",
        "sep-2575-http-server-no-independent-requests-on-stream",
        "sep-2575-server-no-log-without-loglevel",
    ]; // \"not testable\": they call diagnostic tools of a test's server
    let absent = [
        "sep-2549-prompts-list-caching-hints",
        "sep-2549-resources-list-caching-hints",
        "sep-2549-resources-templates-list-caching-hints",
    ]; // we announce neither prompts nor resources
    let stateless: Vec<&str> = fixtures.into_iter().chain([http]).collect();
    for (scenario, revision, at_least, excused) in [
        ("server-initialize", "2025-06-18", 2, &[][..]),
        ("server-initialize", "2025-11-25", 2, &[]),
        ("ping", "2025-11-25", 2, &[]),
        ("tools-list", "2025-06-18", 2, &[]),
        ("tools-list", "2025-11-25", 3, &[]),
        ("tools-list", "2026-07-28", 4, &[]),
        ("server-stateless", "2026-07-28", 18, &stateless),
        ("caching", "2026-07-28", 4, &absent),
        (
            "input-required-result-unsupported-methods",
            "2026-07-28",
            2,
            &[],
        ),
    ] {
        let (passed, failed) = bridge.scenario(&home, scenario, revision);
        let excused = excused.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(failed, excused, "{scenario} of {revision}");
        assert!(
            passed.len() >= at_least,
            "{scenario} of {revision}: {passed:?}"
        );
    }
    bridge.end();
}

#[track_caller]
fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no text `{name}` in {value}"))
}
