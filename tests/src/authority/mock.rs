//! `oauth2-mock-server` from npm: a server that checks next to nothing and signs what it is asked for,
//! with its next answers in a test's hands. For answers broken below JSON there is [`super::Faults`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::Program;
use super::{Site, read, write_certificate};
use crate::stand_in::{self, Options};

/// A request as it arrived at a [`MockServer`].
#[derive(Debug, Clone, Deserialize)]
pub struct MockRequest {
    /// `token`, `revoke`, `introspect`, `userinfo` or `authorize`.
    pub endpoint: String,
    /// Form fields, or the query of `authorize`.
    pub params: BTreeMap<String, Value>,
}

/// The server: `/authorize`, `/token`, `/revoke`, `/introspect`, `/userinfo`,
/// `/.well-known/openid-configuration`. Dropping it ends it.
#[derive(Debug)]
pub struct MockServer {
    address: SocketAddr,
    names: Vec<String>,
    ca_path: PathBuf,
    program: Program,
    _folder: TempDir,
}

impl Site for MockServer {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn ca_path(&self) -> &Path {
        &self.ca_path
    }
}

impl MockServer {
    /// `https://mock.example.com`.
    #[track_caller]
    pub fn start() -> Self {
        Self::named("mock.example.com")
    }

    /// The same under another name.
    #[track_caller]
    pub fn named(name: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("as-mock-")
            .tempdir()
            .expect("the folder for temporary files can be written");
        stand_in::open_for_all(folder.path());
        let names = vec![name.to_owned()];
        let options = Options {
            names: names.clone(),
            ..Options::default()
        };
        let (certificate, key) = write_certificate(&options, folder.path());
        let program = Program::start("mock.mjs", &[]);
        let issuer = format!("https://{name}");
        let start = json!({ "issuer": issuer, "cert": certificate, "key": key });
        let port = program.ask("start", start)["port"].as_u64();
        let port = u16::try_from(port.expect("it listens")).expect("a port");
        Self {
            address: ([127, 0, 0, 1], port).into(),
            names,
            ca_path: folder.path().join("ca.pem"),
            program,
            _folder: folder,
        }
    }

    /// Process id of its program.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// The next request to `endpoint` gets this status and body in place of the real ones.
    pub fn answer_next(&self, endpoint: &str, status: u16, body: &Value) {
        self.script(endpoint, &json!({ "status": status, "body": body }));
    }

    /// The next answer of `endpoint` has these fields in place of the real ones, and this status.
    pub fn change_next(&self, endpoint: &str, status: u16, fields: &Value) {
        let answer = json!({ "status": status, "body": fields, "merge": true });
        self.script(endpoint, &answer);
    }

    /// The next redirect back from `/authorize` has these parameters in place of the real ones; `null`
    /// removes one.
    pub fn redirect_next(&self, params: &Value) {
        self.program.ask("redirect", json!({ "params": params }));
    }

    /// Everything that has arrived, in order.
    pub fn requests(&self) -> Vec<MockRequest> {
        read(self.program.ask("requests", json!({})))
    }

    fn script(&self, endpoint: &str, answer: &Value) {
        let script = json!({ "endpoint": endpoint, "answers": [answer] });
        self.program.ask("script", script);
    }
}
