//! Logging in as a person does: the form, the server's page, the result, in a real browser.
//!
//! Each page's picture is kept in `target/tmp/oauth`, to be looked at.

use std::path::PathBuf;
use std::time::Duration;

use authsome_tests::authority::Page;
use authsome_tests::process::Running;
use authsome_tests::{Browser, Canary, Home, StandIn, wait_for};
use serde_json::json;

use crate::world::{PROVIDER, World, define, redirect_uri};

/// What `authsome` opens in place of a browser: notes how it was called.
const OPENER: &str =
    "#!/bin/sh\nprintf '%s\\n' \"$#\" \"$@\" > \"$OPENED.new\"\nmv \"$OPENED.new\" \"$OPENED\"\n";

/// A login that waits, and the address that it opened.
struct Opened {
    login: Running,
    url: String,
}

/// `authsome login` with a browser; waits until that was called.
fn log_in(home: &Home, words: &[&str]) -> Opened {
    use std::os::unix::fs::PermissionsExt;
    let opener = home.write("opener", OPENER);
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let opened = home.work().join("opened");
    let login = home
        .authsome(["login"])
        .args(words)
        .env("BROWSER", &opener)
        .env("OPENED", &opened)
        .spawn();
    let called = wait_for("the browser to be opened", Duration::from_secs(20), || {
        std::fs::read_to_string(&opened).ok()
    });
    std::fs::remove_file(&opened).unwrap();
    let mut lines = called.lines();
    // one argument, whatever is in it: no shell reads it (O5)
    assert_eq!(lines.next(), Some("1"), "{called}");
    let url = lines.next().unwrap().to_owned();
    Opened { login, url }
}

/// Takes the picture of a page.
fn picture(browser: &Browser, name: &str) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("oauth");
    std::fs::create_dir_all(&folder).unwrap();
    browser.screenshot(&folder.join(format!("{name}.png")));
}

/// No page complained, nor did a script of somebody else's say a word. (Answers that are refusals are
/// told there, too, and are meant.)
fn said_nothing(browser: &Browser) {
    let mut said = browser.said();
    said.retain(|text| !text.starts_with("Failed to load resource"));
    assert!(said.is_empty(), "{said:?}");
}

/// None of the secrets is in what the browser can go back to, nor in the page (O10).
fn forgets(browser: &Browser, secrets: &[Canary]) {
    let history = browser.history();
    let page = browser.html();
    assert!(history.len() > 1, "{history:?}");
    for secret in secrets {
        let secret = secret.secret();
        let kept = history.iter().find(|url| url.contains(secret));
        assert!(kept.is_none(), "the history has {kept:?}");
        assert!(!page.contains(secret), "the page has a secret");
    }
    // the state is no secret any more, but the whole answer would bring its code
    assert!(
        !history.iter().any(|url| url.contains("code=")),
        "{history:?}"
    );
    said_nothing(browser);
}

/// The form filled in with the client, up to the server's page.
fn enter_client(world: &World, browser: &Browser, url: &str) -> Page {
    let client = world.authority.confidential();
    let form = browser.open(url);
    assert!(
        form.text.contains(&redirect_uri(&world.home, PROVIDER)),
        "{form:?}"
    );
    picture(browser, "1-form");
    browser.fill("#client_id", &client.id);
    browser.fill("#client_secret", client.secret.as_ref().unwrap());
    browser.click("button[type=submit]");
    browser.wait_for_url("https://auth.example.com/")
}

#[test]
fn a_person_logs_in_with_the_browser_o10() {
    let mut world = World::new(&["pkce"]);
    let browser = Browser::start(&[&world.authority]);
    let opened = log_in(&world.home, &[PROVIDER]);
    let page = enter_client(&world, &browser, &opened.url);
    assert!(page.text.contains("confidential"), "{page:?}");
    picture(&browser, "2-server");
    browser.click("#allow");
    let page = browser.wait_for_text("Example is connected");
    picture(&browser, "3-connected");
    assert!(!page.url.contains('?'), "{page:?}");
    let output = opened.login.wait().succeeded();
    assert!(output.stdout.contains("connected: example"), "{output}");
    world.watch();
    forgets(&browser, &world.authority.issued());
    assert_eq!(world.call(), "200");

    // the client is known: the server's page is opened at once
    let second = log_in(&world.home, &[PROVIDER, "--connection", "second"]);
    assert!(
        second.url.starts_with("https://auth.example.com/auth?"),
        "{}",
        second.url
    );
    browser.approve(&second.url);
    browser.wait_for_text("Example is connected");
    second.login.wait().succeeded();
    world.watch();
    forgets(&browser, &world.authority.issued());
}

#[test]
fn a_person_says_no_in_the_browser() {
    let mut world = World::new(&["pkce"]);
    let browser = Browser::start(&[&world.authority]);
    let opened = log_in(&world.home, &[PROVIDER]);
    enter_client(&world, &browser, &opened.url);
    browser.click("#deny");
    let page = browser.wait_for_text("The login to Example failed");
    picture(&browser, "4-denied");
    let why = "The login was refused at Example: access_denied: the person said no.";
    assert!(page.text.contains(why), "{page:?}");
    assert!(!page.url.contains('?'), "{page:?}");
    opened.login.wait().exited(1).said(&["access_denied"]);
    world.watch();
    forgets(&browser, &world.authority.issued());
}

#[test]
fn a_form_that_is_not_filled_in_says_so_and_asks_again() {
    let mut world = World::new(&["pkce"]);
    let browser = Browser::start(&[&world.authority]);
    let opened = log_in(&world.home, &[PROVIDER]);
    browser.open(&opened.url);
    browser.fill("#client_id", "confidential ");
    browser.fill("#client_secret", "x");
    // the page's own checks are not the only ones
    browser.evaluate("document.querySelector('form').noValidate = true");
    let page = browser.click("button[type=submit]");
    picture(&browser, "5-again");
    assert!(page.text.contains("space"), "{page:?}");
    enter_client(&world, &browser, &opened.url);
    browser.click("#allow");
    browser.wait_for_text("Example is connected");
    opened.login.wait().succeeded();
    world.watch();
    forgets(&browser, &world.authority.issued());
}

#[test]
fn names_are_text_whatever_is_in_them() {
    const NAME: &str =
        "<img src=x onerror=\"console.log('run')\"><script>console.log('run')</script>&amp;'\"";
    let mut world = World::new(&["pkce"]);
    define(
        &world.home,
        "evil",
        "evil.example.com",
        &["pkce"],
        &json!({}),
    );
    let file = world.home.path().join("providers/evil.json");
    let mut definition: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    definition["display_name"] = NAME.into();
    definition["key"] = json!({ "hint": NAME, "urls": ["https://example.com/"] });
    std::fs::write(&file, definition.to_string()).unwrap();
    let uri = redirect_uri(&world.home, "evil");
    world.authority.redirects_to(&[&uri]);

    let browser = Browser::start(&[&world.authority]);
    let opened = log_in(&world.home, &["evil"]);
    let is_text = |page: &Page| {
        assert!(page.text.contains("<img src=x"), "{page:?}");
        assert!(page.title.contains("<img src=x"), "{page:?}");
        let found = browser.evaluate("document.querySelectorAll('img, script').length");
        assert_eq!(found, 0);
        said_nothing(&browser);
    };
    is_text(&browser.open(&opened.url));
    picture(&browser, "6-names");
    let client = world.authority.confidential().clone();
    browser.fill("#client_id", &client.id);
    browser.fill("#client_secret", client.secret.as_ref().unwrap());
    browser.click("button[type=submit]");
    browser.wait_for_url("https://auth.example.com/");
    browser.click("#allow");
    is_text(&browser.wait_for_text("is connected"));
    opened.login.wait().succeeded();
    world.watch();
}

#[test]
fn cookies_are_pasted_into_the_form_and_go_out_with_the_header_they_belong_to() {
    let site = StandIn::start(&["x.com", "api.x.com"]);
    let mut home = Home::with(&site);
    let session = home.watch(Canary::alphanumeric("session"));
    let csrf = home.watch(Canary::alphanumeric("csrf"));
    let browser = Browser::start(&[]);
    let opened = log_in(&home, &["x-browser"]);
    let form = browser.open(&opened.url);
    for shown in ["auth_token", "ct0", "x.com/login"] {
        assert!(form.text.contains(shown), "{form:?}");
    }
    picture(&browser, "7-cookies");
    let kinds = browser.evaluate(
        "[...document.querySelectorAll('input.field')].map((field) => field.type).join()",
    );
    assert_eq!(kinds, "password,password");
    browser.fill("#cookie-0", session.secret());
    browser.fill("#cookie-1", csrf.secret());
    browser.click("button[type=submit]");
    browser.wait_for_text("You can close this tab");
    picture(&browser, "8-cookies-done");
    opened.login.wait().succeeded();
    assert!(!browser.html().contains(session.secret()));
    home.run(["curl", "-sS", "-o", "/dev/null", "https://x.com/i/api"])
        .output()
        .succeeded();
    let sent = site.last();
    let cookie = sent.header("cookie").join("; ");
    assert!(
        cookie.contains(&format!("auth_token={}", session.secret())),
        "no session"
    );
    assert!(
        cookie.contains(&format!("ct0={}", csrf.secret())),
        "no second cookie"
    );
    assert_eq!(sent.header("x-csrf-token"), [csrf.secret()]);
    assert_eq!(sent.header("x-twitter-active-user"), ["yes"]);
}

#[test]
fn a_device_code_is_opened_with_the_code_in_it() {
    let mut world = World::new(&["pkce", "device_code"]);
    world.log_in().succeeded();
    let browser = Browser::start(&[&world.authority]);
    let opened = log_in(&world.home, &[PROVIDER, "--flow", "device", "--force"]);
    assert!(
        opened
            .url
            .starts_with("https://auth.example.com/device?user_code="),
        "{}",
        opened.url
    );
    let screen = opened.login.wait_for_stderr("must show the same code");
    browser.open(&opened.url);
    let code = opened.url.split('=').next_back().unwrap();
    assert!(screen.contains(code), "{screen}");
    picture(&browser, "9-device");
    browser.click("#continue");
    browser.click("#allow");
    opened.login.wait().succeeded();
    world.watch();
    assert_eq!(world.call(), "200");
}
