//! Webhooks end to end: real requests over TCP to the daemon's port, a local program behind it, the
//! providers' own libraries as signers. The signing secret is the canary.

#[path = "webhooks/handler.rs"]
mod handler;
#[path = "webhooks/signers.rs"]
mod signers;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use authsome_tests::home::free_port;
use authsome_tests::raw::{Answer, read_answer};
use authsome_tests::{Canary, Home, LiveRun, PlainUser, Store, wait_for, wait_until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use handler::Handler;
use signers::Signers;

const PATIENCE: Duration = Duration::from_secs(20);
const DAY: i64 = 24 * 60 * 60;

const FIN: &str = "X-Fin-Agent-API-Webhook-Signature";

/// A body that anything which decodes, trims or mends it would change.
const BODY: &[u8] = b"\xef\xbb\xbf{\"event_name\":\"fin_replied\",\"a\" : 1}\r\n\xff\x00 \n";

type Headers = Vec<(String, String)>;

/// An endpoint `fin` with the home's canary as its secret.
fn endpoint(home: &Home, scheme: &str, handler: &Handler, options: &[&str]) -> u16 {
    let added = home
        .authsome(["webhook", "add", "fin", "--stdin", "--json"])
        .args(["--scheme", scheme, "--forward", &handler.url()])
        .args(options)
        .stdin(format!("{}\n", home.canary().secret()))
        .output()
        .succeeded()
        .json();
    assert_eq!(added["v"], 1);
    port_of(&added)
}

fn port_of(webhook: &Value) -> u16 {
    let url = webhook["url"].as_str().expect("it has a URL");
    let port = url.strip_prefix("http://127.0.0.1:").expect("on loopback");
    port.trim_end_matches('/').parse().expect("a port")
}

/// What the sender would put into the headers of `body`.
fn signed(home: &Home, body: &[u8], options: &[&str]) -> Headers {
    let output = home
        .authsome(["webhook", "sign", "fin", "--json"])
        .args(options)
        .stdin(body)
        .output()
        .succeeded()
        .json();
    let headers = output["headers"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    headers
        .iter()
        .map(|header| (text(&header["name"]), text(&header["value"])))
        .collect()
}

/// Sends a request to the endpoint.
fn send(port: u16, method: &str, headers: &Headers, body: &[u8]) -> Answer {
    let mut head = format!("{method} /any/path HTTP/1.1\r\nHost: tunnel.example\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("Connection: close\r\n\r\n");
    raw(port, &[head.as_bytes(), body].concat())
}

fn post(port: u16, headers: &Headers, body: &[u8]) -> Answer {
    send(port, "POST", headers, body)
}

/// Sends bytes as they are.
fn raw(port: u16, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the endpoint listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is ours");
    // a body that is refused unread breaks the pipe; the answer is there all the same
    let _written = stream.write_all(bytes);
    read_answer(&mut stream).expect("an answer comes")
}

fn body_of(answer: &Answer) -> &str {
    answer.text.split_once("\r\n\r\n").expect("a head").1
}

/// Refused, and not a word about why.
#[track_caller]
fn assert_unauthorized(answer: &Answer) {
    assert_eq!(answer.status, 401, "{}", answer.text);
    assert_eq!(body_of(answer), "");
    assert_eq!(answer.header("content-length"), Some("0"));
}

fn records(home: &Home, event: &str) -> Vec<Value> {
    let log = home
        .authsome(["log", "--json", "-n", "1000"])
        .output()
        .succeeded()
        .json();
    let records = log["records"].as_array().expect("a list").clone();
    records
        .into_iter()
        .filter(|record| record["event"] == event)
        .collect()
}

fn codes(home: &Home, event: &str) -> Vec<String> {
    let code = |record: &Value| record["code"].as_str().unwrap_or_default().to_owned();
    records(home, event).iter().map(code).collect()
}

fn webhooks(home: &Home) -> Vec<Value> {
    let listed = home
        .authsome(["webhook", "list", "--json"])
        .output()
        .succeeded()
        .json();
    listed["webhooks"].as_array().expect("a list").clone()
}

fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    i64::try_from(now.as_secs()).expect("small")
}

/// Traps 5, 6, 8, 10, 11: what reaches the program, byte for byte, and what does not.
#[test]
fn only_what_is_signed_reaches_the_program_and_only_once() {
    let (home, handler) = (Home::new(), Handler::start());
    let port = endpoint(&home, "intercom-fin", &handler, &["--max-body", "1000"]);
    let headers = signed(&home, BODY, &[]);
    assert_eq!(headers[0].0, FIN);

    // probes
    let probe = send(port, "HEAD", &Headers::new(), b"");
    assert_eq!((probe.status, body_of(&probe)), (200, ""));
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let answer = send(port, method, &headers, b"");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("HEAD, POST"));
    }

    // what is refused
    assert_unauthorized(&post(port, &Headers::new(), BODY));
    assert_unauthorized(&post(port, &headers, &BODY[3..]));
    let twice = [headers.clone(), headers.clone()].concat();
    assert_unauthorized(&post(port, &twice, BODY));
    let short = vec![(FIN.to_owned(), headers[0].1[..47].to_owned())];
    assert_unauthorized(&post(port, &short, BODY));
    let sha1 = vec![("X-Hub-Signature".to_owned(), headers[0].1.clone())];
    assert_unauthorized(&post(port, &sha1, BODY));

    // over the limit, said and unsaid; the limit itself is fine
    let large = vec![b'x'; 1001];
    let large_headers = signed(&home, &large, &[]);
    assert_eq!(post(port, &large_headers, &large).status, 413);
    let mut chunked = format!(
        "POST / HTTP/1.1\r\nHost: x\r\n{FIN}: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        large_headers[0].1
    )
    .into_bytes();
    for piece in large.chunks(100) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(raw(port, &chunked).status, 413);
    assert!(handler.seen().is_empty(), "something was forwarded");
    let whole = &large[..1000];
    assert_eq!(post(port, &signed(&home, whole, &[]), whole).status, 200);

    // what is good, with a word of the sender's own that it was verified
    let mut forged = headers.clone();
    for name in ["Authsome-Webhook-Verified", "authsome_webhook_verified"] {
        forged.push((name.to_owned(), "other".to_owned()));
    }
    forged.push(("X-Kept".to_owned(), "as it is".to_owned()));
    forged.push(("Keep-Alive".to_owned(), "timeout=1".to_owned()));
    let answer = post(port, &forged, BODY);
    assert_eq!(answer.status, 200);
    assert_eq!(body_of(&answer), "said by the program");
    assert_eq!(answer.header("content-type"), Some("text/x-test"));
    assert_eq!(answer.header("set-cookie"), None);
    let seen = handler.seen().pop().expect("it was forwarded");
    assert_eq!(seen.body, BODY);
    assert!(seen.head.starts_with("POST /hooks?from=test HTTP/1.1\r\n"));
    assert_eq!(seen.header("authsome-webhook-verified"), ["fin"]);
    assert!(!seen.head.contains("other"), "{}", seen.head);
    assert_eq!(seen.header(FIN), [headers[0].1.as_str()]);
    assert_eq!(seen.header("x-kept"), ["as it is"]);
    assert_eq!(seen.header("keep-alive"), [""; 0]);

    // again
    let before = handler.seen().len();
    let answer = post(port, &headers, BODY);
    assert_eq!((answer.status, body_of(&answer)), (200, ""));
    assert_eq!(handler.seen().len(), before, "it was delivered twice");

    // what was said about all of it: reasons, and nothing that could be used
    wait_until("all records", PATIENCE, || {
        records(&home, "webhook_accept").len() == 3
    });
    assert_eq!(
        codes(&home, "webhook_refuse"),
        [
            "signature_missing",
            "signature_wrong",
            "signature_repeated",
            "signature_malformed",
            "signature_missing",
            "body_too_large",
            "body_too_large",
        ]
    );
    let accepted = records(&home, "webhook_accept");
    assert_eq!(accepted[0]["webhook"], "fin");
    assert_eq!(accepted[2]["decision"], "repeated");
    let digits = headers[0].1.trim_start_matches("sha256=");
    let log = home.authsome(["log", "--json", "-n", "1000"]).output();
    for what in [digits, "fin_replied"] {
        assert!(!log.stdout.contains(what), "{what} is in the log");
    }
    let listed = &webhooks(&home)[0];
    assert_eq!(
        (&listed["accepted"], &listed["refused"], &listed["secrets"]),
        (&2.into(), &7.into(), &1.into())
    );
}

/// Trap 11, W4: remembered once the program has it, and not before.
#[test]
fn what_the_program_did_not_take_can_be_delivered_again() {
    let home = Home::new();
    let address = format!("127.0.0.1:{}", free_port());
    let added = home
        .authsome(["webhook", "add", "fin", "--stdin", "--json"])
        .args(["--scheme", "github", "--forward"])
        .arg(format!("http://{address}/hooks"))
        .stdin(home.canary().secret())
        .output()
        .succeeded()
        .json();
    let port = port_of(&added);
    let headers = signed(&home, BODY, &[]);
    for _ in 0..2 {
        let answer = post(port, &headers, BODY);
        assert_eq!((answer.status, body_of(&answer)), (503, ""));
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    let handler = Handler::on(TcpListener::bind(&address).expect("still free"));
    for status in [500, 404] {
        handler.behave(status, Duration::ZERO);
        let answer = post(port, &headers, BODY);
        assert_eq!(answer.status, status);
        assert_eq!(body_of(&answer), "said by the program");
    }
    handler.behave(204, Duration::ZERO);
    assert_eq!(post(port, &headers, BODY).status, 204);
    assert_eq!(handler.seen().len(), 3);
    assert_eq!(post(port, &headers, BODY).status, 200);
    assert_eq!(handler.seen().len(), 3, "it was delivered after a success");
    wait_until("the record of each failure", PATIENCE, || {
        codes(&home, "webhook_fail")
            == [
                "handler_down",
                "handler_down",
                "handler_refused",
                "handler_refused",
            ]
    });
    assert_eq!(records(&home, "webhook_fail")[2]["status"], 500);
}

/// Trap 12: a slow program costs the sender its patience, not its message.
#[test]
fn a_slow_program_gets_a_message_once_while_the_sender_tries_again() {
    let (home, handler) = (Home::new(), Handler::start());
    let port = endpoint(&home, "github", &handler, &["--wait", "1"]);
    let headers = signed(&home, BODY, &[]);
    handler.behave(200, Duration::from_secs(4));
    let answer = post(port, &headers, BODY);
    assert_eq!((answer.status, body_of(&answer)), (503, ""));
    // at the same time as the first delivery, which goes on
    let others: Vec<_> = (0..4)
        .map(|_| {
            let headers = headers.clone();
            std::thread::spawn(move || post(port, &headers, BODY).status)
        })
        .collect();
    for other in others {
        assert_eq!(other.join().expect("no panic"), 503);
    }
    wait_until("the first delivery to be known", PATIENCE, || {
        post(port, &headers, BODY).status == 200
    });
    assert_eq!(handler.seen().len(), 1);
    // a sender that hangs up does not end the delivery either
    handler.behave(200, Duration::from_millis(500));
    let other = signed(&home, b"other", &[]);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: x\r\n{}: {}\r\nContent-Length: 5\r\n\r\nother",
        other[0].0, other[0].1
    )
    .expect("it reads");
    wait_until("the delivery to begin", PATIENCE, || {
        handler.seen().len() == 2
    });
    drop(stream);
    assert_eq!(post(port, &other, b"other").status, 200);
    assert_eq!(handler.seen().len(), 2, "it was delivered twice");
}

/// Trap 9.
#[test]
fn an_old_secret_stays_good_for_as_long_as_was_said() {
    let (mut home, handler) = (Home::new(), Handler::start());
    let port = endpoint(&home, "intercom-fin", &handler, &[]);
    let old = |body: &[u8]| signed(&home, body, &[]);
    let old_bodies = [b"1", b"2", b"3"].map(|body| (old(body), body));
    let second = Canary::new();
    let rotate = |home: &Home, canary: &Canary, options: &[&str]| {
        home.authsome(["webhook", "rotate", "fin", "--stdin"])
            .args(options)
            .stdin(canary.secret())
            .output()
            .succeeded()
    };
    let said = rotate(&home, &second, &["--keep-old", "1h"]);
    assert!(said.stdout.contains("stays good for now"), "{said}");
    let second = home.watch(second);
    assert_eq!(webhooks(&home)[0]["secrets"], 2);
    let new = signed(&home, b"new", &[]);
    assert_eq!(post(port, &new, b"new").status, 200);
    assert_eq!(post(port, &old_bodies[0].0, old_bodies[0].1).status, 200);
    // also after a restart
    home.authsome(["daemon", "restart"]).output().succeeded();
    wait_until("the endpoint to listen", PATIENCE, || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    assert_eq!(post(port, &old_bodies[1].0, old_bodies[1].1).status, 200);

    let third = home.watch(Canary::new());
    let said = rotate(&home, &third, &[]);
    assert!(said.stdout.contains("is dead"), "{said}");
    assert_unauthorized(&post(port, &old_bodies[2].0, old_bodies[2].1));
    assert_unauthorized(&post(port, &signed_by(&home, &second, b"4"), b"4"));
    assert_eq!(post(port, &signed(&home, b"5", &[]), b"5").status, 200);
    assert_eq!(records(&home, "webhook_rotate").len(), 2);
    // and the one that signed with the dead secret
    assert_eq!(records(&home, "webhook_add").len(), 2);
}

/// Signs with a secret that is not the endpoint's, through an endpoint of its own.
fn signed_by(home: &Home, secret: &Canary, body: &[u8]) -> Headers {
    home.authsome([
        "webhook",
        "add",
        "other",
        "--stdin",
        "--scheme",
        "intercom-fin",
    ])
    .args(["--forward", "http://127.0.0.1:9/"])
    .stdin(secret.secret())
    .output()
    .succeeded();
    let output = home
        .authsome(["webhook", "sign", "other"])
        .stdin(body)
        .output()
        .succeeded();
    let (name, value) = output.line().split_once(": ").expect("a header");
    vec![(name.to_owned(), value.to_owned())]
}

#[test]
fn the_port_stays_the_same_and_a_taken_one_is_said_until_it_is_free() {
    let (home, handler) = (Home::new(), Handler::start());
    let port = endpoint(&home, "github", &handler, &[]);
    let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    home.authsome(["daemon", "restart"]).output().succeeded();
    wait_until("the endpoint to listen", PATIENCE, listens);
    home.crash_daemon();
    wait_until("the port to be closed", PATIENCE, || !listens());
    home.authsome(["status"]).output().succeeded();
    wait_until("the endpoint to listen", PATIENCE, listens);
    let headers = signed(&home, BODY, &[]);
    assert_eq!(post(port, &headers, BODY).status, 200);
    assert_eq!(handler.seen().len(), 1);

    home.authsome(["daemon", "stop"]).output().succeeded();
    let other = TcpListener::bind(("127.0.0.1", port)).expect("it is free");
    home.authsome(["daemon", "start"]).output().succeeded();
    let problem = wait_for("the problem", PATIENCE, || {
        let problem = &webhooks(&home)[0]["problem"];
        problem.as_str().map(str::to_owned)
    });
    assert!(problem.contains("another program has it"), "{problem}");
    let status = home.authsome(["status"]).output().succeeded();
    let status = status.said(&["webhook `fin` is not served", &port.to_string()]);
    assert!(status.stderr.contains("warning"), "{status}");
    let doctor = home.authsome(["doctor", "--json"]).output();
    assert!(
        doctor.stdout.contains("webhook `fin` is not served"),
        "{doctor}"
    );
    drop(other);
    wait_until("the endpoint to listen", PATIENCE, || {
        webhooks(&home)[0]["problem"].is_null()
    });
    assert_eq!(post(port, &signed(&home, b"2", &[]), b"2").status, 200);
}

/// Threat L3: a program inside a run neither gets the secret nor signs with it, nor sends webhooks
/// elsewhere.
#[test]
fn inside_a_run_webhooks_can_be_verified_and_nothing_else() {
    let (home, handler) = (Home::new(), Handler::start());
    endpoint(&home, "github", &handler, &[]);
    let headers = signed(&home, b"x", &[]);
    let mut run = LiveRun::start(&home, &[]);
    for command in [
        "webhook add b --scheme github --forward http://127.0.0.1:1/ --stdin",
        "webhook rotate fin --stdin",
        "webhook sign fin",
        "webhook remove fin",
    ] {
        let said = run.shell(&format!("echo x | authsome {command} 2>&1"));
        assert!(said.contains("a program inside a run may not"), "{said}");
    }
    let good = run.shell(&format!(
        "printf x | authsome webhook verify fin --signature {}",
        headers[0].1
    ));
    assert!(good.contains("good"), "{good}");
    assert!(run.shell("authsome webhook list").contains("fin"));
    assert_eq!(webhooks(&home).len(), 1);
}

#[test]
fn verify_tells_good_from_bad_by_its_exit_code() {
    let (home, handler) = (Home::new(), Handler::start());
    endpoint(&home, "slack", &handler, &[]);
    let headers = signed(&home, BODY, &[]);
    let verify = |options: &[&str], body: &[u8]| {
        home.authsome(["webhook", "verify", "fin"])
            .args(options)
            .stdin(body)
            .output()
    };
    let lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let by_header = ["--header", &lines[0], "-H", &lines[1]];
    let by_meaning = ["--timestamp", &headers[0].1, "--signature", &headers[1].1];
    for options in [by_header, by_meaning] {
        assert_eq!(verify(&options, BODY).exited(0).line(), "good");
        let bad = verify(&options, b"other").exited(1);
        assert!(
            bad.stdout.starts_with("bad: the signature is of another"),
            "{bad}"
        );
    }
    let json = home
        .authsome(["webhook", "verify", "fin", "--json"])
        .args(&by_meaning[2..])
        .output()
        .exited(1);
    assert_eq!(json.json()["code"], "timestamp_missing");
    verify(&["--id", "x"], BODY)
        .exited(1)
        .said(&["`--id` means nothing for the scheme `slack`"]);
    home.authsome(["webhook", "verify", "none"])
        .output()
        .exited(1)
        .said(&["no webhook named `none`", "there is `fin`"]);
    // nothing of it was a delivery
    assert!(handler.seen().is_empty());
    assert_eq!(records(&home, "webhook_sign").len(), 1);
}

/// Trap 4, through the daemon: clocks that are a day wrong in either direction.
#[test]
fn a_scheme_of_ones_own_is_verified_with_both_clocks() {
    let (home, handler) = (Home::new(), Handler::start());
    let description = r#"{
        // how Acme signs
        "v": 1, "name": "acme", "algorithm": "sha512", "encoding": "base64", "secret": "text",
        "signature": { "header": "X-Acme-Signature", "prefix": "v2=" },
        "signed": "{id}:{timestamp}:{body}",
        "timestamp": { "header": "X-Acme-Time" }, "id": { "header": "X-Acme-Id" }, "tolerance": 60
    }"#;
    let file = home.write("acme.json", description);
    let added = home
        .authsome([
            "webhook",
            "add",
            "fin",
            "--stdin",
            "--json",
            "--scheme-file",
        ])
        .arg(&file)
        .args(["--forward", &handler.url()])
        .stdin(home.canary().secret())
        .output()
        .succeeded()
        .json();
    assert_eq!(added["scheme"], "acme");
    let port = port_of(&added);
    // what the endpoint was added with counts, not what the file says later
    std::fs::remove_file(file).expect("it is ours");
    home.authsome(["daemon", "restart"]).output().succeeded();
    wait_until("the endpoint to listen", PATIENCE, || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    for (off, status) in [(0, 200), (-DAY, 401), (DAY, 401)] {
        let time = (now() + off).to_string();
        let headers = signed(
            &home,
            BODY,
            &["--timestamp", &time, "--id", &format!("m{off}")],
        );
        assert_eq!(headers.len(), 3);
        assert_eq!(post(port, &headers, BODY).status, status, "{off}");
    }
    // the same id is the same message, whatever its time
    let time = (now() - 1).to_string();
    let headers = signed(&home, BODY, &["--timestamp", &time, "--id", "m0"]);
    assert_eq!(post(port, &headers, BODY).status, 200);
    assert_eq!(handler.seen().len(), 1);
    assert_eq!(
        codes(&home, "webhook_refuse"),
        ["timestamp_old", "timestamp_ahead"]
    );
}

/// The providers' own libraries sign and we accept; one bit more or less and we do not.
#[test]
fn reference_signers_are_accepted_and_one_flipped_bit_is_not() {
    let signers = Signers::now();
    let (mut home, handler) = (Home::new(), Handler::start());
    let body = "{\"id\":\"evt_1\",\"text\":\"Grüße — 😀\"}\n";
    for (library, scheme, prefix) in [
        ("octokit", "github", None),
        ("stripe", "stripe", None),
        ("standardwebhooks", "standard-webhooks", Some("whsec_")),
        ("svix", "standard-webhooks", Some("whsec_")),
    ] {
        let canary = home.watch(Canary::new());
        let secret = match prefix {
            Some(prefix) => format!("{prefix}{}", STANDARD.encode(canary.secret())),
            None => canary.secret().to_owned(),
        };
        let added = home
            .authsome(["webhook", "add", "fin", "--stdin", "--json"])
            .args(["--scheme", scheme, "--forward", &handler.url()])
            .stdin(secret.as_str())
            .output()
            .succeeded()
            .json();
        let port = port_of(&added);
        let headers = signers.sign(library, &secret, now(), "msg_1", body);

        // one flipped bit: in the body, and in each header
        let mut flipped = body.as_bytes().to_vec();
        flipped[8] ^= 1;
        assert_unauthorized(&post(port, &headers, &flipped));
        for at in 0..headers.len() {
            let mut changed = headers.clone();
            let mut value = changed[at].1.clone().into_bytes();
            let last = value.len() - 2;
            value[last] ^= 1;
            changed[at].1 = String::from_utf8(value).expect("still ASCII");
            assert_unauthorized(&post(port, &changed, body.as_bytes()));
        }
        // clocks
        for off in [-DAY, DAY] {
            let headers = signers.sign(library, &secret, now() + off, "msg_2", body);
            let expected = if scheme == "github" { None } else { Some(401) };
            if let Some(status) = expected {
                let answer = post(port, &headers, body.as_bytes());
                assert_eq!(answer.status, status, "{library} {off}");
            }
        }
        let before = handler.seen().len();
        let answer = post(port, &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{library}: {headers:?}");
        let seen = handler.seen();
        assert_eq!(seen.len(), before + 1, "{library}");
        assert_eq!(seen[before].body, body.as_bytes());

        // and the other way round: what we sign, the library takes
        let ours = signed(&home, body.as_bytes(), &[]);
        let renamed = ours.iter().map(|(name, value)| {
            let name = match library {
                "svix" => name.replace("webhook-", "svix-"),
                _ => name.clone(),
            };
            (name, value.clone())
        });
        let renamed: Vec<_> = renamed.collect();
        assert!(
            signers.accepts(library, &secret, &renamed, body),
            "{library}"
        );
        assert!(
            !signers.accepts(library, &secret, &renamed, "other"),
            "{library} judges nothing"
        );
        home.authsome(["webhook", "remove", "fin"])
            .output()
            .succeeded();
    }
}

#[test]
fn what_cannot_work_is_refused_with_a_way_out() {
    let (home, handler) = (Home::new(), Handler::start());
    let url = handler.url();
    let add = |options: &[&str], secret: &str| {
        home.authsome(["webhook", "add", "fin", "--stdin"])
            .args(options)
            .stdin(secret)
            .output()
    };
    for (options, secret, said) in [
        (
            vec!["--scheme", "githb", "--forward", &url],
            "x",
            vec!["no webhook scheme named `githb`", "`github`"],
        ),
        (
            vec!["--scheme", "github", "--forward", "http://example.com/"],
            "x",
            vec!["must be on this computer"],
        ),
        (
            vec!["--scheme", "github", "--forward", "https://127.0.0.1/"],
            "x",
            vec!["only `http://`"],
        ),
        (
            vec!["--scheme", "github", "--forward", &url, "--wait", "0"],
            "x",
            vec!["`--wait` must be 1 to 60"],
        ),
        (
            vec!["--scheme", "github", "--forward", &url],
            " x",
            vec!["blank before or after"],
        ),
        (
            vec!["--scheme", "standard-webhooks", "--forward", &url],
            "whsec_?",
            vec!["no signing secret of `standard-webhooks`", "not base64"],
        ),
        (
            vec!["--scheme", "standard-webhooks", "--forward", &url],
            "whsec_",
            vec!["it is empty"],
        ),
    ] {
        add(&options, secret).exited(1).said(&said);
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let options = ["--scheme", "github", "--forward", &url, "--port", &port];
    add(&options, "x")
        .exited(1)
        .said(&["cannot listen on 127.0.0.1", "--port"]);
    drop(taken);
    // the port that a refused secret held is free again
    let port = free_port().to_string();
    let options = ["--scheme", "github", "--forward", &url, "--port", &port];
    add(&options, " x").exited(1);
    wait_until("the port to be free", PATIENCE, || {
        add(&options, home.canary().secret()).code() == Some(0)
    });
    add(&options, "x")
        .exited(1)
        .said(&["already", "webhook rotate fin"]);
    assert_eq!(port_of(&webhooks(&home)[0]).to_string(), port);
    home.authsome(["webhook", "remove", "fin"])
        .output()
        .succeeded();
    wait_until("the port to be closed", PATIENCE, || {
        TcpStream::connect(format!("127.0.0.1:{port}")).is_err()
    });
    assert!(webhooks(&home).is_empty());
    home.authsome(["webhook", "remove", "fin"])
        .output()
        .exited(1);
    assert_eq!(records(&home, "webhook_remove").len(), 1);
}

#[test]
fn the_secret_rests_in_the_keyring_and_is_found_again() {
    let (user, handler) = (PlainUser::any(), Handler::start());
    let home = Home::builder().user(&user).store(Store::Keyring).build();
    let port = endpoint(&home, "intercom-fin", &handler, &[]);
    let headers = signed(&home, BODY, &[]);
    home.crash_daemon();
    home.authsome(["status"]).output().succeeded();
    wait_until("the endpoint to listen", PATIENCE, || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    assert_eq!(post(port, &headers, BODY).status, 200);
    home.command("secret-tool")
        .args(["search", "webhook", "fin"])
        .reveals()
        .output()
        .succeeded()
        .said(&["attribute.webhook = fin"]);
    home.authsome(["webhook", "remove", "fin"])
        .output()
        .succeeded();
    let gone = home
        .command("secret-tool")
        .args(["search", "webhook", "fin"])
        .reveals()
        .output();
    assert!(!gone.stderr.contains("attribute.webhook"), "{gone}");
}

/// A form in the browser, as `login` has it.
#[test]
fn the_secret_can_be_entered_in_a_browser() {
    let (home, handler) = (Home::new(), Handler::start());
    let mut adding = home
        .authsome(["webhook", "add", "fin", "--scheme", "intercom-fin"])
        .args(["--forward", &handler.url()])
        .env("BROWSER", "true %s")
        .spawn();
    let said = wait_for("the link", PATIENCE, || {
        let said = adding.stderr_so_far();
        said.contains("/login/").then_some(said)
    });
    assert!(
        said.contains("enter the signing secret for Intercom Fin Agent API at"),
        "{said}"
    );
    let link = said
        .split_whitespace()
        .find(|word| word.contains("/login/"));
    let (authority, path) = link
        .and_then(|link| link.strip_prefix("http://"))
        .and_then(|link| link.split_once('/'))
        .expect("a link");
    let port: u16 = authority
        .split_once(':')
        .expect("a port")
        .1
        .parse()
        .expect("a number");
    let page = raw(
        port,
        format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")
            .as_bytes(),
    );
    assert!(
        page.text
            .contains("Verify webhooks of Intercom Fin Agent API")
    );
    let token = page
        .text
        .split_once("name=\"token\" value=\"")
        .expect("a token")
        .1;
    let token = token.split_once('"').expect("its end").0;
    let secret = home
        .canary()
        .secret()
        .replace('+', "%2B")
        .replace('/', "%2F");
    let form = format!("token={token}&key={}", secret.replace('=', "%3D"));
    let done = raw(
        port,
        format!(
            "POST /{path} HTTP/1.1\r\nHost: {authority}\r\nOrigin: http://{authority}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{form}",
            form.len()
        )
        .as_bytes(),
    );
    assert_eq!(done.status, 200, "{}", done.text);
    wait_until("the command to end", PATIENCE, || adding.ended());
    let added = adding.wait().succeeded();
    assert!(
        added.stdout.starts_with("added: fin (intercom-fin)"),
        "{added}"
    );
    let port = port_of(&webhooks(&home)[0]);
    assert_eq!(post(port, &signed(&home, BODY, &[]), BODY).status, 200);
}
