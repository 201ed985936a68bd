//! What the stand-in serves to the clients: to each request with the right key, and to no other.
//!
//! One server plays an API, two language models, the registries of pip, npm and cargo (below paths
//! of the API), and a git host. Every 200 holds [`PROOF`] or leads to it.

use std::path::PathBuf;
use std::sync::OnceLock;

use authsome_tests::Recorded;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Response, StatusCode};
use serde_json::json;

/// What only a request with the right key is told.
pub(crate) const PROOF: &str = "the key arrived";

/// The hosts, for the certificate.
pub(crate) const HOSTS: [&str; 4] = [
    "api.intercom.io",
    "api.openai.com",
    "api.anthropic.com",
    "git.example.com",
];

/// The keys that are right, and the files there are.
#[derive(Debug)]
pub(crate) struct Served {
    /// Key of the API, and so of the registries.
    pub(crate) intercom: String,
    /// Key of one language model.
    pub(crate) openai: String,
    /// Key of the other one.
    pub(crate) anthropic: String,
    /// Password of the git host.
    pub(crate) git: String,
    /// Holds `stand-in.git` and a wheel.
    pub(crate) files: PathBuf,
}

/// Set before the first request. The server takes a plain function, which has no other memory.
pub(crate) static SERVED: OnceLock<Served> = OnceLock::new();

/// Answers every request to one of [`HOSTS`].
pub(crate) fn answer(request: &Recorded) -> Option<Response<Vec<u8>>> {
    let served = SERVED.get()?;
    let host = request.authority.split(':').next()?;
    let (header, right) = match host {
        "api.intercom.io" => ("authorization", format!("Bearer {}", served.intercom)),
        "api.openai.com" => ("authorization", format!("Bearer {}", served.openai)),
        "api.anthropic.com" => ("x-api-key", served.anthropic.clone()),
        "git.example.com" => {
            let pair = STANDARD.encode(format!("x-access-token:{}", served.git));
            ("authorization", format!("Basic {pair}"))
        }
        _ => return None,
    };
    if request.header(header) != [right.as_str()] {
        return Some(status(StatusCode::UNAUTHORIZED));
    }
    let path = request.path.split('?').next().unwrap_or_default();
    Some(match (host, path) {
        ("api.intercom.io", "/me") => json(&json!({ "name": PROOF })),
        ("api.intercom.io", "/simple/stand-in/") => {
            let wheel = "stand_in-1.0-py3-none-any.whl";
            typed(
                "text/html",
                format!("<a href=\"/files/{wheel}\">{wheel}</a>\n"),
            )
        }
        ("api.intercom.io", "/npm/stand-in") => json(&json!({
            "name": "stand-in",
            "dist-tags": { "latest": "1.0.0" },
            "versions": { "1.0.0": {
                "name": "stand-in", "version": "1.0.0", "description": PROOF,
                "dist": { "tarball": "https://api.intercom.io/npm/stand-in.tgz" },
            } },
        })),
        ("api.intercom.io", "/index/config.json") => {
            json(&json!({ "dl": "https://api.intercom.io/crates" }))
        }
        ("api.intercom.io", "/index/st/an/stand-in") => json(&json!({
            "name": "stand-in", "vers": "1.0.0", "deps": [], "features": {}, "yanked": false,
            "cksum": "0".repeat(64),
        })),
        ("api.openai.com", "/v1/models") => json(&json!({
            "object": "list",
            "data": [{ "id": PROOF, "object": "model", "created": 0, "owned_by": "stand-in" }],
        })),
        ("api.anthropic.com", "/v1/messages") => json(&json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "stand-in",
            "content": [{ "type": "text", "text": PROOF }],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": { "input_tokens": 1, "output_tokens": 1 },
        })),
        ("api.intercom.io" | "git.example.com", path) => {
            let file = path.strip_prefix("/files").unwrap_or(path);
            match std::fs::read(served.files.join(file.trim_start_matches('/'))) {
                Ok(content) => typed("application/octet-stream", content),
                Err(_) => status(StatusCode::NOT_FOUND),
            }
        }
        _ => status(StatusCode::NOT_FOUND),
    })
}

fn json(value: &serde_json::Value) -> Response<Vec<u8>> {
    typed("application/json", value.to_string())
}

fn typed(kind: &str, body: impl Into<Vec<u8>>) -> Response<Vec<u8>> {
    let answer = Response::builder().header("content-type", kind);
    answer.body(body.into()).expect("the headers are constants")
}

fn status(status: StatusCode) -> Response<Vec<u8>> {
    Response::builder()
        .status(status)
        .body(Vec::new())
        .expect("a status needs nothing")
}
