//! Logging in with the cookies of a browser's session, which a person copies: no browser's store is
//! read.

use std::sync::Arc;

use authsome_proto::request::Login;
use authsome_proto::response::LoginStarted;
use authsome_proto::{Response, WireError};

use super::keep::NewCredential;
use super::key::not_asked;
use super::target::Named;
use super::{Advance, Broker, LoginState, Session, Setback, Target};
use crate::connections::GrantRecord;
use crate::login::{Asked, Submission};
use crate::providers::{Auth, Entry, session};

/// A login that waits for cookies.
#[derive(Debug)]
pub(in crate::broker) struct CookieLogin {
    pub(super) named: Named,
}

impl CookieLogin {
    pub(super) fn asked(&self) -> Asked {
        let entry_url = match &self.named.definition.auth {
            Auth::Browser(browser) => browser.entry_url.clone(),
            Auth::ApiKey | Auth::OAuth2(_) => String::new(),
        };
        let (names, needed) = session::asked_cookies(&self.named.definition);
        Asked::Cookies {
            entry_url,
            names,
            needed,
        }
    }
}

impl Broker {
    pub(super) async fn begin_cookie_login(
        self: &Arc<Self>,
        entry: &Entry,
        request: Login,
        pid: u32,
    ) -> Result<LoginStarted, WireError> {
        let named = self.name(&entry.definition, request.connection, request.force)?;
        let target = Target::Cookies(CookieLogin { named });
        self.open_session(target, request.via, pid).await
    }

    pub(super) async fn take_cookies(
        &self,
        session: &Session,
        login: &CookieLogin,
        submission: Submission,
    ) -> Result<Advance, Setback> {
        let (Submission::Cookies(cookies), Auth::Browser(browser)) =
            (submission, &login.named.definition.auth)
        else {
            return Err(not_asked(session).into());
        };
        let secret = session::cookie_secret(browser, &cookies)
            .map_err(|error| error.explain(&login.named.definition.name))?;
        let expires_at = session::lifetime(browser)
            .and_then(|lifetime| jiff::Timestamp::now().checked_add(lifetime).ok())
            .and_then(|at| at.round(jiff::Unit::Second).ok())
            .map(|at| at.to_string());
        let _changing = self.changing.lock().await;
        session.refuse_if_over()?;
        self.refuse_overwrite(&login.named)?;
        session.enter(LoginState::Storing);
        let credential = NewCredential {
            grant: Some(GrantRecord {
                expires_at,
                ..GrantRecord::default()
            }),
            ..NewCredential::of(&login.named, secret)
        };
        let logged_in = self.keep(credential, session.begun_by).await?;
        Ok(Advance::done(Response::LoggedIn(logged_in)))
    }
}
