//! Logging out, revoking, removing; default pointers; real values on request.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use authsome_proto::response::{Exported, Forgotten, Registered, Revealed};
use authsome_proto::{ConnectionName, ErrorCode, Event, ProviderName, WireError};

use super::Broker;
use super::revoke::Taken;
use crate::audit::{self, Record};
use crate::connections::ConnectionRecord;
use crate::errors::{Explain, storage};
use crate::files;
use crate::providers::{self, BaseUrl, Definition, Source};
use crate::vault::ItemKey;

/// How long `revoke` waits for a renewal that is under way.
const RENEWAL_MAX: Duration = Duration::from_secs(5);

impl Broker {
    /// Deletes one connection's credential.
    pub async fn log_out(
        &self,
        provider: &ProviderName,
        connection: Option<ConnectionName>,
        by: u32,
    ) -> Result<Forgotten, WireError> {
        let _changing = self.changing.lock().await;
        let record = self.connection_named(provider, connection)?;
        self.forget(provider, vec![record], audit::Event::Logout, by)
            .await
            .map(|(forgotten, _)| forgotten)
    }

    /// Deletes one connection's credential here, then gives its tokens back to the server.
    pub async fn revoke(
        &self,
        provider: &ProviderName,
        connection: Option<ConnectionName>,
        by: u32,
    ) -> Result<Forgotten, WireError> {
        let record = self.connection_named(provider, connection)?;
        // tokens that are on their way are given back, too
        let landed = self.renewal_landed(provider, &record.connection);
        drop(tokio::time::timeout(RENEWAL_MAX, landed).await);
        let changing = self.changing.lock().await;
        let record = self.connection_named(provider, Some(record.connection))?;
        let (mut forgotten, taken) = self
            .forget(provider, vec![record], audit::Event::Revoke, by)
            .await?;
        drop(changing);
        forgotten.revocations = self.give_back(provider, taken).await;
        Ok(forgotten)
    }

    /// Forgets every connection of a provider, its OAuth clients and its override, and gives tokens
    /// back.
    pub async fn remove(&self, provider: &ProviderName, by: u32) -> Result<Forgotten, WireError> {
        let changing = self.changing.lock().await;
        let records: Vec<ConnectionRecord> = self
            .connections
            .list()
            .into_iter()
            .filter(|record| record.provider == *provider)
            .collect();
        let file = match self.definition(provider).map(|entry| entry.source) {
            Ok(Source::Custom { path }) => Some(path),
            // a broken override never hides the bundled definition, and goes all the same
            _ => Some(self.override_file(provider)).filter(|path| path.symlink_metadata().is_ok()),
        };
        if records.is_empty() && file.is_none() {
            self.definition(provider)?;
            return Err(WireError::new(
                ErrorCode::UnknownConnection,
                format!("there is no local state of `{provider}` to remove"),
            ));
        }
        self.forget_clients(provider, &records).await?;
        let (mut forgotten, taken) = self
            .forget(provider, records, audit::Event::Remove, by)
            .await?;
        if let Some(path) = file {
            std::fs::remove_file(&path)
                .map_err(|error| storage(&format!("delete `{}`", path.display()), &error))?;
            forgotten.definition_removed = Some(path.display().to_string());
            self.reload_definitions();
            self.refresh_runs().await;
        }
        drop(changing);
        let taken = taken.into_iter().filter(Taken::has_tokens).collect();
        forgotten.revocations = self.give_back(provider, taken).await;
        Ok(forgotten)
    }

    async fn forget(
        &self,
        provider: &ProviderName,
        records: Vec<ConnectionRecord>,
        event: audit::Event,
        by: u32,
    ) -> Result<(Forgotten, Vec<Taken>), WireError> {
        let before = self.connections.default_of(provider);
        let gone = self.forget_each(provider, records, event, by).await;
        // also after a failure: what is gone from the vault must not live on in a run (B3)
        self.refresh_runs().await;
        let gone = gone?;
        let after = self.connections.default_of(provider);
        let forgotten = Forgotten {
            provider: provider.clone(),
            connections: gone.iter().map(|taken| taken.connection.clone()).collect(),
            default_changed: before != after,
            new_default: after,
            left: self
                .connections
                .list()
                .into_iter()
                .filter(|record| record.provider == *provider)
                .map(|record| record.connection)
                .collect(),
            definition_removed: None,
            revocations: Vec::new(),
        };
        Ok((forgotten, gone))
    }

    async fn forget_each(
        &self,
        provider: &ProviderName,
        records: Vec<ConnectionRecord>,
        event: audit::Event,
        by: u32,
    ) -> Result<Vec<Taken>, WireError> {
        let mut gone = Vec::new();
        for ConnectionRecord {
            connection,
            base_url,
            ..
        } in records
        {
            let mut record = Record::new(event);
            record.provider = Some(provider.clone());
            record.connection = Some(connection.clone());
            self.audit_first(record, by).await?;
            let key = ItemKey::Connection {
                provider: provider.clone(),
                connection: connection.clone(),
            };
            // first: the outcome of a call that takes too long is not known
            self.credentials.forget(provider, &connection);
            // an item that cannot be read can be deleted all the same
            let item = self.vault.get(&key).await.ok().flatten();
            self.vault
                .delete(&key)
                .await
                .map_err(|error| error.explain(&format!("delete the key of `{provider}`")))?;
            self.connections
                .remove(provider, &connection)
                .map_err(|error| {
                    storage(&format!("forget the connection of `{provider}`"), &error)
                })?;
            self.tell(Event::ConnectionChanged {
                provider: provider.clone(),
                connection: connection.clone(),
            });
            gone.push(Taken {
                connection,
                item,
                base_url,
            });
        }
        Ok(gone)
    }

    /// Moves a provider's default pointer.
    pub async fn set_default(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
        by: u32,
    ) -> Result<(), WireError> {
        let _changing = self.changing.lock().await;
        if self.connections.find(provider, connection).is_none() {
            return Err(self.unknown_connection(provider, connection));
        }
        let mut record = Record::new(audit::Event::SetDefault);
        record.provider = Some(provider.clone());
        record.connection = Some(connection.clone());
        self.audit_first(record, by).await?;
        self.connections
            .set_default(provider, connection)
            .map_err(|error| storage("move the default", &error))?;
        self.refresh_runs().await;
        self.tell(Event::ConnectionChanged {
            provider: provider.clone(),
            connection: connection.clone(),
        });
        Ok(())
    }

    /// One connection's secret.
    pub async fn reveal(
        &self,
        provider: &ProviderName,
        connection: Option<ConnectionName>,
        by: u32,
    ) -> Result<Revealed, WireError> {
        let record = self.connection_named(provider, connection)?;
        let mut line = Record::new(audit::Event::Reveal);
        line.provider = Some(record.provider.clone());
        line.connection = Some(record.connection.clone());
        self.audit_first(line, by).await?;
        self.stored(&record).await
    }

    /// Variables with their real values.
    pub async fn export(
        &self,
        provider: Option<ProviderName>,
        connection: Option<ConnectionName>,
        by: u32,
    ) -> Result<Vec<Exported>, WireError> {
        let records = match provider {
            Some(provider) => vec![self.connection_named(&provider, connection)?],
            None => self
                .connections
                .list()
                .into_iter()
                .filter(|record| {
                    self.connections.default_of(&record.provider).as_ref()
                        == Some(&record.connection)
                })
                .collect(),
        };
        let mut exported = Vec::new();
        for record in records {
            let mut line = Record::new(audit::Event::Export);
            line.provider = Some(record.provider.clone());
            line.connection = Some(record.connection.clone());
            self.audit_first(line, by).await?;
            let revealed = self.stored(&record).await?;
            let variables = self
                .definition(&record.provider)
                .map(|entry| entry.definition.variables());
            for variable in variables.unwrap_or_default() {
                exported.push(Exported {
                    provider: record.provider.clone(),
                    connection: record.connection.clone(),
                    variable,
                    value: revealed.secret.clone(),
                });
            }
        }
        Ok(exported)
    }

    async fn stored(&self, record: &ConnectionRecord) -> Result<Revealed, WireError> {
        let ConnectionRecord {
            provider,
            connection,
            ..
        } = record;
        self.fresh_token(provider, connection).await?;
        let key = ItemKey::Connection {
            provider: provider.clone(),
            connection: connection.clone(),
        };
        let item = self
            .vault
            .get(&key)
            .await
            .map_err(|error| error.explain(&format!("read `{provider}` from the vault")))?;
        match item {
            Some(item) => Ok(Revealed {
                provider: provider.clone(),
                connection: connection.clone(),
                secret: item.secret,
            }),
            None => Err(WireError::new(
                ErrorCode::LoginNeeded,
                format!("the vault no longer has the key of `{provider}` ({connection})"),
            )
            .hint(format!(
                "log in again with `authsome login {provider} --connection {connection} --force`"
            ))),
        }
    }

    /// Saves a custom definition, or confirms the hosts that one has gained.
    pub async fn register(
        &self,
        text: &str,
        file: &str,
        force: bool,
        by: u32,
    ) -> Result<Registered, WireError> {
        let _changing = self.changing.lock().await;
        let path = Path::new(file);
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > providers::FILE_LEN_MAX {
            let max = providers::FILE_LEN_MAX;
            return Err(WireError::new(
                ErrorCode::BadDefinition,
                format!("`{file}` is longer than the {max} bytes that a definition may have"),
            ));
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let (definition, problems) = providers::parse_definition(text, path, stem);
        let Some(definition) = definition else {
            let mut error = WireError::new(
                ErrorCode::BadDefinition,
                format!("`{file}` is not a usable definition"),
            );
            error.causes = problems.iter().map(ToString::to_string).collect();
            return Err(error.hint("`authsome inspect intercom` shows a complete definition"));
        };
        let name = &definition.name;
        let target = self.override_file(name);
        // a definition that stands in its own place already is confirmed, not replaced
        let in_place = is_same_file(path, &target);
        let replaced = !in_place && target.exists();
        if replaced && !force && std::fs::metadata(&target).is_ok_and(|meta| meta.len() > 0) {
            return Err(WireError::new(
                ErrorCode::AlreadyConnected,
                format!(
                    "`{name}` has a custom definition already (`{}`)",
                    target.display()
                ),
            )
            .hint("replace it with `--force`"));
        }
        let mut record = Record::new(audit::Event::Register);
        record.provider = Some(name.clone());
        self.audit_first(record, by).await?;
        if !in_place {
            files::write_atomic(&target, definition.to_json().as_bytes())
                .map_err(|error| storage(&format!("write `{}`", target.display()), &error))?;
        }
        self.reload_definitions();
        let confirmed = self.confirm_hosts(&definition).await?;
        self.refresh_runs().await;
        Ok(Registered {
            provider: name.clone(),
            file: target.display().to_string(),
            replaced,
            confirmed,
            warnings: problems.iter().map(ToString::to_string).collect(),
        })
    }

    /// Where a provider's custom definition stands.
    pub(super) fn override_file(&self, provider: &ProviderName) -> PathBuf {
        self.places
            .home
            .join("providers")
            .join(format!("{provider}.json"))
    }

    /// Writes the definition's hosts beside the secrets of its connections.
    async fn confirm_hosts(
        &self,
        definition: &Definition,
    ) -> Result<Vec<ConnectionName>, WireError> {
        let provider = &definition.name;
        let mut confirmed = Vec::new();
        for mut record in self.connections.list() {
            let server = match record.base_url.as_deref().map(str::parse::<BaseUrl>) {
                None => None,
                Some(Ok(server)) => Some(server),
                Some(Err(_)) => continue,
            };
            let hosts = definition.hosts_for(server.as_ref(), None);
            if record.provider != *provider || record.hosts == hosts || hosts.is_empty() {
                continue;
            }
            let key = ItemKey::Connection {
                provider: provider.clone(),
                connection: record.connection.clone(),
            };
            let doing = format!("confirm the hosts of `{provider}`");
            let item = self
                .vault
                .get(&key)
                .await
                .map_err(|error| error.explain(&doing))?;
            let Some(mut item) = item else { continue };
            item.hosts.clone_from(&hosts);
            self.vault
                .put(&key, item)
                .await
                .map_err(|error| error.explain(&doing))?;
            self.credentials.forget(provider, &record.connection);
            record.hosts = hosts;
            confirmed.push(record.connection.clone());
            self.connections
                .insert(record)
                .map_err(|error| storage(&doing, &error))?;
        }
        Ok(confirmed)
    }
}

/// Whether two names mean one file, however they are spelled.
fn is_same_file(a: &Path, b: &Path) -> bool {
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}
