//! The form that a key is entered in.

use super::*;

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
