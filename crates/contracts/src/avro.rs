//! Avro schemas of contracts that are flat, from the same Rust types as their JSON Schemas.
//!
//! Numbers of JSON are doubles, whole ones longs, choices strings: a new name of a choice then breaks no reader, as with JSON. What may be
//! absent is a union with null, whose default lets an older value be read by a newer schema.

use serde_json::{Map, Value, json};

use crate::Contract;

/// The Avro namespace of all schemas.
pub const NAMESPACE: &str = "org.ferraris";

/// The schema of the contract's values; `None` if they are not flat.
pub fn avro_schema(contract: &Contract) -> Option<Value> {
    let Value::Object(schema) = &contract.schema else { return None };
    let required: Vec<&str> = schema.get("required")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let field = |(name, property): (&String, &Value)| {
        let kind = kind(property)?;
        let mut field = Map::from_iter([("name".to_owned(), json!(name))]);
        if required.contains(&name.as_str()) && !is_nullable(property) {
            field.insert("type".to_owned(), kind);
        } else {
            field.insert("type".to_owned(), json!(["null", kind]));
            field.insert("default".to_owned(), Value::Null);
        }
        field.extend(property.get("description").map(|it| ("doc".to_owned(), it.clone())));
        Some(Value::Object(field))
    };
    let fields: Vec<Value> = schema.get("properties")?.as_object()?.iter().map(field).collect::<Option<_>>()?;
    let (name, doc) = (schema.get("title")?, schema.get("description"));
    Some(json!({ "type": "record", "name": name, "namespace": NAMESPACE, "doc": doc, "fields": fields }))
}

/// Whether a property's value may be null.
pub(crate) fn is_nullable(property: &Value) -> bool {
    property.get("type").and_then(Value::as_array).is_some_and(|kinds| kinds.iter().any(|it| it == "null"))
}

/// The Avro type of a property's values that are not null.
fn kind(property: &Value) -> Option<Value> {
    // A choice with descriptions is a `oneOf` of texts.
    if property.get("enum").is_some() || property.get("oneOf").is_some() {
        return Some(json!("string"));
    }
    let named = |kind: &Value| -> Option<Value> {
        match kind.as_str()? {
            "string" => Some(json!("string")),
            "integer" => Some(json!("long")),
            "number" => Some(json!("double")),
            "array" => Some(json!({ "type": "array", "items": self::kind(property.get("items")?)? })),
            _ => None,
        }
    };
    match property.get("type")? {
        Value::Array(kinds) => kinds.iter().find(|it| *it != "null").and_then(named),
        kind => named(kind),
    }
}
