//! Logging in with an API key.

use std::sync::Arc;

use authsome_proto::request::Login;
use authsome_proto::response::LoginStarted;
use authsome_proto::secret::SECRET_MAX;
use authsome_proto::{ConnectionName, ErrorCode, Response, Secret, WireError};

use super::keep::NewCredential;
use super::target::Named;
use super::{Advance, Broker, LoginState, Session, Setback, Target};
use crate::broker::webhooks::Plan;
use crate::login::Submission;
use crate::providers::{Definition, Entry};
use crate::routing::placeholder::LITERAL;

/// A login that waits for a key.
#[derive(Debug)]
pub(in crate::broker) struct KeyLogin {
    pub(super) named: Named,
    /// The only region that the key is for.
    pub(super) region: Option<String>,
}

impl Broker {
    pub(super) async fn begin_key_login(
        self: &Arc<Self>,
        entry: &Entry,
        request: Login,
        pid: u32,
    ) -> Result<LoginStarted, WireError> {
        let definition = &entry.definition;
        let provider = &definition.name;
        refuse_oauth_parts(definition, &request)?;
        let named = self.name(definition, request.connection, request.force)?;
        let region = match request.region {
            Some(region) => check_region(definition, region)?,
            // another key of the same account lives where the old one did
            None => self
                .connections
                .find(provider, &named.connection)
                .and_then(|record| record.region),
        };
        let target = Target::Key(KeyLogin { named, region });
        self.open_session(target, request.via, pid).await
    }

    /// Which connection a login makes, and that it may.
    pub(super) fn name(
        &self,
        definition: &Arc<Definition>,
        connection: Option<ConnectionName>,
        force: bool,
    ) -> Result<Named, WireError> {
        let connection = match connection {
            Some(name) => name,
            None if force => self
                .connections
                .default_of(&definition.name)
                .unwrap_or_else(ConnectionName::default_name),
            None => ConnectionName::default_name(),
        };
        let named = Named {
            definition: Arc::clone(definition),
            connection,
            force,
        };
        self.refuse_overwrite(&named)?;
        Ok(named)
    }

    pub(super) fn refuse_overwrite(&self, named: &Named) -> Result<(), WireError> {
        let Named {
            definition,
            connection,
            force,
        } = named;
        let provider = &definition.name;
        if *force || self.connections.find(provider, connection).is_none() {
            return Ok(());
        }
        Err(WireError::new(
            ErrorCode::AlreadyConnected,
            format!("`{provider}` is connected already as `{connection}`"),
        )
        .hint("replace its key with `--force`, or keep both with `--connection NAME`"))
    }

    pub(super) async fn take_key(
        &self,
        session: &Session,
        login: &KeyLogin,
        submission: Submission,
    ) -> Result<Advance, Setback> {
        let Submission::Secret(secret) = submission else {
            return Err(not_asked(session).into());
        };
        check(&login.named.definition, &secret)?;
        let _changing = self.changing.lock().await;
        session.refuse_if_over()?;
        self.refuse_overwrite(&login.named)?;
        session.enter(LoginState::Storing);
        let credential = NewCredential {
            region: login.region.clone(),
            ..NewCredential::of(&login.named, secret)
        };
        let logged_in = self.keep(credential, session.begun_by).await?;
        Ok(Advance::done(Response::LoggedIn(logged_in)))
    }

    pub(super) async fn take_signing_secret(
        self: &Arc<Self>,
        session: &Session,
        plan: &Plan,
        submission: Submission,
    ) -> Result<Advance, Setback> {
        let Submission::Secret(secret) = submission else {
            return Err(not_asked(session).into());
        };
        plan.check(&secret)?;
        let _changing = self.changing.lock().await;
        session.refuse_if_over()?;
        session.enter(LoginState::Storing);
        let stored = self.store_webhook(plan, secret, session.begun_by).await?;
        Ok(Advance::done(Response::WebhookStored(stored)))
    }
}

/// The error for something that the login does not wait for.
pub(super) fn not_asked(session: &Session) -> WireError {
    WireError::new(
        ErrorCode::BadRequest,
        format!(
            "the login for {} does not wait for this",
            session.target.what()
        ),
    )
    .hint("its last step says what it waits for")
}

fn refuse_oauth_parts(definition: &Definition, request: &Login) -> Result<(), WireError> {
    let option = match request {
        Login { flow: Some(_), .. } => "a flow",
        Login { scopes, .. } if !scopes.is_empty() => "scopes",
        Login {
            base_url: Some(_), ..
        } => "a base URL",
        Login {
            client_id: Some(_), ..
        } => "an OAuth client",
        _ => return Ok(()),
    };
    let provider = &definition.name;
    Err(WireError::new(
        ErrorCode::BadRequest,
        format!("`{provider}` has no use for {option}: it takes a key"),
    )
    .hint(format!("run `authsome login {provider}` without it")))
}

/// The region that a login names; `all` takes a limit away.
fn check_region(definition: &Definition, region: String) -> Result<Option<String>, WireError> {
    let provider = &definition.name;
    if region == "all" {
        return Ok(None);
    }
    if definition.regions.iter().any(|(name, _)| *name == region) {
        return Ok(Some(region));
    }
    let names: Vec<String> = definition
        .regions
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    Err(if names.is_empty() {
        WireError::new(
            ErrorCode::BadRequest,
            format!("`{provider}` has no regions"),
        )
        .hint("leave `--region` out")
    } else {
        WireError::new(
            ErrorCode::BadRequest,
            format!("`{provider}` has no region `{region}`"),
        )
        .hint(format!("it has {}, or `all`", names.join(", ")))
    })
}

/// Refuses a secret that cannot be right, without repeating any of it (threat D10).
pub(super) fn check(definition: &Definition, secret: &Secret) -> Result<(), WireError> {
    let provider = &definition.name;
    let hint = || {
        definition
            .key_hint
            .clone()
            .unwrap_or_else(|| "copy it once more from where it is shown".into())
    };
    let bad = |what: String| WireError::new(ErrorCode::InvalidSecret, what).hint(hint());
    if secret.is_empty() {
        return Err(bad(format!("the key for `{provider}` is empty")));
    }
    if secret.len() > SECRET_MAX {
        return Err(bad(format!(
            "the key for `{provider}` is longer than {SECRET_MAX} bytes"
        )));
    }
    // what a program finds in its variable inside a run, read from there for a key
    if secret.expose() == LITERAL {
        return Err(bad(format!(
            "that is the placeholder that programs see, not the key for `{provider}`"
        )));
    }
    if definition
        .key_pattern
        .as_ref()
        .is_some_and(|pattern| !pattern.matches(secret.expose()))
    {
        return Err(bad(format!(
            "that does not look like a key for {}",
            definition.display_name
        )));
    }
    for rule in &definition.routes {
        if let Err(error) = rule.slot.fill(secret) {
            return Err(bad(format!("the key for `{provider}` cannot be sent")).because(&error));
        }
    }
    Ok(())
}
