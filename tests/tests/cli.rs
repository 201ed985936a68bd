//! What the commands print and how they exit: whole, as snapshots, and the promises that scripts
//! rely on.
//!
//! A snapshot that changed on purpose is written anew with `INSTA_UPDATE=always`.

use std::time::Duration;

use authsome_tests::{Canary, Home, Output, StandIn};

/// Begins the keys of some services, which check that.
const OPENAI_PREFIX: &str = "sk-proj-";

/// What commands print, one after the other, with everything that differs from day to day and from
/// machine to machine replaced.
fn transcript(home: &Home, lines: &[&str]) -> String {
    let told = |line: &&str| entry(home, line, &home.authsome(line.split_whitespace()).output());
    lines.iter().map(told).collect()
}

fn snapshot(name: &str, text: &str) {
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!(name, text);
    });
}

fn entry(home: &Home, line: &str, output: &Output) -> String {
    let mut text = format!("$ authsome {line}\n{}", output.stdout);
    for said in output.stderr.lines() {
        text.push_str(&format!("! {said}\n"));
    }
    let code = output.code().expect("no signal ended it");
    text.push_str(&format!("= {code}\n\n"));
    plain(home, &text)
}

fn plain(home: &Home, text: &str) -> String {
    let mut text = text.replace(home.path().to_str().unwrap(), "HOME");
    text = text.replace(home.runtime().to_str().unwrap(), "RUNTIME");
    text = text.replace(
        &format!("127.0.0.1:{}", home.login_port()),
        "127.0.0.1:7998",
    );
    let mut plain = String::new();
    for line in text.split_inclusive('\n') {
        plain.push_str(&words(line));
    }
    plain
}

/// Replaces times, hashes and process ids within a line, word by word.
fn words(line: &str) -> String {
    let boundary = |letter: char| !(letter.is_alphanumeric() || "-:.".contains(letter));
    let mut plain = String::new();
    let mut before = "";
    for part in line.split_inclusive(boundary) {
        let end = part.find(boundary).unwrap_or(part.len());
        let (word, rest) = part.split_at(end);
        let digits = word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty();
        let time = word.len() >= 19 && word.starts_with("20") && word.contains('T');
        let hash = word.len() == 25 && word.starts_with("authsome-");
        plain.push_str(match () {
            () if time => "TIME",
            () if hash => "authsome-HASH",
            () if digits && (before == "process" || before == "pid") => "PID",
            () => word,
        });
        plain.push_str(rest);
        if !word.is_empty() {
            before = word;
        }
    }
    plain
}

#[test]
fn help_reads_well() {
    let home = Home::new();
    let mut text = transcript(&home, &["--help"]);
    for verb in [
        "login",
        "run",
        "list",
        "get",
        "export",
        "logout",
        "register",
        "scan",
        "log",
        "runs",
        "connections",
        "daemon",
    ] {
        text.push_str(&transcript(&home, &[&format!("{verb} --help")]));
    }
    snapshot("help", &text);
    assert_eq!(home.daemon_pid(), None, "help needs no daemon");
}

#[test]
fn failures_say_what_why_and_what_to_do() {
    let home = Home::new();
    snapshot(
        "failures",
        &transcript(
            &home,
            &[
                "",
                "frobnicate",
                "lst",
                "login",
                "login git-hub --stdin",
                "login intercom",
                "login intercom --connection a/b --stdin",
                "login intercom --scopes a --no-wait",
                "login bedrock --no-wait",
                "get intercom",
                "get intercom --json",
                "get git-hub",
                "get intercom --field staus",
                "logout intercom",
                "connections set-default intercom team",
                "inspect git-hub",
                "register HOME/missing.json",
                "runs stop nothing",
                "export --format yaml",
                "log --run x --verify",
                "completions tcsh",
            ],
        ),
    );
}

#[test]
fn tables_and_notes_read_well() {
    let home = Home::new();
    let mut text = transcript(&home, &["list", "status", "runs"]);
    let canary = home.canary();
    for line in [
        "login intercom --stdin",
        "login intercom --connection team --stdin",
    ] {
        let output = home
            .authsome(line.split(' '))
            .stdin(canary.secret())
            .output();
        text.push_str(&entry(&home, line, &output));
    }
    text.push_str(
        &transcript(
            &home,
            &[
                "list",
                "get intercom",
                "connections set-default intercom team",
                "logout intercom",
                "list --quiet",
                "revoke intercom",
                "whoami --quiet --json",
            ],
        )
        .replace(&format!("\"uid\":{}", nix::unistd::getuid()), "\"uid\":UID"),
    );
    // the client's own pid, new each time
    let text: Vec<_> = text
        .lines()
        .map(|line| match line.split_once("\"pid\":") {
            Some((before, after)) => {
                format!(
                    "{before}\"pid\":PID,{}",
                    after.split_once(',').map_or("", |(_, rest)| rest)
                )
            }
            None => line.to_owned(),
        })
        .collect();
    snapshot("tables", &text.join("\n"));
}

#[test]
fn a_key_arrives_by_standard_input_or_a_variable_never_as_an_argument() {
    let mut home = Home::new();
    home.login("intercom");
    let key = home.watch(Canary::with_prefix(OPENAI_PREFIX));
    home.authsome(["login", "resend", "--from-env", "MY_KEY"])
        .env("MY_KEY", home.canary().secret())
        .output();
    let exported = |provider: &str| {
        let words = ["get", provider, "--show-secret", "--yes"];
        home.authsome(words)
            .reveals()
            .output()
            .succeeded()
            .line()
            .to_owned()
    };
    assert_eq!(exported("intercom"), home.canary().secret());
    home.authsome(["login", "apollo", "--from-env", "MY_KEY"])
        .env("MY_KEY", key.secret())
        .output()
        .succeeded();
    assert_eq!(exported("apollo"), key.secret());
    let missing = home
        .authsome(["login", "apollo", "--force", "--from-env", "NOT_SET"])
        .output();
    assert_eq!(missing.code(), Some(1), "{missing}");
    missing.said(&["NOT_SET"]);
    let empty = home
        .authsome(["login", "apollo", "--force", "--stdin"])
        .stdin("\n")
        .output();
    assert_eq!(empty.code(), Some(1), "{empty}");
    assert_eq!(
        exported("apollo"),
        key.secret(),
        "the empty line replaced it"
    );
    home.authsome(["login", "intercom", key.secret()])
        .reveals()
        .output()
        .exited(2);
}

/// D10: what could break a header is refused when it is stored, not trimmed.
#[test]
fn a_key_that_cannot_be_a_header_is_refused() {
    let home = Home::new();
    for (what, key) in [
        ("a line break inside", "abc\ndef"),
        ("a carriage return inside", "abc\rdef"),
        ("a zero byte", "abc\0def"),
        ("an umlaut", "schlüssel"),
        ("a control character", "abc\u{1b}[31m"),
    ] {
        let output = home
            .authsome(["login", "intercom", "--stdin"])
            .stdin(key)
            .output();
        assert_eq!(output.code(), Some(1), "{what}\n{output}");
        assert!(
            !output.stderr.contains("def"),
            "{what}: the key is echoed\n{output}"
        );
    }
    home.authsome(["get", "intercom"]).output().exited(4);
}

#[test]
fn a_key_of_the_wrong_shape_is_refused_with_the_hint_and_not_echoed() {
    let home = Home::new();
    let canary = home.canary();
    let output = home
        .authsome(["login", "openai", "--stdin"])
        .stdin(canary.secret())
        .output()
        .exited(1)
        .said(&["sk-", "hint:"]);
    assert_eq!(canary.search("the refusal", output.stderr.as_bytes()), []);
    home.authsome(["get", "openai"]).output().exited(4);
}

#[test]
fn without_force_a_connection_is_not_overwritten() {
    let home = Home::new();
    home.login("intercom");
    home.authsome(["login", "intercom", "--stdin"])
        .stdin("another")
        .output()
        .exited(1)
        .said(&["--force", "--connection"]);
    let kept = home
        .authsome(["get", "intercom", "--show-secret", "--yes"])
        .reveals()
        .output();
    assert_eq!(kept.line(), home.canary().secret());
}

#[test]
fn exit_codes_mean_what_is_documented() {
    let home = Home::new();
    home.authsome(["status"]).output().exited(0);
    home.authsome(["runs", "stop", "nothing"])
        .output()
        .exited(1);
    home.authsome(["no-such-command"]).output().exited(2);
    home.authsome(["get"]).output().exited(2);
    home.authsome(["get", "intercom"]).output().exited(4);
    home.authsome(["daemon", "stop"]).output().exited(0);
    home.authsome(["daemon", "status"]).output().exited(3);
    let unwritable = home.write("a-file", "");
    let output = home
        .authsome(["status"])
        .env("AUTHSOME_HOME", unwritable.join("home"))
        .output();
    assert!(matches!(output.code(), Some(1 | 3)), "{output}");
}

#[test]
fn json_has_its_version_and_nothing_else_is_on_standard_output() {
    let home = Home::new();
    home.login("intercom");
    for line in [
        "list",
        "list --all",
        "status",
        "get intercom",
        "runs",
        "log",
        "whoami",
        "doctor",
        "connections",
        "log --verify",
        "daemon status",
        "scan",
    ] {
        let output = home.authsome(line.split(' ')).arg("--json").output();
        let value = output.json();
        assert_eq!(value["v"], 1, "{output}");
        assert_eq!(output.stdout.lines().count(), 1, "{output}");
    }
    let login = home
        .authsome(["login", "intercom", "--force", "--stdin", "--json"])
        .stdin(home.canary().secret())
        .output()
        .succeeded();
    assert_eq!(login.json()["connection"], "default");
    // a failure too, on the other stream
    let failed = home
        .authsome(["get", "github", "--json"])
        .output()
        .exited(4);
    let error: serde_json::Value = serde_json::from_str(&failed.stderr).expect("one JSON object");
    assert_eq!(failed.stdout, "");
    assert_eq!(
        (&error["v"], &error["error"]["code"]),
        (&1.into(), &"login_needed".into())
    );
}

#[test]
fn output_has_no_color_where_there_is_no_terminal() {
    let home = Home::new();
    home.login("intercom");
    for line in ["list --all", "status", "doctor", "log", "get nothing"] {
        let output = home.authsome(line.split(' ')).env("CLICOLOR", "1").output();
        assert!(
            !output.stdout.contains('\x1b') && !output.stderr.contains('\x1b'),
            "{output}"
        );
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_crash() {
    let home = Home::new();
    let output = home
        .command("sh")
        .args(["-c", "authsome list --all | head -n 1"])
        .output()
        .succeeded();
    assert!(
        !output.stderr.contains("panic") && !output.stderr.contains("error"),
        "{output}"
    );
}

#[test]
fn newer_spellings_are_aliases() {
    let home = Home::new();
    home.login("intercom");
    home.login_with("intercom", &home.canary(), &["--connection", "team"]);
    home.authsome(["connections", "set-default", "intercom", "team"])
        .output()
        .succeeded();
    for (new, flat) in [
        ("provider list", "list --all"),
        ("connections inspect intercom", "get intercom"),
        ("provider inspect intercom", "inspect intercom"),
        ("connections list", "list"),
    ] {
        let [new, flat] =
            [new, flat].map(|line| home.authsome(line.split(' ')).output().succeeded());
        assert_eq!(new.stdout, flat.stdout, "{new}");
    }
}

#[test]
fn removing_the_default_moves_the_pointer_and_says_so() {
    let home = Home::new();
    let canary = home.canary();
    home.login_with("intercom", &canary, &[]);
    home.login_with("intercom", &canary, &["--connection", "team"]);
    let output = home.authsome(["logout", "intercom"]).output().succeeded();
    let told = format!("{}{}", output.stdout, output.stderr);
    assert!(
        told.contains("team") && told.contains("default"),
        "{output}"
    );
    let list = home
        .authsome(["list", "--json"])
        .output()
        .succeeded()
        .json();
    assert_eq!(list["connections"].as_array().unwrap().len(), 1);
    assert_eq!(list["connections"][0]["default"], true, "{list}");
}

/// Overrides: a broken one is reported with its line and never hides the bundled definition.
#[test]
fn broken_and_overlapping_definitions_are_reported_and_stop_nothing() {
    let home = Home::new();
    home.login("intercom");
    let folder = home.path().join("providers");
    std::fs::write(folder.join("intercom.json"), "").unwrap();
    std::fs::write(
        folder.join("acme.json"),
        "{\n  \"name\": \"acme\",\n  \"hosts\": 7\n}\n",
    )
    .unwrap();
    authsome_tests::wait_until("the files to be seen", Duration::from_secs(5), || {
        let list = home.authsome(["list"]).output().succeeded();
        list.stderr.contains("acme.json") && list.stderr.contains("intercom.json")
    });
    let list = home.authsome(["list"]).output().succeeded();
    assert!(
        list.stderr.contains("line 3") || list.stderr.contains("hosts"),
        "{list}"
    );
    assert!(list.stdout.contains("bundled"), "{list}");
    home.authsome(["get", "intercom", "--field", "status"])
        .output()
        .succeeded();
}

/// L12: a host that a definition gained after login gets nothing until a person says so.
#[test]
fn a_host_gained_after_login_gets_nothing_until_confirmed() {
    let stand_in = StandIn::start(&["api.intercom.io", "evil.example"]);
    let home = Home::with(&stand_in);
    home.login("intercom");
    let definition = home
        .authsome(["inspect", "intercom"])
        .output()
        .succeeded()
        .stdout;
    let gained = definition.replacen(
        "\"api.intercom.io\"",
        "\"api.intercom.io\", \"evil.example\"",
        1,
    );
    assert_ne!(gained, definition);
    std::fs::write(home.path().join("providers/intercom.json"), &gained).unwrap();
    authsome_tests::wait_until("the gained host to be told", Duration::from_secs(5), || {
        home.authsome(["list"])
            .output()
            .succeeded()
            .stderr
            .contains("evil.example")
    });
    let ask = |host: &str| {
        stand_in.forget();
        let words = ["-sS", "-w", "%{http_code}", "--max-time", "15"];
        home.run(["curl"])
            .args(words)
            .arg(format!("https://{host}/me"))
            .output()
            .stdout
    };
    let refused = ask("evil.example");
    assert!(
        refused.ends_with("403") && refused.contains("host_unconfirmed"),
        "{refused}"
    );
    assert!(
        stand_in
            .requests()
            .iter()
            .all(|request| !request.holds(home.canary().secret()))
    );
    assert!(ask("api.intercom.io").ends_with("200"));
    let file = home.write("intercom.json", &gained);
    home.authsome(["register", "--force"])
        .arg(&file)
        .output()
        .succeeded();
    let confirmed = ask("evil.example");
    assert!(confirmed.ends_with("200"), "{confirmed}");
}

#[test]
fn both_dialects_of_the_python_product_can_be_registered() {
    let stand_in = StandIn::start(&["api.acme.example", "eu.beta.example"]);
    let mut home = Home::with(&stand_in);
    let old = home.write(
        "acme.json",
        r#"{ "schema_version": 1, "name": "acme", "display_name": "Acme", "auth_type": "api_key",
             "flow": "api_key", "host_url": "api.acme.example",
             "api_key": { "header_name": "Authorization", "header_prefix": "Bearer" },
             "export": { "env": { "api_key": "ACME_API_KEY" } } }"#,
    );
    let new = home.write(
        "beta.json",
        r#"{ "name": "beta", "display_name": "Beta", "auth_type": "api_key", "flow": "api_key",
             "api_url": ["regex:.*\\.beta\\.example"],
             "api_key": { "header_name": "X-Api-Key", "header_prefix": "", "env_var": "BETA_KEY" },
             "export": { "env": { "api_key": "BETA_KEY" } } }"#,
    );
    for (name, file, host, header, prefix) in [
        ("acme", old, "api.acme.example", "authorization", "Bearer "),
        ("beta", new, "eu.beta.example", "x-api-key", ""),
    ] {
        home.authsome(["register"]).arg(&file).output().succeeded();
        let key = home.watch(Canary::new());
        home.login_with(name, &key, &[]);
        home.run(["curl", "-sS", &format!("https://{host}/upload")])
            .output()
            .succeeded();
        assert_eq!(
            stand_in.last().header(header),
            [format!("{prefix}{}", key.secret())]
        );
    }
}

#[test]
fn scan_finds_keys_and_imports_them_only_when_asked() {
    let home = Home::new();
    let canary = home.canary();
    home.write(
        ".env",
        format!(
            "# keys\nexport INTERCOM_API_KEY=\"{}\"\nOTHER=1\n",
            canary.secret()
        ),
    );
    let found = home.authsome(["scan"]).output().succeeded();
    assert!(
        found.stdout.contains("intercom") && found.stdout.contains(".env"),
        "{found}"
    );
    home.authsome(["get", "intercom"]).output().exited(4);
    home.authsome(["scan", "--import", "--yes"])
        .output()
        .succeeded();
    let shown = home
        .authsome(["get", "intercom", "--show-secret", "--yes"])
        .reveals()
        .output();
    assert_eq!(shown.line(), canary.secret());
}

#[test]
fn export_writes_what_each_reader_reads() {
    let mut home = Home::new();
    let key = home.watch(Canary::new());
    home.login_with("intercom", &key, &[]);
    let script = "eval \"$(authsome export intercom --yes --format shell)\"; printf %s \"$INTERCOM_API_KEY\"";
    let shell = home
        .command("sh")
        .args(["-c", script])
        .reveals()
        .output()
        .succeeded();
    assert_eq!(shell.stdout, key.secret());
    let json = home
        .authsome(["export", "--yes", "--format", "json"])
        .reveals()
        .output()
        .succeeded();
    assert!(json.json().to_string().contains(key.secret()));
    let env = home
        .authsome(["export", "--yes"])
        .reveals()
        .output()
        .succeeded();
    assert!(
        env.stdout.starts_with("INTERCOM_API_KEY="),
        "only stdout holds it"
    );
    assert_eq!(key.search("standard error", env.stderr.as_bytes()), []);
}

/// The form waits only as long as it must; Ctrl-C ends it, and its page.
#[test]
fn a_login_can_be_given_up_waited_for_and_resumed() {
    let home = Home::new();
    let begun = home
        .authsome(["login", "intercom", "--no-wait", "--json"])
        .output()
        .succeeded()
        .json();
    let (session, url) = (
        begun["session"].as_str().unwrap(),
        begun["url"].as_str().unwrap(),
    );
    assert!(
        url.starts_with(&format!("http://127.0.0.1:{}/", home.login_port())),
        "{url}"
    );
    let page = home
        .command("curl")
        .args(["-sSi", url])
        .output()
        .succeeded();
    assert!(
        page.stdout.starts_with("HTTP/1.1 200") && page.stdout.contains("type=\"password\""),
        "{page}"
    );
    let waiting = home.authsome(["login", "--resume", session]).spawn();
    waiting.signal(nix::sys::signal::Signal::SIGINT);
    assert_ne!(waiting.wait().code(), Some(0));

    let form = home
        .authsome(["login", "intercom"])
        .env("BROWSER", "true %s")
        .spawn();
    let said = form.wait_for_stderr("http://127.0.0.1");
    let url = said
        .split_whitespace()
        .find(|word| word.starts_with("http://127"))
        .unwrap()
        .to_owned();
    form.signal(nix::sys::signal::Signal::SIGINT);
    let output = form.wait();
    assert!(!matches!(output.code(), Some(0)), "{output}");
    let page = home
        .command("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url])
        .output();
    assert_ne!(
        page.stdout, "200",
        "the page of a cancelled login is still there"
    );
    home.authsome(["get", "intercom"]).output().exited(4);
}

#[test]
fn the_login_pages_port_is_closed_when_nothing_waits() {
    let home = Home::new();
    home.login("intercom");
    let closed = std::net::TcpStream::connect(("127.0.0.1", home.login_port()));
    assert!(closed.is_err());
}

#[test]
fn a_taken_port_moves_the_form_and_says_so() {
    let home = Home::new();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", home.login_port())).unwrap();
    let form = home
        .authsome(["login", "intercom"])
        .env("BROWSER", "true %s")
        .spawn();
    let said = form.wait_for_stderr("http://127.0.0.1");
    assert!(said.contains(&home.login_port().to_string()), "{said}");
    form.signal(nix::sys::signal::Signal::SIGINT);
    form.wait();
}

#[test]
fn configuration_changes_take_effect_without_a_restart() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let pid = home.daemon_pid();
    let path = home.path().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("[proxy]\n", "[proxy]\nunmatched = \"deny\"\n"),
    )
    .unwrap();
    authsome_tests::wait_until("the new configuration", Duration::from_secs(10), || {
        let run = authsome_tests::LiveRun::start(&home, &[]);
        let answer = run.proxy().connect_to("elsewhere.example:443").unwrap();
        answer.is_err_and(|answer| answer.status == 403)
    });
    assert_eq!(home.daemon_pid(), pid);
    std::fs::write(&path, "[proxy]\nunmached = \"deny\"\n").unwrap();
    authsome_tests::wait_until("the mistake to be told", Duration::from_secs(10), || {
        let status = home.authsome(["status"]).output().succeeded();
        format!("{}{}", status.stdout, status.stderr).contains("unmached")
    });
}
