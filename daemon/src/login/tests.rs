//! The page over real sockets: one desk for all tests, and the tests by what is on the page.

mod answer;
mod client;
mod key;
mod look;

use std::net::TcpListener;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;

fn form() -> LoginForm {
    LoginForm {
        asked: Asked::ApiKey,
        display_name: "Intercom".into(),
        connection: ConnectionName::default_name(),
        variable: Some("INTERCOM_ACCESS_TOKEN".into()),
        hosts: vec!["api.intercom.io".into(), "api.eu.intercom.io".into()],
        key_urls: vec!["https://app.intercom.com/a/apps/_/developer-hub".into()],
        hint: Some("It begins with `sk-`.".into()),
        pattern: Some(Arc::new(|key| key.starts_with("sk-"))),
        rotate: false,
    }
}

fn login(n: u32) -> LoginId {
    format!("l{n}").parse().unwrap()
}

/// One that no outgoing connection of the tests beside this one takes in the meantime.
fn free_port() -> u16 {
    let listener = crate::runs::port::bind_free().unwrap();
    listener.local_addr().unwrap().port()
}

/// The authority and the path of an offered address.
fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap();
    rest.split_at(rest.find('/').unwrap())
}

async fn exchange(authority: &str, request: String) -> String {
    let mut stream = TcpStream::connect(authority).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(url: &str) -> String {
    let (authority, path) = split(url);
    exchange(
        authority,
        format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
    )
    .await
}

async fn post(url: &str, page: &str, key: &str) -> String {
    post_fields(url, page, &format!("key={key}")).await
}

async fn post_fields(url: &str, page: &str, fields: &str) -> String {
    let (authority, path) = split(url);
    let token = page
        .split("name=\"token\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let body = format!("token={token}&{fields}");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nOrigin: http://{authority}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(authority, request).await
}

/// Answers each key with the next of `answers` and returns the keys.
fn receiver(
    mut keys: mpsc::Receiver<Submitted>,
    answers: Vec<Result<(), String>>,
) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut found = Vec::new();
        for answer in answers {
            let Some(submitted) = keys.recv().await else {
                break;
            };
            found.push(key_of(&submitted));
            drop(submitted.answer.send(answer.map(|()| Shown::Done)));
        }
        // the login is over only when the page says so
        while keys.recv().await.is_some() {}
        found
    })
}

fn key_of(submitted: &Submitted) -> String {
    match &submitted.submission {
        Submission::Secret(secret) => secret.expose().to_owned(),
        other => panic!("{other:?}"),
    }
}

async fn until_closed(authority: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(authority).await.is_ok() {
        assert!(Instant::now() < deadline, "the port stays open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A form of a client that is to be registered at GitHub.
fn client_form(pages: &Pages) -> LoginForm {
    LoginForm {
        asked: Asked::Client {
            redirect_uri: Some(pages.redirect_uri(&github())),
            id: None,
            secret_needed: false,
        },
        display_name: "GitHub".into(),
        hosts: vec!["api.github.com".into()],
        key_urls: vec!["https://github.com/settings/developers".into()],
        hint: None,
        pattern: None,
        ..form()
    }
}

fn github() -> ProviderName {
    "github".parse().unwrap()
}

fn awaited() -> (Awaited, String) {
    let state = pkce::State::random();
    let text = state.as_str().to_owned();
    let awaited = Awaited {
        provider: github(),
        state,
        issuer: None,
        issuer_is_named: false,
    };
    (awaited, text)
}

/// Waits for a callback; returns the address that the server will use, with the state.
async fn wait_for(pages: &Pages, n: u32, sink: mpsc::Sender<Submitted>) -> String {
    let (awaited, state) = awaited();
    let form = client_form(pages);
    pages
        .await_callback(login(n), form, awaited, sink)
        .await
        .unwrap();
    format!("{}?state={state}", pages.redirect_uri(&github()))
}

fn code_of(submitted: &Submitted) -> String {
    match &submitted.submission {
        Submission::Callback(Callback::Code(code)) => code.expose().to_owned(),
        other => panic!("{other:?}"),
    }
}

/// What comes in next; waits for it a while.
async fn next(submissions: &mut mpsc::Receiver<Submitted>) -> Submitted {
    let next = tokio::time::timeout(Duration::from_secs(10), submissions.recv());
    next.await.expect("nothing comes in").unwrap()
}

/// A request without a body, with more headers.
async fn ask(method: &str, url: &str, more: &str) -> String {
    let (authority, path) = split(url);
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\n{more}\r\n");
    exchange(authority, request).await
}

/// Answers what comes in with `answer`, whatever it is, and returns the code.
fn exchanging(
    mut submissions: mpsc::Receiver<Submitted>,
    answer: Result<Shown, String>,
) -> JoinHandle<String> {
    tokio::spawn(async move {
        let submitted = next(&mut submissions).await;
        let code = code_of(&submitted);
        submitted.answer.send(answer).unwrap();
        let more = tokio::time::timeout(Duration::from_secs(10), submissions.recv()).await;
        assert!(more.expect("nobody closes it").is_none(), "it comes once");
        code
    })
}

/// The address of the result that an answer leads to; nothing of the code goes there.
fn result_of(url: &str, answer: &str) -> String {
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    let lower = answer.to_lowercase();
    assert!(lower.contains("\r\nreferrer-policy: no-referrer\r\n"));
    let path = answer.split("location: ").nth(1).unwrap();
    let path = path.split("\r\n").next().unwrap();
    assert!(path.starts_with("/login/") && !path.contains('?'), "{path}");
    assert!(!lower.contains("canary"));
    format!("http://{}{path}", split(url).0)
}
