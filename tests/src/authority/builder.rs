//! An [`Authority`] before it starts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::program::Program;
use super::{Authority, Client, REDIRECT_URI, SCOPES, owned, write_certificate};
use crate::canary::Canary;
use crate::stand_in::{self, Options};

/// An [`Authority`] in the making.
#[derive(Debug)]
pub struct Builder {
    names: Vec<String>,
    redirect_uris: Vec<String>,
    scopes: Vec<String>,
    routes: Value,
    settings: Map<String, Value>,
}

impl Builder {
    /// The hosts it is reached by; the first one is the issuer's. `auth.example.com` unless said.
    #[must_use]
    pub fn names(mut self, names: &[&str]) -> Self {
        self.names = owned(names);
        self
    }

    /// Where the three clients are sent back to; see also [`Authority::redirects_to`].
    #[must_use]
    pub fn redirect_uris(mut self, uris: &[&str]) -> Self {
        self.redirect_uris = owned(uris);
        self
    }

    /// Scopes that are known; others are left out silently, as the standard allows, and who names none
    /// gets the last one. [`SCOPES`] unless said.
    #[must_use]
    pub fn scopes(mut self, scopes: &[&str]) -> Self {
        self.scopes = owned(scopes);
        self
    }

    /// Paths other than oidc-provider's: an object of `authorization`, `token`, `revocation`,
    /// `registration`, `introspection`, `device_authorization`, `code_verification`, `jwks`.
    #[must_use]
    pub fn routes(mut self, routes: Value) -> Self {
        self.routes = routes;
        self
    }

    /// Whole seconds that an access token is good for; an hour unless said.
    #[must_use]
    pub fn access_ttl(self, ttl: Duration) -> Self {
        self.set("access_ttl", ttl.as_secs())
    }

    /// Whether each use of a refresh token gives a new one; so it is unless said.
    #[must_use]
    pub fn rotation(self, rotation: bool) -> Self {
        self.set("rotation", rotation)
    }

    /// Nobody is asked: the authorization page leads back at once, with a code.
    #[must_use]
    pub fn auto_approve(self) -> Self {
        self.set("auto_approve", true)
    }

    fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }

    /// Starts it.
    #[track_caller]
    pub fn start(self) -> Authority {
        let folder = tempfile::Builder::new()
            .prefix("as-auth-")
            .tempdir()
            .expect("the folder for temporary files can be written");
        stand_in::open_for_all(folder.path());
        let ca_path = folder.path().join("ca.pem");
        let options = Options {
            names: self.names.clone(),
            ..Options::default()
        };
        let (certificate, key) = write_certificate(&options, folder.path());
        let clients = [
            ("confidential", "client_secret_post"),
            ("confidential-basic", "client_secret_basic"),
            ("public", "none"),
        ]
        .map(|(id, auth)| Client {
            id: id.to_owned(),
            secret: (auth != "none").then(|| Canary::alphanumeric("cs-").secret().to_owned()),
            auth,
        });
        let issuer = format!("https://{}", self.names[0]);
        let program = Program::start("authority.mjs", &[]);
        let mut start = Value::Object(self.settings);
        start["issuer"] = issuer.clone().into();
        start["scopes"] = json!(self.scopes);
        start["routes"] = self.routes.clone();
        start["key"] = json!(key);
        start["cert"] = json!(certificate);
        start["clients"] = clients
            .iter()
            .map(|client| metadata_of(client, &self.redirect_uris))
            .collect();
        let port = program.ask("start", start)["port"].as_u64();
        let port = u16::try_from(port.expect("it listens")).expect("a port");
        Authority {
            address: ([127, 0, 0, 1], port).into(),
            names: self.names,
            issuer,
            routes: self.routes,
            clients,
            redirect_uris: self.redirect_uris,
            scope: self.scopes.last().cloned().unwrap_or_default(),
            ca_path,
            program: Arc::new(program),
            _folder: folder,
        }
    }
}

impl Authority {
    /// One to be described.
    pub fn builder() -> Builder {
        let settings = json!({
            "access_ttl": 3_600,
            "auto_approve": false,
            "device_ttl": 600,
            "pkce_required": true,
            "refresh_tokens": true,
            "rotation": true,
        });
        Builder {
            names: vec!["auth.example.com".to_owned()],
            redirect_uris: vec![REDIRECT_URI.to_owned()],
            scopes: owned(&SCOPES),
            routes: json!({}),
            settings: settings.as_object().cloned().unwrap_or_default(),
        }
    }
}

/// A client as RFC 7591 describes it.
pub(super) fn metadata_of(client: &Client, redirect_uris: &[String]) -> Value {
    let mut grants = vec![
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
    ];
    let mut metadata = json!({
        "client_id": client.id,
        "redirect_uris": redirect_uris,
        "token_endpoint_auth_method": client.auth,
    });
    if let Some(secret) = &client.secret {
        metadata["client_secret"] = secret.clone().into();
        grants.push("client_credentials");
    }
    metadata["grant_types"] = grants.into();
    metadata
}
