//! What people and programs do with an [`Authority`], without a browser and without the product.

use serde_json::Value;
use url::Url;

use super::{Agent, Authority, Client, Endpoint, Pkce, Reply, parameter};

/// The tokens of one login, got without the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
    /// The answer whole.
    pub answer: Value,
}

impl Authority {
    // what a person does, without a browser

    /// Something that fetches its pages; each has cookies of its own.
    pub fn agent(&self) -> Agent {
        Agent::of(self)
    }

    /// A person opens the authorization address and allows it; gives the address, with the code, that
    /// the person is sent back to.
    #[track_caller]
    pub fn approve(&self, authorization_url: &str) -> String {
        self.answer(authorization_url, "allow")
    }

    /// A person opens the authorization address and says no; gives the address, with the error, that
    /// the person is sent back to.
    #[track_caller]
    pub fn deny(&self, authorization_url: &str) -> String {
        self.answer(authorization_url, "deny")
    }

    #[track_caller]
    fn answer(&self, authorization_url: &str, answer: &str) -> String {
        let agent = self.agent();
        let (page, away) = agent.follow(authorization_url);
        // it leads back at once when nobody is asked, and with an error when the request is wrong
        let away = away.or_else(|| agent.submit(&page, Some(("answer", answer))).1);
        let away = away.unwrap_or_else(|| panic!("nobody is sent back from {authorization_url}"));
        away.into()
    }

    /// A person allows the address and is sent back to the program that waits on loopback; gives that
    /// program's answer.
    #[track_caller]
    pub fn approve_and_return(&self, authorization_url: &str) -> Reply {
        self.agent().get(&self.approve(authorization_url))
    }

    /// A person enters the code that a device shows, and allows it.
    #[track_caller]
    pub fn approve_device(&self, user_code: &str) {
        let page = self.answer_device(user_code, "allow");
        assert!(page.body.contains("id=\"connected\""), "{page:?}");
    }

    /// A person enters the code that a device shows, and says no.
    #[track_caller]
    pub fn deny_device(&self, user_code: &str) {
        self.answer_device(user_code, "deny");
    }

    #[track_caller]
    fn answer_device(&self, user_code: &str, answer: &str) -> Reply {
        let agent = self.agent();
        let path = self.routes["code_verification"].as_str();
        let enter = format!("{}{}", self.issuer, path.unwrap_or("/device"));
        let mut page = Url::parse(&enter).expect("it is a path");
        page.query_pairs_mut().append_pair("user_code", user_code);
        let form = agent.get(page.as_str()).expect(200);
        let (confirm, _) = agent.submit(&form, None);
        let (question, _) = agent.submit(&confirm.expect(200), None);
        if !question.body.contains("/interaction/") {
            return question; // nobody is asked
        }
        agent.submit(&question, Some(("answer", answer))).0
    }

    // what a program does, without the product

    /// An authorization address of `client`, with its PKCE and the state `a-state`.
    pub fn authorization_url(&self, client: &Client, pkce: &Pkce, more: &[(&str, &str)]) -> String {
        let mut url = Url::parse(&self.url(Endpoint::Authorization)).expect("it is an address");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", &self.redirect_uris[0])
            .append_pair("state", "a-state")
            .append_pair("code_challenge", &pkce.challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(more);
        url.into()
    }

    /// Posts to an endpoint as `client`, authenticated in its way.
    #[track_caller]
    pub fn post_as(&self, client: &Client, endpoint: Endpoint, fields: &[(&str, &str)]) -> Reply {
        let mut fields = fields.to_vec();
        let mut headers = Vec::new();
        let basic = basic_of(client);
        match (&client.secret, client.auth) {
            (Some(_), "client_secret_basic") => headers.push(("authorization", basic.as_str())),
            (Some(secret), _) => {
                fields.push(("client_id", &client.id));
                fields.push(("client_secret", secret));
            }
            (None, _) => fields.push(("client_id", &client.id)),
        }
        self.agent()
            .post_with(&self.url(endpoint), &headers, &fields)
    }

    /// A whole login of `client` by authorization code, with the last one of its scopes (`write`).
    #[track_caller]
    pub fn log_in(&self, client: &Client) -> Tokens {
        self.log_in_with(client, &[("scope", &self.scope)])
    }

    /// The same, with these parameters of the authorization address.
    #[track_caller]
    pub fn log_in_with(&self, client: &Client, more: &[(&str, &str)]) -> Tokens {
        let pkce = Pkce::new();
        let back = self.approve(&self.authorization_url(client, &pkce, more));
        let code = parameter(&back, "code").unwrap_or_else(|| panic!("no code in {back}"));
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &self.redirect_uris[0]),
            ("code_verifier", &pkce.verifier),
        ];
        let reply = self.post_as(client, Endpoint::Token, &fields).expect(200);
        Tokens::of(reply.json())
    }

    /// Uses a refresh token as `client` does.
    #[track_caller]
    pub fn refresh(&self, client: &Client, refresh_token: &str) -> Reply {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        self.post_as(client, Endpoint::Token, &fields)
    }
}

impl Tokens {
    /// Those of a token answer; the refresh token is empty where none came.
    #[track_caller]
    pub fn of(answer: Value) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let tokens = Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
            answer,
        };
        assert!(!tokens.access.is_empty(), "no access token: {tokens:?}");
        tokens
    }
}

fn basic_of(client: &Client) -> String {
    use base64::Engine;
    let secret = client.secret.as_deref().unwrap_or_default();
    let pair = format!("{}:{secret}", client.id);
    let pair = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Basic {pair}")
}
