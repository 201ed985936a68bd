//! How the proxy reaches upstreams, and the roots of the system: read when first needed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use authsome_proto::{ErrorCode, WireError};

use super::Broker;
use crate::config::Config;
use crate::oauth::http::Servers;
use crate::providers::{Auth, Entry, Source};
use crate::proxy::{OwnPorts, Reach, TrustedRoots, Upstream, UpstreamSettings, roots};
use crate::runs::environment::SystemRoots;

/// What is read once.
pub(super) struct Settings {
    /// Swapped when the configuration changes; pools made before keep what they began with.
    current: ArcSwap<UpstreamSettings>,
    /// What runs' trust files begin with.
    pub(super) system: SystemRoots,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Settings(..)")
    }
}

impl Settings {
    /// An empty pool by the settings in force.
    pub(super) fn pool(&self, reach: Reach) -> Upstream {
        Upstream::new(self.current.load_full(), reach)
    }

    /// A way to authorization servers, by the settings in force.
    pub(super) fn servers(&self) -> Servers {
        Servers::new(self.current.load_full())
    }
}

impl Broker {
    /// The settings, read when first needed: a daemon without runs reads no roots.
    pub(super) async fn upstream(&self) -> Result<&Settings, WireError> {
        self.upstream
            .get_or_try_init(|| async {
                let settings = read(&self.config.load(), self.own_ports.clone())?;
                let system = SystemRoots::from_der(roots::system_certificates());
                Ok(Settings {
                    current: ArcSwap::from_pointee(settings),
                    system,
                })
            })
            .await
    }

    /// The way to authorization servers.
    pub(super) async fn servers(&self) -> Result<Servers, WireError> {
        Ok(self.upstream().await?.servers())
    }

    /// Takes changed settings over, if any were needed so far.
    pub(super) fn replace_upstream(&self, config: &Config) -> Result<(), WireError> {
        if let Some(settings) = self.upstream.get() {
            settings
                .current
                .store(Arc::new(read(config, self.own_ports.clone())?));
            // pooled connections were made under the old settings
            self.credentials.forget_all();
        }
        Ok(())
    }
}

/// How far the name in `url`, an endpoint of an authorization server, may lead. Definitions that are
/// compiled in name servers of the internet. One that a server made of itself may name others, too;
/// only where it stands itself has been chosen by a person (threat D12).
pub(super) fn reach_of(entry: Option<&Entry>, base_url: Option<&str>, url: &str) -> Reach {
    let host = |url: &str| {
        let url = url::Url::parse(url).ok()?;
        url.host_str().map(str::to_owned)
    };
    let Some(entry) = entry.filter(|entry| entry.source != Source::Bundled) else {
        return match base_url {
            Some(_) => Reach::Anywhere,
            None => Reach::Public,
        };
    };
    match &entry.definition.auth {
        Auth::OAuth2(facts) => match &facts.resource {
            Some(resource) if host(resource) != host(url) => Reach::Public,
            Some(_) | None => Reach::Anywhere,
        },
        Auth::ApiKey | Auth::Browser(_) => Reach::Anywhere,
    }
}

fn read(config: &Config, own: OwnPorts) -> Result<UpstreamSettings, WireError> {
    let bad = |error: &dyn std::error::Error| {
        WireError::new(
            ErrorCode::BadConfig,
            "the `[upstream]` settings cannot be used",
        )
        .because(error)
        .hint("mend `config.toml`; the change is picked up at once")
    };
    let roots = TrustedRoots::load(&config.extra_ca).map_err(|error| bad(&error))?;
    UpstreamSettings::new(
        &roots,
        config.resolve.clone(),
        config.upstream_proxy.clone(),
        own,
    )
    .map_err(|error| bad(&error))
}
