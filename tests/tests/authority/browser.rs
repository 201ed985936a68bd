//! Chromium, driven against the authority.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use authsome_tests::authority::{Authority, Endpoint, Pkce, Tokens, parameter};
use authsome_tests::home::is_gone;
use authsome_tests::{Browser, wait_until};

#[test]
fn a_person_allows_and_denies_in_a_browser() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it listens").port();
    std::thread::spawn(move || {
        // whoever is sent back sees this; it ends with the test
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _read = stream.read(&mut request);
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n\
                          <title>Back</title><p>Welcome back</p><input id=\"name\">";
            let _written = stream.write_all(answer.as_bytes());
        }
    });
    let mut authority = Authority::start();
    authority.redirects_to(&[&format!("http://127.0.0.1:{port}/callback")]);
    let client = authority.public();
    let browser = Browser::start(&[&authority]);
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    std::fs::create_dir_all(&pictures).expect("the build folder can be written");

    let pkce = Pkce::new();
    let url = authority.authorization_url(client, &pkce, &[("scope", "read")]);
    let question = browser.open(&url);
    assert_eq!(question.title, "public wants access");
    assert!(question.text.contains("Scopes: read"), "{question:?}");
    let picture = pictures.join("question.png");
    browser.screenshot(&picture);
    let png = std::fs::read(&picture).expect("a picture was taken");
    assert!(png.starts_with(b"\x89PNG") && png.len() > 4_000);
    let back = browser.click("#allow");
    assert_eq!(back.text, "Welcome back");
    assert!(parameter(&back.url, "code").is_some(), "{back:?}");
    browser.fill("#name", "Ada");
    let field = "document.querySelector('#name').value";
    assert_eq!(browser.evaluate(field), "Ada");
    assert!(browser.html().contains("id=\"name\""));
    assert_eq!(browser.wait_for_text("Welcome").url, back.url);
    let visited = browser.visited();
    assert!(visited.contains(&format!("GET {url}")), "{visited:?}");

    browser.clear();
    browser.open(&authority.authorization_url(client, &Pkce::new(), &[]));
    let denied = browser.click("#deny");
    assert_eq!(
        parameter(&denied.url, "error").as_deref(),
        Some("access_denied")
    );

    let device = authority
        .post_as(client, Endpoint::DeviceAuthorization, &[("scope", "read")])
        .expect(200)
        .json();
    let text = |name: &str| device[name].as_str().expect("it is there").to_owned();
    browser.clear();
    let page = browser.approve_device(&text("verification_uri"), &text("user_code"));
    assert!(page.text.contains("Go back to your device"), "{page:?}");
    browser.screenshot(&pictures.join("connected.png"));
    let fields = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", &text("device_code")),
    ];
    let polled = authority.post_as(client, Endpoint::Token, &fields);
    Tokens::of(polled.expect(200).json());

    let pid = browser.pid();
    assert!(!is_gone(pid));
    drop(browser);
    wait_until("Chromium to end", std::time::Duration::from_secs(5), || {
        is_gone(pid)
    });
}
