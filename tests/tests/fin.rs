//! Intercom's Fin Agent API beside its REST API: two keys on one host, and neither ever used for
//! the other (threats D5, D6, D13), with real programs against a stand-in of both.
//!
//! Every test ends with the harness' search for both keys and for the access token that Intercom
//! hands out in its answers, in what was printed, logged (at the finest level) and recorded.

#[path = "fin/boundaries.rs"]
mod boundaries;
#[path = "fin/newman.rs"]
mod newman;
#[path = "fin/seed.rs"]
mod seed;
#[path = "fin/streams.rs"]
mod streams;
#[path = "fin/trouble.rs"]
mod trouble;

use std::sync::Arc;

use authsome_tests::stand_in::intercom::API_HOSTS;
use authsome_tests::{Canary, Home, Intercom, StandIn};

/// The host of a workspace in the United States.
const API: &str = API_HOSTS[0];

/// What programs hold in place of a key.
const PLACEHOLDER: &str = "authsome-proxy-managed";

/// Intercom, and a home that leads there, with nothing logged in yet.
struct World {
    intercom: Arc<Intercom>,
    stand_in: StandIn,
    home: Home,
    fin: Canary,
    rest: Canary,
}

impl World {
    fn new() -> Self {
        Self::over(&["h2", "http/1.1"])
    }

    /// A world whose Intercom speaks `protocols`.
    fn over(protocols: &[&'static str]) -> Self {
        let (fin, rest) = (Canary::new(), Canary::new());
        let (stand_in, intercom) = Intercom::start(&fin, &rest, protocols);
        let home = Home::builder().stand_in(&stand_in).build();
        Self::in_home(intercom, stand_in, home, fin, rest)
    }

    fn in_home(
        intercom: Arc<Intercom>,
        stand_in: StandIn,
        mut home: Home,
        fin: Canary,
        rest: Canary,
    ) -> Self {
        for canary in [fin.clone(), rest.clone(), intercom.access_token()] {
            home.watch(canary);
        }
        // whatever a library would say about what passes through it, it says here
        home.authsome(["daemon", "start"])
            .env("AUTHSOME_LOG", "trace")
            .output()
            .succeeded();
        Self {
            intercom,
            stand_in,
            home,
            fin,
            rest,
        }
    }

    fn log_in_to_fin(&self) {
        self.home.login_with("intercom-fin", &self.fin, &[]);
    }

    fn log_in_to_rest(&self) {
        self.home.login_with("intercom", &self.rest, &[]);
    }

    /// Both logged in.
    fn with_both() -> Self {
        let world = Self::new();
        world.log_in_to_fin();
        world.log_in_to_rest();
        world
    }

    /// Nothing of either key arrived anywhere.
    #[track_caller]
    fn no_key_arrived(&self) {
        for key in [&self.fin, &self.rest] {
            self.did_not_arrive(key);
        }
    }

    #[track_caller]
    fn did_not_arrive(&self, key: &Canary) {
        for request in self.stand_in.requests() {
            let text = format!("{request:?}");
            assert_eq!(key.search("what arrived", text.as_bytes()), []);
        }
    }

    /// What arrived, as `METHOD path`, each with its `Authorization`.
    fn arrived(&self) -> Vec<(String, Vec<String>)> {
        let requests = self.stand_in.requests().into_iter();
        requests
            .map(|request| {
                let given = request.header("authorization");
                let given = given.into_iter().map(str::to_owned).collect();
                (format!("{} {}", request.method, request.path), given)
            })
            .collect()
    }
}

fn bearer(key: &Canary) -> String {
    format!("Bearer {}", key.secret())
}

/// A message of the conversation `id`.
fn message(id: &str) -> String {
    serde_json::json!({
        "conversation_id": id,
        "message": { "author": "user", "body": "Hello", "timestamp": "2025-01-24T10:00:00.123Z" },
        "user": { "id": "user-1" },
    })
    .to_string()
}

/// `POST path` at `host` with a message of the conversation `id`, as bytes.
fn post(host: &str, path: &str, id: &str) -> String {
    let body = message(id);
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {PLACEHOLDER}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
