//! Which login an answer is for.

use std::time::Duration;

use super::*;
use crate::login::{Asked, Awaited};
use crate::oauth::pkce;

fn form() -> LoginForm {
    LoginForm {
        asked: Asked::ApiKey,
        display_name: "GitHub".into(),
        connection: "default".parse().unwrap(),
        variable: None,
        hosts: vec![],
        key_urls: vec![],
        hint: None,
        pattern: None,
        rotate: false,
    }
}

/// Lets a login wait, and returns its state.
fn wait(state: &mut State, id: &str, provider: &str) -> (String, mpsc::Receiver<Submitted>) {
    let (sink, receiver) = mpsc::channel(1);
    let secret = pkce::State::random();
    let text = secret.as_str().to_owned();
    let awaited = Awaited {
        provider: provider.parse().unwrap(),
        state: secret,
        issuer: Some("https://github.com".into()),
        issuer_is_named: false,
    };
    let stage = Stage::Callback(awaited);
    state.put(Waiting::new(id.parse().unwrap(), form(), stage, sink));
    (text, receiver)
}

fn ask(state: &mut State, path: &str, query: &str) -> Option<Callback> {
    let found = take(state, path, query, Instant::now()).unwrap();
    found.map(|answer| answer.callback)
}

/// Threat O3: once, whatever the answer is.
#[test]
fn an_answer_takes_its_login_out_and_is_foreign_ever_after() {
    for answer in [
        "code=c",
        "error=access_denied",
        "code=c&error=e",
        "x=y",
        "code=c&iss=https://evil.test",
    ] {
        let mut state = State::default();
        let (secret, _receiver) = wait(&mut state, "l1", "github");
        let query = format!("{answer}&state={secret}");
        let found = ask(&mut state, "/callback/github", &query);
        assert!(!matches!(found, None | Some(Callback::Foreign)), "{answer}");
        assert!(state.waiting.is_empty());
        assert!(
            ask(&mut state, "/callback/github", &query).is_none(),
            "{answer} again"
        );
    }
}

/// Threats O3, O4: nothing happens, and nothing is left behind.
#[test]
fn what_is_foreign_changes_nothing() {
    let mut state = State::default();
    let (secret, _receiver) = wait(&mut state, "l1", "github");
    let good = format!("code=c&state={secret}");
    for (path, query) in [
        ("/callback/github", ""),
        ("/callback/github", "code=c"),
        ("/callback/github", "error=access_denied"),
        ("/callback/github", "code=c&state="),
        ("/callback/github", &format!("{good}x")),
        ("/callback/github", &good[..good.len() - 1]),
        ("/callback/github", &format!("{good}&state={secret}")),
        ("/callback/gitlab", &good),
        ("/callback/github/", &good),
        ("/callback/", &good),
        ("/callback/git%68ub", &good),
        ("/callback/GitHub", &good),
    ] {
        assert!(ask(&mut state, path, query).is_none(), "{path}?{query}");
        assert_eq!(state.waiting.len(), 1);
        assert!(!state.results.are_awaited(Instant::now()));
    }
    assert!(matches!(
        ask(&mut state, "/callback/github", &good),
        Some(Callback::Code(_))
    ));
}

#[test]
fn each_of_two_logins_of_a_provider_gets_its_own_answer() {
    let mut state = State::default();
    let (one, _one) = wait(&mut state, "l1", "github");
    let (other, _other) = wait(&mut state, "l2", "github");
    let ids = |state: &State| {
        state
            .waiting
            .iter()
            .map(|it| it.id.to_string())
            .collect::<Vec<_>>()
    };
    assert!(
        ask(
            &mut state,
            "/callback/github",
            &format!("code=c&state={other}")
        )
        .is_some()
    );
    assert_eq!(ids(&state), ["l1"]);
    assert!(
        ask(
            &mut state,
            "/callback/github",
            &format!("code=c&state={one}")
        )
        .is_some()
    );
    assert!(state.waiting.is_empty());
}

#[test]
fn a_login_that_is_over_takes_no_answer() {
    let mut state = State::default();
    let (secret, receiver) = wait(&mut state, "l1", "github");
    let query = format!("code=c&state={secret}");
    let late = Instant::now() + crate::login::WAIT_MAX + Duration::from_secs(1);
    assert!(
        take(&mut state, "/callback/github", &query, late)
            .unwrap()
            .is_none()
    );
    drop(receiver);
    assert!(ask(&mut state, "/callback/github", &query).is_none());
}

#[test]
fn a_second_wait_of_a_login_takes_the_place_of_the_first() {
    let mut state = State::default();
    let (first, _first) = wait(&mut state, "l1", "github");
    let (second, _second) = wait(&mut state, "l1", "github");
    assert_eq!(state.waiting.len(), 1);
    assert!(
        ask(
            &mut state,
            "/callback/github",
            &format!("code=c&state={first}")
        )
        .is_none()
    );
    assert!(
        ask(
            &mut state,
            "/callback/github",
            &format!("code=c&state={second}")
        )
        .is_some()
    );
}
