//! Access tokens that renew themselves: races (threat O6), lost answers, servers that refuse, fail
//! or talk nonsense (threats O7, O8).

use std::io::Write as _;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use authsome_tests::authority::{Endpoint, Hold};
use authsome_tests::raw::{Answer, read_answer};
use authsome_tests::{LiveRun, Output, wait_until};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::world::{PROVIDER, World};

/// The API's host.
pub(crate) const HOST: &str = "api.example.com";

/// Longer than a token that is said to be good for one second is used after a renewal.
pub(crate) const ONE_SECOND_TOKEN: Duration = Duration::from_millis(850);

/// The same after a login or a restart: what is read from the vault is known to the second.
pub(crate) const ONE_SECOND_STORED: Duration = Duration::from_millis(1_900);

/// Somebody who is logged in, with a token that is over; the server does not know that it is. The
/// next ones are good for an hour.
fn with_a_dead_token() -> World {
    let world = with_short_tokens();
    said_lifetime(&world, &json!(3600));
    std::thread::sleep(ONE_SECOND_STORED);
    world
}

/// Somebody who is logged in; every token is said to be good for one second, and is longer.
pub(crate) fn with_short_tokens() -> World {
    let mut world = World::new(&["pkce"]);
    said_lifetime(&world, &json!(1));
    world.log_in().succeeded();
    world
}

pub(crate) fn said_lifetime(world: &World, seconds: &Value) {
    let patch = json!({ "expires_in": seconds });
    world.authority.patch_answers(Endpoint::Token, &patch);
}

/// One request of a living run.
pub(crate) fn get(run: &LiveRun) -> Answer {
    run.proxy().get(HOST, "/things").unwrap()
}

/// Logs in once more, in the place of what is there.
pub(crate) fn log_in_again(world: &mut World) -> Output {
    let client = world.authority.confidential().clone();
    let secret = client.secret.unwrap_or_default();
    world.log_in_as(&client.id, &secret, &["--force"])
}

/// The token that was used last.
fn last_bearer(world: &World) -> String {
    world.api.bearers().pop().flatten().unwrap()
}

/// Waits for a request to work, and gives the codes of those that did not.
fn wait_for_200(run: &LiveRun) -> Vec<String> {
    let mut codes = Vec::new();
    wait_until("a request to work", Duration::from_secs(15), || {
        let answer = get(run);
        if answer.status != 200 {
            codes.push(answer.code().unwrap_or_default().to_owned());
        }
        answer.status == 200
    });
    codes
}

fn many_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most.min(16_384), most).unwrap();
}

/// O6: 500 requests of one run, spread over the moment at which their token ends.
#[test]
fn o6_500_requests_at_the_moment_of_expiry_make_one_refresh() {
    const CLIENTS: usize = 500;
    // the server counts whole seconds from the last full one; a fifth of this, which is what we keep
    // away from the end, leaves a slow machine seconds between our sending and the server's look
    const LIFETIME: Duration = Duration::from_secs(20);
    many_files();
    let mut world = with_a_dead_token();
    let run = LiveRun::start(&world.home, &[]);
    let proxy = run.proxy();
    let ready = Arc::new(Barrier::new(CLIENTS + 1));
    let go = Arc::new(Barrier::new(CLIENTS + 1));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (proxy, ready, go) = (proxy.clone(), Arc::clone(&ready), Arc::clone(&go));
            std::thread::spawn(move || {
                let tunnel = proxy.tls(&format!("{HOST}:443"), HOST);
                ready.wait();
                let mut tunnel = tunnel.unwrap();
                go.wait();
                // from before the end of the token to after it
                std::thread::sleep(Duration::from_millis(15_500 + (number as u64 * 2)));
                let request =
                    format!("GET /{number} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
                tunnel.write_all(request.as_bytes()).unwrap();
                tunnel.flush().unwrap();
                read_answer(&mut tunnel).unwrap().status
            })
        })
        .collect();
    ready.wait();
    world.authority.patch_answers(Endpoint::Token, &json!({}));
    world.authority.set_access_ttl(LIFETIME);
    assert_eq!(get(&run).status, 200);
    let old = last_bearer(&world);
    world.authority.set_access_ttl(Duration::from_secs(3600));
    world
        .authority
        .delay_token_endpoint(Duration::from_millis(500));
    world.authority.forget();
    go.wait();
    let statuses: Vec<u16> = clients.into_iter().map(|it| it.join().unwrap()).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(world.authority.refreshes(), 1);
    assert_eq!(world.api.answered(401), 0, "a token that is over was sent");
    assert_eq!(world.api.answered(200), CLIENTS + 1);
    let bearers: Vec<String> = world.api.bearers().into_iter().flatten().collect();
    let with_old = bearers.iter().filter(|it| **it == old).count();
    // else the moment was missed
    assert!(
        (2..CLIENTS).contains(&with_old),
        "{with_old} with the old token"
    );
    let tokens: std::collections::BTreeSet<_> = bearers.iter().collect();
    assert_eq!(tokens.len(), 2);
    world.watch();
}

/// O6: everybody who needs the token waits for the same flight, whoever they are.
#[test]
fn o6_runs_and_commands_wait_for_the_same_refresh() {
    let mut world = with_a_dead_token();
    let runs = [
        LiveRun::start(&world.home, &[]),
        LiveRun::start(&world.home, &[]),
    ];
    world.authority.hold(Endpoint::Token, Hold::Answer);
    std::thread::scope(|scope| {
        let requests: Vec<_> = (0..20)
            .map(|number| {
                scope.spawn({
                    let run = &runs[number % 2];
                    move || get(run).status
                })
            })
            .collect();
        let exports: Vec<_> = (0..3)
            .map(|_| {
                world
                    .home
                    .authsome(["export", PROVIDER, "--yes"])
                    .reveals()
                    .spawn()
            })
            .collect();
        world
            .authority
            .wait_for_held(Endpoint::Token, Hold::Answer, 1);
        // time for a second one
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(world.authority.release(Endpoint::Token, Hold::Answer), 1);
        for request in requests {
            assert_eq!(request.join().unwrap(), 200);
        }
        for export in exports {
            let export = export.wait().succeeded();
            assert!(
                export.stdout.contains(&last_bearer(&world)),
                "not the new token"
            );
        }
    });
    assert_eq!(world.authority.refreshes(), 1);
    world.watch();
}

/// `export` and `get --show-secret` give no token that is over.
#[test]
fn what_is_shown_to_a_person_is_renewed_first() {
    let mut world = with_a_dead_token();
    let old = world.authority.issued();
    let shown = world
        .home
        .authsome(["get", PROVIDER, "--show-secret", "--yes"])
        .reveals()
        .output()
        .succeeded();
    assert_eq!(world.authority.refreshes(), 1);
    assert!(
        !old.iter().any(|it| shown.stdout.contains(it.secret())),
        "a token that is over was shown"
    );
    let export = world
        .home
        .authsome(["export", PROVIDER, "--yes"])
        .reveals()
        .output()
        .succeeded();
    assert_eq!(world.authority.refreshes(), 1);
    world.call();
    assert!(export.stdout.contains(&last_bearer(&world)));
    assert!(shown.stdout.contains(&last_bearer(&world)));
    // and where that cannot be, none
    said_lifetime(&world, &json!(1));
    log_in_again(&mut world).succeeded();
    std::thread::sleep(ONE_SECOND_STORED);
    world.authority.set_reachable(false);
    let refused = world
        .home
        .authsome(["export", PROVIDER, "--yes"])
        .reveals()
        .output();
    assert_ne!(refused.code(), Some(0));
    assert_eq!(refused.stdout, "");
    let refused = refused.said(&["cannot be renewed", "try again in"]);
    assert!(!refused.stderr.contains("panic"), "{refused}");
    world.authority.set_reachable(true);
    world.watch();
}

/// O7: an answer that is lost is asked for once more at once; of a server that keeps its refresh
/// tokens that is all there is to it.
#[test]
fn a_lost_answer_is_asked_for_once_more() {
    let mut world = World::new(&["pkce"]);
    world.authority.set_rotation(false);
    said_lifetime(&world, &json!(1));
    world.log_in().succeeded();
    std::thread::sleep(ONE_SECOND_STORED);
    let run = LiveRun::start(&world.home, &[]);
    world.authority.drop_next_token_answers(1);
    assert_eq!(get(&run).status, 200);
    assert_eq!(world.authority.refreshes(), 2);
    assert_eq!(world.field("status"), "connected");
    // and once only: then there is a pause, however many ask
    std::thread::sleep(ONE_SECOND_TOKEN);
    world.authority.drop_next_token_answers(100);
    world.authority.forget();
    let begun = Instant::now();
    for _ in 0..30 {
        let refused = get(&run);
        assert_eq!(
            (refused.status, refused.code()),
            (503, Some("renewal_failed"))
        );
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
    }
    let flights = 1 + 2 * usize::try_from(begun.elapsed().as_secs()).unwrap();
    let sent = world.authority.refreshes();
    assert!(
        (2..=2 * flights).contains(&sent),
        "{sent} in {:?}",
        begun.elapsed()
    );
    world.authority.drop_next_token_answers(0);
    wait_for_200(&run);
    world.watch();
}

/// O7: a server that replaces its refresh tokens and has done so gets the old one once more, which
/// this one takes for a theft. Nothing more is sent, nothing is deleted, a person is told.
#[test]
fn a_rotation_whose_answer_is_lost_is_tried_once_and_then_a_person_is_told() {
    let mut world = with_a_dead_token();
    let run = LiveRun::start(&world.home, &[]);
    world.authority.drop_next_token_answers(1);
    for _ in 0..5 {
        let refused = get(&run);
        assert_eq!(
            (refused.status, refused.code()),
            (403, Some("login_needed"))
        );
    }
    assert_eq!(world.authority.refreshes(), 2);
    assert_eq!(world.field("status"), "needs_login");
    log_in_again(&mut world).succeeded();
    assert_eq!(get(&run).status, 200);
    world.watch();
}

/// O7: requests that never reach the server cost nothing but time.
#[test]
fn requests_that_are_lost_on_the_way_are_made_good_later() {
    let mut world = with_a_dead_token();
    let run = LiveRun::start(&world.home, &[]);
    world.authority.lose_next_requests(Endpoint::Token, 2);
    let refused = get(&run);
    assert_eq!(
        (refused.status, refused.code()),
        (503, Some("renewal_failed"))
    );
    assert_eq!(world.authority.refreshes(), 2);
    let codes = wait_for_200(&run);
    assert!(
        codes.iter().all(|code| code == "renewal_failed"),
        "{codes:?}"
    );
    assert_eq!(world.authority.refreshes(), 3);
    assert_eq!(world.authority.families_revoked(), 0);
    world.watch();
}

/// A grant that was withdrawn: said everywhere, nothing deleted, and a login heals living runs.
#[test]
fn a_refused_refresh_token_asks_for_a_login_and_deletes_nothing() {
    let mut world = with_a_dead_token();
    let run = LiveRun::start(&world.home, &[]);
    let vault = |world: &World| {
        let mut names: Vec<_> = std::fs::read_dir(world.home.path().join("vault"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = vault(&world);
    world.authority.withdraw();
    for _ in 0..3 {
        let refused = get(&run);
        assert_eq!(
            (refused.status, refused.code()),
            (403, Some("login_needed"))
        );
        assert!(
            refused.text.contains(&format!("authsome login {PROVIDER}")),
            "{refused:?}"
        );
    }
    assert_eq!(world.authority.refreshes(), 1, "it is asked once");
    assert_eq!(world.field("status"), "needs_login");
    let list = world.home.authsome(["list"]).output().succeeded();
    assert!(
        list.stdout.contains("needs_login") || list.stdout.contains("needs login"),
        "{list}"
    );
    assert_eq!(vault(&world), before);
    // so it stays after a restart, and nobody is asked again
    world.home.crash_daemon();
    assert_eq!(world.field("status"), "needs_login");
    let refused = get(&run);
    assert_eq!(
        (refused.status, refused.code()),
        (403, Some("login_needed"))
    );
    assert_eq!(world.authority.refreshes(), 1);
    log_in_again(&mut world).succeeded();
    assert_eq!(get(&run).status, 200);
    assert_eq!(world.field("status"), "connected");
    world.watch();
}

/// A server that cannot answer now is left alone for as long as it asks.
#[test]
fn a_503_is_heeded() {
    let mut world = with_a_dead_token();
    let run = LiveRun::start(&world.home, &[]);
    let busy = json!({ "error": "temporarily_unavailable" });
    world
        .authority
        .fail_next_at(Endpoint::Token, 1, 503, &[("retry-after", "3")], &busy);
    let begun = Instant::now();
    let refused = get(&run);
    assert_eq!(
        (refused.status, refused.code()),
        (503, Some("renewal_failed"))
    );
    assert_eq!(refused.header("retry-after"), Some("3"));
    assert_eq!(world.field("status"), "expired");
    let codes = wait_for_200(&run);
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert!(
        codes.iter().all(|code| code == "renewal_failed"),
        "{codes:?}"
    );
    assert_eq!(world.authority.refreshes(), 2);
    assert_eq!(world.field("status"), "connected");
    world.watch();
}

/// A server that is away is asked a few times, and found again.
#[test]
fn a_server_that_is_away_is_found_again() {
    let mut world = with_a_dead_token();
    let run = LiveRun::start(&world.home, &[]);
    world.authority.set_reachable(false);
    let begun = Instant::now();
    let mut asked = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        let refused = get(&run);
        assert_eq!(
            (refused.status, refused.code()),
            (503, Some("renewal_failed"))
        );
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        asked += 1;
    }
    assert!(asked > 5, "{asked}");
    assert_eq!(world.field("status"), "expired");
    let log = world
        .home
        .authsome(["log", "--json", "--lines", "1000"])
        .output()
        .succeeded();
    assert!(log.stdout.contains("renew_failed"), "{log}");
    assert_eq!(
        log.stdout.matches("renew_failed").count(),
        1,
        "said once: {log}"
    );
    world.authority.set_reachable(true);
    wait_for_200(&run);
    assert_eq!(world.authority.refreshes(), 1);
    assert_eq!(world.authority.families_revoked(), 0);
    world.watch();
}

/// O8: whatever a server says about the lifetime, its token is used, and not renewed all the time.
#[test]
fn o8_silly_lifetimes_do_no_harm() {
    let mut world = World::new(&["pkce"]);
    world.log_in().succeeded();
    let run = LiveRun::start(&world.home, &[]);
    for said in [
        json!(0),
        json!(-1),
        Value::Null,
        json!("3600"),
        json!("soon"),
        json!([1]),
        json!(3600.5),
        json!(1e300),
        json!(u64::MAX),
    ] {
        said_lifetime(&world, &said);
        log_in_again(&mut world).succeeded();
        world.api.forget();
        for _ in 0..3 {
            assert_eq!(get(&run).status, 200, "{said}");
        }
        let used = world.authority.token(&last_bearer(&world));
        assert!(used.active && used.expires_in > 3_500, "{said}: {used:?}");
        assert_eq!(world.authority.refreshes(), 0, "{said}");
        assert_eq!(world.field("status"), "connected", "{said}");
    }
    world.watch();
}

/// RFC 6749 section 6: an answer without a refresh token keeps the old one.
#[test]
fn an_answer_without_a_refresh_token_keeps_the_old_one() {
    let mut world = World::new(&["pkce"]);
    world.authority.set_rotation(false);
    said_lifetime(&world, &json!(1));
    world.log_in().succeeded();
    let without = json!({ "expires_in": 1, "refresh_token": null });
    world.authority.patch_answers(Endpoint::Token, &without);
    let run = LiveRun::start(&world.home, &[]);
    for _ in 0..3 {
        std::thread::sleep(ONE_SECOND_STORED);
        assert_eq!(get(&run).status, 200);
    }
    // and a daemon that comes later has it, too
    world.home.crash_daemon();
    world.field("status");
    std::thread::sleep(ONE_SECOND_STORED);
    assert_eq!(wait_for_200(&run).len(), 0);
    assert_eq!(world.authority.refreshes(), 4);
    world.watch();
}

/// Rotation again and again, across crashes: each pair is used once.
#[test]
fn each_refresh_token_is_used_once() {
    let mut world = with_short_tokens();
    let run = LiveRun::start(&world.home, &[]);
    for round in 0..4 {
        std::thread::sleep(ONE_SECOND_STORED);
        assert_eq!(get(&run).status, 200);
        if round == 1 {
            world.home.crash_daemon();
            world.field("status");
        }
    }
    assert_eq!(world.authority.refreshes(), 4);
    assert_eq!(world.authority.refreshes_with_used_tokens(), 0);
    assert_eq!(world.authority.families_revoked(), 0);
    world.watch();
}

/// RN3: a login while a refresh is under way wins, whatever comes after.
#[test]
fn a_login_during_a_refresh_is_not_overwritten() {
    let mut world = with_a_dead_token();
    let run = LiveRun::start(&world.home, &[]);
    world.authority.hold(Endpoint::Token, Hold::Answer);
    let proxy = run.proxy();
    let waiting = std::thread::spawn(move || proxy.get(HOST, "/things").unwrap().status);
    world
        .authority
        .wait_for_held(Endpoint::Token, Hold::Answer, 1);
    let begun = {
        let client = world.authority.confidential().clone();
        let output = world
            .home
            .authsome([
                "login",
                PROVIDER,
                "--no-wait",
                "--json",
                "--force",
                "--stdin",
                "--client-id",
            ])
            .arg(client.id)
            .stdin(client.secret.unwrap_or_default())
            .output()
            .succeeded();
        output.json()
    };
    // both answers are held: the login's comes second, and is let go of with the other
    let url = begun["url"].as_str().unwrap();
    let approved = std::thread::scope(|scope| {
        let page = scope.spawn(|| world.authority.approve_and_return(url));
        world
            .authority
            .wait_for_held(Endpoint::Token, Hold::Answer, 2);
        world.authority.release(Endpoint::Token, Hold::Answer);
        page.join().unwrap()
    });
    assert_eq!(approved.status, 303);
    world.resume(&begun).succeeded();
    assert_eq!(waiting.join().unwrap(), 200);
    assert_eq!(get(&run).status, 200);
    // the token in use is one that the login gave: it ends with the login's refresh token
    let used = world.authority.token(&last_bearer(&world));
    assert!(used.active);
    // a second use of what is stored works: neither pair was mixed with the other
    world.home.crash_daemon();
    assert_eq!(world.field("status"), "connected");
    wait_for_200(&run);
    assert_eq!(world.authority.families_revoked(), 0);
    world.watch();
}

/// RN3: what comes after a logout is dropped, and given back.
#[test]
fn a_logout_during_a_refresh_leaves_nothing() {
    let mut world = with_a_dead_token();
    let run = LiveRun::start(&world.home, &[]);
    world.authority.hold(Endpoint::Token, Hold::Answer);
    let proxy = run.proxy();
    let waiting = std::thread::spawn(move || proxy.get(HOST, "/things").unwrap());
    world
        .authority
        .wait_for_held(Endpoint::Token, Hold::Answer, 1);
    let logout = world.home.authsome(["logout", PROVIDER]).spawn();
    std::thread::sleep(Duration::from_millis(500));
    world.authority.release(Endpoint::Token, Hold::Answer);
    logout.wait().succeeded();
    let refused = waiting.join().unwrap();
    assert_ne!(refused.status, 200, "{refused:?}");
    assert_eq!(world.api.requests().len(), 0);
    let list = world.home.authsome(["list"]).output().succeeded();
    assert!(!list.stdout.contains("connected"), "{list}");
    wait_until(
        "all tokens to be given back",
        Duration::from_secs(5),
        || {
            let issued = world.authority.issued();
            !issued
                .iter()
                .any(|it| world.authority.is_active(it.secret()))
        },
    );
    world.watch();
}

/// Client credentials come again without a refresh token.
#[test]
fn client_credentials_renew_without_a_refresh_token() {
    let mut world = World::new(&["client_credentials"]);
    said_lifetime(&world, &json!(1));
    let client = world.authority.basic().clone();
    let login = |world: &World| {
        world
            .home
            .authsome(["login", PROVIDER, "--client-id", &client.id, "--stdin"])
            .args(["--flow", "client-credentials", "--scopes", "read"])
            .stdin(client.secret.clone().unwrap_or_default())
            .output()
    };
    login(&world).succeeded();
    let run = LiveRun::start(&world.home, &[]);
    for _ in 0..2 {
        std::thread::sleep(ONE_SECOND_TOKEN);
        assert_eq!(get(&run).status, 200);
    }
    // a lost answer and a crash in the middle of it cost nothing here
    std::thread::sleep(ONE_SECOND_TOKEN);
    world.authority.drop_next_token_answers(1);
    assert_eq!(get(&run).status, 200);
    std::thread::sleep(ONE_SECOND_TOKEN);
    world.authority.hold(Endpoint::Token, Hold::Answer);
    let proxy = run.proxy();
    let cut = std::thread::spawn(move || proxy.get(HOST, "/things").is_ok());
    world
        .authority
        .wait_for_held(Endpoint::Token, Hold::Answer, 1);
    world.home.crash_daemon();
    assert!(!cut.join().unwrap());
    world.authority.release(Endpoint::Token, Hold::Answer);
    assert_eq!(world.field("status"), "connected");
    wait_for_200(&run);
    assert_eq!(world.authority.refreshes(), 0);
    world.watch();
}
