//! What an [`super::Authority`] has seen.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What programs ask an authorization server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// The page a person is sent to.
    Authorization,
    /// RFC 8628: the beginning.
    DeviceAuthorization,
    /// `OpenID` Connect; nothing of ours asks for it.
    EndSession,
    /// RFC 7662.
    Introspection,
    /// Keys.
    Jwks,
    /// RFC 8414, and `OpenID` Connect's.
    Metadata,
    /// RFC 7591.
    Registration,
    /// RFC 7009.
    Revocation,
    /// Codes, refresh tokens and assertions against access tokens.
    Token,
    /// `OpenID` Connect; nothing of ours asks for it.
    Userinfo,
}

impl Endpoint {
    /// Its name in the Node program.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::DeviceAuthorization => "device_authorization",
            Self::EndSession => "end_session",
            Self::Introspection => "introspection",
            Self::Jwks => "jwks",
            Self::Metadata => "metadata",
            Self::Registration => "registration",
            Self::Revocation => "revocation",
            Self::Token => "token",
            Self::Userinfo => "userinfo",
        }
    }
}

/// A request as it arrived, and what has become of it so far.
#[derive(Debug, Clone, Deserialize)]
pub struct Request {
    /// What it asked.
    pub endpoint: Endpoint,
    /// The method.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Names in lower case, and values.
    pub headers: BTreeMap<String, String>,
    /// `grant_type`.
    pub grant_type: Option<String>,
    /// The client, as it named itself or as the server found it.
    pub client_id: Option<String>,
    /// How the client proved who it is: `client_secret_basic`, `client_secret_post`,
    /// `private_key_jwt` or `none`.
    pub auth: String,
    /// Form fields, or the query of the authorization endpoint, decoded; `body` where JSON came.
    pub params: BTreeMap<String, String>,
    /// Whether the refresh token had been used up before; `None` where none was looked up.
    pub consumed: Option<bool>,
    /// Status of the answer, sent or not.
    pub status: Option<u16>,
    /// `error` of the answer.
    pub error: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

impl Request {
    /// Whether it is the use of a refresh token.
    pub fn is_refresh(&self) -> bool {
        self.endpoint == Endpoint::Token && self.grant_type.as_deref() == Some("refresh_token")
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was processed and the answer was sent.
    Answered,
    /// It is being processed, or held before that.
    Arrived,
    /// It was processed, and the connection closed without an answer.
    Dropped,
    /// A given answer was sent; it was not processed.
    Failed,
    /// The connection was closed without an answer; it was not processed.
    Lost,
    /// It was processed; the answer is held.
    Processed,
}

/// What the server knows of a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Token {
    /// Whether it is worth anything.
    pub active: bool,
    /// `AccessToken`, `ClientCredentials` or `RefreshToken`; empty when there is no such token, as for
    /// all below.
    #[serde(default)]
    pub kind: String,
    /// Whom it was given to.
    #[serde(default)]
    pub client_id: String,
    /// What for, joined by spaces.
    #[serde(default)]
    pub scope: String,
    /// The resources it is for (RFC 8707).
    #[serde(default)]
    pub audience: Vec<String>,
    /// Seconds that are left.
    #[serde(default)]
    pub expires_in: i64,
    /// Which tokens end together.
    #[serde(default)]
    pub grant_id: Option<String>,
}
