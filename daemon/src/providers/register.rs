//! `register FILE`: what would be saved, and what it would change, before anything is written.

use std::path::Path;

use super::catalogue::{Catalogue, Source};
use super::check::hosts_gained;
use super::definition::Definition;
use super::parse::parse_definition;
use super::problem::Problem;

/// A definition that can be registered, and what that means.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The definition.
    pub definition: Definition,
    /// Name of the file in the folder of overrides.
    pub file_name: String,
    /// What is to be written there: the definition in our own format.
    pub json: String,
    /// Where the definition comes from that this one replaces.
    pub replaces: Option<Source>,
    /// Hosts that the replaced definition does not send the credential to. A person confirms them
    /// by registering (threat L12), so they are shown first.
    pub hosts_gained: Vec<String>,
    /// Warnings, and hosts that were left out.
    pub problems: Vec<Problem>,
}

/// Reads `text` as a definition to be registered. Nothing is written.
///
/// The error holds what makes the definition useless.
pub fn plan_registration(
    catalogue: &Catalogue,
    text: &str,
    file: &Path,
) -> Result<Registration, Vec<Problem>> {
    let (definition, problems) = parse_definition(text, file, None);
    let Some(definition) = definition else {
        return Err(problems);
    };
    let replaced = catalogue.find(definition.name.as_str());
    Ok(Registration {
        file_name: format!("{}.json", definition.name),
        json: definition.to_json(),
        hosts_gained: replaced
            .map(|entry| hosts_gained(&definition, &entry.definition.hosts()))
            .unwrap_or_default(),
        replaces: replaced.map(|entry| entry.source.clone()),
        definition,
        problems,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registering_says_what_it_replaces_and_which_hosts_are_new() {
        let catalogue = Catalogue::load(None);
        let text = r#"{"schema_version": 1, "name": "intercom", "auth_type": "api_key",
            "api_url": ["api.intercom.io", "proxy.example.com"]}"#;
        let plan = plan_registration(&catalogue, text, "mine.json".as_ref()).unwrap();
        assert_eq!(plan.file_name, "intercom.json");
        assert_eq!(plan.replaces, Some(Source::Bundled));
        assert_eq!(plan.hosts_gained, ["proxy.example.com"]);
        assert!(
            plan.json
                .starts_with("{\n  \"v\": 1,\n  \"name\": \"intercom\"")
        );
        let (again, problems) = parse_definition(&plan.json, "x.json".as_ref(), None);
        assert_eq!(problems, []);
        assert_eq!(again.unwrap(), plan.definition);
    }

    #[test]
    fn a_broken_file_is_not_registered() {
        let catalogue = Catalogue::load(None);
        let problems = plan_registration(&catalogue, "{", "x.json".as_ref()).unwrap_err();
        assert_eq!(problems.first().and_then(|problem| problem.line), Some(1));
    }
}
