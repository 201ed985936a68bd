//! A daemon in miniature, and a home for it.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use authsome_proto::frame;
use authsome_proto::hello::{Encoding, HELLO_MAX, Hello};
use authsome_proto::response::{Connection, ConnectionState, Source};
use authsome_proto::{
    ClientFrame, ConnectionName, ErrorCode, Request, Response, ServerFrame, WireError,
};

/// What a handler makes of a request; `None` leaves it unanswered.
pub(crate) type Answer = Option<Result<Response, WireError>>;

/// What a handler of whole conversations sends for a request: events and answers, in this order.
pub(crate) type Frames = Vec<ServerFrame>;

/// A throw-away home with its own runtime folder.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("as").tempdir().unwrap();
        Self {
            folder,
            asked: Arc::default(),
        }
    }

    /// A home whose daemon answers by `handler`.
    pub(crate) fn with(handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let home = Self::new();
        home.listen(handler);
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file into the home.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path().join("run/control.sock")
    }

    /// A home whose daemon answers by `handler`, which sees the ids and may send events.
    pub(crate) fn conversing(
        handler: impl Fn(u32, &Request) -> Frames + Send + Sync + 'static,
    ) -> Self {
        let home = Self::new();
        home.converse(handler);
        home
    }

    pub(crate) fn listen(&self, handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        self.converse(move |id, request| {
            handler(request)
                .map(|result| ServerFrame::Answer { id, result })
                .into_iter()
                .collect()
        });
    }

    fn converse(&self, handler: impl Fn(u32, &Request) -> Frames + Send + Sync + 'static) {
        let runtime = self.path().join("run");
        if !runtime.exists() {
            std::fs::create_dir(&runtime).unwrap();
        }
        std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(0o700)).unwrap();
        let listener = UnixListener::bind(self.socket()).unwrap();
        // the note makes the place independent of this machine's runtime folder
        let mut note = std::fs::File::create(self.path().join("daemon.lock")).unwrap();
        write!(note, "pid 1\nsocket {}\n", self.socket().display()).unwrap();
        let (asked, handler) = (Arc::clone(&self.asked), Arc::new(handler));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, handler) = (Arc::clone(&asked), Arc::clone(&handler));
                std::thread::spawn(move || serve(stream, &asked, &*handler));
            }
        });
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until something that `wanted` accepts was asked.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Request) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.asked().iter().any(&wanted) {
            assert!(Instant::now() < deadline, "asked: {:?}", self.asked());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The client in this home, without a terminal and without a display.
    pub(crate) fn command(&self, line: &str) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_authsome")), line)
    }

    pub(crate) fn command_of(&self, program: &Path, line: &str) -> Command {
        let mut command = Command::new("setsid");
        command
            .arg("--wait")
            .arg(program)
            .args(line.split_whitespace());
        command
            .env_clear()
            .env("AUTHSOME_HOME", self.path())
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin")
            .env("XDG_RUNTIME_DIR", self.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Seen {
        Seen::of(self.command(line).output().unwrap())
    }
}

/// What a command did, as a person sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Seen {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn serve(
    mut stream: UnixStream,
    asked: &Mutex<Vec<Request>>,
    handler: &dyn Fn(u32, &Request) -> Frames,
) -> Option<()> {
    let hello = frame::read(&mut stream, HELLO_MAX).ok()?;
    Hello::from_bytes(&hello).ok()?;
    frame::write(&mut stream, &Hello::ours(Encoding::BINCODE).to_bytes()).ok()?;
    loop {
        let payload = frame::read(&mut stream, frame::FRAME_MAX).ok()?;
        let ClientFrame::Request { id, request } =
            frame::decode(&payload, Encoding::BINCODE).ok()?
        else {
            continue;
        };
        asked.lock().unwrap().push(request.clone());
        for sent in handler(id, &request) {
            let sent = frame::encode(&sent, Encoding::BINCODE);
            frame::write(&mut stream, &sent.ok()?).ok()?;
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a handler")]
pub(crate) fn fail(code: ErrorCode, message: &str) -> Answer {
    Some(Err(WireError::new(code, message)))
}

/// A connection as the daemon would describe it.
pub(crate) fn connection(provider: &str) -> Connection {
    Connection {
        provider: provider.parse().unwrap(),
        display_name: provider.into(),
        connection: ConnectionName::default_name(),
        is_default: true,
        auth: "api_key".into(),
        state: ConnectionState::Connected,
        source: Some(Source::Bundled),
        created_at: "2020-01-01T00:00:00Z".into(),
        rotated_at: None,
        last_used: None,
        expires_at: None,
        hosts: vec!["api.intercom.io".into()],
        unconfirmed_hosts: Vec::new(),
        variables: vec!["INTERCOM_API_KEY".into()],
        slot: "Authorization: Bearer".into(),
        region: None,
        renews: false,
        scopes: Vec::new(),
        flow: None,
        base_url: None,
    }
}
