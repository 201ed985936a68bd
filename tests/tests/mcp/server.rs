//! `authsome mcp` in a test's hands: messages in, messages out.

#![expect(
    clippy::needless_pass_by_value,
    reason = "`json!` at the call reads best without a borrow"
)]

use std::time::Duration;

use authsome_tests::process::{Output, Running};
use authsome_tests::{Home, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

/// How long an answer may take; the first one starts the daemon.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server and the client's side of the conversation.
pub(crate) struct Server {
    process: Running,
    /// What each request carries in `_meta`.
    meta: Map<String, Value>,
    next: u64,
    /// Messages that nobody waits for any more.
    forgotten: usize,
    pings: u64,
}

impl Server {
    /// One that an agent outside of every run started.
    pub(crate) fn of(home: &Home) -> Self {
        Self::started(home.authsome(["mcp"]).interactive().spawn())
    }

    /// One that an agent inside a run started. The agent is a shell, which does what
    /// [`Server::program`] says.
    pub(crate) fn inside_a_run(home: &Home) -> Self {
        // the shell stays what the run was started for; what it is told to do comes from a file, for
        // its input is the server's
        let script = "touch todo; \
                      (tail --pid=$$ -f todo | while read -r line; do eval \"$line\"; echo done; done) \
                      </dev/null >did 2>&1 & authsome mcp";
        Self::started(home.run(["sh", "-c", script]).interactive().spawn())
    }

    fn started(process: Running) -> Self {
        Self {
            process,
            meta: Map::new(),
            next: 0,
            forgotten: 0,
            pings: 0,
        }
    }

    /// After the handshake of `revision`.
    pub(crate) fn initialized(self, revision: &str) -> Self {
        self.initialized_with(revision, json!({}))
    }

    pub(crate) fn initialized_with(mut self, revision: &str, capabilities: Value) -> Self {
        let params = json!({
            "protocolVersion": revision,
            "capabilities": capabilities,
            "clientInfo": { "name": "test", "version": "1" },
        });
        let answer = self.request("initialize", params);
        assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        self.forgotten = self.messages().len();
        self
    }

    /// As a client of revision 2026-07-28.
    pub(crate) fn stateless(mut self, capabilities: Value) -> Self {
        let mut meta = Map::new();
        for (name, value) in [
            ("protocolVersion", json!("2026-07-28")),
            ("clientInfo", json!({ "name": "test", "version": "1" })),
            ("clientCapabilities", capabilities),
        ] {
            meta.insert(format!("io.modelcontextprotocol/{name}"), value);
        }
        self.meta = meta;
        self
    }

    #[track_caller]
    pub(crate) fn say_raw(&self, line: &str) {
        self.process.say(&format!("{line}\n"));
    }

    #[track_caller]
    pub(crate) fn say(&self, message: &Value) {
        self.say_raw(&message.to_string());
    }

    /// Sends a request; its id.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, mut params: Value) -> u64 {
        self.next += 1;
        if !self.meta.is_empty() {
            params["_meta"] = Value::Object(self.meta.clone());
        }
        let id = self.next;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    #[track_caller]
    pub(crate) fn ask_tool(&mut self, name: &str, arguments: Value, meta: Value) -> u64 {
        self.ask(
            "tools/call",
            json!({ "name": name, "arguments": arguments, "_meta": meta }),
        )
    }

    /// Everything that came so far; panics where a line is no message.
    #[track_caller]
    pub(crate) fn messages(&self) -> Vec<Value> {
        let text = self.process.stdout_so_far();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let messages = whole.lines().map(|line| {
            let message: Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("not a message: {error}: {line}"));
            for one in message
                .as_array()
                .map_or(vec![&message], |all| all.iter().collect())
            {
                assert_eq!(one["jsonrpc"], "2.0", "{line}");
            }
            message
        });
        messages.collect()
    }

    /// The first message that fits, of those not forgotten.
    #[track_caller]
    pub(crate) fn wait_for(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let what = format!("a message\n{}", self.process.stderr_so_far());
        wait_for(&what, PATIENCE, || {
            self.messages().into_iter().skip(self.forgotten).find(&fits)
        })
    }

    /// Waits for no message up to this one any more.
    pub(crate) fn forget(&mut self, message: &Value) {
        let at = self.messages().iter().position(|known| known == message);
        self.forgotten = at.map_or(self.forgotten, |at| at + 1);
    }

    /// The answer to a request.
    #[track_caller]
    pub(crate) fn answer(&self, id: u64) -> Value {
        self.wait_for(|message| message["id"] == id && message.get("method").is_none())
    }

    /// The same if it is there.
    pub(crate) fn answered(&self, id: u64) -> Option<Value> {
        self.messages()
            .into_iter()
            .find(|message| message["id"] == id)
    }

    /// Asks and waits.
    #[track_caller]
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        self.answer(id)
    }

    #[track_caller]
    fn tool(&mut self, name: &str, arguments: &Value) -> Value {
        let answer = self.request(
            "tools/call",
            json!({ "name": name, "arguments": arguments }),
        );
        assert!(answer["result"].is_object(), "{answer}");
        answer["result"].clone()
    }

    /// What a tool told, as structured content; panics where it failed, or where the text says
    /// something else.
    #[track_caller]
    pub(crate) fn call(&mut self, name: &str, arguments: Value) -> Value {
        let result = self.tool(name, &arguments);
        assert_ne!(result["isError"], true, "{name} {arguments}: {result}");
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap())
            .unwrap_or_else(|error| panic!("{error}: {result}"));
        assert_eq!(result["structuredContent"], text);
        text
    }

    /// What a tool told that failed with structured content.
    #[track_caller]
    pub(crate) fn failed(&mut self, name: &str, arguments: Value) -> Value {
        let result = self.tool(name, &arguments);
        assert_eq!(result["isError"], true, "{name} {arguments}: {result}");
        assert!(result["structuredContent"].is_object(), "{result}");
        result["structuredContent"].clone()
    }

    /// Why a tool refused.
    #[track_caller]
    pub(crate) fn complaint(&mut self, name: &str, arguments: Value) -> String {
        let result = self.tool(name, &arguments);
        assert_eq!(result["isError"], true, "{name} {arguments}: {result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Has the agent of [`Server::inside_a_run`] do something.
    #[track_caller]
    pub(crate) fn program(&mut self, words: &[&str]) {
        let folder = format!("/proc/{}/cwd", self.process.pid());
        let did = || std::fs::read_to_string(format!("{folder}/did")).unwrap_or_default();
        let before = did().matches("done\n").count();
        let mut todo = std::fs::OpenOptions::new()
            .append(true)
            .open(format!("{folder}/todo"))
            .expect("the agent made it");
        std::io::Write::write_all(&mut todo, format!("{}\n", words.join(" ")).as_bytes()).unwrap();
        wait_for("the agent's program", PATIENCE, || {
            (did().matches("done\n").count() > before).then_some(())
        });
    }

    /// Waits until everything said before was read.
    #[track_caller]
    pub(crate) fn ping(&mut self) {
        self.pings += 1;
        let id = format!("ping-{}", self.pings);
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }));
        self.wait_for(|message| message["id"] == id.as_str());
    }

    /// What was answered since the last ping, this time around.
    #[track_caller]
    pub(crate) fn since_ping(&mut self) -> Vec<Value> {
        self.ping();
        let is_ping = |message: &Value| {
            message["id"]
                .as_str()
                .is_some_and(|id| id.starts_with("ping-"))
        };
        let messages = self.messages();
        let last = messages.iter().rposition(is_ping).unwrap();
        let before = messages[..last].iter().rposition(is_ping);
        let begin = before
            .map_or(self.forgotten, |at| at + 1)
            .max(self.forgotten);
        self.forgotten = last + 1;
        messages[begin..last].to_vec()
    }

    /// Closes the input; everything that was ever said. The server must end at once and well.
    #[track_caller]
    pub(crate) fn ends(self) -> Vec<Value> {
        let output = self.process.wait().succeeded();
        assert!(output.stdout.is_empty() || output.stdout.ends_with('\n'));
        let lines = output.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn signalled(mut self, signal: Signal) -> Output {
        self.process.signal(signal);
        wait_for("its end", PATIENCE, || self.process.ended().then_some(()));
        self.process.wait()
    }
}
