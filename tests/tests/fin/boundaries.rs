//! Where each key goes and where it does not: paths, methods, hosts, and what is logged in.

use authsome_tests::raw::{Answer, Proxy};
use authsome_tests::stand_in::intercom::{API_HOSTS, EVENTS_HOST};
use authsome_tests::{Canary, Home, Intercom, LiveRun, StandIn};

use serde_json::json;

use crate::{API, PLACEHOLDER, World, bearer, post};

/// Paths that no honest client writes, and that some server would take for one of the Fin API, or
/// for one outside of it.
const TRICKS: [&str; 16] = [
    "/fin/../contacts",
    "/fin/%2e%2e/contacts",
    "/fin/%2E%2e/contacts",
    "/fin/.%2e/contacts",
    "/fin/%252e%252e/contacts",
    "/fin/..;/contacts",
    "/fin/..%2fcontacts",
    "/fin/%2e%2e%2fcontacts",
    "/fin/start/../../contacts",
    "//fin/start",
    "/fin//start",
    "/fin%2fstart",
    "/fin%5cstart",
    "/fin\\start",
    "/FIN/start",
    "/contacts/..%2ffin/start",
];

/// Paths of the REST API that look like one of the Fin API, and how they are sent on.
const LOOK_ALIKES: [(&str, &str); 6] = [
    ("/fin_voice/register", "/fin_voice/register"),
    ("/finx", "/finx"),
    ("/fin-start", "/fin-start"),
    ("/contacts?x=/fin/start", "/contacts?x=/fin/start"),
    ("/contacts#/fin/start", "/contacts"),
    ("/x/fin/start", "/x/fin/start"),
];

#[test]
fn each_path_gets_its_own_key_over_both_protocols() {
    for protocols in [&["h2", "http/1.1"][..], &["http/1.1"]] {
        let world = World::over(protocols);
        world.log_in_to_fin();
        world.log_in_to_rest();
        for version in ["--http1.1", "--http2"] {
            for (words, key) in [
                (
                    &["-d", "{\"conversation_id\":\"a\"}", "/fin/start"][..],
                    &world.fin,
                ),
                (
                    &["-d", "{\"conversation_id\":\"a\"}", "/fin/reply"],
                    &world.fin,
                ),
                (&["/contacts"], &world.rest),
                (&["-d", "{}", "/fin_voice/register"], &world.rest),
                (&["-X", "DELETE", "/contacts/5"], &world.rest),
            ] {
                let (path, options) = words.split_last().unwrap();
                let output = world
                    .home
                    .run(["curl", "-sSf", version])
                    .args(options)
                    .arg(format!("https://{API}{path}"))
                    .reveals() // the answer tells the access token
                    .output()
                    .succeeded();
                let last = world.stand_in.last();
                assert_eq!(last.path, *path, "{output}");
                assert_eq!(
                    last.header("authorization"),
                    [bearer(key)],
                    "{version} {path}"
                );
            }
        }
    }
}

/// D5, D6.
#[test]
fn without_a_fin_key_the_fin_paths_get_no_other() {
    let world = World::new();
    world.log_in_to_rest();
    let run = LiveRun::start(&world.home, &[]);
    for path in ["/fin/start", "/fin/reply", "/fin/procedures/5/run", "/fin"] {
        let answer = run.proxy().ask(API, &post(API, path, "a")).unwrap();
        refused(&answer, &["login_needed"]);
        says_to_log_in_to(&answer, "intercom-fin");
    }
    for path in TRICKS {
        let answer = run.proxy().ask(API, &post(API, path, "a")).unwrap();
        refused(&answer, &["bad_path"]);
    }
    assert_eq!(world.arrived(), []);
    // what looks alike is of the API that is logged in
    look_alikes_get_the_rest_key(&world, &run.proxy());
}

/// D5, D6.
#[test]
fn without_a_rest_key_the_other_paths_get_no_other() {
    let world = World::new();
    world.log_in_to_fin();
    let run = LiveRun::start(&world.home, &[]);
    let proxy = run.proxy();
    for (path, _) in LOOK_ALIKES {
        refused(
            &proxy.ask(API, &post(API, path, "a")).unwrap(),
            &["login_needed"],
        );
        refused(&proxy.get(API, path).unwrap(), &["login_needed"]);
    }
    for path in ["/", "/contacts", "/me", "/conversations/5/reply"] {
        let answer = proxy.get(API, path).unwrap();
        refused(&answer, &["login_needed"]);
        says_to_log_in_to(&answer, "intercom");
    }
    tricks_are_refused(&proxy);
    other_methods_are_refused(&proxy);
    assert_eq!(world.arrived(), []);
}

/// D5, D6.
#[test]
fn with_both_keys_no_trick_gets_either() {
    let world = World::with_both();
    let run = LiveRun::start(&world.home, &[]);
    tricks_are_refused(&run.proxy());
    other_methods_are_refused(&run.proxy());
    assert_eq!(world.arrived(), []);
    look_alikes_get_the_rest_key(&world, &run.proxy());
}

fn tricks_are_refused(proxy: &Proxy) {
    for path in TRICKS {
        for method in ["POST", "GET"] {
            let request = post(API, path, "a").replacen("POST", method, 1);
            let answer = proxy.ask(API, &request).unwrap();
            refused(&answer, &["bad_path"]);
        }
    }
}

fn other_methods_are_refused(proxy: &Proxy) {
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post"] {
        let request = format!(
            "{method} /fin/start HTTP/1.1\r\nHost: {API}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = proxy.ask(API, &request).unwrap();
        refused(&answer, &["method_not_allowed"]);
    }
    for name in [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X_Method_Override",
    ] {
        let line = format!("Host: {API}\r\n{name}: POST\r\n");
        let get = post(API, "/fin/start", "a").replacen("POST", "GET", 1);
        for request in [
            post(API, "/fin/start", "a"),
            get,
            post(API, "/contacts", "a"),
        ] {
            let request = request.replacen(&format!("Host: {API}\r\n"), &line, 1);
            refused(&proxy.ask(API, &request).unwrap(), &["method_not_allowed"]);
        }
    }
}

fn look_alikes_get_the_rest_key(world: &World, proxy: &Proxy) {
    for (path, sent) in LOOK_ALIKES {
        let answer = proxy.ask(API, &post(API, path, "a")).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let last = world.stand_in.last();
        assert_eq!(last.path, sent);
        assert_eq!(
            last.header("authorization"),
            [bearer(&world.rest)],
            "{path}"
        );
    }
    world.did_not_arrive(&world.fin);
}

/// D4: spellings of the host that are the host get the key, and go on in one spelling.
#[test]
fn other_spellings_of_the_host_are_the_host() {
    let world = World::with_both();
    let run = LiveRun::start(&world.home, &[]);
    for host in ["API.INTERCOM.IO", "api.intercom.io.", "Api.Intercom.io:443"] {
        let bare = host.trim_end_matches(":443");
        let mut tunnel = run.proxy().tls(&format!("{bare}:443"), API).unwrap();
        std::io::Write::write_all(&mut tunnel, post(host, "/fin/start", "a").as_bytes()).unwrap();
        let answer = authsome_tests::raw::read_answer(&mut tunnel).unwrap();
        assert_eq!(answer.status, 200, "{host}: {}", answer.text);
        let last = world.stand_in.last();
        assert_eq!(last.header("authorization"), [bearer(&world.fin)], "{host}");
        assert_eq!(last.authority, API);
    }
}

/// D1, D3, D4: what is not the host gets nothing, however much it looks like it.
#[test]
fn hosts_that_look_like_the_host_get_no_key() {
    let (fin, rest) = (Canary::new(), Canary::new());
    let (stand_in, intercom) = Intercom::start(&fin, &rest, &["h2", "http/1.1"]);
    let names = [
        "api.intercom.io.evil.test",
        "evil-api.intercom.io",
        "app.intercom.com",
        "api.intercom.com",
        "intercom.io",
    ];
    let others = StandIn::start(&names);
    let home = Home::builder()
        .stand_in(&stand_in)
        .stand_in(&others)
        .resolve(&format!("{API}:8443"), &stand_in.address().to_string())
        .build();
    let world = World::in_home(intercom, stand_in, home, fin, rest);
    world.log_in_to_fin();
    world.log_in_to_rest();
    let run = LiveRun::start(&world.home, &[]);
    let mut proxy = run.proxy();
    for own in [&others, &world.stand_in] {
        proxy.bundle.extend(std::fs::read(own.ca_path()).unwrap());
    }
    let placeholder = format!("Bearer {PLACEHOLDER}");
    for name in names {
        // not ours to read: the child speaks to that server itself, with what it has
        let answer = proxy.ask(name, &post(name, "/fin/start", "a"));
        assert_eq!(answer.unwrap().status, 404);
        let last = others.last();
        assert_eq!(
            (last.authority.as_str(), last.path.as_str()),
            (name, "/fin/start")
        );
        assert_eq!(last.header("authorization"), [placeholder.as_str()]);
    }
    assert!(!others.saw(world.fin.secret()) && !others.saw(world.rest.secret()));

    let port = format!("{API}:8443");
    let mut tunnel = proxy.tls(&port, API).unwrap();
    std::io::Write::write_all(&mut tunnel, post(&port, "/fin/start", "a").as_bytes()).unwrap();
    let answer = authsome_tests::raw::read_answer(&mut tunnel).unwrap();
    assert_eq!(answer.status, 401, "{}", answer.text);
    assert_eq!(
        world.stand_in.last().header("authorization"),
        [placeholder.as_str()]
    );
    world.no_key_arrived();
    world.stand_in.forget();

    let plain = post(API, "/fin/start", "a").replacen("POST /", &format!("POST http://{API}/"), 1);
    let plain = plain.replacen("\r\n", &format!("\r\n{}", proxy.authorization()), 1);
    refused(&proxy.say(&plain).unwrap(), &["cleartext_refused"]);
    // one host dialled, the other named
    for name in [
        EVENTS_HOST,
        "api.intercom.io.evil.test",
        "api.eu.intercom.io",
    ] {
        let answer = proxy.ask(API, &post(name, "/fin/start", "a")).unwrap();
        assert_eq!((answer.status, answer.code()), (421, Some("names_differ")));
    }
    for authority in [
        "user@api.intercom.io:443",
        "api.intercom.io%2e:443",
        "api..intercom.io:443",
    ] {
        let answer = proxy.connect_to(authority).unwrap().unwrap_err();
        assert!(answer.status >= 400, "{authority}: {}", answer.text);
    }
    assert_eq!(world.arrived(), []);
}

/// The key is for every host of the definition; a workspace's own is chosen by the base address.
#[test]
fn without_a_region_the_key_serves_all_three_hosts() {
    let world = World::with_both();
    let run = LiveRun::start(&world.home, &[]);
    for host in API_HOSTS {
        let answer = run
            .proxy()
            .ask(host, &post(host, "/fin/start", "a"))
            .unwrap();
        assert_eq!(answer.status, 200, "{host}: {}", answer.text);
        let last = world.stand_in.last();
        assert_eq!(last.authority, host);
        assert_eq!(last.header("authorization"), [bearer(&world.fin)]);
    }
}

/// A key for one region goes to that region's host alone; the answer says so.
#[test]
fn with_a_region_the_key_serves_that_host_alone() {
    let world = World::new();
    world
        .home
        .login_with("intercom-fin", &world.fin, &["--region", "eu"]);
    world.log_in_to_rest();
    let run = LiveRun::start(&world.home, &[]);
    let [us, eu, au] = API_HOSTS;
    for host in [us, au] {
        let answer = run
            .proxy()
            .ask(host, &post(host, "/fin/start", "a"))
            .unwrap();
        refused(&answer, &["other_region"]);
        assert!(answer.text.contains("--region"), "{}", answer.text);
    }
    assert_eq!(world.arrived(), []);
    let answer = run.proxy().ask(eu, &post(eu, "/fin/start", "a")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        world.stand_in.last().header("authorization"),
        [bearer(&world.fin)]
    );
    // the other connection is where it was
    assert_eq!(run.proxy().get(us, "/contacts").unwrap().status, 200);
    assert_eq!(
        world.stand_in.last().header("authorization"),
        [bearer(&world.rest)]
    );
    let region = world
        .home
        .authsome(["get", "intercom-fin", "--json"])
        .output()
        .succeeded()
        .json();
    assert_eq!(region["region"], "eu");
}

/// D7: a placeholder of one connection takes no other, and where it does not belong it is refused.
#[test]
fn swapped_placeholders_are_refused() {
    let world = World::with_both();
    let run = LiveRun::start(
        &world.home,
        &["--env", "FIN=intercom-fin", "--env", "REST=intercom"],
    );
    let proxy = run.proxy();
    let (fin, rest) = (run.variable("FIN"), run.variable("REST"));
    assert_ne!(fin, rest);
    let ask = |path: &str, placeholder: &str| {
        let request = post(API, path, "a").replacen(PLACEHOLDER, placeholder, 1);
        proxy.ask(API, &request).unwrap()
    };
    for (path, placeholder) in [
        ("/contacts", fin),
        ("/fin/start", rest),
        ("/fin_voice/register", fin),
    ] {
        let answer = ask(path, placeholder);
        assert_eq!(answer.status, 403, "{path}: {}", answer.text);
        assert_eq!(answer.code(), Some("placeholder_misplaced"), "{path}");
        assert!(!answer.text.contains(placeholder), "{}", answer.text);
    }
    assert_eq!(world.arrived(), []);
    for (path, placeholder, key) in [
        ("/contacts", rest, &world.rest),
        ("/fin/start", fin, &world.fin),
    ] {
        let answer = ask(path, placeholder);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!(world.stand_in.last().header("authorization"), [bearer(key)]);
    }
    // the same in a run of its own: there it is nobody's
    let other = LiveRun::start(&world.home, &["--env", "FIN=intercom-fin"]);
    world.stand_in.forget();
    let request = post(API, "/fin/start", "a").replacen(PLACEHOLDER, fin, 1);
    let answer = other.proxy().ask(API, &request).unwrap();
    assert_eq!(
        (answer.status, answer.code()),
        (403, Some("placeholder_unknown"))
    );
    assert_eq!(world.arrived(), []);
}

/// A run that was not granted the other provider is not told to log in to it.
#[test]
fn a_login_is_named_only_where_it_would_help() {
    let world = World::with_both();
    let run = LiveRun::start(&world.home, &["--only", "intercom-fin"]);
    let answer = run.proxy().get(API, "/contacts").unwrap();
    refused(&answer, &["path_not_allowed"]);
    assert!(!answer.text.contains("authsome login"), "{}", answer.text);
    // what the answer names does help, also in the program that was refused
    let world = World::new();
    world.log_in_to_fin();
    let run = LiveRun::start(&world.home, &[]);
    says_to_log_in_to(&run.proxy().get(API, "/contacts").unwrap(), "intercom");
    world.log_in_to_rest();
    assert_eq!(run.proxy().get(API, "/contacts").unwrap().status, 200);
}

/// D13: a definition of one's own that covers what a bundled one does needs no login to that one,
/// and no word of it: nothing is ambiguous about the only key there is.
#[test]
fn a_definition_of_ones_own_stands_in_for_the_bundled_one() {
    for (name, other, path) in [
        ("my-fin", "intercom", "/fin/start"),
        ("my-rest", "intercom-fin", "/contacts"),
    ] {
        let mut world = World::new();
        let scope = match name {
            "my-fin" => json!({ "path": "/fin/**", "methods": ["POST"] }),
            _ => json!({ "except": ["/fin/**"] }),
        };
        let mut route = json!({
            "hosts": [API], "header": { "name": "Authorization", "prefix": "Bearer" },
        });
        for (field, value) in scope.as_object().unwrap() {
            route[field] = value.clone();
        }
        let definition = json!({
            "v": 1, "name": name, "display_name": "Mine", "auth": "api_key", "routes": [route],
        });
        let file = world.home.write("own.json", definition.to_string());
        world
            .home
            .authsome(["register"])
            .arg(file)
            .output()
            .succeeded();
        let key = world.home.watch(Canary::new());
        world.home.login_with(name, &key, &[]);
        world.home.login_with(other, &world.home.canary(), &[]);
        let run = LiveRun::start(&world.home, &[]);
        let answer = run.proxy().ask(API, &post(API, path, "a")).unwrap();
        assert_eq!(
            answer.code(),
            None,
            "refused beside {other}: {}",
            answer.text
        );
        let last = world.stand_in.last();
        assert_eq!(last.header("authorization"), [bearer(&key)], "{path}");
    }
}

#[track_caller]
fn says_to_log_in_to(answer: &Answer, provider: &str) {
    let fix = format!("\"fix\":\"authsome login {provider}\"");
    assert!(answer.text.contains(&fix), "{}", answer.text);
}

/// A refusal of ours with one of `codes`, which names a way out.
#[track_caller]
fn refused(answer: &Answer, codes: &[&str]) {
    assert!(matches!(answer.status, 400 | 403), "{}", answer.text);
    let code = answer.code().unwrap_or_default();
    assert!(codes.contains(&code), "not {codes:?}: {}", answer.text);
    let body = answer.text.split("\r\n\r\n").nth(1).unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(body).expect("the body is JSON");
    assert_eq!(body["error"]["code"], code);
    assert_ne!(
        body["error"]["fix"].as_str().unwrap_or_default(),
        "",
        "{body}"
    );
}
