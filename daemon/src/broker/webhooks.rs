//! Endpoints for signed webhooks: adding, rotating, removing, telling. Which scheme (`choose`), what
//! waits for its secret (`plan`); verifying and signing for scripts (`scripts`).
//!
//! Adding and rotating are logins ([`super::login`]) whose secret goes to an endpoint. The order is
//! that of connections: audited durably, then the vault, then `webhooks.json`, then the endpoint
//! itself (B1, B2).

mod choose;
mod plan;
mod scripts;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use authsome_proto::request::WebhookAdd;
use authsome_proto::response::{LoginStarted, Webhook, WebhookStored};
use authsome_proto::{ErrorCode, Secret, WebhookName, WireError};
use jiff::Timestamp;

use self::plan::Change;
pub(super) use self::plan::Plan;
use super::{Broker, now};
use crate::audit::{self, Record};
use crate::errors::{Explain, printable, storage};
use crate::runs::port;
use crate::vault::{ItemKey, StoredItem};
use crate::webhooks::endpoint::Endpoint;
use crate::webhooks::forward::Forward;
use crate::webhooks::secrets::{self, LiveSecret};
use crate::webhooks::server::{self, Backing};
use crate::webhooks::store::{Records, WebhookRecord};

/// Longest body unless said otherwise: far above what any known sender makes.
const BODY_MAX: u64 = 1024 * 1024;

/// Longest body that can be asked for: each connection may hold one.
const BODY_MAX_MAX: u64 = 64 * 1024 * 1024;

/// How long a sender is kept waiting unless said otherwise, in seconds. Intercom gives up after
/// about five and GitHub after ten; Slack's three are too few for many programs, and its next try
/// finds the first one done.
const WAIT: u32 = 4;

/// Longest wait that can be asked for, in seconds.
const WAIT_MAX: u32 = 60;

/// Longest time that an old secret stays good after a rotation.
const KEEP_OLD_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The endpoints of a home.
#[derive(Debug)]
pub(super) struct Webhooks {
    records: Records,
    /// Those that are served, or why they are not.
    served: Mutex<BTreeMap<WebhookName, Result<Arc<Endpoint>, String>>>,
}

impl Webhooks {
    pub(super) fn open(home: &std::path::Path) -> Self {
        Self {
            records: Records::open(home),
            served: Mutex::default(),
        }
    }

    fn served(&self) -> MutexGuard<'_, BTreeMap<WebhookName, Result<Arc<Endpoint>, String>>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// Serves the endpoints of this home.
    pub fn start_webhooks(self: &Arc<Self>) {
        for record in self.webhooks.records.list() {
            match Endpoint::new(&record) {
                Ok(endpoint) => self.serve_webhook(Arc::new(endpoint), None),
                Err(error) => {
                    let mut problem = error.to_string();
                    if let Some(cause) = std::error::Error::source(&error) {
                        problem = format!("{problem}: {cause}");
                    }
                    tracing::warn!(webhook = %record.name, problem, "not served");
                    self.webhooks.served().insert(record.name, Err(problem));
                }
            }
        }
    }

    fn serve_webhook(self: &Arc<Self>, endpoint: Arc<Endpoint>, listener: Option<TcpListener>) {
        self.webhooks
            .served()
            .insert(endpoint.name.clone(), Ok(Arc::clone(&endpoint)));
        let broker = Arc::clone(self);
        let shutdown = self.shutdown.clone();
        // ended by the endpoint's removal, or by the daemon, which waits for them
        self.proxy_tasks.spawn(async move {
            if let Some(secrets) = broker.secrets(&endpoint.name).await {
                endpoint.offer_secrets(&secrets);
            }
            server::serve(endpoint, listener, broker, shutdown).await;
        });
    }

    /// Begins to add an endpoint.
    pub async fn begin_webhook_add(
        self: &Arc<Self>,
        request: WebhookAdd,
        pid: u32,
    ) -> Result<LoginStarted, WireError> {
        let name = request.webhook.clone();
        if let Some(problem) = self.webhooks.records.problem() {
            return Err(unreadable(problem));
        }
        if self.webhooks.records.find(&name).is_some() {
            return Err(exists(&name));
        }
        let (scheme, definition) = self.scheme(&request)?;
        let forward = Forward::parse(&request.forward).map_err(|error| {
            WireError::new(
                ErrorCode::BadRequest,
                format!("cannot forward to `{}`", printable(&request.forward)),
            )
            .because(&error)
            .hint("name the local program, for instance `http://127.0.0.1:3000/hooks`")
        })?;
        let listener = match request.port {
            Some(port) => port::bind(port),
            None => port::bind_free(),
        };
        let bound = listener.and_then(|it| Ok((it.local_addr()?.port(), it)));
        let (port, listener) = bound.map_err(|error| port_taken(request.port, &error))?;
        if forward.port() == port {
            return Err(WireError::new(
                ErrorCode::BadRequest,
                format!("the endpoint would forward to itself: both have port {port}"),
            )
            .hint("give `--forward` the port of the local program"));
        }
        let record = WebhookRecord {
            name,
            scheme: scheme.name.clone(),
            definition,
            forward: forward.as_str().to_owned(),
            port,
            max_body: within(
                request.max_body.unwrap_or(BODY_MAX),
                1,
                BODY_MAX_MAX,
                "max-body",
            )?,
            wait: within(request.wait.unwrap_or(WAIT), 1, WAIT_MAX, "wait")?,
            created_at: now(),
            rotated_at: None,
        };
        let plan = Plan {
            record,
            scheme,
            change: Change::Add(Mutex::new(Some(listener))),
        };
        self.open_session(
            super::login::Target::Webhook(Box::new(plan)),
            request.via,
            pid,
        )
        .await
    }

    /// Begins to replace an endpoint's secret.
    pub async fn begin_webhook_rotate(
        self: &Arc<Self>,
        name: &WebhookName,
        keep_old: u64,
        via: authsome_proto::request::LoginVia,
        pid: u32,
    ) -> Result<LoginStarted, WireError> {
        let keep_old = Duration::from_secs(keep_old);
        if keep_old > KEEP_OLD_MAX {
            return Err(WireError::new(
                ErrorCode::BadRequest,
                "an old secret can be kept for 30 days at most",
            ));
        }
        let record = self.webhook_record(name)?;
        let endpoint = self.endpoint(name)?;
        let plan = Plan {
            record,
            scheme: endpoint.scheme.clone(),
            change: Change::Rotate { keep_old },
        };
        self.open_session(super::login::Target::Webhook(Box::new(plan)), via, pid)
            .await
    }

    /// Stores the secret of an endpoint that waits for it. Called with `changing` held.
    pub(super) async fn store_webhook(
        self: &Arc<Self>,
        plan: &Plan,
        secret: Secret,
        by: u32,
    ) -> Result<WebhookStored, WireError> {
        let name = plan.name();
        let mut record = plan.record.clone();
        let stored_at = Timestamp::now();
        let (event, old, old_until) = match &plan.change {
            Change::Add(_) => {
                if self.webhooks.records.find(name).is_some() {
                    return Err(exists(name));
                }
                (audit::Event::WebhookAdd, Vec::new(), None)
            }
            Change::Rotate { keep_old } => {
                // as it is now: it may have been removed while the form was open
                record = self.webhook_record(name)?;
                record.rotated_at = Some(now());
                let old = self.stored_secrets(name).await?;
                let until = stored_at + *keep_old;
                let until = (!keep_old.is_zero()).then_some(until);
                (audit::Event::WebhookRotate, old, until)
            }
        };
        let mut line = Record::new(event);
        line.webhook = Some(name.clone());
        self.audit_first(line, by).await?;

        let doing = format!("store the secret of webhook `{name}`");
        let secrets_now = secrets::rotate(old, secret, stored_at, old_until);
        let item = StoredItem {
            secret: secrets::encode(&secrets_now)
                .ok_or_else(|| WireError::new(ErrorCode::Internal, format!("cannot {doing}")))?,
            hosts: Vec::new(),
            stored_at: now(),
            grant: None,
        };
        self.vault
            .put(&key(name), item)
            .await
            .map_err(|error| error.explain(&doing))?;
        let remember = |doing: &str| {
            let remembered = self.webhooks.records.insert(record.clone());
            remembered.map_err(|error| storage(doing, &error))
        };
        match &plan.change {
            Change::Add(_) => {
                remember(&doing)?;
                let endpoint = Endpoint::new(&record)
                    .map_err(|error| WireError::new(ErrorCode::Internal, error.to_string()))?;
                endpoint.set_secrets(&secrets_now);
                self.serve_webhook(Arc::new(endpoint), plan.take_listener());
            }
            Change::Rotate { .. } => {
                // first: what the vault holds counts from now on, and a replaced secret is dead also
                // where the time of that cannot be written down
                self.endpoint(name)?.set_secrets(&secrets_now);
                remember(&format!(
                    "write down that the secret of webhook `{name}` was replaced, which it is"
                ))?;
            }
        }
        tracing::info!(webhook = %name, rotated = plan.is_rotation(), "stored");
        Ok(WebhookStored {
            webhook: self.describe(&record),
            rotated: plan.is_rotation(),
            store: self.vault.status().await.store_name(),
        })
    }

    /// Removes an endpoint and its secrets.
    pub async fn remove_webhook(&self, name: &WebhookName, by: u32) -> Result<(), WireError> {
        let _changing = self.changing.lock().await;
        self.webhook_record(name)?;
        let mut line = Record::new(audit::Event::WebhookRemove);
        line.webhook = Some(name.clone());
        self.audit_first(line, by).await?;
        let doing = format!("remove webhook `{name}`");
        self.vault
            .delete(&key(name))
            .await
            .map_err(|error| error.explain(&doing))?;
        if let Some(Ok(endpoint)) = self.webhooks.served().remove(name) {
            endpoint.stop.cancel();
        }
        self.webhooks
            .records
            .remove(name)
            .map_err(|error| storage(&doing, &error))
    }

    /// All endpoints.
    pub async fn list_webhooks(&self) -> Result<Vec<Webhook>, WireError> {
        if let Some(problem) = self.webhooks.records.problem() {
            return Err(unreadable(problem));
        }
        let records = self.webhooks.records.list();
        for record in &records {
            // the vault may have been shut until now
            if let Ok(endpoint) = self.endpoint(&record.name)
                && endpoint.keys(Timestamp::now()).is_none()
                && let Some(secrets) = self.secrets(&record.name).await
            {
                endpoint.offer_secrets(&secrets);
            }
        }
        Ok(records.iter().map(|record| self.describe(record)).collect())
    }

    /// What keeps endpoints from working, a sentence each.
    pub fn webhook_problems(&self) -> Vec<String> {
        let file = self.webhooks.records.problem();
        let file = file.map(|problem| format!("no webhook is served: {problem}"));
        let each = self.webhooks.served();
        let each = each.iter().filter_map(|(name, endpoint)| {
            let problem = match endpoint {
                Ok(endpoint) => endpoint.problem()?,
                Err(problem) => problem.clone(),
            };
            Some(format!("webhook `{name}` is not served: {problem}"))
        });
        file.into_iter().chain(each).collect()
    }

    /// How many endpoints there are.
    pub fn webhook_count(&self) -> usize {
        self.webhooks.records.list().len()
    }

    async fn live_keys(
        &self,
        endpoint: &Endpoint,
        now: Timestamp,
    ) -> Result<Vec<crate::webhooks::mac::SigningKey>, WireError> {
        if let Some(keys) = endpoint.keys(now) {
            return Ok(keys);
        }
        endpoint.offer_secrets(&self.stored_secrets(&endpoint.name).await?);
        Ok(endpoint.keys(now).unwrap_or_default())
    }

    async fn stored_secrets(&self, name: &WebhookName) -> Result<Vec<LiveSecret>, WireError> {
        let item = self
            .vault
            .get(&key(name))
            .await
            .map_err(|error| error.explain(&format!("read the secret of webhook `{name}`")))?;
        // one that is gone is replaced by the next rotation
        let Some(item) = item else {
            return Ok(Vec::new());
        };
        secrets::decode(&item.secret).ok_or_else(|| {
            WireError::new(
                ErrorCode::VaultFailed,
                format!("the stored secrets of webhook `{name}` are damaged"),
            )
            .hint(format!(
                "remove it with `authsome webhook remove {name}` and add it again"
            ))
        })
    }

    fn describe(&self, record: &WebhookRecord) -> Webhook {
        let served = self.webhooks.served().get(&record.name).cloned();
        let (endpoint, broken) = match served {
            Some(Ok(endpoint)) => (Some(endpoint), None),
            Some(Err(problem)) => (None, Some(problem)),
            None => (None, None),
        };
        let count = |of: fn(&Endpoint) -> &std::sync::atomic::AtomicU64| {
            endpoint
                .as_deref()
                .map_or(0, |endpoint| of(endpoint).load(Ordering::Relaxed))
        };
        let keys = endpoint
            .as_deref()
            .and_then(|endpoint| endpoint.keys(Timestamp::now()));
        Webhook {
            webhook: record.name.clone(),
            scheme: record.scheme.clone(),
            url: format!("http://127.0.0.1:{}/", record.port),
            forward: record.forward.clone(),
            max_body: record.max_body,
            wait: record.wait,
            created_at: record.created_at.clone(),
            rotated_at: record.rotated_at.clone(),
            secrets: keys.map(|keys| u32::try_from(keys.len()).unwrap_or(u32::MAX)),
            accepted: count(|it| &it.accepted),
            refused: count(|it| &it.refused),
            failed: count(|it| &it.failed),
            problem: broken.or_else(|| endpoint.as_deref().and_then(Endpoint::problem)),
        }
    }

    fn webhook_record(&self, name: &WebhookName) -> Result<WebhookRecord, WireError> {
        if let Some(problem) = self.webhooks.records.problem() {
            return Err(unreadable(problem));
        }
        self.webhooks.records.find(name).ok_or_else(|| {
            let error = WireError::new(
                ErrorCode::UnknownWebhook,
                format!("no webhook named `{name}`"),
            );
            let names: Vec<String> = self
                .webhooks
                .records
                .list()
                .iter()
                .map(|record| format!("`{}`", record.name))
                .collect();
            match &*names {
                [] => error.hint("`authsome webhook add` adds one"),
                names => error.hint(format!("there is {}", names.join(", "))),
            }
        })
    }

    fn endpoint(&self, name: &WebhookName) -> Result<Arc<Endpoint>, WireError> {
        self.webhook_record(name)?;
        let served = self.webhooks.served().get(name).cloned();
        match served {
            Some(Ok(endpoint)) => Ok(endpoint),
            Some(Err(problem)) => Err(WireError::new(
                ErrorCode::BadDefinition,
                format!("webhook `{name}` cannot be used: {problem}"),
            )
            .hint(format!(
                "remove it with `authsome webhook remove {name}` and add it again"
            ))),
            None => Err(WireError::new(
                ErrorCode::Internal,
                format!("webhook `{name}` is not served"),
            )),
        }
    }
}

impl Backing for Broker {
    async fn secrets(&self, webhook: &WebhookName) -> Option<Vec<LiveSecret>> {
        match self.stored_secrets(webhook).await {
            Ok(secrets) => Some(secrets),
            Err(error) => {
                tracing::info!(%webhook, %error, causes = ?error.causes, "no secret yet");
                None
            }
        }
    }

    async fn record(&self, record: Record) -> bool {
        match Self::record(self, record).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, causes = ?error.causes, "not in the audit log");
                false
            }
        }
    }
}

fn key(webhook: &WebhookName) -> ItemKey {
    ItemKey::Webhook {
        webhook: webhook.clone(),
    }
}

fn within<T>(value: T, min: T, max: T, option: &str) -> Result<T, WireError>
where
    T: PartialOrd + Copy + std::fmt::Display,
{
    if value < min || value > max {
        return Err(WireError::new(
            ErrorCode::BadRequest,
            format!("`--{option}` must be {min} to {max}"),
        ));
    }
    Ok(value)
}

fn exists(name: &WebhookName) -> WireError {
    WireError::new(
        ErrorCode::AlreadyConnected,
        format!("there is a webhook named `{name}` already"),
    )
    .hint(format!(
        "`authsome webhook rotate {name}` replaces its secret; `authsome webhook remove {name}` removes it"
    ))
}

fn unreadable(problem: String) -> WireError {
    let mut error = WireError::new(ErrorCode::Storage, "the list of webhooks cannot be used");
    error.causes.push(problem);
    error.hint("mend the file or move it away, then restart the daemon")
}

fn port_taken(port: Option<u16>, error: &std::io::Error) -> WireError {
    let what = match port {
        Some(port) => format!("cannot listen on 127.0.0.1, port {port}"),
        None => "cannot find a free port on 127.0.0.1".to_owned(),
    };
    WireError::new(ErrorCode::PortTaken, what)
        .because(error)
        .hint("choose another one with `--port`, or leave it out")
}
