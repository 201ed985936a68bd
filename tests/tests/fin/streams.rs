//! Event streams, large bodies and long silences: everything passes as it comes, and the access
//! token that Intercom puts into its answers is written down nowhere.

use std::io::{BufRead, BufReader, Read, Write};
use std::time::{Duration, Instant};

use authsome_tests::stand_in::intercom::EVENTS_HOST;
use authsome_tests::{Home, Intercom, LiveRun, wait_until};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{API, World, bearer, message, post};

/// Begins a conversation, follows its events and says what each one says.
const AGENT: &str = r#"
import json, os, sys, urllib.request
request = urllib.request.Request(
    "https://api.intercom.io/fin/start", sys.stdin.buffer.read(),
    {"Authorization": "Bearer " + os.environ["INTERCOM_FIN_API_KEY"],
     "Content-Type": "application/json"})
address = json.load(urllib.request.urlopen(request, timeout=60))["sse_subscription_url"]
for line in urllib.request.urlopen(address, timeout=120):
    if line.startswith(b"data: "):
        event = json.loads(line[6:])
        print(event["event_name"], event.get("chunk_text", ""), flush=True)
print("closed", flush=True)
"#;

/// How long nothing may be said: Intercom names no shorter silence as the end of a stream.
const SILENCE: Duration = Duration::from_secs(61);

fn chunk(index: u32, text: &str) -> Value {
    json!({
        "event_name": "fin_reply_chunk", "conversation_id": "ext-123", "stream_id": "s1",
        "chunk_index": index, "chunk_text": text, "status": "replying",
    })
}

fn complete() -> Value {
    json!({ "event_name": "fin_status_updated", "conversation_id": "ext-123", "status": "complete" })
}

/// The reader sees each event before the next one is said, and the end when it comes.
fn follow(intercom: &Intercom, mut sees: impl FnMut(&str)) {
    for (index, text) in ["Your", "Your order", "Your order is on its way."]
        .iter()
        .enumerate()
    {
        intercom.emit(&chunk(u32::try_from(index).unwrap(), text));
        sees(text);
    }
    intercom.emit(&complete());
    sees("fin_status_updated");
}

/// H9: an unmodified program gets the address of its events from the answer and follows them there.
#[test]
fn events_pass_one_by_one_and_take_no_key_along() {
    for protocols in [&["h2", "http/1.1"][..], &["http/1.1"]] {
        let world = World::over(protocols);
        world.log_in_to_fin();
        world.log_in_to_rest();
        let mut agent = world
            .home
            .run(["/usr/bin/python3", "-c", AGENT])
            // not our host, so its own trust counts there: what the user has set is kept
            .env("SSL_CERT_FILE", world.stand_in.ca_path())
            .stdin(message("ext-123"))
            .spawn();
        world.intercom.wait_for_subscribers(1);
        follow(&world.intercom, |text| {
            agent.wait_for_stdout(text);
        });
        assert!(!agent.ended(), "the end was told before it came");
        world.intercom.close();
        let output = agent.wait().succeeded();
        assert!(output.stdout.ends_with("closed\n"), "{output}");
        let start = world.stand_in.wait_for_request("/fin/start");
        assert_eq!(start.header("authorization"), [bearer(&world.fin)]);
        events_took_no_key(&world);
        logged_at_the_finest_level(&world.home);
    }
}

/// The same where the stream is not tunnelled but goes through our own HTTP, as `axios` before 1.7
/// asks for it. Here the access token passes through the daemon's hands.
#[test]
fn events_that_are_asked_for_in_absolute_form_pass_too() {
    for protocols in [&["h2", "http/1.1"][..], &["h2"], &["http/1.1"]] {
        let world = World::over(protocols);
        world.log_in_to_fin();
        world.log_in_to_rest();
        let run = LiveRun::start(&world.home, &[]);
        let proxy = run.proxy();
        let mut stream = proxy.connect().unwrap();
        stream
            .write_all(events(&world, &proxy.authorization()).as_bytes())
            .unwrap();
        world.intercom.wait_for_subscribers(1);
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "HTTP/1.1 200 OK");
        follow(&world.intercom, |text| {
            let found = lines.by_ref().any(|line| line.unwrap().contains(text));
            assert!(found, "the stream ended before {text}");
        });
        world.intercom.close();
        let rest: Vec<_> = lines.map_while(Result::ok).collect();
        assert_eq!(
            rest.last().map(String::as_str),
            Some(""),
            "no end: {rest:?}"
        );
        events_took_no_key(&world);
        logged_at_the_finest_level(&world.home);
    }
}

fn events(world: &World, authorization: &str) -> String {
    format!(
        "GET https://{EVENTS_HOST}/event-stream?channels=a&accessToken={} HTTP/1.1\r\n\
         Host: {EVENTS_HOST}\r\n{authorization}Accept: text/event-stream\r\nConnection: close\r\n\r\n",
        world.intercom.access_token().secret()
    )
}

#[track_caller]
fn events_took_no_key(world: &World) {
    let stream = world.stand_in.wait_for_request("/event-stream");
    assert_eq!(stream.authority, EVENTS_HOST);
    assert_eq!(stream.header("authorization"), Vec::<&str>::new());
    for key in [&world.fin, &world.rest] {
        assert!(!stream.holds(key.secret()));
    }
}

/// The search for canaries means something: the log tells all that it could.
#[track_caller]
fn logged_at_the_finest_level(home: &Home) {
    let log = std::fs::read_to_string(home.path().join("log/daemon.log")).unwrap();
    assert!(log.contains(" TRACE "), "{log}");
}

/// What we refuse or cannot send names the address without its query.
#[test]
fn no_refusal_repeats_the_access_token() {
    let world = World::new();
    world.log_in_to_fin();
    let token = world.intercom.access_token();
    let query = format!("accessToken={}", token.secret());
    let open = LiveRun::start(&world.home, &[]);
    let closed = LiveRun::start(&world.home, &["--unmatched", "deny"]);
    let proxy = open.proxy();
    let mut answers = Vec::new();
    for path in ["/event-stream", "/fin/../event-stream", "/fin//start"] {
        answers.push(proxy.get(API, &format!("{path}?{query}")).unwrap());
    }
    let named_otherwise = post(EVENTS_HOST, &format!("/fin/start?{query}"), "a");
    answers.push(proxy.ask(API, &named_otherwise).unwrap());
    // in the clear to a host that nothing listens for, and to one that the run may not reach
    let plain =
        |authorization: &str| events(&world, authorization).replacen("https://", "http://", 1);
    answers.push(proxy.say(&plain(&proxy.authorization())).unwrap());
    let proxy = closed.proxy();
    answers.push(proxy.say(&plain(&proxy.authorization())).unwrap());
    answers.push(proxy.say(&events(&world, &proxy.authorization())).unwrap());
    for answer in answers {
        assert!(
            answer.code().is_some(),
            "not refused by us: {}",
            answer.text
        );
        assert_eq!(token.search("a refusal", answer.text.as_bytes()), []);
    }
    assert_eq!(world.arrived(), []);
    // the records are there, and searched when the test ends
    let log = world
        .home
        .authsome(["log", "-n", "50"])
        .output()
        .succeeded();
    assert!(log.stdout.contains("/event-stream"), "{log}");
    logged_at_the_finest_level(&world.home);
}

/// H9: a body of many megabytes goes on while it is still being sent, and arrives as it was.
#[test]
fn a_large_attachment_streams_through() {
    let world = World::with_both();
    let run = LiveRun::start(&world.home, &[]);
    let noise: Vec<u8> = (0..3_u32 << 20)
        .map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let data = STANDARD.encode(&noise);
    let mut body: Value = serde_json::from_str(&message("ext-123")).unwrap();
    body["attachments"] = json!([
        { "type": "file", "name": "a.bin", "content_type": "application/octet-stream", "data": data }
    ]);
    let body = body.to_string();
    let (first, second) = body.split_at(body.len() / 2);
    let mut tunnel = run.proxy().tls(&format!("{API}:443"), API).unwrap();
    let head = format!(
        "POST /fin/reply HTTP/1.1\r\nHost: {API}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    tunnel.write_all(head.as_bytes()).unwrap();
    tunnel.write_all(first.as_bytes()).unwrap();
    tunnel.flush().unwrap();
    let reply = world.stand_in.wait_for_request("/fin/reply");
    // the half that was sent arrives before the other half exists
    let sent = first.len() as u64;
    wait_until("the first half to arrive", Duration::from_secs(20), || {
        reply.body_len() == sent
    });
    tunnel.write_all(second.as_bytes()).unwrap();
    tunnel.flush().unwrap();
    let answer = authsome_tests::raw::read_answer(&mut tunnel).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(
        world.intercom.bodies() == [body.as_bytes()],
        "another body arrived"
    );
    assert_eq!(reply.header("authorization"), [bearer(&world.fin)]);

    // and over HTTP/2
    let file = world.home.write("body.json", &body);
    let output = world
        .home
        .run(["curl", "-sSf", "--http2", "--json"])
        .arg(format!("@{}", file.display()))
        .arg(format!("https://{API}/fin/reply"))
        .reveals() // the answer tells the access token
        .output()
        .succeeded();
    assert!(output.stdout.contains("thinking"), "{output}");
    assert_eq!(world.stand_in.last().protocol, "HTTP/2.0");
    assert!(
        world.intercom.bodies()[1] == body.as_bytes(),
        "another body arrived"
    );
}

/// A minute without a word ends neither a stream, tunnelled or not, nor an answer that is awaited.
#[test]
fn a_minute_of_silence_ends_nothing() {
    let world = World::with_both();
    let run = LiveRun::start(&world.home, &[]);
    let proxy = run.proxy();
    let mut slow = proxy.tls(&format!("{API}:443"), API).unwrap();
    slow.sock.set_read_timeout(Some(SILENCE * 2)).unwrap();
    slow.write_all(post(API, "/fin/start", "slow").as_bytes())
        .unwrap();
    slow.flush().unwrap();
    let mut absolute = proxy.connect().unwrap();
    absolute.set_read_timeout(Some(SILENCE * 2)).unwrap();
    absolute
        .write_all(events(&world, &proxy.authorization()).as_bytes())
        .unwrap();
    let mut absolute = BufReader::new(absolute).lines();
    let tunnelled = world
        .home
        .run(["/usr/bin/python3", "-c", AGENT])
        .env("SSL_CERT_FILE", world.stand_in.ca_path())
        .stdin(message("ext-123"))
        .timeout(SILENCE * 2)
        .spawn();
    world.stand_in.wait_for_request("/fin/start");
    world.intercom.wait_for_subscribers(2);
    let silent = Instant::now();
    // the one test that waits for a time: it is the time that is promised
    std::thread::sleep(SILENCE);
    assert!(silent.elapsed() >= SILENCE);
    world.intercom.emit(&chunk(0, "still here"));
    tunnelled.wait_for_stdout("still here");
    assert!(absolute.any(|line| line.unwrap().contains("still here")));
    world.intercom.close();
    tunnelled.wait().succeeded();
    world.intercom.release();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).ok();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("thinking"), "{answer}");
    let starts = world
        .arrived()
        .into_iter()
        .filter(|(request, _)| request == "POST /fin/start");
    assert_eq!(starts.count(), 2, "one by each");
}

/// A server that gives the key back hands it to the program; what we write down stays free of it.
#[test]
fn a_key_that_comes_back_in_an_answer_is_not_written_down() {
    let world = World::with_both();
    for form in ["body", "header", "base64", "pieces"] {
        for version in ["--http1.1", "--http2"] {
            let output = world
                .home
                .run(["curl", "-sSf", "-i", version])
                .arg(format!("https://{API}/echo?as={form}"))
                .reveals()
                .output()
                .succeeded();
            let hits = world.rest.search("the answer", output.stdout.as_bytes());
            assert_ne!(hits, [], "{form}: nothing came back\n{output}");
        }
    }
    logged_at_the_finest_level(&world.home);
}
