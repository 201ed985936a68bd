//! The form of a client that is to be registered, and the port that its address names.

use super::*;

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
