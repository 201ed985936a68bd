//! What a run may use. Pure.
//!
//! A run is granted each provider's default connection, also one that comes later. `--connection`
//! replaces a provider's default, `--only` limits the providers. A run inside a run can only
//! narrow: it never gets a provider, a connection or a policy that the outer one lacks.

use std::collections::{BTreeMap, BTreeSet};

use authsome_proto::request::Unmatched;
use authsome_proto::{ConnectionName, ProviderName};
use serde::{Deserialize, Serialize};

/// What a run may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Connections that stand in for their provider's default.
    pub replaced: BTreeMap<ProviderName, ConnectionName>,
    /// The only providers; all if absent.
    pub only: Option<BTreeSet<ProviderName>>,
    /// What happens to hosts without a route.
    pub unmatched: Unmatched,
}

/// Why a run inside a run cannot have what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarrowError {
    /// A provider that the outer run was not granted.
    #[error("this run was not granted `{0}`, so a run inside it cannot have it")]
    Provider(ProviderName),
    /// Another connection than the outer run's.
    #[error("this run uses `{provider}` with another connection than `{connection}`")]
    Connection {
        /// The provider.
        provider: ProviderName,
        /// The connection asked for.
        connection: ConnectionName,
    },
}

impl RunSpec {
    /// Whether the run may use `provider` at all.
    pub fn allows(&self, provider: &ProviderName) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| only.contains(provider))
    }

    /// The connection that the run uses of `provider`, whose default is `default`.
    pub fn connection(
        &self,
        provider: &ProviderName,
        default: Option<&ConnectionName>,
    ) -> Option<ConnectionName> {
        self.allows(provider)
            .then(|| self.replaced.get(provider).or(default).cloned())?
    }

    /// `inner` as a run inside this one; `default_of` tells a provider's default connection.
    pub fn narrow(
        &self,
        inner: Self,
        default_of: impl Fn(&ProviderName) -> Option<ConnectionName>,
    ) -> Result<Self, NarrowError> {
        for (provider, connection) in &inner.replaced {
            if !self.allows(provider) {
                return Err(NarrowError::Provider(provider.clone()));
            }
            if self
                .connection(provider, default_of(provider).as_ref())
                .as_ref()
                != Some(connection)
            {
                return Err(NarrowError::Connection {
                    provider: provider.clone(),
                    connection: connection.clone(),
                });
            }
        }
        if let Some(missing) = inner.only.iter().flatten().find(|name| !self.allows(name)) {
            return Err(NarrowError::Provider(missing.clone()));
        }
        // a connection that the outer run pinned stays pinned inside
        let mut replaced = self.replaced.clone();
        replaced.extend(inner.replaced);
        let unmatched = match (self.unmatched, inner.unmatched) {
            (Unmatched::Tunnel, Unmatched::Tunnel) => Unmatched::Tunnel,
            (Unmatched::Deny, _) | (_, Unmatched::Deny) => Unmatched::Deny,
        };
        Ok(Self {
            replaced,
            only: inner.only.or_else(|| self.only.clone()),
            unmatched,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(name: &str) -> ProviderName {
        name.parse().unwrap()
    }

    fn c(name: &str) -> ConnectionName {
        name.parse().unwrap()
    }

    fn spec(replaced: &[(&str, &str)], only: Option<&[&str]>, unmatched: Unmatched) -> RunSpec {
        RunSpec {
            replaced: replaced.iter().map(|(a, b)| (p(a), c(b))).collect(),
            only: only.map(|names| names.iter().map(|name| p(name)).collect()),
            unmatched,
        }
    }

    #[test]
    fn the_default_is_used_unless_replaced_or_left_out() {
        let run = spec(&[("a", "team")], Some(&["a", "b"]), Unmatched::Tunnel);
        assert_eq!(
            run.connection(&p("a"), Some(&c("default"))),
            Some(c("team"))
        );
        assert_eq!(run.connection(&p("b"), Some(&c("x"))), Some(c("x")));
        assert_eq!(run.connection(&p("b"), None), None);
        assert_eq!(run.connection(&p("z"), Some(&c("x"))), None);
    }

    #[test]
    fn a_run_inside_a_run_gets_nothing_more() {
        let outer = spec(&[("a", "team")], Some(&["a", "b"]), Unmatched::Deny);
        let default_of = |_: &ProviderName| Some(c("default"));
        let tunnel = Unmatched::Tunnel;
        let narrow = |inner| outer.narrow(inner, default_of);
        assert_eq!(
            narrow(spec(&[], None, tunnel)).unwrap(),
            outer,
            "asking for nothing special gives what the outer run has"
        );
        assert_eq!(
            narrow(spec(&[], Some(&["b"]), tunnel)).unwrap(),
            spec(&[("a", "team")], Some(&["b"]), Unmatched::Deny)
        );
        assert_eq!(
            narrow(spec(&[], Some(&["z"]), tunnel)),
            Err(NarrowError::Provider(p("z")))
        );
        assert!(narrow(spec(&[("a", "default")], None, tunnel)).is_err());
        assert!(narrow(spec(&[("z", "default")], None, tunnel)).is_err());
        assert!(narrow(spec(&[("a", "team"), ("b", "default")], None, tunnel)).is_ok());
    }
}
