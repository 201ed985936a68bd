//! Limits, errors, cut connections and keys that die: the program sees what Intercom says, and
//! nothing is ever sent twice by us.

use authsome_tests::raw::read_answer;
use authsome_tests::stand_in::intercom::{ELSEWHERE, RATE_HEADERS};
use authsome_tests::{Canary, LiveRun};
use std::io::Write;

use crate::{API, PLACEHOLDER, World, bearer, post};

#[test]
fn limits_and_errors_reach_the_program_as_they_are() {
    let world = World::with_both();
    let run = LiveRun::start(&world.home, &[]);
    let proxy = run.proxy();
    let ask = |path: &str, id: &str| proxy.ask(API, &post(API, path, id)).unwrap();
    let ours = |answer: &authsome_tests::raw::Answer| answer.code().map(str::to_owned);

    let fine = ask("/fin/start", "ext-123");
    assert_eq!((fine.status, ours(&fine)), (200, None));
    for (name, value) in RATE_HEADERS {
        assert_eq!(fine.header(name), Some(value));
        assert_eq!(
            fine.text.to_lowercase().matches(name).count(),
            1,
            "{}",
            fine.text
        );
    }

    let limited = ask("/fin/start", "limited");
    assert_eq!((limited.status, ours(&limited)), (429, None));
    assert!(
        limited.text.contains("rate_limit_exceeded"),
        "{}",
        limited.text
    );
    for (name, value) in [
        ("x-ratelimit-limit", "167"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1893456000"),
    ] {
        assert_eq!(limited.header(name), Some(value));
    }
    assert_eq!(limited.header("retry-after"), None, "nothing is invented");

    let partial = ask("/fin/start", "partial");
    assert_eq!(partial.status, 200);
    assert!(
        partial.text.contains("\"errors\":{\"user\""),
        "{}",
        partial.text
    );

    let moved = ask("/fin/start", "moved");
    assert_eq!(
        (moved.status, moved.header("location")),
        (302, Some(ELSEWHERE))
    );

    let unrated = ask("/fin/csat", "ext-123");
    assert_eq!(unrated.status, 422);

    let body = "{\"message\":{}}";
    let request = format!(
        "POST /fin/start HTTP/1.1\r\nHost: {API}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let incomplete = proxy.ask(API, &request).unwrap();
    assert_eq!((incomplete.status, ours(&incomplete)), (400, None));
    assert!(
        incomplete.text.contains("parameter_invalid"),
        "{}",
        incomplete.text
    );

    assert_eq!(world.stand_in.requests().len(), 6, "each was asked once");
}

/// A second `/fin/start` may be billed, and speaks to a person: whatever happens to the first one,
/// it stays the only one.
#[test]
fn a_post_that_fails_is_not_sent_again() {
    for protocols in [&["h2", "http/1.1"][..], &["http/1.1"]] {
        let world = World::over(protocols);
        world.log_in_to_fin();
        let mut run = LiveRun::start(&world.home, &[]);
        for version in ["--http1.1", "--http2"] {
            // first over connections of their own, then over one that has served before
            for before in [
                "",
                "-d '{\"conversation_id\":\"a\"}' https://api.intercom.io/fin/reply",
            ] {
                for id in ["cut-before", "cut-within"] {
                    if !before.is_empty() {
                        run.shell(&format!("curl -s -o /dev/null {version} {before}"));
                    }
                    world.stand_in.forget();
                    let said = run.shell(&format!(
                        "curl -s -o /dev/null -D - -w 'code %{{http_code}}\\n' {version} \
                         -d '{{\"conversation_id\":\"{id}\"}}' https://{API}/fin/start; echo end $?"
                    ));
                    let name = format!("{protocols:?} {version} {before:?} {id}: {said}");
                    let refused = said
                        .to_lowercase()
                        .contains("authsome-error: upstream_unreachable")
                        && said.contains("code 502\n")
                        && said.contains("end 0\n");
                    // HTTP/1.1 says it by the missing end; HTTP/2 by a reset, which may overtake
                    // the beginning on either side
                    let cut = ["end 18\n", "end 92\n"]
                        .iter()
                        .any(|end| said.contains(end));
                    assert!(refused || id == "cut-within" && cut, "{name}");
                    assert_eq!(world.stand_in.requests().len(), 1, "{name}");
                }
            }
        }
    }
}

/// Saving other scopes makes Intercom replace the key at once. The old one is refused there, once;
/// the new one works in the program that is already running.
#[test]
fn a_regenerated_key_is_replaced_in_a_living_program() {
    let mut world = World::with_both();
    let run = LiveRun::start(&world.home, &[]);
    let proxy = run.proxy();
    // one connection of the program, all the way
    let mut tunnel = proxy.tls(&format!("{API}:443"), API).unwrap();
    let request = post(API, "/fin/start", "ext-123").replacen("Connection: close\r\n", "", 1);
    let mut ask = || {
        tunnel.write_all(request.as_bytes()).unwrap();
        tunnel.flush().unwrap();
        read_answer(&mut tunnel).unwrap()
    };
    assert_eq!(ask().status, 200);

    let newer = world.home.watch(Canary::new());
    world.intercom.regenerate(&newer);
    world.stand_in.forget();
    let refused = ask();
    assert_eq!((refused.status, refused.code()), (401, None));
    assert!(
        refused.text.contains("Access Token Invalid"),
        "{}",
        refused.text
    );
    let old = ("POST /fin/start".to_owned(), vec![bearer(&world.fin)]);
    assert_eq!(world.arrived(), [old], "a 401 is no reason to ask again");

    world.home.login_with("intercom-fin", &newer, &["--force"]);
    world.stand_in.forget();
    let answer = ask();
    assert_eq!(answer.status, 200, "{}", answer.text);
    let new = ("POST /fin/start".to_owned(), vec![bearer(&newer)]);
    assert_eq!(world.arrived(), [new]);
    // the other key is untouched
    assert_eq!(proxy.get(API, "/contacts").unwrap().status, 200);
    assert_eq!(
        world.stand_in.last().header("authorization"),
        [bearer(&world.rest)]
    );
}

/// D10: what people paste by mistake is told from a key where it can be.
#[test]
fn a_key_copied_with_its_scheme_or_from_inside_a_run_is_refused() {
    let world = World::new();
    let with_scheme = bearer(&world.fin);
    for (pasted, reason) in [
        (
            with_scheme.as_str(),
            "begins with the word that is put in front of it",
        ),
        (PLACEHOLDER, "the placeholder that programs see"),
    ] {
        world
            .home
            .authsome(["login", "intercom-fin", "--stdin"])
            .stdin(pasted)
            .output()
            .exited(1)
            .said(&[reason, "hint: The key of the Fin Agent API"]);
    }
    world
        .home
        .authsome(["get", "intercom-fin"])
        .output()
        .exited(4);
}
