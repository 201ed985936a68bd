use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use super::*;
use crate::error::Kind;

fn private_folder() -> (tempfile::TempDir, Places) {
    let folder = tempfile::tempdir().unwrap();
    let places = Places {
        home: folder.path().to_owned(),
        runtime: folder.path().to_owned(),
        ordinary: false,
    };
    (folder, places)
}

/// Answers one greeting with `reply`, raw.
fn greeter(places: &Places, reply: Vec<u8>) -> JoinHandle<Vec<u8>> {
    let listener = UnixListener::bind(places.socket()).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let hello = frame::read(&mut stream, HELLO_MAX).unwrap().to_vec();
        stream.write_all(&reply).unwrap();
        hello
    })
}

fn hello(lowest: u16, highest: u16, encoding: Encoding) -> Vec<u8> {
    let payload = Hello {
        lowest,
        highest,
        encoding,
        build: "9.9".into(),
    }
    .to_bytes();
    let mut wire = Vec::new();
    frame::write(&mut wire, &payload).unwrap();
    wire
}

fn refused(reply: Vec<u8>) -> Failure {
    let (_folder, places) = private_folder();
    let server = greeter(&places, reply);
    let failure = connect_to(&places, Start::Never, Ui::silent()).unwrap_err();
    assert_eq!(
        Hello::from_bytes(&server.join().unwrap()),
        Ok(Hello::ours(Encoding::BINCODE))
    );
    failure
}

/// L10
#[test]
fn a_newer_daemon_is_named_with_both_versions() {
    let failure = refused(hello(3, 4, Encoding::NONE));
    assert_eq!(
        failure.message,
        "this client speaks protocol 1; the daemon speaks 3 to 4"
    );
    assert!(failure.hint.unwrap().contains("update `authsome`"));
    assert_eq!(failure.kind, Kind::Unreachable);
}

/// L10
#[test]
fn an_older_daemon_is_replaced_by_a_restart() {
    let failure = refused(hello(0, 0, Encoding::NONE));
    assert_eq!(
        failure.message,
        "this client speaks protocol 1; the daemon speaks 0"
    );
    assert!(failure.hint.unwrap().contains("daemon restart"));
}

#[test]
fn something_else_on_the_socket_is_named_and_not_echoed() {
    for reply in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        b"\0\0\0\x04what".to_vec(),
    ] {
        let failure = refused(reply);
        assert!(
            failure.hint.as_deref().unwrap().contains("something else"),
            "{failure:?}"
        );
        assert!(!format!("{failure:?}").contains("HTTP"), "{failure:?}");
    }
}

#[test]
fn a_daemon_that_refuses_is_not_taken_for_a_greeting() {
    let failure = refused(hello(1, 1, Encoding::NONE));
    assert_eq!(failure.causes, ["the daemon refused the connection"]);
}

#[test]
fn a_daemon_that_hangs_up_counts_as_none() {
    let failure = refused(Vec::new());
    assert_eq!(failure.kind, Kind::Unreachable);
}

/// L8
#[test]
fn a_stale_socket_says_connection_refused() {
    let (_folder, places) = private_folder();
    drop(UnixListener::bind(places.socket()).unwrap());
    let failure = connect_to(&places, Start::Never, Ui::silent()).unwrap_err();
    assert_eq!(failure.causes, ["connection refused"]);
    assert_eq!(failure.exit_code(), 3);
}

/// L7
#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let (folder, places) = private_folder();
    let _listener = UnixListener::bind(places.socket()).unwrap();
    for mode in [0o777, 0o720, 0o702] {
        std::fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        let failure = connect_to(&places, Start::Never, Ui::silent()).unwrap_err();
        assert!(
            failure.message.contains(&format!("(mode {mode:04o})")),
            "{failure:?}"
        );
    }
}

/// L7
#[test]
fn a_link_in_place_of_the_folder_is_refused() {
    let (folder, mut places) = private_folder();
    places.runtime = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &places.runtime).unwrap();
    let failure = connect_to(&places, Start::Never, Ui::silent()).unwrap_err();
    assert!(failure.message.contains("symbolic link"), "{failure:?}");
}

/// L7
#[test]
fn a_lock_that_is_a_link_or_a_pipe_is_no_note() {
    let (folder, places) = private_folder();
    let elsewhere = folder.path().join("elsewhere");
    let note = LockNote {
        pid: 1,
        socket: "/x/y.sock".into(),
    };
    let mut file = std::fs::File::create(&elsewhere).unwrap();
    file.write_all(note.to_text().as_bytes()).unwrap();
    assert_eq!(lock_note(&elsewhere), Some(note));
    std::os::unix::fs::symlink(&elsewhere, places.lock()).unwrap();
    assert_eq!(lock_note(&places.lock()), None);
    std::fs::remove_file(places.lock()).unwrap();
    nix::unistd::mkfifo(&places.lock(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(lock_note(&places.lock()), None);
}

#[test]
fn the_lock_names_the_socket_of_a_daemon_started_elsewhere() {
    let (folder, mut places) = private_folder();
    let server = greeter(&places, hello(1, 1, Encoding::BINCODE));
    let note = LockNote {
        pid: 1,
        socket: places.socket(),
    };
    let mut file = std::fs::File::create(places.lock()).unwrap();
    file.write_all(note.to_text().as_bytes()).unwrap();
    places.runtime = folder.path().join("another");
    let daemon = connect_to(&places, Start::Never, Ui::silent()).unwrap();
    assert_eq!(daemon.build, "9.9");
    server.join().unwrap();
}
