//! The commands of the product's first document, in its order, each with the outcome it states:
//! with a gnome-keyring, without a message bus, and with the keyring locked.

use std::time::Duration;

use authsome_tests::{Canary, Home, PlainUser, StandIn, Store};

/// What the document calls `my_agent.py`: it reads its key from the environment and calls the API.
const AGENT: &str = r#"
import os, urllib.request
key = os.environ["INTERCOM_API_KEY"]
print("key", key)
request = urllib.request.Request(
    "https://api.intercom.io/me", headers={"Authorization": "Bearer " + key})
print("answer", urllib.request.urlopen(request, timeout=20).status)
"#;

/// A browser in miniature: opens the page, fills the form in, submits it.
const BROWSER: &str = r#"#!/usr/bin/python3
import html.parser, os, sys, urllib.parse, urllib.request
url = sys.argv[1]
class Form(html.parser.HTMLParser):
    action, fields = "", {}
    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        if tag == "form": self.action = a.get("action") or ""
        if tag == "input" and a.get("type") == "password":
            self.fields[a["name"]] = open(os.environ["KEY_FILE"]).read().strip()
        elif tag == "input" and a.get("name"):
            self.fields[a["name"]] = a.get("value", "")
form = Form()
form.feed(urllib.request.urlopen(url, timeout=10).read().decode())
origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(url))
answer = urllib.request.urlopen(urllib.request.Request(
    urllib.parse.urljoin(url, form.action), urllib.parse.urlencode(form.fields).encode(),
    {"Origin": origin, "Sec-Fetch-Site": "same-origin"}), timeout=30)
open(os.environ["KEY_FILE"] + ".status", "w").write(str(answer.status))
"#;

/// Types a key at the hidden prompt, as on a machine without a display.
const TYPIST: &str = r#"
set timeout 60
log_user 1
spawn -noecho authsome login intercom
expect -re {(?i)key.*: ?$}
set file [open $env(KEY_FILE)]
send -- "[string trim [read $file]]\r"
expect eof
exit [lindex [wait] 3]
"#;

#[test]
fn the_seed_works_with_a_keyring_as_a_plain_user() {
    let token = Canary::new();
    let stand_in = StandIn::start(&["api.intercom.io"]);
    let user = PlainUser::any();
    let home = Home::builder()
        .user(&user)
        .store(Store::Keyring)
        .stand_in(&stand_in)
        .build();
    the_seed(home, &stand_in, &token);
}

#[test]
fn the_seed_works_without_a_message_bus() {
    let token = Canary::new();
    let stand_in = StandIn::start(&["api.intercom.io"]);
    let user = PlainUser::any();
    let home = Home::builder()
        .user(&user)
        .store(Store::Auto)
        .stand_in(&stand_in)
        .build();
    the_seed(home, &stand_in, &token);
}

fn the_seed(mut home: Home, stand_in: &StandIn, token: &Canary) {
    home.watch(token.clone());
    let agent = home.write("my_agent.py", AGENT);
    let key_file = home.write("key", token.secret());
    let browser = home.write("browser", BROWSER);
    executable(&browser);
    let typist = home.write("typist", TYPIST);
    let bearer = |canary: &Canary| format!("Bearer {}", canary.secret());
    let run_agent = || {
        stand_in.forget();
        let output = home
            .run(["/usr/bin/python3"])
            .arg(&agent)
            .output()
            .succeeded();
        assert_eq!(output.stdout, "key authsome-proxy-managed\nanswer 200\n");
        stand_in.last().header("authorization").join("|")
    };

    // Log in: without a display a hidden prompt
    home.command("expect")
        .arg(&typist)
        .env("KEY_FILE", &key_file)
        .output()
        .succeeded();
    let status = home
        .authsome(["get", "intercom", "--field", "status"])
        .output()
        .succeeded();
    assert_eq!(status.stdout, "connected\n");
    assert_eq!(run_agent(), bearer(token));

    // Multiple keys: with a browser a form
    for name in ["personal", "team"] {
        let key = home.watch(Canary::new());
        let key_file = home.write(&format!("key-{name}"), key.secret());
        home.authsome(["login", "intercom", "--connection", name])
            .env("BROWSER", format!("{} %s", browser.display()))
            .env("KEY_FILE", &key_file)
            .output()
            .succeeded();
        let field = ["get", "intercom", "--connection", name, "--field", "status"];
        assert_eq!(
            home.authsome(field).output().succeeded().stdout,
            "connected\n"
        );
        stand_in.forget();
        home.authsome(["run", "--connection", &format!("intercom={name}"), "--"])
            .args(["curl", "-sSf", "https://api.intercom.io/me"])
            .output()
            .succeeded();
        assert_eq!(stand_in.last().header("authorization"), [bearer(&key)]);
        let run_agent = || {
            stand_in.forget();
            home.run(["/usr/bin/python3"])
                .arg(&agent)
                .output()
                .succeeded();
            stand_in.last().header("authorization").join("|")
        };
        assert_eq!(
            run_agent(),
            bearer(token),
            "the first connection stays the default"
        );
    }
    let run_agent = || {
        stand_in.forget();
        home.run(["/usr/bin/python3"])
            .arg(&agent)
            .output()
            .succeeded();
        stand_in.last().header("authorization").join("|")
    };
    let list = home.authsome(["list"]).output().succeeded().stdout;
    for name in ["default", "personal", "team", "bundled", "connected"] {
        assert!(list.contains(name), "{name} is not in\n{list}");
    }

    // Rotate
    let newer = Canary::new();
    home.authsome(["login", "intercom", "--stdin"])
        .stdin(newer.secret())
        .output()
        .exited(1)
        .said(&["--force"]);
    assert_eq!(
        run_agent(),
        bearer(token),
        "without --force nothing is overwritten"
    );
    home.login_with("intercom", &newer, &["--force"]);
    assert_eq!(run_agent(), bearer(&newer));

    // Override the bundled definition
    home.command("sh")
        .args([
            "-c",
            "authsome inspect intercom > \"$AUTHSOME_HOME\"/providers/intercom.json",
        ])
        .output()
        .succeeded();
    let list = || home.authsome(["list"]).output().succeeded().stdout;
    authsome_tests::wait_until(
        "`list` to show the override",
        Duration::from_secs(5),
        || {
            list()
                .lines()
                .any(|line| line.contains("intercom") && line.contains("custom"))
        },
    );
    assert_eq!(
        run_agent(),
        bearer(&newer),
        "the override works as the bundled one did"
    );

    // Remove: the default goes first, then everything
    home.authsome(["logout", "intercom"]).output().succeeded();
    home.authsome(["revoke", "intercom", "--connection", "team"])
        .output()
        .succeeded();
    home.authsome(["remove", "intercom"]).output().succeeded();
    let status = home
        .authsome(["get", "intercom", "--field", "status"])
        .output();
    assert_eq!(
        (status.code(), status.stdout.as_str()),
        (Some(4), ""),
        "{status}"
    );
    assert!(
        !home.path().join("providers/intercom.json").exists(),
        "the override is forgotten"
    );
    stand_in.forget();
    let output = home.run(["/usr/bin/python3"]).arg(&agent).output();
    assert_ne!(output.code(), Some(0), "{output}");
    assert_eq!(stand_in.requests().len(), 0);
}

/// Whoever answers a prompt the moment it appears must find the echo off already.
#[test]
fn the_echo_is_off_before_the_prompt_is_seen() {
    let home = Home::new();
    let key = home.canary();
    let key_file = home.write("key", key.secret());
    let trace = home.path().join("trace");
    let traced = TYPIST.replace(
        "authsome login",
        "strace -o $env(TRACE) -e trace=openat,ioctl,write authsome login",
    );
    let typist = home.write("typist", &traced);
    home.command("expect")
        .arg(&typist)
        .env("KEY_FILE", &key_file)
        .env("TRACE", &trace)
        .output()
        .succeeded();
    let calls = std::fs::read_to_string(&trace).unwrap();
    let at = |what: &str| {
        calls
            .find(what)
            .unwrap_or_else(|| panic!("{what}\n{calls}"))
    };
    assert!(at("TCSETS") < at("\"Key for"), "{calls}");
}

#[test]
fn a_locked_keyring_is_a_clear_error_and_nothing_is_lost() {
    let stand_in = StandIn::start(&["api.intercom.io"]);
    let user = PlainUser::any();
    let mut home = Home::builder()
        .user(&user)
        .store(Store::Keyring)
        .stand_in(&stand_in)
        .build();
    home.login("intercom");
    // the daemon that follows has seen no secret yet
    home.authsome(["daemon", "stop"]).output().succeeded();
    home.keyring.as_ref().unwrap().lock();

    let key = home.canary();
    let login = home
        .authsome(["login", "intercom", "--connection", "team", "--stdin"])
        .stdin(key.secret())
        .output()
        .exited(1);
    assert!(login.took < Duration::from_secs(5), "{login}");
    let login = login.said(&["locked", "hint:"]);
    assert!(
        !home.path().join("vault/identity").exists(),
        "fell back to files: {login}"
    );

    let curl = [
        "curl",
        "-sS",
        "-D",
        "-",
        "--max-time",
        "15",
        "https://api.intercom.io/me",
    ];
    let refused = home.run(curl).output();
    assert!(refused.took < Duration::from_secs(7), "{refused}");
    assert!(
        refused.code() == Some(125) && refused.stderr.contains("locked")
            || refused.stdout.contains("503") && refused.stdout.contains("locked"),
        "{refused}"
    );
    assert_eq!(stand_in.requests().len(), 0);
    // metadata needs no keyring
    let list = home.authsome(["list"]).output().succeeded().stdout;
    assert!(list.contains("intercom"), "{list}");
    home.authsome(["status"]).output().succeeded();

    home.keyring.as_mut().unwrap().unlock();
    let answer = home
        .run(["curl", "-sSf", "https://api.intercom.io/me"])
        .output()
        .succeeded();
    assert!(answer.stdout.contains("admin"), "{answer}");
    assert_eq!(
        stand_in.last().header("authorization"),
        [format!("Bearer {}", key.secret())]
    );
}

#[test]
fn the_item_in_the_keyring_has_sensible_attributes() {
    let user = PlainUser::any();
    let home = Home::builder().user(&user).store(Store::Keyring).build();
    home.login("intercom");
    let found = home
        .command("secret-tool")
        .args(["search", "--all", "service", "authsome"])
        .reveals()
        .output()
        .succeeded();
    let attributes = format!("{}{}", found.stdout, found.stderr);
    for attribute in ["provider = intercom", "connection = default"] {
        assert!(attributes.contains(attribute), "no {attribute}\n{found}");
    }
}

#[test]
fn the_stock_age_tool_opens_what_the_file_store_wrote() {
    let home = Home::new();
    home.login("intercom");
    let mut found = false;
    for entry in std::fs::read_dir(home.path().join("vault")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "age") {
            continue;
        }
        let plain = home
            .command("age")
            .args(["--decrypt", "--identity"])
            .arg(home.path().join("vault/identity"))
            .arg(&path)
            .reveals()
            .output()
            .succeeded();
        found |= plain.stdout.contains(&home.canary().secret()[..20])
            && plain.stdout.contains("intercom");
    }
    assert!(
        found,
        "no file below vault/ holds the credential and its name"
    );
}

fn executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
