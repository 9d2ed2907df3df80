//! A released contract is never broken: what consumers were promised stays.
#![expect(clippy::unwrap_used, reason = "test code: what is not there fails the test")]

mod common;

use std::fs;

use common::compat::breaks;
use common::files::{path, read};
use contracts::all;
use serde_json::{Value, json};

#[test]
fn released_contracts_hold() {
    let mut found = Vec::new();
    let mut checked = 0;
    let releases = fs::read_dir(path("released")).unwrap().map(|it| it.unwrap().path());
    for release in releases.filter(|it| it.is_dir()) {
        for file in fs::read_dir(release).unwrap() {
            let file = file.unwrap().path();
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let released = read(&file);
            checked += 1;
            match all().iter().find(|it| it.name == stem) {
                Some(now) => found.extend(breaks(&released, &now.schema).into_iter().map(|it| format!("{stem}: {it}"))),
                None => found.push(format!("{stem}: the contract is gone")),
            }
        }
    }
    assert!(checked > 0, "released/ is empty");
    assert!(found.is_empty(), "this breaks released contracts; give the topic a new version instead:\n{}", found.join("\n"));
}

/// A small contract to break.
fn contract() -> Value {
    json!({
        "type": "object",
        "properties": {
            "meter": { "type": "string" },
            "seq": { "type": "integer", "format": "uint64", "minimum": 0 },
            "flags": { "type": "array", "items": { "type": "string" } },
            "clock": { "type": "string", "enum": ["synchronised", "unknown"] },
            "note": { "type": ["string", "null"] },
            "what": { "oneOf": [
                { "type": "object", "properties": { "record": { "const": "event" }, "kind": { "type": "string" } }, "required": ["record", "kind"] },
                { "type": "string", "const": "nothing" },
            ] },
        },
        "required": ["meter", "seq", "flags", "clock", "what"],
    })
}

/// What `change` breaks.
fn after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut new = contract();
    change(&mut new);
    breaks(&contract(), &new)
}

fn remove(schema: &mut Value, field: &str) {
    schema["properties"].as_object_mut().unwrap().remove(field);
    schema["required"].as_array_mut().unwrap().retain(|it| it != field);
}

#[test]
fn nothing_and_an_optional_field_break_nothing() {
    assert_eq!(after(|_| ()), Vec::<String>::new());
    assert_eq!(after(|it| it["properties"]["account"] = json!({ "type": ["string", "null"] })), Vec::<String>::new());
    assert_eq!(after(|it| it["properties"]["meter"]["description"] = "other words".into()), Vec::<String>::new());
}

#[test]
fn a_removed_field_is_named() {
    assert_eq!(after(|it| remove(it, "seq")), ["seq: removed"]);
    assert_eq!(after(|it| remove(&mut it["properties"]["what"]["oneOf"][0], "kind")), ["what(event).kind: removed"]);
}

#[test]
fn a_changed_type_is_named() {
    assert_eq!(after(|it| it["properties"]["meter"]["type"] = "integer".into()), [r#"meter: type was "string" and is "integer""#]);
    assert_eq!(after(|it| it["properties"]["seq"]["format"] = "uint32".into()), [r#"seq: format was "uint64" and is "uint32""#]);
    assert_eq!(after(|it| it["properties"]["note"]["type"] = "string".into()), [r#"note: type was ["string","null"] and is "string""#]);
    let items = after(|it| it["properties"]["flags"]["items"]["type"] = "integer".into());
    assert_eq!(items, [r#"flags[]: type was "string" and is "integer""#]);
    let nested = after(|it| it["properties"]["what"]["oneOf"][0]["properties"]["kind"]["type"] = "integer".into());
    assert_eq!(nested, [r#"what(event).kind: type was "string" and is "integer""#]);
    assert_eq!(after(|it| it["type"] = "array".into()), [r#"the value: type was "object" and is "array""#]);
}

#[test]
fn a_newly_required_field_is_named() {
    let new_field = after(|it| {
        it["properties"]["account"] = json!({ "type": "string" });
        it["required"].as_array_mut().unwrap().push("account".into());
    });
    assert_eq!(new_field, ["account: newly required, old values lack it"]);
    let known = after(|it| it["required"].as_array_mut().unwrap().push("note".into()));
    assert_eq!(known, ["note: newly required, old values lack it"]);
}

#[test]
fn a_field_that_may_be_missing_now_is_named() {
    assert_eq!(after(|it| it["required"].as_array_mut().unwrap().retain(|it| it != "seq")), ["seq: no longer always there"]);
}

#[test]
fn a_closed_choice_stays_and_an_open_one_only_grows() {
    let closed = after(|it| it["properties"]["clock"]["enum"].as_array_mut().unwrap().push("holdover".into()));
    assert_eq!(closed, [r#"clock: enum was ["synchronised","unknown"] and is ["synchronised","unknown","holdover"]"#]);
    let grown = after(|it| it["properties"]["what"]["oneOf"].as_array_mut().unwrap().push(json!({ "const": "more", "type": "string" })));
    assert_eq!(grown, Vec::<String>::new());
    let shrunk = after(|it| drop(it["properties"]["what"]["oneOf"].as_array_mut().unwrap().pop()));
    assert_eq!(shrunk, ["what(nothing): shape removed"]);
}
