//! What the pages hold, and that nothing of others becomes markup.

use proptest::prelude::*;

use super::super::Asked;
use super::super::fields::{Amiss, Fault};
use super::*;

fn example() -> LoginForm {
    LoginForm {
        asked: Asked::ApiKey,
        display_name: "Intercom".into(),
        connection: "default".parse().unwrap(),
        variable: Some("INTERCOM_ACCESS_TOKEN".into()),
        hosts: vec!["api.intercom.io".into()],
        key_urls: vec!["https://app.intercom.com/a/apps".into()],
        hint: Some("About 60 characters, ends in `=`".into()),
        pattern: None,
        rotate: false,
    }
}

#[test]
fn form_has_what_a_person_and_a_screen_reader_need() {
    let html = form(&example(), "TOKEN", &Amiss::default());
    for piece in [
        "<h1>Connect Intercom</h1>",
        "<label for=\"key\">API key</label>",
        "type=\"password\" class=\"field\" id=\"key\"",
        "autocomplete=\"off\"",
        "spellcheck=\"false\"",
        "autofocus",
        "aria-describedby=\"hint\"",
        "api.intercom.io",
        "INTERCOM_ACCESS_TOKEN",
        "rel=\"noopener noreferrer\"",
        "<html lang=\"en\">",
        "name=\"viewport\"",
    ] {
        assert!(html.contains(piece), "{piece}");
    }
    assert!(!html.contains("<script") && !html.contains("class=\"which\""));
}

#[test]
fn replacing_a_key_of_a_named_connection_says_so() {
    let connection = "team".parse().unwrap();
    let html = form(
        &LoginForm {
            rotate: true,
            connection,
            ..example()
        },
        "T",
        &Amiss::default(),
    );
    assert!(html.contains("Replace the key for Intercom") && html.contains(">team<"));
}

#[test]
fn a_webhook_is_asked_for_its_signing_secret_and_says_where_good_ones_go() {
    let of = |rotate| LoginForm {
        asked: Asked::SigningSecret {
            forward: "http://127.0.0.1:3000/<hooks>".into(),
        },
        connection: "default".parse().unwrap(),
        variable: None,
        hosts: Vec::new(),
        key_urls: Vec::new(),
        rotate,
        ..example()
    };
    let html = form(&of(false), "T", &Amiss::default());
    for piece in [
        "<h1>Verify webhooks of Intercom</h1>",
        "Webhook <code class=\"chip\">default</code>",
        "<label for=\"key\">Signing secret</label>",
        "Good webhooks go to",
        "127.0.0.1:3000/&lt;hooks&gt;",
    ] {
        assert!(html.contains(piece), "{piece}");
    }
    assert!(!html.contains("API key") && !html.contains("placeholder"));
    assert!(form(&of(true), "T", &Amiss::default()).contains("New signing secret"));
    assert!(done(&of(true)).contains("The signing secret of Intercom is replaced"));
}

#[test]
fn problem_is_announced_and_a_fault_is_tied_to_its_field() {
    let html = form(&example(), "T", &Amiss::problem("no <b>"));
    assert!(html.contains("role=\"alert\">no &lt;b&gt;<") && !html.contains("aria-invalid=\""));
    let amiss = Amiss {
        faults: vec![(0, Fault::TooLong)],
        ..Amiss::default()
    };
    let html = form(&example(), "T", &amiss);
    assert!(
        html.contains(
            "aria-describedby=\"key-fault hint\" required autofocus aria-invalid=\"true\""
        )
    );
    assert!(html.contains("id=\"key-fault\" role=\"alert\">This is too long"));
}

const REDIRECT_URI: &str = "http://127.0.0.1:7998/callback/github";

fn client(id: Option<&str>, secret_needed: bool) -> LoginForm {
    LoginForm {
        asked: Asked::Client {
            redirect_uri: Some(REDIRECT_URI.into()),
            id: id.map(str::to_owned),
            secret_needed,
        },
        display_name: "GitHub".into(),
        hint: None,
        key_urls: vec!["https://github.com/settings/developers".into()],
        ..example()
    }
}

#[test]
fn a_client_is_asked_for_with_what_to_register() {
    let html = form(&client(None, false), "T", &Amiss::default());
    for piece in [
        "<h1>Connect GitHub</h1>",
        &format!("<code class=\"copy\">{REDIRECT_URI}</code>"),
        "exactly so",
        "<dt>Register an app</dt>",
        "https://github.com/settings/developers",
        "<label for=\"client_id\">Client ID <span class=\"need\">needed</span></label>",
        "<label for=\"client_secret\">Client secret <span class=\"need\">optional</span></label>",
        "<input type=\"password\" class=\"field\" id=\"client_secret\"",
        "<button type=\"submit\">Continue</button>",
    ] {
        assert!(html.contains(piece), "{piece}");
    }
    assert_eq!(html.matches(" required").count(), 1);
    assert_eq!(html.matches(" autofocus").count(), 1);
    let html = form(&client(Some("a\"b"), true), "T", &Amiss::default());
    assert!(html.contains("value=\"a&quot;b\" readonly"));
    assert!(html.contains("id=\"client_secret\"") && html.matches(" required").count() == 2);
}

#[test]
fn a_client_is_asked_for_again_with_its_id_and_never_its_secret() {
    let amiss = Amiss {
        faults: vec![(
            1,
            Fault::Padded {
                what: "the client secret",
            },
        )],
        id: Some("<app>".into()),
        problem: None,
    };
    let html = form(&client(None, true), "T", &amiss);
    assert!(html.contains("value=\"&lt;app&gt;\" class"));
    assert!(html.contains("id=\"client_secret-fault\" role=\"alert\">There is a space"));
    let (before, after) = html.split_once(" autofocus").unwrap();
    assert!(before.contains("id=\"client_secret\"") && !after.contains("autofocus"));
    assert_eq!(
        html.matches("value=").count(),
        2,
        "the token's and the ID's"
    );
}

#[test]
fn cookies_are_asked_for_with_where_to_find_them() {
    let of = |entry_url: &str| LoginForm {
        asked: Asked::Cookies {
            entry_url: entry_url.into(),
            names: vec!["li_at".into(), "<b>".into()],
            needed: 1,
        },
        ..example()
    };
    let html = form(&of("https://x.test/login"), "T", &Amiss::default());
    for piece in [
        "Log in at <a href=\"https://x.test/login\" target=\"_blank\" rel=\"noopener noreferrer\">",
        "<label for=\"cookie-0\"><code>li_at</code> <span class=\"need\">needed</span></label>",
        "<label for=\"cookie-1\"><code>&lt;b&gt;</code> <span class=\"need\">optional</span></label>",
        "<input type=\"password\" class=\"field\" id=\"cookie-1\"",
    ] {
        assert!(html.contains(piece), "{piece}");
    }
    let html = form(&of("javascript:alert(1)"), "T", &Amiss::default());
    assert!(html.contains("Log in at Intercom</li>") && !html.contains("javascript"));
}

#[test]
fn a_key_file_is_asked_for_in_a_field_of_lines_that_is_masked() {
    let asked = Asked::ServiceAccount;
    let html = form(&LoginForm { asked, ..example() }, "T", &Amiss::default());
    assert!(html.contains("<textarea rows=\"6\" class=\"field\" id=\"key\" name=\"key\""));
    assert!(html.contains("spellcheck=\"false\""));
    assert!(STYLE.contains("-webkit-text-security: disc"));
}

/// Threats O2, O5.
#[test]
fn only_a_plain_https_address_is_led_on_to_and_its_host_is_shown() {
    let address = "https://github.com/login/oauth/authorize?a=b&state='\"><script>";
    let html = go_on(&example(), address).unwrap();
    let escaped = "https://github.com/login/oauth/authorize?a=b&amp;state=%27%22%3E%3Cscript%3E";
    assert!(html.contains(&format!(
        "<meta http-equiv=\"refresh\" content=\"0;url={escaped}\">"
    )));
    assert!(html.contains(&format!("href=\"{escaped}\"")));
    assert!(html.contains("<code class=\"chip\">github.com</code>"));
    for bad in [
        "http://github.com/",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://github.com@evil.test/",
        "//github.com",
        "",
    ] {
        assert!(go_on(&example(), bad).is_none(), "{bad}");
    }
}

proptest! {
    /// In every page that has any of them: as many tags and quotes as with harmless ones.
    #[test]
    fn texts_of_others_never_become_markup(text in "[\\PC<>\"'&]{0,40}") {
        // which mark literals, and have a test of their own
        let text = text.replace('`', "");
        prop_assert_eq!(counts(&text), counts("x"));
    }
}

/// Tags and quotes of the pages in which `text` stands wherever others' text can.
fn counts(text: &str) -> Vec<(usize, usize)> {
    let of = |asked| LoginForm {
        asked,
        display_name: text.to_owned(),
        connection: "team".parse().unwrap(),
        variable: Some(text.to_owned()),
        hosts: vec![text.to_owned()],
        key_urls: vec![],
        hint: Some(text.to_owned()),
        pattern: None,
        rotate: false,
    };
    let some = || Some(text.to_owned());
    let client = of(Asked::Client {
        redirect_uri: some(),
        id: some(),
        secret_needed: true,
    });
    let typed = of(Asked::Client {
        redirect_uri: some(),
        id: None,
        secret_needed: true,
    });
    let cookies = Asked::Cookies {
        entry_url: text.to_owned(),
        names: vec![text.to_owned()],
        needed: 1,
    };
    let amiss = Amiss {
        problem: some(),
        faults: vec![(
            0,
            Fault::Pattern {
                what: "x",
                name: text.to_owned(),
            },
        )],
        id: some(),
    };
    let pages = [
        form(&of(Asked::ApiKey), "T", &amiss),
        form(
            &of(Asked::SigningSecret {
                forward: text.to_owned(),
            }),
            "T",
            &amiss,
        ),
        form(&client, "T", &amiss),
        form(&typed, "T", &amiss),
        form(&of(Asked::ServiceAccount), "T", &amiss),
        form(&of(cookies), "T", &amiss),
        done(&client),
        connected(&client),
        failed(&client, text),
        no_way_on(&client),
        go_on(&client, &format!("https://x.test/?{text}")).unwrap(),
    ];
    let of = |html: &String| (html.matches('<').count(), html.matches(['"', '\'']).count());
    pages.iter().map(of).collect()
}
