//! The variables of a run that programs read keys from, and what stands in them.
//!
//! Every variable of a granted provider holds the literal placeholder, which says nothing: the
//! route decides. Where a provider's programs check the shape of a key, and where `--env` asks for
//! it, it is a random one, which chooses its connection (threat D7).

use std::collections::{BTreeMap, BTreeSet};

use authsome_proto::request::RunStart;
use authsome_proto::{ErrorCode, ProviderName, VariableName, WireError};

use super::Broker;
use super::run::Run;
use crate::routing::placeholder::LITERAL;
use crate::runs::environment;
use crate::runs::spec::{Chosen, RunSpec};

impl Broker {
    /// The variables that `request` asks for, each with what its placeholder chooses; `only` are the
    /// providers it is limited to.
    pub(super) fn variables_asked(
        &self,
        request: &RunStart,
        only: Option<&BTreeSet<ProviderName>>,
    ) -> Result<BTreeMap<VariableName, Chosen>, WireError> {
        let bad = |text: String| WireError::new(ErrorCode::BadRequest, text);
        let mut asked = BTreeMap::new();
        for (variable, provider, connection) in &request.variables {
            self.definition(provider)?;
            if let Some(connection) = connection
                && self.connections.find(provider, connection).is_none()
            {
                return Err(self.unknown_connection(provider, connection));
            }
            if environment::is_own(variable.as_str()) {
                return Err(bad(format!("`--env {variable}=…` would take a variable that the run itself or every program needs"))
                    .hint("choose another name"));
            }
            if only.is_some_and(|only| !only.contains(provider)) {
                return Err(bad(format!(
                    "`--env {variable}={provider}` names a provider that `--only` leaves out"
                )));
            }
            let chosen = (provider.clone(), connection.clone());
            if asked.insert(variable.clone(), chosen).is_some() {
                return Err(bad(format!("`--env {variable}=…` is given twice")));
            }
        }
        Ok(asked)
    }

    /// Whether every provider whose default connection `request` wants a variable for has one.
    pub(super) fn check_variables(
        &self,
        request: &RunStart,
        spec: &RunSpec,
    ) -> Result<(), WireError> {
        for (_, provider, connection) in &request.variables {
            let default = self.connections.default_of(provider);
            if connection.is_none() && spec.connection(provider, default.as_ref()).is_none() {
                // finds none, and says which there are
                self.connection_named(provider, None)?;
            }
        }
        Ok(())
    }

    /// The variables of a run with what programs find in them. Variables that hold an address are
    /// left alone.
    pub(super) fn placeholders(&self, run: &Run) -> Vec<(String, String)> {
        let catalogue = self.catalogue.load();
        let mut placeholders = Vec::new();
        for entry in catalogue
            .entries()
            .filter(|entry| entry.definition.is_ready())
        {
            let definition = &entry.definition;
            if self.granted_connection(run, &definition.name).is_none() {
                continue;
            }
            let text = match &definition.key_placeholder {
                Some(_) => run.placeholder(definition, None).as_str().to_owned(),
                None => LITERAL.to_owned(),
            };
            let variables = definition.variables().into_iter();
            placeholders.extend(variables.map(|name| (name, text.clone())));
        }
        let variables = run.record().spec.variables.clone();
        for (variable, (provider, connection)) in variables {
            if let Some(entry) = catalogue.find(provider.as_str()) {
                let placeholder = run.placeholder(&entry.definition, connection.as_ref());
                // behind the provider's own variables, so that one of these can be chosen for
                placeholders.push((variable.to_string(), placeholder.as_str().to_owned()));
            }
        }
        placeholders
    }
}
