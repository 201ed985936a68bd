//! What a failure halfway leaves behind, and what a program in a run can pile up.

#[path = "webhooks/handler.rs"]
#[expect(dead_code, reason = "the webhooks' own tests use all of it")]
mod handler;

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;

use authsome_tests::raw::read_answer;
use authsome_tests::{Canary, Home};

use handler::Handler;

/// The header with the signature of `body`.
fn signed(home: &Home, body: &[u8]) -> String {
    let output = home
        .authsome(["webhook", "sign", "fin"])
        .stdin(body)
        .output()
        .succeeded();
    output.line().to_owned()
}

fn post(port: &str, header: &str, body: &[u8]) -> u16 {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\n{header}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    read_answer(&mut stream).unwrap().status
}

/// The vault has the new secret; that the list cannot be written must not keep the old one good.
#[test]
fn a_replaced_webhook_secret_is_dead_although_the_list_cannot_be_written() {
    let (mut home, handler) = (Home::new(), Handler::start());
    let added = home
        .authsome(["webhook", "add", "fin", "--stdin", "--json"])
        .args(["--scheme", "intercom-fin", "--forward", &handler.url()])
        .stdin(home.canary().secret())
        .output()
        .succeeded()
        .json();
    let url = added["url"].as_str().unwrap();
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap();
    let (before, after) = (signed(&home, b"before"), signed(&home, b"after"));
    assert_eq!(post(port, &before, b"before"), 200);

    // a folder with something in it cannot be replaced by a file
    let list = home.path().join("webhooks.json");
    fs::remove_file(&list).unwrap();
    fs::create_dir(&list).unwrap();
    fs::write(list.join("x"), "").unwrap();
    let second = Canary::new();
    let said = home
        .authsome(["webhook", "rotate", "fin", "--stdin"])
        .stdin(second.secret())
        .output();
    home.watch(second);
    assert_ne!(said.code(), Some(0), "{said}");
    assert!(said.stderr.contains("was replaced, which it is"), "{said}");
    assert_eq!(post(port, &after, b"after"), 401, "the old secret is dead");
    let new = signed(&home, b"new");
    assert_eq!(post(port, &new, b"new"), 200, "the new one is good");
}

/// L3: runs inside of runs take memory, descriptors and, when they end, stack.
#[test]
fn runs_are_inside_of_each_other_to_a_bounded_depth() {
    let home = Home::new();
    home.write(
        "deeper.sh",
        "echo level $1\nauthsome run -- sh deeper.sh $(($1 + 1)) || exit 7\n",
    );
    let said = home.run_shell("sh deeper.sh 1").output();
    assert_eq!(said.code(), Some(7), "{said}");
    assert_eq!(said.stdout.matches("level").count(), 16, "{said}");
    assert!(
        said.stderr
            .contains("16 runs are inside of each other already"),
        "{said}"
    );
    // the daemon goes on
    home.authsome(["run", "--", "true"]).output().succeeded();
}
