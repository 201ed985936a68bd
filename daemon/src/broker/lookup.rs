//! Finding what a request names, and the errors when it is not there.

use authsome_proto::{ConnectionName, ErrorCode, ProviderName, WireError};

use super::Broker;
use crate::audit::{AuditError, Record};
use crate::connections::ConnectionRecord;
use crate::errors::Explain;
use crate::sys::pidfd;

pub(super) fn audit_failed(error: &AuditError) -> WireError {
    WireError::new(ErrorCode::AuditFailed, "the audit log cannot be written")
        .because(error)
        .hint("free some space or mend the permissions of the `audit` folder, then try again")
}

impl Broker {
    /// Records what is about to happen for the process `by`, and returns once that is on the disk
    /// (B1).
    pub(super) async fn audit_first(&self, mut record: Record, by: u32) -> Result<(), WireError> {
        record.pid = Some(by);
        record.program = pidfd::program(by).map(Into::into);
        self.audit()
            .await?
            .record_durable(record)
            .await
            .map_err(|error| audit_failed(&error))
    }

    /// Records what is about to happen; it is with the writer when this returns.
    pub(super) async fn record(&self, record: Record) -> Result<(), WireError> {
        self.audit()
            .await?
            .record(record)
            .await
            .map_err(|error| audit_failed(&error))
    }

    /// Records what has happened, if the log is open; nothing waits for it.
    pub(super) fn note(&self, record: Record) {
        if let Some(audit) = self.audit.get()
            && let Err(error) = audit.try_record(record)
        {
            tracing::warn!(?error, "not in the audit log");
        }
    }

    /// The error for a connection that does not exist.
    pub fn unknown_connection(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
    ) -> WireError {
        let error = WireError::new(
            ErrorCode::UnknownConnection,
            format!("`{provider}` has no connection named `{connection}`"),
        );
        let names: Vec<String> = self
            .connections
            .list()
            .into_iter()
            .filter(|record| record.provider == *provider)
            .map(|record| format!("`{}`", record.connection))
            .collect();
        if names.is_empty() {
            error.hint(format!(
                "log in with `authsome login {provider} --connection {connection}`"
            ))
        } else {
            error.hint(format!("it has {}", names.join(", ")))
        }
    }

    /// The connection that a request means: the named one, else the provider's default.
    pub fn connection_named(
        &self,
        provider: &ProviderName,
        name: Option<ConnectionName>,
    ) -> Result<ConnectionRecord, WireError> {
        if let Some(name) = name {
            return self
                .connections
                .find(provider, &name)
                .ok_or_else(|| self.unknown_connection(provider, &name));
        }
        if let Some(record) = self
            .connections
            .default_of(provider)
            .and_then(|name| self.connections.find(provider, &name))
        {
            return Ok(record);
        }
        let others: Vec<_> = self
            .connections
            .list()
            .into_iter()
            .filter(|record| record.provider == *provider)
            .map(|record| record.connection.to_string())
            .collect();
        if others.is_empty() {
            self.definition(provider)?;
            return Err(WireError::new(
                ErrorCode::LoginNeeded,
                format!("`{provider}` is not connected"),
            )
            .hint(format!("log in with `authsome login {provider}`")));
        }
        Err(WireError::new(
            ErrorCode::UnknownConnection,
            format!("`{provider}` has no default connection"),
        )
        .hint(format!(
            "name one with `--connection` ({}), or choose a default with `authsome connections set-default {provider} NAME`",
            others.join(", ")
        )))
    }
}

impl Broker {
    /// Opens the file store with its passphrase, and serves what waited for that.
    pub async fn unlock(
        self: &std::sync::Arc<Self>,
        passphrase: authsome_proto::Secret,
        by: u32,
    ) -> Result<(), WireError> {
        self.vault
            .unlock(passphrase)
            .await
            .map_err(|error| error.explain("open the vault"))?;
        // its log opens with it, so this can only be recorded afterwards
        self.audit_first(Record::new(crate::audit::Event::Unlock), by)
            .await?;
        let _changing = self.changing.lock().await;
        self.refresh_runs().await;
        Ok(())
    }
}
