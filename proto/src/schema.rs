//! The JSON form of every message as a JSON Schema, made from the types.
//!
//! `docs/protocol.schema.json` is this document; `tests/schema.rs` holds the file against the types.
//! Only that test needs the feature `schema`: client and daemon are built without.
//!
//! The schema is exact, which the daemon is not: it describes what is sent, so that every field is
//! there, absent values are `null`, and nothing else is. What the types do not tell (which answer
//! belongs to which request, limits in bytes) is in `docs/protocol.md`.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{Schema, json_schema};
use serde_json::{Value, json};

use crate::frame::FRAME_MAX;
use crate::hello::HIGHEST;
use crate::message::{ClientFrame, ServerFrame};

/// The whole document: `$defs` for every type, a frame of either end at the root.
pub fn document() -> Value {
    // what is sent, not what is understood: a field that may be missing when it is read is written
    // as `null`
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .with_transform(Exact)
        .into_generator();
    let client = generator.subschema_for::<ClientFrame>();
    let server = generator.subschema_for::<ServerFrame>();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("The protocol between authsome and authsomed, version {HIGHEST}, in JSON"),
        "description": format!(
            "One frame after the opening, of at most {FRAME_MAX} bytes. See protocol.md. Made from the types in proto/src: not to be edited."
        ),
        "oneOf": [client, server],
        "$defs": generator.take_definitions(true),
    })
}

/// A name of ASCII characters.
pub(crate) fn name(doc: &str, pattern: &str, max: usize) -> Schema {
    json_schema!({
        "type": "string",
        "description": doc.trim(),
        "pattern": pattern,
        "minLength": 1,
        "maxLength": max,
    })
}

/// A secret.
pub(crate) fn secret(max: usize) -> Schema {
    json_schema!({
        "type": "string",
        "description": format!("A secret of at most {max} bytes: not to be shown, logged or kept."),
        "writeOnly": true,
    })
}

/// Says of each object that it has no other fields, of each number how large it is, and takes the
/// links of the source code out of the texts.
#[derive(Debug, Clone)]
struct Exact;

impl Transform for Exact {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if schema.get("properties").is_some() {
            schema.insert("additionalProperties".into(), false.into());
        }
        let max: Option<Value> = match schema.get("format").and_then(Value::as_str) {
            Some("uint32") => Some(u32::MAX.into()),
            Some("uint64") => Some(u64::MAX.into()),
            Some("int64") => {
                schema.insert("minimum".into(), i64::MIN.into());
                Some(i64::MAX.into())
            }
            _ => None,
        };
        if let Some(max) = max {
            schema.insert("maximum".into(), max);
        }
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text
                .replace('\n', " ")
                .replace("[`", "`")
                .replace("`]", "`")
                .replace("crate::environment::", "");
        }
    }
}
