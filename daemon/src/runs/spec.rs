//! What a run may use. Pure.
//!
//! A run is granted each provider's default connection, also one that comes later. `--connection`
//! replaces a provider's default, `--only` limits the providers, `--env` adds a connection beside
//! the default one, for requests that carry its placeholder. A run inside a run can only narrow: it
//! never gets a provider, a connection or a policy that the outer one lacks. Project files narrow
//! every run they apply to, and those of an outer run apply inside it.

use std::collections::{BTreeMap, BTreeSet};

use authsome_proto::request::{ProjectFile, Unmatched};
use authsome_proto::{ConnectionName, ProviderName, VariableName};
use serde::{Deserialize, Serialize};

use crate::policy::Project;

/// What a variable's placeholder chooses: a connection by name, or whichever the run uses of the
/// provider by default.
pub type Chosen = (ProviderName, Option<ConnectionName>);

/// What a run may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Connections that stand in for their provider's default.
    pub replaced: BTreeMap<ProviderName, ConnectionName>,
    /// The only providers; all if absent.
    pub only: Option<BTreeSet<ProviderName>>,
    /// What happens to hosts without a route.
    pub unmatched: Unmatched,
    /// Project files as they were when this run, or the one around it that brought them, started;
    /// outermost first. Absent in records of daemons that knew none.
    #[serde(default)]
    pub projects: Vec<ProjectFile>,
    /// Variables that get a random placeholder.
    #[serde(default)]
    pub variables: BTreeMap<VariableName, Chosen>,
    /// Connections granted beside the default ones, for requests that carry their placeholder.
    #[serde(default)]
    pub added: BTreeSet<(ProviderName, ConnectionName)>,
}

/// What a run inside a run asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Connections by name.
    pub replaced: BTreeMap<ProviderName, ConnectionName>,
    /// The only providers, if it says so.
    pub only: Option<BTreeSet<ProviderName>>,
    /// What happens to hosts without a route, if it says so.
    pub unmatched: Option<Unmatched>,
    /// Variables with what their placeholders choose.
    pub variables: BTreeMap<VariableName, Chosen>,
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
    /// Hosts without a route are denied in the outer run.
    #[error("this run denies hosts without a route, so a run inside it cannot reach them")]
    Unmatched,
}

impl RunSpec {
    /// The spec of a run that is inside of none; `unmatched` is the configuration's.
    pub fn outermost(asked: Asked, unmatched: Unmatched) -> Self {
        Self {
            replaced: asked.replaced,
            only: asked.only,
            unmatched: asked.unmatched.unwrap_or(unmatched),
            projects: Vec::new(),
            added: named(&asked.variables).collect(),
            variables: asked.variables,
        }
    }

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

    /// Whether the run uses `connection`, by default or for requests with its placeholder.
    pub fn grants(
        &self,
        provider: &ProviderName,
        connection: &ConnectionName,
        default: Option<&ConnectionName>,
    ) -> bool {
        self.connection(provider, default).as_ref() == Some(connection)
            || self.added.contains(&(provider.clone(), connection.clone()))
    }

    /// `inner` as a run inside this one; `default_of` tells a provider's default connection.
    pub fn narrow(
        &self,
        inner: Asked,
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
        for (provider, connection) in inner.variables.values() {
            if !self.allows(provider) {
                return Err(NarrowError::Provider(provider.clone()));
            }
            if let Some(connection) = connection
                && !self.grants(provider, connection, default_of(provider).as_ref())
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
        let unmatched = match (self.unmatched, inner.unmatched) {
            (Unmatched::Deny, Some(Unmatched::Tunnel)) => return Err(NarrowError::Unmatched),
            (outer, asked) => asked.unwrap_or(outer),
        };
        // a connection that the outer run pinned stays pinned inside
        let mut replaced = self.replaced.clone();
        replaced.extend(inner.replaced);
        // and what it was granted beside the defaults stays granted, with placeholders of its own:
        // the outer run's choose nothing here
        let mut added = self.added.clone();
        added.extend(named(&inner.variables));
        let mut variables = self.variables.clone();
        variables.extend(inner.variables);
        let only = inner.only.or_else(|| self.only.clone());
        let left = |provider: &ProviderName| only.as_ref().is_none_or(|it| it.contains(provider));
        added.retain(|(provider, _)| left(provider));
        variables.retain(|_, (provider, _)| left(provider));
        Ok(Self {
            replaced,
            only,
            unmatched,
            projects: self.projects.clone(),
            variables,
            added,
        })
    }

    /// This run with `project` on top: it takes away, and its rules are added to those that are
    /// there. The same file with the same text counts once.
    #[must_use]
    pub fn confine(mut self, project: &Project) -> Self {
        if let Some(only) = &project.only {
            self.only = Some(match &self.only {
                Some(granted) => granted.intersection(only).cloned().collect(),
                None => only.clone(),
            });
            self.added.retain(|(provider, _)| only.contains(provider));
            self.variables
                .retain(|_, (provider, _)| only.contains(provider));
        }
        if project.denies_unmatched {
            self.unmatched = Unmatched::Deny;
        }
        if !self.projects.contains(&project.file) {
            self.projects.push(project.file.clone());
        }
        self
    }
}

/// The connections that variables choose by name.
fn named(
    variables: &BTreeMap<VariableName, Chosen>,
) -> impl Iterator<Item = (ProviderName, ConnectionName)> {
    variables
        .values()
        .filter_map(|(provider, connection)| Some((provider.clone(), connection.clone()?)))
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
            projects: Vec::new(),
            variables: BTreeMap::new(),
            added: BTreeSet::new(),
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

    fn asked(
        replaced: &[(&str, &str)],
        only: Option<&[&str]>,
        unmatched: Option<Unmatched>,
    ) -> Asked {
        let RunSpec { replaced, only, .. } = spec(replaced, only, Unmatched::Tunnel);
        Asked {
            replaced,
            only,
            unmatched,
            variables: BTreeMap::new(),
        }
    }

    fn variables(chosen: &[(&str, &str, Option<&str>)]) -> BTreeMap<VariableName, Chosen> {
        let one = |(name, provider, connection): &(&str, &str, Option<&str>)| {
            (name.parse().unwrap(), (p(provider), connection.map(c)))
        };
        chosen.iter().map(one).collect()
    }

    fn with_variables(chosen: &[(&str, &str, Option<&str>)]) -> Asked {
        Asked {
            variables: variables(chosen),
            ..asked(&[], None, None)
        }
    }

    /// D7
    #[test]
    fn variables_add_the_connections_they_name() {
        let asked = with_variables(&[("A", "a", Some("team")), ("B", "a", None)]);
        let run = RunSpec::outermost(asked, Unmatched::Tunnel);
        assert_eq!(run.added, [(p("a"), c("team"))].into());
        assert!(run.grants(&p("a"), &c("team"), None));
        assert!(run.grants(&p("a"), &c("default"), Some(&c("default"))));
        assert!(!run.grants(&p("a"), &c("other"), Some(&c("default"))));
    }

    /// D7, L3
    #[test]
    fn a_run_inside_a_run_adds_only_what_the_outer_one_was_granted() {
        let asked = with_variables(&[("A", "a", Some("team")), ("B", "b", None)]);
        let mut outer = RunSpec::outermost(asked, Unmatched::Tunnel);
        let default_of = |_: &ProviderName| Some(c("default"));
        for (inner, works) in [
            (&[("X", "a", Some("team"))], true),
            (&[("X", "a", Some("default"))], true),
            (&[("X", "a", None)], true),
            (&[("X", "a", Some("other"))], false),
            (&[("X", "z", Some("team"))], false),
        ] {
            let narrowed = outer.narrow(with_variables(inner), default_of);
            assert_eq!(narrowed.is_ok(), works, "{inner:?}");
        }
        // the outer run's own stay, also where an inner one takes the variable for something else
        let inner = outer
            .narrow(with_variables(&[("A", "a", None)]), default_of)
            .unwrap();
        assert_eq!(inner.added, outer.added);
        assert_eq!(
            inner.variables,
            variables(&[("A", "a", None), ("B", "b", None)])
        );
        // and go where their provider is left out
        let only_b = outer.narrow(asked_only(&["b"]), default_of).unwrap();
        assert_eq!(only_b.added, BTreeSet::new());
        assert_eq!(only_b.variables, variables(&[("B", "b", None)]));
        outer.only = Some([p("b")].into());
        assert!(
            outer
                .narrow(with_variables(&[("X", "a", Some("team"))]), default_of)
                .is_err()
        );
    }

    fn asked_only(only: &[&str]) -> Asked {
        asked(&[], Some(only), None)
    }

    #[test]
    fn a_run_inside_a_run_gets_nothing_more() {
        let outer = spec(&[("a", "team")], Some(&["a", "b"]), Unmatched::Deny);
        let default_of = |_: &ProviderName| Some(c("default"));
        let narrow = |inner| outer.narrow(inner, default_of);
        assert_eq!(
            narrow(asked(&[], None, None)).unwrap(),
            outer,
            "asking for nothing special gives what the outer run has"
        );
        assert_eq!(
            narrow(asked(&[], Some(&["b"]), None)).unwrap(),
            spec(&[("a", "team")], Some(&["b"]), Unmatched::Deny)
        );
        assert_eq!(
            narrow(asked(&[], Some(&["z"]), None)),
            Err(NarrowError::Provider(p("z")))
        );
        assert!(narrow(asked(&[("a", "default")], None, None)).is_err());
        assert!(narrow(asked(&[("z", "default")], None, None)).is_err());
        assert!(narrow(asked(&[("a", "team"), ("b", "default")], None, None)).is_ok());
        let wider = asked(&[], None, Some(Unmatched::Tunnel));
        assert_eq!(narrow(wider.clone()), Err(NarrowError::Unmatched));
        let open = spec(&[], None, Unmatched::Tunnel);
        assert_eq!(
            open.narrow(wider, default_of).unwrap().unmatched,
            Unmatched::Tunnel
        );
        let deny = asked(&[], None, Some(Unmatched::Deny));
        assert_eq!(
            open.narrow(deny, default_of).unwrap().unmatched,
            Unmatched::Deny
        );
    }

    fn project(text: &str) -> Project {
        Project::parse(ProjectFile {
            path: "/p/authsome.toml".into(),
            text: text.into(),
        })
        .unwrap()
    }

    #[test]
    fn a_project_takes_away_and_never_gives() {
        let open = spec(&[], None, Unmatched::Tunnel);
        let strict = spec(&[], Some(&["a", "b"]), Unmatched::Deny);
        let names = |spec: &RunSpec| spec.only.clone().map(|only| only.into_iter().collect());
        let some = |names: &[&str]| Some(names.iter().map(|name| p(name)).collect::<Vec<_>>());

        let run = open
            .clone()
            .confine(&project("[run]\nonly = [\"b\", \"c\"]"));
        assert_eq!(names(&run), some(&["b", "c"]));
        assert_eq!(run.unmatched, Unmatched::Tunnel);
        let run = strict
            .clone()
            .confine(&project("[run]\nonly = [\"b\", \"c\"]"));
        assert_eq!(names(&run), some(&["b"]), "what both name");
        assert_eq!(run.unmatched, Unmatched::Deny, "silence opens nothing");
        let run = strict.clone().confine(&project("[run]\nonly = [\"z\"]"));
        assert_eq!(names(&run), some(&[]), "nothing, not everything");
        let run = strict.clone().confine(&project(""));
        assert_eq!(names(&run), some(&["a", "b"]));
        let run = open.confine(&project("[run]\nunmatched = \"deny\""));
        assert_eq!(run.unmatched, Unmatched::Deny);
    }

    #[test]
    fn projects_of_the_outer_run_hold_inside_and_each_file_counts_once() {
        let (one, other) = (project(""), project("[run]\nonly = [\"a\"]"));
        let outer = spec(&[], None, Unmatched::Tunnel).confine(&one);
        let inside = |project: &Project| {
            let inner = outer.narrow(asked(&[], None, None), |_| None).unwrap();
            inner.confine(project).projects
        };
        assert_eq!(inside(&one), std::slice::from_ref(&one.file));
        assert_eq!(inside(&other), [one.file.clone(), other.file.clone()]);
    }

    #[test]
    fn a_record_of_before_there_were_projects_is_read() {
        let old = r#"{"replaced":{},"only":["a"],"unmatched":"tunnel"}"#;
        let run: RunSpec = serde_json::from_str(old).unwrap();
        assert_eq!(run, spec(&[], Some(&["a"]), Unmatched::Tunnel));
        let with = run.confine(&project("[run]\nonly = [\"a\"]"));
        let text = serde_json::to_string(&with).unwrap();
        assert_eq!(serde_json::from_str::<RunSpec>(&text).unwrap(), with);
    }
}
