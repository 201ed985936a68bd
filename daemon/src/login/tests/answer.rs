//! What an authorization server sends the browser back with.

use super::*;

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
