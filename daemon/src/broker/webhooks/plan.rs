//! An endpoint that waits for a secret: added, or with a new one.

use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use authsome_proto::{ErrorCode, Secret, WebhookName, WireError};

use crate::webhooks::scheme::Scheme;
use crate::webhooks::store::WebhookRecord;

/// Longest secret in bytes: several of them are one item of the vault.
const SECRET_LEN_MAX: usize = 4 * 1024;

/// An endpoint that waits for a secret.
#[derive(Debug)]
pub(in crate::broker) struct Plan {
    pub(super) record: WebhookRecord,
    pub(super) scheme: Scheme,
    pub(super) change: Change,
}

/// What becomes of it.
#[derive(Debug)]
pub(super) enum Change {
    /// Its port is bound already, so that nobody takes it in the meantime.
    Add(Mutex<Option<TcpListener>>),
    Rotate {
        keep_old: Duration,
    },
}

impl Plan {
    pub(in crate::broker) fn name(&self) -> &WebhookName {
        &self.record.name
    }

    pub(in crate::broker) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    pub(in crate::broker) fn forward(&self) -> &str {
        &self.record.forward
    }

    pub(in crate::broker) fn is_rotation(&self) -> bool {
        matches!(self.change, Change::Rotate { .. })
    }

    /// Gives its port back, if nothing came of it.
    pub(in crate::broker) fn release(&self) {
        drop(self.take_listener());
    }

    pub(super) fn take_listener(&self) -> Option<TcpListener> {
        match &self.change {
            Change::Add(listener) => listener
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
            Change::Rotate { .. } => None,
        }
    }

    /// Refuses a secret that cannot be right, without repeating any of it.
    pub(in crate::broker) fn check(&self, secret: &Secret) -> Result<(), WireError> {
        let name = self.name();
        let bad = |what: String| {
            let hint = self.scheme.hint.clone();
            let hint = hint.unwrap_or_else(|| "copy it once more from where it is shown".into());
            WireError::new(ErrorCode::InvalidSecret, what).hint(hint)
        };
        if secret.len() > SECRET_LEN_MAX {
            return Err(bad(format!(
                "the secret for webhook `{name}` is longer than {SECRET_LEN_MAX} bytes"
            )));
        }
        if secret.expose().trim() != secret.expose() {
            return Err(bad(format!(
                "there is a blank before or after the secret for webhook `{name}`"
            )));
        }
        self.scheme.key(secret).map(drop).map_err(|error| {
            bad(format!(
                "that is no signing secret of `{}`",
                self.scheme.name
            ))
            .because(&error)
        })
    }
}
