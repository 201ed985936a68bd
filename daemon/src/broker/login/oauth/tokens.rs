//! Tokens for what a person brought, and storing them.

use authsome_proto::{ErrorCode, Response, Secret, WireError};

use super::SignIn;
use crate::broker::Broker;
use crate::broker::login::keep::NewCredential;
use crate::broker::login::key::{check, not_asked};
use crate::broker::login::{LoginState, Session};
use crate::broker::renew::remembered;
use crate::oauth::callback::{Callback, Refusal};
use crate::oauth::jwt::ServiceAccount;
use crate::oauth::pkce::Pkce;
use crate::oauth::{Client, Grant, Tokens, token};
use crate::providers::Flow;
use crate::vault::{Renewal, StoredGrant};

/// Tokens, and when they were asked for in seconds since 1970.
pub(super) struct Brought {
    pub(super) tokens: Tokens,
    pub(super) asked_at: u64,
}

impl Broker {
    /// A code for tokens. Whatever comes of it, the login is over: a code is good once.
    pub(super) async fn exchange(
        &self,
        session: &Session,
        login: &SignIn,
        client: Client,
        pkce: &Pkce,
        callback: Callback,
    ) -> Result<Response, WireError> {
        let code = match callback {
            Callback::Code(code) => code,
            Callback::Refused(refusal) => return Err(refused(login, refusal)),
            Callback::Wrong(reason) => {
                return Err(WireError::new(
                    ErrorCode::AuthorizationServer,
                    format!(
                        "the answer for `{}` cannot be trusted: {reason}",
                        login.named.definition.name
                    ),
                )
                .hint(format!("start again with `{}`", login.command())));
            }
            Callback::Foreign => return Err(not_asked(session)),
        };
        session.enter(LoginState::Exchanging);
        let grant = Grant::Code {
            code: &code,
            redirect_uri: &login.redirect_uri,
            verifier: pkce.verifier(),
        };
        let tokens = self
            .tokens_for(session, login, &grant, Some(&client))
            .await?;
        self.keep_tokens(session, login, tokens, Some(client), None)
            .await
    }

    /// Client credentials for a token.
    pub(super) async fn ask_for_itself(
        &self,
        session: &Session,
        login: &SignIn,
        client: Client,
    ) -> Result<Response, WireError> {
        session.enter(LoginState::Exchanging);
        let grant = Grant::ClientCredentials {
            scopes: &login.scopes,
        };
        let tokens = self
            .tokens_for(session, login, &grant, Some(&client))
            .await?;
        self.keep_tokens(session, login, tokens, Some(client), None)
            .await
    }

    /// A service account's key for a token.
    pub(super) async fn ask_with_key(
        &self,
        session: &Session,
        login: &SignIn,
        file: Secret,
    ) -> Result<Response, WireError> {
        let bad = |error: &dyn std::error::Error| {
            WireError::new(ErrorCode::InvalidSecret, "the key file cannot be used")
                .because(error)
                .hint("use the JSON file that the provider's console made for a service account")
        };
        let account = ServiceAccount::read(file).map_err(|error| bad(&error))?;
        if account.token_uri != login.facts.token_url {
            let name = &login.named.definition.name;
            return Err(WireError::new(
                ErrorCode::InvalidSecret,
                format!("the key file is not for `{name}`"),
            )
            .hint(format!(
                "its `token_uri` must be `{}`",
                login.facts.token_url
            )));
        }
        session.enter(LoginState::Exchanging);
        let assertion = account
            .assertion(&login.scopes, unix_now())
            .map_err(|error| bad(&error))?;
        let grant = Grant::Assertion {
            assertion: &assertion,
        };
        let tokens = self.tokens_for(session, login, &grant, None).await?;
        self.keep_tokens(session, login, tokens, None, Some(&account))
            .await
    }

    /// Asks for tokens, unless the login is given up meanwhile: a server that never answers keeps
    /// nobody, and what it sends too late is not stored.
    async fn tokens_for(
        &self,
        session: &Session,
        login: &SignIn,
        grant: &Grant<'_>,
        client: Option<&Client>,
    ) -> Result<Brought, WireError> {
        // before it is sent: a lifetime counts from when the token was made
        let asked_at = unix_now();
        let request = token::request(grant, client, login.facts.resource.as_deref());
        let servers = self.servers().await?;
        let answer = tokio::select! {
            biased;
            () = session.cancelled.cancelled() => return Err(session.was_cancelled()),
            answer = servers.send(&login.facts.token_url, login.reach, request) => answer,
        };
        let answer = answer.map_err(|error| {
            login
                .failed("getting tokens", &error)
                .hint(format!("start again with `{}`", login.command()))
        })?;
        let tokens = token::read(&answer).map_err(|error| login.token_failed(&error))?;
        Ok(Brought { tokens, asked_at })
    }

    pub(super) async fn keep_tokens(
        &self,
        session: &Session,
        login: &SignIn,
        brought: Brought,
        client: Option<Client>,
        account: Option<&ServiceAccount>,
    ) -> Result<Response, WireError> {
        let Brought { tokens, asked_at } = brought;
        check(&login.named.definition, &tokens.access)?;
        let renewal = match (login.flow, account, tokens.refresh) {
            (_, Some(account), _) => Renewal::ServiceAccount(account.file().clone()),
            (Flow::ClientCredentials, ..) => Renewal::ClientCredentials,
            (_, _, Some(refresh)) => Renewal::RefreshToken(refresh),
            (_, _, None) => Renewal::None,
        };
        let scopes = tokens.scopes.unwrap_or_else(|| login.scopes.clone());
        let stored_grant = StoredGrant {
            flow: login.flow,
            renewal,
            issued_at: i64::try_from(asked_at).unwrap_or(0),
            lifetime: tokens.expires_in.map(|lifetime| lifetime.as_secs()),
            scopes,
            client: client.clone().map(Into::into),
            token_url: login.facts.token_url.clone(),
            revocation_url: login.facts.revocation_url.clone(),
            resource: login.facts.resource.clone(),
            rotates: None,
            renewing_since: None,
        };
        let _changing = self.changing.lock().await;
        session.refuse_if_over()?;
        self.refuse_overwrite(&login.named)?;
        session.enter(LoginState::Storing);
        let provider = &login.named.definition.name;
        if let Some(client) = &client
            && login.flow != Flow::DcrPkce
            && !client.id.is_empty()
        {
            self.remember_client(provider, &login.server, client, None)
                .await?;
        }
        let is_saved = match &login.unsaved {
            Some(text) => {
                self.save_definition(&login.named.definition, text, session.begun_by)
                    .await?
            }
            None => false,
        };
        let credential = NewCredential {
            base_url: login.base_url.clone(),
            grant: Some(remembered(&stored_grant)),
            stored_grant: Some(stored_grant),
            account: account.map(|account| account.email.clone()),
            ..NewCredential::of(&login.named, tokens.access)
        };
        match self.keep(credential, session.begun_by).await {
            Ok(logged_in) => Ok(Response::LoggedIn(logged_in)),
            Err(error) => {
                if is_saved {
                    self.drop_definition(&login.named.definition);
                }
                Err(error)
            }
        }
    }
}

/// The error of a person who said no, or of a server that did.
pub(super) fn refused(login: &SignIn, refusal: Refusal) -> WireError {
    let name = &login.named.definition.display_name;
    let mut error = WireError::new(
        ErrorCode::LoginRefused,
        format!("the login was refused at {name}: {}", refusal.code),
    )
    .hint(format!("start again with `{}`", login.command()));
    error.causes.extend(refusal.description);
    error
}

pub(super) fn unix_now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}
