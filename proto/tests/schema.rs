//! `docs/protocol.schema.json` is what the types say, and nothing in it is without an end.
//!
//! Run with `cargo test -p authsome-proto --features schema --test schema`. The file is written anew
//! when `AUTHSOME_WRITE_SCHEMA` is set. That the golden messages are valid, and broken ones not, is
//! shown by `tests/tests/conformance.rs`, with a validator of somebody else's.
#![expect(
    clippy::disallowed_methods,
    reason = "helpers of tests: what does not work here fails the test that called"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use authsome_proto::schema::document;
use serde_json::Value;

#[test]
fn the_published_schema_is_that_of_the_types() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.schema.json");
    let ours = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    if std::env::var_os("AUTHSOME_WRITE_SCHEMA").is_some() {
        fs::write(&path, &ours).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == ours,
        "docs/protocol.schema.json is not what the types say: run this test once with \
         AUTHSOME_WRITE_SCHEMA=1 and look at the difference"
    );
}

/// L9: no type contains itself, so that no message nests deeper than the longest way through the
/// types, in either encoding, whatever its length. bincode has no limit of its own.
#[test]
fn no_message_nests_without_end() {
    let document = document();
    let definitions = document["$defs"].as_object().unwrap();
    let leads_to: BTreeMap<&str, BTreeSet<String>> = definitions
        .iter()
        .map(|(name, schema)| {
            let mut names = BTreeSet::new();
            references(schema, &mut names);
            (name.as_str(), names)
        })
        .collect();
    assert!(leads_to["ClientFrame"].contains("Request"), "{leads_to:?}");
    let deepest = definitions
        .keys()
        .map(|name| depth(name, &leads_to, &mut Vec::new()))
        .max();
    assert!(deepest < Some(10), "{deepest:?}");
}

fn references(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                names.insert(reference.rsplit('/').next().unwrap_or_default().to_owned());
            }
            fields.values().for_each(|value| references(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        _ => {}
    }
}

fn depth(
    name: &str,
    leads_to: &BTreeMap<&str, BTreeSet<String>>,
    above: &mut Vec<String>,
) -> usize {
    assert!(
        !above.iter().any(|outer| outer == name),
        "`{name}` contains itself: {above:?}"
    );
    above.push(name.to_owned());
    let below = leads_to[name]
        .iter()
        .map(|inner| depth(inner, leads_to, above))
        .max();
    above.pop();
    1 + below.unwrap_or(0)
}

/// Every secret is marked, and nothing else is.
#[test]
fn secrets_are_marked() {
    let document = document();
    let marked: Vec<&String> = document["$defs"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, schema)| schema.get("writeOnly").is_some())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(marked, ["Secret"]);
    for (kind, field) in [("Revealed", "secret"), ("Exported", "value")] {
        assert_eq!(
            document["$defs"][kind]["properties"][field]["$ref"],
            "#/$defs/Secret"
        );
    }
}
