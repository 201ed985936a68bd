//! The page over real sockets.

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

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
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

#[tokio::test]
async fn key_goes_through_once_and_the_port_closes() {
    let pages = Pages::new(free_port());
    let (sink, keys) = mpsc::channel(1);
    let offered = pages
        .offer(login(1), form(), Port::Any, sink)
        .await
        .unwrap();
    assert_eq!(offered.moved_from, None);
    let keys = receiver(keys, vec![Err("the keyring is <locked>".into()), Ok(())]);
    let page = get(&offered.url).await;
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("Connect Intercom"),
        "{page}"
    );
    for header in [
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "cache-control: no-store",
        "referrer-policy: same-origin",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "cross-origin-opener-policy: same-origin",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ] {
        assert!(page.contains(header), "{header}");
    }
    assert!(!page.to_lowercase().contains("access-control"));

    let wrong = post(&offered.url, &page, "pk-canary").await;
    assert!(
        wrong.starts_with("HTTP/1.1 422") && wrong.contains("It begins with <code>sk-</code>.")
    );
    assert!(wrong.contains("does not look like a key") && !wrong.contains("canary"));
    let failed = post(&offered.url, &wrong, "sk-canary").await;
    assert!(failed.starts_with("HTTP/1.1 503") && failed.contains("the keyring is &lt;locked&gt;"));
    let stored = post(&offered.url, &page, "sk-canary2").await;
    assert!(stored.starts_with("HTTP/1.1 200") && stored.contains("You can close this tab"));
    assert!(!stored.contains("canary"));
    assert_eq!(keys.await.unwrap(), ["sk-canary", "sk-canary2"]);
    until_closed(split(&offered.url).0).await;
}

#[tokio::test]
async fn used_address_is_dead_while_another_login_waits() {
    let pages = Pages::new(free_port());
    let (sink, first) = mpsc::channel(1);
    let one = pages
        .offer(login(1), form(), Port::Any, sink)
        .await
        .unwrap();
    let (sink, second) = mpsc::channel(1);
    let other = pages
        .offer(login(2), form(), Port::Any, sink)
        .await
        .unwrap();
    assert_eq!(split(&one.url).0, split(&other.url).0);
    let (first, second) = (receiver(first, vec![Ok(())]), receiver(second, vec![]));
    let page = get(&one.url).await;
    let foreign = post(&other.url, &page, "sk-1").await;
    assert!(
        foreign.starts_with("HTTP/1.1 403"),
        "the field of one login opened another"
    );
    assert!(
        post(&one.url, &page, "sk-1")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(get(&one.url).await.starts_with("HTTP/1.1 404"));
    assert!(
        post(&one.url, &page, "sk-2")
            .await
            .starts_with("HTTP/1.1 404")
    );
    assert!(get(&other.url).await.starts_with("HTTP/1.1 200"));
    pages.withdraw(&login(2));
    until_closed(split(&one.url).0).await;
    assert_eq!(
        (first.await.unwrap().len(), second.await.unwrap().len()),
        (1, 0)
    );
    // and a later login gets the same port again
    let (sink, _keys) = mpsc::channel(1);
    let again = pages
        .offer(login(3), form(), Port::Any, sink)
        .await
        .unwrap();
    assert_eq!(again.moved_from, None);
    assert!(get(&again.url).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn taken_port_moves_the_form_and_says_so() {
    let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = holder.local_addr().unwrap().port();
    let pages = Pages::new(port);
    let (sink, _keys) = mpsc::channel(1);
    let offered = pages
        .offer(login(1), form(), Port::Any, sink)
        .await
        .unwrap();
    assert_eq!(offered.moved_from, Some(port));
    assert!(get(&offered.url).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn login_given_up_without_a_word_closes_the_port() {
    let pages = Pages::new(free_port());
    let (sink, keys) = mpsc::channel(1);
    let offered = pages
        .offer(login(1), form(), Port::Any, sink)
        .await
        .unwrap();
    assert!(get(&offered.url).await.starts_with("HTTP/1.1 200"));
    drop(keys);
    until_closed(split(&offered.url).0).await;
}

#[tokio::test]
async fn second_key_waits_for_the_outcome_of_the_first() {
    let pages = Pages::new(free_port());
    let (sink, mut keys) = mpsc::channel(1);
    let offered = pages
        .offer(login(1), form(), Port::Any, sink)
        .await
        .unwrap();
    let page = get(&offered.url).await;
    let (url, form) = (offered.url.clone(), page.clone());
    let first = tokio::spawn(async move { post(&url, &form, "sk-1").await });
    let submitted = keys.recv().await.unwrap();
    assert!(
        post(&offered.url, &page, "sk-2")
            .await
            .starts_with("HTTP/1.1 409")
    );
    submitted.answer.send(Ok(Shown::Done)).unwrap();
    assert!(first.await.unwrap().starts_with("HTTP/1.1 200"));
}

/// Threat O1, over the wire.
#[tokio::test]
async fn request_by_another_name_is_refused() {
    let pages = Pages::new(free_port());
    let (sink, _keys) = mpsc::channel(1);
    let offered = pages
        .offer(login(1), form(), Port::Any, sink)
        .await
        .unwrap();
    let (authority, path) = split(&offered.url);
    let request = format!("GET {path} HTTP/1.1\r\nHost: rebind.evil.test\r\n\r\n");
    let answer = exchange(authority, request).await;
    assert!(
        answer.starts_with("HTTP/1.1 403") && !answer.contains("Intercom"),
        "{answer}"
    );
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

/// Threat O3.
#[tokio::test]
async fn the_right_callback_counts_after_a_thousand_forged_ones_and_only_once() {
    let pages = Pages::new(free_port());
    let (sink, submissions) = mpsc::channel(1);
    let url = wait_for(&pages, 1, sink).await;
    let code = exchanging(submissions, Ok(Shown::Done));
    let plain = pages.redirect_uri(&github());
    for n in 0..1000 {
        let forged = match n % 4 {
            0 => format!("{plain}?state={n}&code=canary-forged"),
            1 => format!("{plain}?error=access_denied"),
            2 => format!("{url}x&error=access_denied"),
            _ => format!("{url}&state=x&code=canary-forged"),
        };
        let answer = get(&forged).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(!answer.contains("canary"));
    }
    {
        let state = pages.0.lock();
        assert_eq!(state.waiting.len(), 1);
        assert!(!state.results.are_awaited(Instant::now()));
    }
    let answer = get(&format!("{url}&code=canary-1")).await;
    let result = result_of(&url, &answer);
    assert_eq!(code.await.unwrap(), "canary-1");
    let replayed = get(&format!("{url}&code=canary-1")).await;
    assert!(replayed.starts_with("HTTP/1.1 400"), "{replayed}");

    let page = get(&result).await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("GitHub is connected"));
    assert!(!page.contains("canary"));
    until_closed(split(&url).0).await;
}

/// Threat O10: what is shown is shown at an address of its own, once.
#[tokio::test]
async fn a_result_is_shown_once_although_the_login_is_over() {
    let pages = Pages::new(free_port());
    let (sink, submissions) = mpsc::channel(1);
    let url = wait_for(&pages, 1, sink).await;
    let (sink, _other) = mpsc::channel(1);
    wait_for(&pages, 2, sink).await;
    let no = Err("You or <b>GitHub</b> said no: `access_denied`.".to_owned());
    let code = exchanging(submissions, no);
    let result = result_of(&url, &get(&format!("{url}&code=c")).await);
    code.await.unwrap();
    pages.withdraw(&login(1));
    for prefetch in ["Sec-Purpose: prefetch\r\n", "Sec-Fetch-Mode: no-cors\r\n"] {
        assert!(
            ask("GET", &result, prefetch)
                .await
                .starts_with("HTTP/1.1 403")
        );
    }
    assert!(ask("HEAD", &result, "").await.starts_with("HTTP/1.1 200"));
    let page = get(&result).await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("The login to GitHub failed"));
    assert!(page.contains("You or &lt;b&gt;GitHub&lt;/b&gt; said no: <code>access_denied</code>."));
    assert!(page.contains("\r\nreferrer-policy: no-referrer\r\n"));
    assert!(get(&result).await.starts_with("HTTP/1.1 404"));
    pages.withdraw(&login(2));
    until_closed(split(&url).0).await;
}

#[tokio::test]
async fn a_result_holds_the_port_after_the_last_login_is_withdrawn() {
    let pages = Pages::new(free_port());
    let (sink, mut submissions) = mpsc::channel(1);
    let url = wait_for(&pages, 1, sink).await;
    let target = format!("{url}&code=c");
    let answer = tokio::spawn(async move { get(&target).await });
    let submitted = next(&mut submissions).await;
    // as a broker does that ends the login before its answer reached the page
    pages.withdraw(&login(1));
    assert!(TcpStream::connect(split(&url).0).await.is_ok());
    submitted.answer.send(Ok(Shown::Done)).unwrap();
    drop(submissions);
    let result = result_of(&url, &answer.await.unwrap());
    assert!(get(&result).await.contains("GitHub is connected"));
    until_closed(split(&url).0).await;
}

/// Invariant P4, for a browser that never comes for its result.
#[tokio::test]
async fn a_result_that_nobody_comes_for_closes_the_port() {
    let pages = Pages::new(free_port());
    let (sink, submissions) = mpsc::channel(1);
    let url = wait_for(&pages, 1, sink).await;
    let code = exchanging(submissions, Ok(Shown::Done));
    result_of(&url, &get(&format!("{url}&code=c")).await);
    code.await.unwrap();
    assert!(!pages.0.lock().servers.is_empty());
    let now = Instant::now();
    pages.0.lock().rest(now + Duration::from_secs(9));
    assert!(!pages.0.lock().servers.is_empty());
    pages.0.lock().rest(now + Duration::from_secs(11));
    until_closed(split(&url).0).await;
}

/// A browser that hangs up does not lose the code.
#[tokio::test]
async fn the_code_is_handed_on_although_the_browser_hangs_up() {
    let pages = Pages::new(free_port());
    let (sink, mut submissions) = mpsc::channel(1);
    // so that handing it on has to wait
    let (answer, _outcome) = oneshot::channel();
    let submission = Submission::Secret(Secret::new("first".into()));
    sink.send(Submitted { submission, answer }).await.unwrap();
    let url = wait_for(&pages, 1, sink).await;
    let (authority, path) = split(&url);
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let request = format!("GET {path}&code=canary HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !pages.0.lock().waiting.is_empty() {
        assert!(Instant::now() < deadline, "the answer is not taken");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    // the server sees it when it looks at the connection again
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(next(&mut submissions).await);
    let submitted = next(&mut submissions).await;
    assert_eq!(code_of(&submitted), "canary");
}

/// Threat O3.
#[tokio::test]
async fn two_logins_of_a_provider_each_get_their_own_answer() {
    let pages = Pages::new(free_port());
    let (sink, one) = mpsc::channel(1);
    let one_url = wait_for(&pages, 1, sink).await;
    let (sink, other) = mpsc::channel(1);
    let other_url = wait_for(&pages, 2, sink).await;
    let (one, other) = (
        exchanging(one, Ok(Shown::Done)),
        exchanging(other, Ok(Shown::Done)),
    );
    let answer = get(&format!("{other_url}&code=other")).await;
    get(&result_of(&other_url, &answer)).await;
    let answer = get(&format!("{one_url}&code=one")).await;
    get(&result_of(&one_url, &answer)).await;
    assert_eq!(
        (one.await.unwrap(), other.await.unwrap()),
        ("one".into(), "other".into())
    );
    until_closed(split(&one_url).0).await;
}

/// Threats O1, O2, O3: nothing but a browser that goes there uses an answer up.
#[tokio::test]
async fn what_is_no_navigation_to_the_literal_address_does_not_use_the_answer_up() {
    let pages = Pages::new(free_port());
    let (sink, submissions) = mpsc::channel(1);
    let url = wait_for(&pages, 1, sink).await;
    let code = exchanging(submissions, Ok(Shown::Done));
    let good = format!("{url}&code=c");
    let (authority, path) = split(&good);
    for (method, more, expected) in [
        ("HEAD", "", "405"),
        ("POST", "Content-Length: 0\r\n", "405"),
        ("OPTIONS", "", "405"),
        ("GET", "Sec-Purpose: prefetch\r\n", "403"),
        ("GET", "Sec-Purpose: prefetch;prerender\r\n", "403"),
        ("GET", "Sec-Fetch-Mode: no-cors\r\n", "403"),
        (
            "GET",
            "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n",
            "403",
        ),
    ] {
        let answer = ask(method, &good, more).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected}")),
            "{method} {more}: {answer}"
        );
        let allows = answer.to_lowercase().contains("\r\nallow: get\r\n");
        assert_eq!(allows, expected == "405", "{answer}");
    }
    for host in ["localhost", "rebind.evil.test", "127.0.0.1"] {
        let port = authority.split(':').nth(1).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}0\r\n\r\n");
        let answer = exchange(authority, request).await;
        assert!(
            answer.starts_with("HTTP/1.1 403") && !answer.contains("GitHub"),
            "{answer}"
        );
    }
    let navigation = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\
                      Sec-Fetch-Dest: document\r\nSec-Fetch-User: ?1\r\n";
    let answer = ask("GET", &good, navigation).await;
    get(&result_of(&url, &answer)).await;
    assert_eq!(code.await.unwrap(), "c");
}

/// From the form over the authorization server to the result, at one port, with one entry.
#[tokio::test]
async fn a_client_form_leads_on_and_then_the_callback_is_waited_for() {
    let pages = Pages::new(free_port());
    let (sink, mut submissions) = mpsc::channel(1);
    let form = client_form(&pages);
    let offered = pages
        .offer(login(1), form, Port::Configured, sink.clone())
        .await
        .unwrap();
    let page = get(&offered.url).await;
    let redirect_uri = pages.redirect_uri(&github());
    assert!(page.contains(&format!("<code class=\"copy\">{redirect_uri}</code>")));

    let wrong = post_fields(&offered.url, &page, "client_id=app-1&client_secret=+canary").await;
    assert!(wrong.starts_with("HTTP/1.1 422") && wrong.contains("client_secret-fault"));
    assert!(wrong.contains("value=\"app-1\"") && !wrong.contains("canary"));

    let (url, sent) = (offered.url.clone(), page.clone());
    let form = tokio::spawn(async move {
        post_fields(&url, &sent, "client_id=app-1&client_secret=canary").await
    });
    let Submitted { submission, answer } = next(&mut submissions).await;
    match submission {
        Submission::Client { id, secret } => {
            assert_eq!((&*id, secret.unwrap().expose()), ("app-1", "canary"));
        }
        other => panic!("{other:?}"),
    }
    let callback = wait_for(&pages, 1, sink).await;
    assert_eq!(pages.0.lock().waiting.len(), 1);
    let url = "https://github.com/login/oauth/authorize?client_id=app-1&state=s".to_owned();
    answer.send(Ok(Shown::GoOn { url })).unwrap();
    let on = form.await.unwrap();
    assert!(
        on.starts_with("HTTP/1.1 200") && !on.contains("canary"),
        "{on}"
    );
    for piece in [
        "\r\nreferrer-policy: no-referrer\r\n",
        "\r\ncontent-security-policy: default-src 'none'; ",
        "content=\"0;url=https://github.com/login/oauth/authorize?client_id=app-1&amp;state=s\"",
        "Continue to GitHub",
        "<code class=\"chip\">github.com</code>",
    ] {
        assert!(on.contains(piece), "{piece}");
    }
    // the form is over, the login is not
    assert!(get(&offered.url).await.starts_with("HTTP/1.1 404"));
    assert!(
        post_fields(&offered.url, &page, "client_id=app-2&client_secret=x")
            .await
            .starts_with("HTTP/1.1 404")
    );
    let target = format!("{callback}&code=c");
    let answer = tokio::spawn(async move { get(&target).await });
    let submitted = next(&mut submissions).await;
    assert_eq!(code_of(&submitted), "c");
    submitted.answer.send(Ok(Shown::Done)).unwrap();
    let result = result_of(&callback, &answer.await.unwrap());
    assert!(get(&result).await.contains("GitHub is connected"));
    assert!(submissions.recv().await.is_none(), "nobody waits any more");
    until_closed(split(&callback).0).await;
}

/// A login without a callback, such as one by a device code.
#[tokio::test]
async fn a_form_that_leads_on_without_a_callback_is_over() {
    let pages = Pages::new(free_port());
    let (sink, mut submissions) = mpsc::channel(1);
    let form = client_form(&pages);
    let offered = pages.offer(login(1), form, Port::Any, sink).await.unwrap();
    let page = get(&offered.url).await;
    let url = offered.url.clone();
    let sent =
        tokio::spawn(async move { post_fields(&url, &page, "client_id=a&client_secret=").await });
    let submitted = next(&mut submissions).await;
    let url = "http://github.test/".to_owned();
    submitted.answer.send(Ok(Shown::GoOn { url })).unwrap();
    let page = sent.await.unwrap();
    assert!(
        page.starts_with("HTTP/1.1 500") && page.contains("cannot be opened"),
        "{page}"
    );
    assert!(!page.contains("github.test"), "only `https` is led on to");
    until_closed(split(&offered.url).0).await;
}

/// Threat O4: one provider's address is never another's.
#[tokio::test]
async fn what_is_shown_as_redirect_uri_is_what_is_served() {
    let port = free_port();
    let pages = Pages::new(port);
    let uri = pages.redirect_uri(&github());
    assert_eq!(uri, format!("http://127.0.0.1:{port}/callback/github"));
    let (sink, submissions) = mpsc::channel(1);
    let url = wait_for(&pages, 1, sink).await;
    let elsewhere = url.replace("/callback/github", "/callback/gitlab");
    assert!(
        get(&format!("{elsewhere}&code=c"))
            .await
            .starts_with("HTTP/1.1 400")
    );
    let code = exchanging(submissions, Ok(Shown::Done));
    get(&result_of(&url, &get(&format!("{url}&code=c")).await)).await;
    assert_eq!(code.await.unwrap(), "c");
}

#[tokio::test]
async fn a_taken_port_is_said_with_its_holder_and_the_form_stays() {
    let holder = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = holder.local_addr().unwrap().port();
    let pages = Pages::new(port);
    let (sink, _submissions) = mpsc::channel(1);
    let taken = pages
        .offer(
            login(1),
            client_form(&pages),
            Port::Configured,
            sink.clone(),
        )
        .await
        .unwrap_err();
    let OfferError::Taken {
        port: found,
        holder: name,
    } = &taken
    else {
        panic!("{taken:?}");
    };
    assert_eq!(*found, port);
    if cfg!(target_os = "linux") {
        let pid = format!("(pid {})", std::process::id());
        assert!(name.as_ref().unwrap().ends_with(&pid), "{taken}");
        assert!(taken.to_string().contains(" is taken by `"), "{taken}");
    }
    // a form that may be anywhere is, and is not hurt by a callback that may not
    let form = client_form(&pages);
    let offered = pages
        .offer(login(1), form, Port::Any, sink.clone())
        .await
        .unwrap();
    assert_eq!(offered.moved_from, Some(port));
    let (awaited, _) = awaited();
    let form = client_form(&pages);
    let error = pages
        .await_callback(login(1), form, awaited, sink.clone())
        .await;
    assert!(matches!(error, Err(OfferError::Taken { .. })), "{error:?}");
    assert!(get(&offered.url).await.starts_with("HTTP/1.1 200"));
    // once it is free, both are open
    drop(holder);
    let (other, _other) = mpsc::channel(1);
    let url = wait_for(&pages, 2, other).await;
    assert!(get(&offered.url).await.starts_with("HTTP/1.1 200"));
    let forged = get(&url.replace("state=", "state=x")).await;
    assert!(forged.starts_with("HTTP/1.1 400"), "{forged}");
    pages.withdraw(&login(2));
    pages.withdraw(&login(1));
    until_closed(split(&offered.url).0).await;
}

/// Our own server that is about to close is no other program.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_right_after_another_gets_the_configured_port() {
    let pages = Pages::new(free_port());
    for n in 0..200 {
        let (sink, _submissions) = mpsc::channel(1);
        let url = wait_for(&pages, n, sink).await;
        if n % 3 == 0 {
            assert!(
                get(&url.replace("state", "x"))
                    .await
                    .starts_with("HTTP/1.1 400")
            );
        }
        pages.withdraw(&login(n));
    }
}

/// Serves pages for a person with a browser: `--ignored --nocapture`, then open what it prints. Each
/// form is refused once, then taken; of the callbacks the first is taken and the second refused.
#[tokio::test]
#[ignore = "for looking at, not a check"]
async fn pages_to_look_at() {
    let pages = Pages::new(free_port());
    let mut hosts = form().hosts;
    hosts.extend([
        "api.au.intercom.io".into(),
        "a.x.test".into(),
        "b.x.test".into(),
    ]);
    let client = client_form(&pages);
    let given = Asked::Client {
        redirect_uri: Some(pages.redirect_uri(&github())),
        id: Some("Iv1.8a61f9b3a7aba766".into()),
        secret_needed: true,
    };
    let cookies = Asked::Cookies {
        entry_url: "https://www.linkedin.com/login".into(),
        names: vec!["li_at".into(), "JSESSIONID".into()],
        needed: 1,
    };
    let forms = [
        form(),
        LoginForm {
            rotate: true,
            connection: "team-with-a-long-name".parse().unwrap(),
            hosts,
            ..form()
        },
        client.clone(),
        LoginForm {
            asked: given,
            ..client.clone()
        },
        LoginForm {
            asked: Asked::ServiceAccount,
            display_name: "Google Cloud".into(),
            hint: Some("It begins with `{` and holds a `private_key`.".into()),
            key_urls: vec!["https://console.cloud.google.com/iam-admin/serviceaccounts".into()],
            hosts: vec!["www.googleapis.com".into()],
            variable: Some("GOOGLE_ACCESS_TOKEN".into()),
            pattern: None,
            ..form()
        },
        LoginForm {
            asked: cookies,
            display_name: "LinkedIn — Browser Session".into(),
            hint: None,
            key_urls: vec![],
            hosts: vec!["www.linkedin.com".into(), "linkedin.com".into()],
            variable: Some("LINKEDIN_LI_AT".into()),
            pattern: None,
            ..form()
        },
    ];
    let mut tasks = Vec::new();
    for (n, form) in (1..).zip(forms) {
        let (sink, mut submissions) = mpsc::channel(1);
        let offered = pages.offer(login(n), form.clone(), Port::Any, sink).await;
        println!("{}", offered.unwrap().url);
        tasks.push(tokio::spawn(async move {
            let mut answers = vec![Err("The keyring is locked.".to_owned())];
            answers.push(Ok(match form.asked {
                Asked::Client { .. } => Shown::GoOn {
                    url: "https://github.com/login/oauth/authorize?state=x".into(),
                },
                _ => Shown::Done,
            }));
            for answer in answers {
                let Some(submitted) = submissions.recv().await else {
                    return;
                };
                println!("{:?}", submitted.submission);
                drop(submitted.answer.send(answer));
            }
        }));
    }
    let no = "You or GitHub said no: `access_denied`.";
    for (n, answer) in (10..).zip([Ok(Shown::Done), Err(no.to_owned())]) {
        let (sink, mut submissions) = mpsc::channel(1);
        println!("{}&code=c", wait_for(&pages, n, sink).await);
        tasks.push(tokio::spawn(async move {
            if let Some(submitted) = submissions.recv().await {
                drop(submitted.answer.send(answer));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}
