//! An authorization server, an API behind it, and a home with a definition for both.

use authsome_tests::authority::{Api, Authority};
use authsome_tests::{Home, Output};
use serde_json::{Value, json};

/// The provider's name in these tests.
pub(crate) const PROVIDER: &str = "example";

/// What most tests need.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) api: Api,
    pub(crate) home: Home,
}

impl World {
    /// A home with the provider [`PROVIDER`], whose flows are `flows`.
    pub(crate) fn new(flows: &[&str]) -> Self {
        Self::with(flows, &json!({}))
    }

    /// The same with further fields of `oauth` in the definition.
    pub(crate) fn with(flows: &[&str], fields: &Value) -> Self {
        let mut authority = Authority::start();
        let api = Api::start(&authority);
        let home = Home::builder().reaches(&authority).reaches(&api).build();
        authority.redirects_to(&[&redirect_uri(&home, PROVIDER)]);
        define(&home, PROVIDER, "api.example.com", flows, fields);
        Self {
            authority,
            api,
            home,
        }
    }

    /// Begins a login as `client` and leaves it; what it printed.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Value {
        let output = self
            .home
            .authsome(["login", PROVIDER, "--no-wait", "--json"])
            .args(arguments)
            .output()
            .succeeded();
        serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output}"))
    }

    /// Logs in by the code flow as the client with a secret.
    pub(crate) fn log_in(&mut self) -> Output {
        let client = self.authority.confidential().clone();
        let secret = client.secret.unwrap_or_default();
        self.log_in_as(&client.id, &secret, &[])
    }

    /// Logs in by the code flow; everything that was given away is watched.
    pub(crate) fn log_in_as(&mut self, client: &str, secret: &str, arguments: &[&str]) -> Output {
        let output = self
            .home
            .authsome(["login", PROVIDER, "--no-wait", "--json", "--client-id"])
            .arg(client)
            .args(arguments)
            .arg("--stdin")
            .stdin(secret)
            .output()
            .succeeded();
        let begun: Value = serde_json::from_str(&output.stdout).unwrap();
        let page = self.authority.approve_and_return(text(&begun, "url"));
        assert_eq!(page.status, 303, "{page:?}");
        let output = self.resume(&begun);
        self.watch();
        output
    }

    /// Waits for a login that was left.
    pub(crate) fn resume(&self, begun: &Value) -> Output {
        self.home
            .authsome(["login", "--resume"])
            .arg(text(begun, "session"))
            .output()
    }

    /// None of the tokens and codes may be seen where no secret may be.
    pub(crate) fn watch(&mut self) {
        for canary in self.authority.issued() {
            self.home.watch(canary);
        }
    }

    /// One request under a run; its status.
    pub(crate) fn call(&self) -> String {
        self.home
            .run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"])
            .arg("https://api.example.com/things")
            .output()
            .succeeded()
            .stdout
    }

    /// A field of the connection.
    pub(crate) fn field(&self, name: &str) -> String {
        let output = self
            .home
            .authsome(["get", PROVIDER, "--field", name])
            .output();
        output.stdout.trim_end().to_owned()
    }
}

/// A text in what a command printed.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

/// Where the server sends the browser back to.
pub(crate) fn redirect_uri(home: &Home, provider: &str) -> String {
    format!("http://127.0.0.1:{}/callback/{provider}", home.login_port())
}

/// A definition for the real server's usual addresses.
pub(crate) fn define(home: &Home, provider: &str, host: &str, flows: &[&str], fields: &Value) {
    let mut oauth = json!({
        "authorization_url": "https://auth.example.com/auth",
        "token_url": "https://auth.example.com/token",
        "revocation_url": "https://auth.example.com/token/revocation",
        "device_authorization_url": "https://auth.example.com/device/auth",
        "registration_endpoint": "https://auth.example.com/reg",
        "flows": flows,
        "scopes": ["openid", "offline_access", "read"],
        "client_auth": "body",
        "issuer": "https://auth.example.com",
    });
    if let (Some(all), Some(more)) = (oauth.as_object_mut(), fields.as_object()) {
        all.extend(more.clone());
    }
    let definition = json!({
        "v": 1,
        "name": provider,
        "display_name": "Example",
        "kind": "app",
        "auth": "oauth2",
        "routes": [{ "hosts": [host], "header": { "name": "Authorization", "prefix": "Bearer" } }],
        "env": { "EXAMPLE_TOKEN": "access_token" },
        "oauth": oauth,
    });
    let file = home
        .path()
        .join("providers")
        .join(format!("{provider}.json"));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, definition.to_string()).unwrap();
}
