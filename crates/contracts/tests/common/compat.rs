//! What in a new JSON Schema breaks those who read by the old one, or keeps new code from reading old values.
//!
//! Only for the schemas that this crate emits: objects, arrays, scalars and `oneOf`, all written out in place.

use std::collections::BTreeSet;

use serde_json::Value;

/// One sentence for each break, naming the field.
pub fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", old, new, &mut found);
    found
}

fn compare(field: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    // What a value is must stay, to the width of its integers: consumers have typed columns.
    for key in ["type", "format", "const", "enum", "minimum", "maximum", "pattern"] {
        if old[key] != new[key] {
            found.push(format!("{}: {key} was {} and is {}", name(field), old[key], new[key]));
        }
    }
    compare_fields(field, old, new, found);
    if !old["items"].is_null() {
        compare(&format!("{field}[]"), &old["items"], &new["items"], found);
    }
    compare_shapes(field, old, new, found);
}

fn compare_fields(field: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    for (key, old_field) in old["properties"].as_object().into_iter().flatten() {
        let inner = format!("{field}.{key}");
        match new["properties"].get(key) {
            Some(new_field) => compare(&inner, old_field, new_field, found),
            None => found.push(format!("{}: removed", name(&inner))),
        }
    }
    let (before, after) = (required(old), required(new));
    for key in after.difference(&before) {
        found.push(format!("{}: newly required, old values lack it", name(&format!("{field}.{key}"))));
    }
    // A removed field was reported above.
    for key in before.difference(&after).filter(|key| new["properties"].get(**key).is_some()) {
        found.push(format!("{}: no longer always there", name(&format!("{field}.{key}"))));
    }
}

/// A `oneOf` may grow: its descriptions say so. None of its shapes may go.
fn compare_shapes(field: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    for old_shape in old["oneOf"].as_array().into_iter().flatten() {
        let tag = tag(old_shape);
        let new_shape = new["oneOf"].as_array().into_iter().flatten().find(|it| self::tag(it) == tag);
        let inner = format!("{field}({})", tag.clone().unwrap_or_default());
        match new_shape {
            Some(new_shape) => compare(&inner, old_shape, new_shape, found),
            None => found.push(format!("{}: shape removed", name(&inner))),
        }
    }
}

/// What tells a shape from the others: its constant, or the constant of its tag field.
fn tag(shape: &Value) -> Option<String> {
    let own = shape["const"].as_str();
    let of_field = || shape["properties"].as_object()?.values().find_map(|it| it["const"].as_str());
    own.or_else(of_field).map(str::to_owned)
}

fn required(schema: &Value) -> BTreeSet<&str> {
    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn name(field: &str) -> &str {
    let field = field.strip_prefix('.').unwrap_or(field);
    if field.is_empty() { "the value" } else { field }
}
