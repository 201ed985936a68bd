//! The local program behind an endpoint: takes what comes, remembers it byte for byte, and answers
//! what the test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What came in.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Request line and headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The values of a header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1);
        lines
            .filter_map(|line| line.split_once(':'))
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }
}

#[derive(Debug)]
struct State {
    seen: Vec<Seen>,
    status: u16,
    delay: Duration,
}

/// A local program. It lives as long as the test process.
#[derive(Debug)]
pub(crate) struct Handler {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Handler {
    /// One on a free port.
    pub(crate) fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").expect("a port is free"))
    }

    /// One that takes over a port.
    pub(crate) fn on(listener: TcpListener) -> Self {
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(Mutex::new(State {
            seen: Vec::new(),
            status: 200,
            delay: Duration::ZERO,
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &state));
            }
        });
        Self { port, state }
    }

    /// Its address, for `--forward`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks?from=test", self.port)
    }

    /// From now on it answers with `status` after `delay`.
    pub(crate) fn behave(&self, status: u16, delay: Duration) {
        let mut state = self.state.lock().expect("no test panics in here");
        state.status = status;
        state.delay = delay;
    }

    /// All that came in.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state
            .lock()
            .expect("no test panics in here")
            .seen
            .clone()
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let head_len = loop {
        if let Some(at) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_len]).into_owned();
    let mut seen = Seen {
        head,
        body: bytes.split_off(head_len),
    };
    let len: usize = seen.header("content-length")[0].parse().expect("a number");
    while seen.body.len() < len {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => seen.body.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let (status, delay) = {
        let mut state = state.lock().expect("no test panics in here");
        state.seen.push(seen);
        (state.status, state.delay)
    };
    std::thread::sleep(delay);
    let body = "said by the program";
    // whoever asked may be gone
    let _written = write!(
        stream,
        "HTTP/1.1 {status} Word\r\nContent-Type: text/x-test\r\nSet-Cookie: inner=1\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}
