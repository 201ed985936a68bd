//! An independent client holds our daemon against `docs/protocol.md` (L9, L10): the script in
//! `tests/conformance`, which knows the document, the schema and nothing of our code. And a daemon
//! that does not keep to the document fails it.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use authsome_proto::ServerFrame;
use authsome_proto::frame::{self, FRAME_MAX};
use authsome_proto::hello::{self, Encoding, Hello};
use authsome_tests::{Home, Output};

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/conformance.py")
}

/// Runs checks of the script on a socket; the daemon behind it is a throw-away one.
fn conformance(home: &Home, socket: &Path, options: &[&str]) -> Output {
    home.command("python3")
        .args(["-B", "-W", "error::ResourceWarning"])
        .arg(script())
        .arg("--socket")
        .arg(socket)
        .args(["--changes", "--throw-away"])
        .args(options)
        .timeout(Duration::from_secs(240))
        .output()
}

#[test]
fn our_daemon_is_what_the_document_says() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let output = conformance(&home, &home.control_socket(), &[]).succeeded();
    assert!(!output.stdout.contains("SKIP"), "{output}");
    assert!(output.stdout.lines().count() > 60, "{output}");
}

/// What the man in the middle does with what the daemon sends.
#[derive(Clone, Copy)]
enum Break {
    Nothing,
    /// The connection stays open when the daemon has closed it.
    StaysOpen,
    /// Every answer in JSON has a field that is not in the document.
    MoreFields,
    /// Every frame in bincode is a byte longer.
    MoreBytes,
    /// A frame is sent twice.
    Twice,
}

/// The script can fail: each way to break the protocol fails the checks that are about it, and the
/// same checks pass when nothing is broken.
#[test]
fn a_daemon_that_is_not_what_the_document_says_fails() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let cases = [
        (Break::Nothing, "frame_of_garbage_is_closed", None),
        (Break::Nothing, "looking_is_answered", None),
        (Break::Nothing, "ids_are_single_use", None),
        (
            Break::StaysOpen,
            "frame_of_garbage_is_closed",
            Some("not closed after"),
        ),
        (
            Break::StaysOpen,
            "ids_are_single_use",
            Some("not closed after"),
        ),
        (
            Break::MoreFields,
            "looking_is_answered_json",
            Some("not valid|not known|fit"),
        ),
        (
            Break::MoreBytes,
            "looking_is_answered_bincode",
            Some("left over"),
        ),
        (Break::Twice, "looking_is_answered", Some("answered twice")),
    ];
    for (number, (how, check, reason)) in cases.into_iter().enumerate() {
        let folder = home.runtime().join(format!("m{number}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        let socket = folder.join("s");
        between(&socket, home.control_socket(), how);
        let output = conformance(&home, &socket, &["--only", check]);
        let Some(reason) = reason else {
            output.succeeded();
            continue;
        };
        let output = output.exited(1);
        assert!(output.stdout.contains("not ok"), "{output}");
        assert!(
            reason
                .split('|')
                .any(|reason| output.stdout.contains(reason)),
            "{reason:?} is not the reason\n{output}"
        );
    }
}

/// Listens at `socket` and leads everybody on to the daemon.
fn between(socket: &Path, daemon: PathBuf, how: Break) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, daemon) = (client.unwrap(), UnixStream::connect(&daemon).unwrap());
            let (mut from, mut to) = (client.try_clone().unwrap(), daemon.try_clone().unwrap());
            std::thread::spawn(move || {
                let _over = std::io::copy(&mut from, &mut to);
                let _gone = to.shutdown(std::net::Shutdown::Write);
            });
            std::thread::spawn(move || back(daemon, client, how));
        }
    });
}

fn back(mut daemon: UnixStream, mut client: UnixStream, how: Break) {
    let mut first = true;
    while let Ok(payload) = frame::read(&mut daemon, FRAME_MAX) {
        let mut payload = payload.to_vec();
        if !first {
            match how {
                Break::MoreFields if payload.ends_with(b"}") => {
                    payload.pop();
                    payload.extend_from_slice(b",\"more\":1}");
                }
                Break::MoreBytes => payload.push(0),
                Break::Twice => {
                    let _gone = frame::write(&mut client, &payload);
                }
                _ => {}
            }
        }
        first = false;
        if frame::write(&mut client, &payload).is_err() {
            break;
        }
    }
    if matches!(how, Break::StaysOpen) {
        // until the client gives up
        let _over = client.read(&mut [0; 1]);
        std::thread::sleep(Duration::from_secs(30));
    }
    let _gone = client.shutdown(std::net::Shutdown::Both);
}

/// L10: a client of version 1 as first released asks a daemon of today. Every golden request in both
/// encodings is understood and answered; what it asks for is mostly not there.
#[test]
fn golden_requests_are_understood_by_a_living_daemon() {
    let home = Home::new();
    home.authsome(["status"]).output().succeeded();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/golden/v1");
    let mut asked = 0;
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let Some(request) = name.strip_prefix("request_") else {
            continue;
        };
        // the one asks a server of the internet; the other is asked last
        if request.starts_with("login_server") || request == "shutdown" {
            continue;
        }
        asked += 1;
        let ending = path.extension().unwrap().to_str().unwrap();
        let mut stream = greeted(&home, ending);
        let payload = std::fs::read(&path).unwrap();
        frame::write(&mut stream, &payload).unwrap();
        if request == "subscribe" || request.starts_with("log_follow") {
            let cancel = std::fs::read(folder.join(format!("cancel.{ending}"))).unwrap();
            frame::write(&mut stream, &cancel).unwrap();
        }
        answer(&mut stream, ending, &path);
    }
    assert!(asked >= 100, "only {asked} were asked");
    for ending in ["bincode", "json"] {
        home.authsome(["status"]).output().succeeded();
        let mut stream = greeted(&home, ending);
        let path = folder.join(format!("request_shutdown.{ending}"));
        stream
            .write_all(&framed(&std::fs::read(&path).unwrap()))
            .unwrap();
        answer(&mut stream, ending, &path);
    }
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    [&len.to_be_bytes(), payload].concat()
}

fn encoding(ending: &str) -> Encoding {
    match ending {
        "json" => Encoding::JSON,
        _ => Encoding::BINCODE,
    }
}

fn greeted(home: &Home, ending: &str) -> UnixStream {
    let encoding = encoding(ending);
    let mut stream = UnixStream::connect(home.control_socket()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    frame::write(&mut stream, &Hello::ours(encoding).to_bytes()).unwrap();
    let greeting = frame::read(&mut stream, hello::HELLO_MAX).unwrap();
    assert_eq!(Hello::from_bytes(&greeting).unwrap().encoding, encoding);
    stream
}

/// Reads up to the answer to id 9, that of all golden frames.
fn answer(stream: &mut UnixStream, ending: &str, path: &Path) {
    let encoding = encoding(ending);
    loop {
        let payload = frame::read(stream, FRAME_MAX)
            .unwrap_or_else(|error| panic!("{} is not answered: {error}", path.display()));
        match frame::decode(&payload, encoding).unwrap() {
            ServerFrame::Answer { id: 9, .. } => return,
            ServerFrame::Event { id: 9, .. } => {}
            other => panic!("{}: {other:?}", path.display()),
        }
    }
}
