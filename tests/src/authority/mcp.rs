//! An MCP server in miniature: RFC 9728 metadata, a challenge that points to it, and a little JSON-RPC
//! for those who come with a token.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use http::Response;
use serde_json::{Value, json};

use super::api::{ApiRequest, access};
use super::program::Program;
use super::serve::{Answers, Asked, Served};
use super::{Authority, Site};

/// Revision of the protocol that it speaks.
const PROTOCOL: &str = "2025-06-18";

/// The server `https://mcp.example.com/mcp`. `initialize` is answered as JSON, everything else as a
/// stream of events. Dropping it ends it.
#[derive(Debug)]
pub struct Mcp {
    served: Served,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    authority: Arc<Program>,
    host: String,
    requests: Mutex<Vec<ApiRequest>>,
    behaviour: Mutex<Behaviour>,
}

#[derive(Debug, Clone)]
struct Behaviour {
    metadata: Option<Value>,
    challenge: Option<String>,
    streams: bool,
    audience: bool,
}

impl Site for Mcp {
    fn address(&self) -> SocketAddr {
        self.served.address()
    }

    fn names(&self) -> &[String] {
        self.served.names()
    }

    fn ca_path(&self) -> &Path {
        self.served.ca_path()
    }
}

impl Mcp {
    /// `https://mcp.example.com/mcp`, for tokens of `authority`.
    pub fn start(authority: &Authority) -> Self {
        Self::named(authority, "mcp.example.com")
    }

    /// The same under another name.
    pub fn named(authority: &Authority, host: &str) -> Self {
        let resource = format!("https://{host}/mcp");
        let metadata = json!({
            "resource": resource,
            "authorization_servers": [authority.issuer()],
            "scopes_supported": ["read", "write"],
            "bearer_methods_supported": ["header"],
            "resource_name": "A small MCP server",
        });
        let challenge = format!("Bearer resource_metadata=\"{}\"", metadata_url(host));
        let state = Arc::new(State {
            authority: Arc::clone(&authority.program),
            host: host.to_owned(),
            requests: Mutex::new(Vec::new()),
            behaviour: Mutex::new(Behaviour {
                metadata: Some(metadata),
                challenge: Some(challenge),
                streams: false,
                audience: true,
            }),
        });
        let answers: Arc<dyn Answers> = Arc::<State>::clone(&state);
        Self {
            served: Served::start(&[host], answers),
            state,
        }
    }

    /// The address that a person logs in to.
    pub fn url(&self) -> String {
        self.state.resource()
    }

    /// Everything that has arrived, metadata included, in order of the answers.
    pub fn requests(&self) -> Vec<ApiRequest> {
        self.state
            .requests
            .lock()
            .expect("no request panics")
            .clone()
    }

    /// What the metadata says; `None` for 404.
    pub fn set_metadata(&self, metadata: Option<Value>) {
        self.state.change(|behaviour| behaviour.metadata = metadata);
    }

    /// `WWW-Authenticate` of the 401; `None` for none.
    pub fn set_challenge(&self, challenge: Option<&str>) {
        let challenge = challenge.map(str::to_owned);
        self.state
            .change(|behaviour| behaviour.challenge = challenge);
    }

    /// Whether `initialize`, too, is answered as a stream of events.
    pub fn set_streams(&self, streams: bool) {
        self.state.change(|behaviour| behaviour.streams = streams);
    }

    /// Whether a token must be for this resource (RFC 8707), as the protocol has it; so it is unless
    /// said.
    pub fn set_audience_checked(&self, checked: bool) {
        self.state.change(|behaviour| behaviour.audience = checked);
    }
}

impl State {
    fn change(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviour.lock().expect("no request panics"));
    }

    fn resource(&self) -> String {
        format!("https://{}/mcp", self.host)
    }

    fn respond(&self, asked: &Asked) -> Response<Vec<u8>> {
        let behaviour = self.behaviour.lock().expect("no request panics").clone();
        let path = asked.path.split('?').next().unwrap_or_default();
        match path {
            "/.well-known/oauth-protected-resource/mcp" => match &behaviour.metadata {
                Some(metadata) => json_answer(200, metadata),
                None => json_answer(404, &json!({ "error": "not_found" })),
            },
            "/mcp" if self.admits(asked, &behaviour) => rpc(asked, &behaviour),
            "/mcp" => {
                let mut answer = json_answer(401, &json!({ "error": "invalid_token" }));
                if let Some(challenge) = &behaviour.challenge {
                    let value = challenge.parse().expect("a challenge is a header value");
                    answer.headers_mut().insert("www-authenticate", value);
                }
                answer
            }
            _ => json_answer(404, &json!({ "error": "not_found" })),
        }
    }

    fn admits(&self, asked: &Asked, behaviour: &Behaviour) -> bool {
        let Some(token) = asked.bearer() else {
            return false;
        };
        let token = access(&self.authority, &token);
        token.active && (!behaviour.audience || token.audience.contains(&self.resource()))
    }
}

impl Answers for State {
    fn answer(&self, asked: &Asked) -> Response<Vec<u8>> {
        let answer = self.respond(asked);
        let mut requests = self.requests.lock().expect("no request panics");
        requests.push(ApiRequest {
            method: asked.method.clone(),
            path: asked.path.clone(),
            headers: asked.headers.clone(),
            bearer: asked.bearer(),
            body: asked.body.clone(),
            status: answer.status().as_u16(),
        });
        answer
    }
}

fn rpc(asked: &Asked, behaviour: &Behaviour) -> Response<Vec<u8>> {
    if asked.method != "POST" {
        return json_answer(405, &json!({ "error": "method_not_allowed" }));
    }
    let Ok(call) = serde_json::from_slice::<Value>(&asked.body) else {
        let error = json!({ "code": -32_700, "message": "Parse error" });
        return json_answer(
            400,
            &json!({ "jsonrpc": "2.0", "id": null, "error": error }),
        );
    };
    let initialize = call["method"] == "initialize";
    let result = if initialize {
        json!({
            "protocolVersion": PROTOCOL,
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "small", "version": "1.0.0" },
        })
    } else {
        json!({ "tools": [{ "name": "wave", "inputSchema": { "type": "object" } }] })
    };
    let answer = json!({ "jsonrpc": "2.0", "id": call["id"], "result": result });
    if initialize && !behaviour.streams {
        return json_answer(200, &answer);
    }
    Response::builder()
        .header("content-type", "text/event-stream")
        .header("cache-control", "no-store")
        .body(format!("event: message\ndata: {answer}\n\n").into_bytes())
        .expect("the headers are constants")
}

fn json_answer(status: u16, body: &Value) -> Response<Vec<u8>> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body.to_string().into_bytes())
        .expect("the headers are constants")
}

fn metadata_url(host: &str) -> String {
    format!("https://{host}/.well-known/oauth-protected-resource/mcp")
}
