//! What the daemon lets a run be about, asked on its socket: the asking process is this test.

use std::os::unix::net::UnixStream;
use std::process::Command;

use authsome_proto::hello::Encoding;
use authsome_proto::request::{RunLife, RunStart};
use authsome_proto::{ErrorCode, Request, Response, ServerFrame, WireError};
use authsome_tests::Home;
use authsome_tests::control::{greeted, hear, say};

struct Client {
    stream: UnixStream,
    next: u32,
}

impl Client {
    fn of(home: &Home) -> Self {
        let stream = greeted(&home.control_socket(), Encoding::JSON).unwrap();
        Self { stream, next: 1 }
    }

    fn start(&mut self, process: u32, life: RunLife) -> Result<String, WireError> {
        let request = Request::RunStart(RunStart {
            connections: Vec::new(),
            only: Vec::new(),
            unmatched: None,
            variables: Vec::new(),
            life,
            project: None,
            environment: Vec::new(),
            program: "test".into(),
            process: Some(process),
        });
        let id = self.next;
        self.next += 1;
        say(&mut self.stream, Encoding::JSON, id, request).unwrap();
        match hear(&mut self.stream, Encoding::JSON).unwrap() {
            ServerFrame::Answer { result, .. } => match result? {
                Response::RunStarted(started) => Ok(started.run.to_string()),
                other => panic!("{other:?}"),
            },
            other @ ServerFrame::Event { .. } => panic!("{other:?}"),
        }
    }
}

fn home() -> Home {
    let home = Home::new();
    home.login("intercom");
    home
}

#[track_caller]
fn refused(result: Result<String, WireError>, code: ErrorCode, what: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code, code, "{error:?}");
    assert!(error.message.contains(what), "{error:?}");
    assert!(error.hint.is_some(), "{error:?}");
}

/// L3: not a process that the asker does not descend from.
#[test]
fn l3_a_run_is_about_a_process_above_the_asker_and_no_other() {
    let home = home();
    let mut client = Client::of(&home);
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let daemon = home.daemon_pid().unwrap();
    let bad = ErrorCode::BadRequest;
    for pid in [child.id(), daemon] {
        refused(client.start(pid, RunLife::Process), bad, "descends from");
    }
    for pid in [0, 1] {
        refused(client.start(pid, RunLife::Process), bad, "cannot be about");
    }
    assert!(client.start(u32::MAX, RunLife::Process).is_err());
    assert_eq!(home.runs().len(), 0);
    child.kill().unwrap();
    child.wait().unwrap();
    // its parent and itself
    let parent = std::os::unix::process::parent_id();
    for pid in [parent, std::process::id()] {
        let run = client.start(pid, RunLife::Process).unwrap();
        let listed = home.runs();
        let shown = listed.iter().find(|it| it["run"] == run.as_str()).unwrap();
        assert_eq!(shown["pid"], pid);
    }
}

#[test]
fn a_run_about_a_process_does_not_go_on_without_it() {
    let home = home();
    let mut client = Client::of(&home);
    refused(
        client.start(std::process::id(), RunLife::TreeAtMost(60)),
        ErrorCode::BadRequest,
        "ends with it",
    );
}

#[test]
fn the_same_wishes_give_the_same_run_and_others_another_up_to_a_limit() {
    let home = home();
    let mut client = Client::of(&home);
    let us = std::process::id();
    let first = client.start(us, RunLife::Process).unwrap();
    assert_eq!(client.start(us, RunLife::Process).unwrap(), first);
    for seconds in 1000..1015 {
        let life = RunLife::ProcessAtMost(seconds);
        let run = client.start(us, life).unwrap();
        assert_ne!(run, first);
        assert_eq!(client.start(us, life).unwrap(), run);
    }
    refused(
        client.start(us, RunLife::ProcessAtMost(2000)),
        ErrorCode::TooManyRequests,
        "are about process",
    );
    assert_eq!(client.start(us, RunLife::Process).unwrap(), first);
    assert_eq!(home.runs().len(), 16);
    home.authsome(["runs", "stop", &first]).output().succeeded();
    let again = client.start(us, RunLife::Process).unwrap();
    assert_ne!(again, first);
}
