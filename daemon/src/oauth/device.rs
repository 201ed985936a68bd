//! A code that a person types on another device (RFC 8628), and Postiz's JSON dialect of it.
//!
//! Pure: [`Poll`] says when to ask next, given when it was asked and what came.

use std::time::Duration;

use authsome_proto::Secret;

use super::{Client, Incoming, Outgoing, TokenError, Tokens};
use crate::providers::DeviceTokenRequest;

/// What the device authorization endpoint answered (section 3.2).
#[derive(Debug)]
pub struct DeviceCode {
    /// For the token endpoint.
    pub device_code: Secret,
    /// For the person; printable and short.
    pub user_code: String,
    /// Where it is typed; `https`.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<String>,
    /// How long both are good; 10 minutes where the server is silent, 30 at most.
    pub expires_in: Duration,
    /// How long to wait between two questions: what the server says, but 5 seconds at least
    /// (section 3.5, threat O5) and 60 at most.
    pub interval: Duration,
}

/// The request for a device code (section 3.1).
pub fn request(client: &Client, scopes: &[String], how: DeviceTokenRequest) -> Outgoing {
    drop((client, scopes, how));
    todo!()
}

/// What its answer holds.
pub fn read(answer: &Incoming, how: DeviceTokenRequest) -> Result<DeviceCode, TokenError> {
    drop((answer, how));
    todo!()
}

/// The request that asks for the tokens (section 3.4).
pub fn token_request(code: &DeviceCode, client: &Client, how: DeviceTokenRequest) -> Outgoing {
    drop((code, client, how));
    todo!()
}

/// Asking until the person is done.
#[derive(Debug)]
pub struct Poll {
    interval: Duration,
}

/// What to do after an answer.
#[derive(Debug)]
pub enum Next {
    /// Ask again after this long.
    Wait(Duration),
    /// Here they are.
    Done(Tokens),
    /// It is over.
    Failed(TokenError),
}

impl Poll {
    /// Waits `code.interval` before the first question.
    pub fn new(code: &DeviceCode) -> Self {
        Self {
            interval: code.interval,
        }
    }

    /// How long to wait now.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// After an answer: `slow_down` adds 5 seconds for good (section 3.5).
    pub fn answered(&mut self, answer: &Incoming, how: DeviceTokenRequest) -> Next {
        drop((answer, how));
        todo!()
    }

    /// After no answer: twice the interval, as section 3.5 asks, but a minute at most.
    pub fn unanswered(&mut self) -> Duration {
        todo!()
    }
}
