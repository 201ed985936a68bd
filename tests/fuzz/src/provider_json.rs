//! Whatever a definition file holds: no panic, nothing that cannot be shown, and what is accepted can
//! be written and read again as the same definition (threat L12).

use std::path::Path;

use authsomed::providers::parse_definition;

/// See the module.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let file = Path::new("x.json");
    let (definition, problems) = parse_definition(&text, file, Some("x"));
    assert!(
        definition.is_some() || !problems.is_empty(),
        "neither read nor refused"
    );
    for problem in &problems {
        let shown = problem.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }
    let Some(definition) = definition else {
        return;
    };
    assert!(!definition.routes.is_empty(), "{definition:?}");
    for rule in &definition.routes {
        assert!(!rule.hosts.is_empty() && rule.port != 0, "{definition:?}");
        // an exception that is the whole scope would be a route that never acts
        assert!(
            rule.except.iter().all(|except| rule.path.contains(except)),
            "{definition:?}"
        );
    }
    let json = definition.to_json();
    let (again, problems) = parse_definition(&json, file, None);
    assert!(problems.is_empty(), "{problems:?} {json}");
    assert_eq!(again, Some(definition), "{json}");
}
