//! What a login is for, and how it is named to people.

use std::sync::Arc;

use authsome_proto::{ConnectionName, Secret};

use super::cookies::CookieLogin;
use super::key::KeyLogin;
use super::oauth::SignIn;
use crate::audit::Record;
use crate::broker::webhooks::Plan;
use crate::login::{Asked, LoginForm};
use crate::providers::Definition;

/// What a login is for.
#[derive(Debug)]
pub(in crate::broker) enum Target {
    /// An API key of a connection.
    Key(KeyLogin),
    /// A browser's session as a connection.
    Cookies(CookieLogin),
    /// Tokens of a connection.
    OAuth(Box<SignIn>),
    /// The secret of an endpoint for webhooks.
    Webhook(Box<Plan>),
}

/// The connection that a login makes or replaces.
#[derive(Debug, Clone)]
pub(in crate::broker) struct Named {
    pub(super) definition: Arc<Definition>,
    pub(super) connection: ConnectionName,
    /// Whether one that is there may be replaced.
    pub(super) force: bool,
}

impl Target {
    fn named(&self) -> Option<&Named> {
        match self {
            Self::Key(login) => Some(&login.named),
            Self::Cookies(login) => Some(&login.named),
            Self::OAuth(login) => Some(&login.named),
            Self::Webhook(_) => None,
        }
    }

    /// What people call it.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Webhook(plan) => format!("webhook `{}`", plan.name()),
            Self::Key(_) | Self::Cookies(_) | Self::OAuth(_) => {
                let name = self.named().map(|named| &named.definition.name);
                name.map_or_else(String::new, |name| format!("`{name}`"))
            }
        }
    }

    /// The command that begins it.
    pub(super) fn command(&self) -> String {
        match self {
            Self::OAuth(login) => login.command(),
            Self::Key(KeyLogin { named, .. }) | Self::Cookies(CookieLogin { named }) => {
                format!("authsome login {}", named.definition.name)
            }
            Self::Webhook(plan) if plan.is_rotation() => {
                format!("authsome webhook rotate {}", plan.name())
            }
            Self::Webhook(plan) => format!("authsome webhook add {}", plan.name()),
        }
    }

    pub(super) fn name_in(&self, record: &mut Record) {
        if let Some(named) = self.named() {
            record.provider = Some(named.definition.name.clone());
            record.connection = Some(named.connection.clone());
        }
        if let Self::Webhook(plan) = self {
            record.webhook = Some(plan.name().clone());
        }
    }

    /// The form that asks for what is missing; later it gives the words of further pages.
    pub(super) fn form(&self) -> LoginForm {
        match self {
            Self::Key(login) => LoginForm {
                // a person sees where the key will go
                hosts: login.named.definition.hosts_in(login.region.as_deref()),
                pattern: login.named.definition.key_pattern.clone().map(
                    |pattern| -> Arc<dyn Fn(&str) -> bool + Send + Sync> {
                        Arc::new(move |text| pattern.matches(text))
                    },
                ),
                ..login.named.form(Asked::ApiKey)
            },
            Self::Cookies(login) => login.named.form(login.asked()),
            Self::OAuth(login) => login.form(),
            Self::Webhook(plan) => webhook_form(plan),
        }
    }
}

impl Named {
    /// A form that asks for `asked`.
    pub(super) fn form(&self, asked: Asked) -> LoginForm {
        let definition = &self.definition;
        LoginForm {
            asked,
            display_name: definition.display_name.clone(),
            connection: self.connection.clone(),
            variable: definition.variables().into_iter().next(),
            hosts: definition.hosts(),
            key_urls: definition.key_urls.clone(),
            hint: definition.key_hint.clone(),
            pattern: None,
            rotate: self.force,
        }
    }
}

fn webhook_form(plan: &Plan) -> LoginForm {
    let scheme = plan.scheme().clone();
    LoginForm {
        asked: Asked::SigningSecret {
            forward: plan.forward().to_owned(),
        },
        display_name: scheme.title.clone(),
        // its characters are allowed there too
        connection: plan
            .name()
            .as_str()
            .parse()
            .unwrap_or_else(|_| ConnectionName::default_name()),
        variable: None,
        hosts: Vec::new(),
        key_urls: Vec::new(),
        hint: scheme.hint.clone(),
        pattern: Some(Arc::new(move |text| {
            scheme.key(&Secret::new(text.to_owned())).is_ok()
        })),
        rotate: plan.is_rotation(),
    }
}
