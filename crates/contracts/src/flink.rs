//! Flink SQL tables of the Kafka topics, from the same Rust types as their JSON Schemas.
//!
//! Numbers of JSON are DOUBLE, whole ones BIGINT, choices STRING: a new name of a choice then breaks no job. A field that is always there is
//! NOT NULL. A contract of several shapes is one table with the columns of all of them. Compacted topics are tables that change by key, the
//! others are logs.

use serde_json::Value;

use crate::avro::is_nullable;
use crate::contract::all;
use crate::topics::{self, Cleanup, KafkaTopic};

/// The time of a log's records that windows and joins go by, and how many minutes later they may come.
const EVENT_TIMES: [(&str, &str, u32); 6] = [
    (topics::READINGS.name, "`time_ms`", 2),
    // Some happened long before, at a meter that was offline; when the head-end knew is what all of them have.
    (topics::EVENTS.name, "COALESCE(`received_ms`, `at_ms`)", 1),
    // Written when its readings are complete: two minutes after its end, and later if some were missing.
    (topics::INTERVALS.name, "`end_ms`", 10),
    (topics::FEEDER_INTERVALS.name, "`end_ms`", 10),
    (topics::FEEDER_EVENTS.name, "`at_ms`", 1),
    (topics::COMMANDS.name, "`issued_ms`", 1),
];

const HEAD: &str = "\
-- The Kafka topics of Ferraris as tables of Flink SQL, generated from the contracts: docs/flink.md says how to use them.
-- For another Kafka, or topics with a prefix: ALTER TABLE ... SET ('properties.bootstrap.servers' = '...', 'topic' = '...').
";

/// A column of a table.
struct Column<'a> {
    name: &'a str,
    kind: String,
    /// In how many of the contract's shapes it is always there.
    always_in: usize,
    /// How many shapes there are.
    shapes: usize,
}

/// The statements that make a table of each topic. They are checked in as `deploy/flink/topics.sql`.
///
/// `None` if a contract can't be a table: two of its shapes use one name for values of different types.
pub fn flink_tables() -> Option<String> {
    let contracts = all();
    let mut text = HEAD.to_owned();
    for topic in &topics::ALL {
        let schema = &contracts.iter().find(|it| it.name == topic.name)?.schema;
        text.push_str(&table(topic, &columns(schema)?));
    }
    Some(text)
}

/// The name of a topic's table.
pub fn flink_table_name(topic: &KafkaTopic) -> String {
    topic.name.replace(['.', '-'], "_")
}

fn table(topic: &KafkaTopic, columns: &[Column<'_>]) -> String {
    let (lines, options) = if topic.name == topics::DEAD_LETTERS.name {
        (of_headers(columns), log("raw"))
    } else if topic.cleanup == Cleanup::Compact {
        (by_key(columns), upserts())
    } else {
        (of_values(topic, columns), log("json"))
    };
    let internal = if topic.internal { " Internal." } else { "" };
    format!(
        "\n-- {}{internal}\nCREATE TABLE `{}` (\n  {}\n) WITH (\n  {}\n);\n",
        topic.description,
        flink_table_name(topic),
        lines.join(",\n  "),
        options.replace("{topic}", topic.name),
    )
}

/// A log of JSON.
fn of_values(topic: &KafkaTopic, columns: &[Column<'_>]) -> Vec<String> {
    let mut lines: Vec<String> = columns.iter().map(Column::line).collect();
    lines.push(RECORD_TIME.to_owned());
    if let Some((_, time, minutes)) = EVENT_TIMES.iter().find(|(name, ..)| *name == topic.name) {
        lines.push(format!("`event_time` AS TO_TIMESTAMP_LTZ({time}, 3)"));
        lines.push(format!("WATERMARK FOR `event_time` AS `event_time` - INTERVAL '{minutes}' MINUTE"));
    }
    lines
}

/// When Kafka appended it.
const RECORD_TIME: &str = "`record_time` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL";

/// The last record of each key; a tombstone deletes the row.
fn by_key(columns: &[Column<'_>]) -> Vec<String> {
    let mut lines = vec!["`record_key` STRING NOT NULL".to_owned()];
    lines.extend(columns.iter().map(Column::line));
    lines.push("PRIMARY KEY (`record_key`) NOT ENFORCED".to_owned());
    lines
}

/// A log of bytes; the contract's fields are headers, as text.
fn of_headers(columns: &[Column<'_>]) -> Vec<String> {
    let mut lines = vec!["`payload` BYTES".to_owned(), "`headers` MAP<STRING, BYTES> NOT NULL METADATA VIRTUAL".to_owned()];
    lines.push(RECORD_TIME.to_owned());
    for Column { name, kind, .. } in columns {
        let text = format!("CAST(`headers`['{name}'] AS STRING)");
        lines.push(if kind == "STRING" { format!("`{name}` AS {text}") } else { format!("`{name}` AS CAST({text} AS {kind})") });
    }
    lines
}

const KAFKA: &str = "'topic' = '{topic}',
  'properties.bootstrap.servers' = 'localhost:9092',
  'properties.isolation.level' = 'read_committed',";

fn log(format: &str) -> String {
    format!("'connector' = 'kafka',\n  {KAFKA}\n  'scan.startup.mode' = 'earliest-offset',\n  'format' = '{format}'")
}

fn upserts() -> String {
    format!(
        "'connector' = 'upsert-kafka',\n  {KAFKA}\n  'key.format' = 'raw',\n  'value.format' = 'json',\n  'value.fields-include' = 'EXCEPT_KEY'"
    )
}

impl Column<'_> {
    fn line(&self) -> String {
        let not_null = if self.always_in == self.shapes { " NOT NULL" } else { "" };
        format!("`{}` {}{not_null}", self.name, self.kind)
    }
}

/// The fields of an object, or of all the objects that it may be: those that are always there first, in their order.
fn columns(schema: &Value) -> Option<Vec<Column<'_>>> {
    let shapes: Vec<&Value> = match schema.get("oneOf").and_then(Value::as_array) {
        Some(shapes) => shapes.iter().collect(),
        None => vec![schema],
    };
    let mut columns: Vec<Column<'_>> = Vec::new();
    for shape in &shapes {
        let properties = shape.get("properties")?.as_object()?;
        let required = shape.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: Vec<&str> = required.filter_map(Value::as_str).collect();
        let optional = properties.keys().map(String::as_str).filter(|it| !required.contains(it));
        for name in required.iter().copied().chain(optional) {
            let property = properties.get(name)?;
            let (kind, is_always) = (kind(property)?, required.contains(&name) && !is_nullable(property));
            match columns.iter_mut().find(|it| it.name == name) {
                Some(known) if known.kind != kind => return None,
                Some(known) => known.always_in = known.always_in.saturating_add(is_always.into()),
                None => columns.push(Column { name, kind, always_in: is_always.into(), shapes: shapes.len() }),
            }
        }
    }
    Some(columns)
}

/// The Flink type of a property's values that are not null.
fn kind(property: &Value) -> Option<String> {
    // What may be absent is it or null.
    if let Some(either) = property.get("anyOf").and_then(Value::as_array) {
        return kind(either.iter().find(|it| it.get("type").is_none_or(|name| name != "null"))?);
    }
    // A choice with descriptions is a `oneOf` of texts.
    if property.get("enum").is_some() || property.get("oneOf").is_some() {
        return Some("STRING".to_owned());
    }
    let named = match property.get("type")? {
        Value::Array(kinds) => kinds.iter().find(|it| *it != "null")?,
        kind => kind,
    };
    Some(match named.as_str()? {
        "string" => "STRING".to_owned(),
        "boolean" => "BOOLEAN".to_owned(),
        // Flink's TINYINT ends at 127.
        "integer" if property.get("format").is_some_and(|it| it == "uint8") => "SMALLINT".to_owned(),
        "integer" => "BIGINT".to_owned(),
        "number" => "DOUBLE".to_owned(),
        "array" => format!("ARRAY<{}>", kind(property.get("items")?)?),
        "object" => {
            let fields = columns(property)?;
            let fields: Vec<String> = fields.iter().map(|it| format!("`{}` {}", it.name, it.kind)).collect();
            format!("ROW<{}>", fields.join(", "))
        }
        _ => return None,
    })
}
