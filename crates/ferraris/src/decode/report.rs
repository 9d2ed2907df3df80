//! What is known of some bytes, for people and as JSON.

use measure::Record;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The checksum of frames and acknowledgements, to say what it should have been.
pub const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

/// Bytes shown of a field; more are counted.
const BYTES_SHOWN: usize = 8;

/// What is known of some bytes.
#[derive(Debug)]
pub struct Report {
    /// What they are.
    pub kind: &'static str,
    /// How many.
    pub length: usize,
    /// What they say, as far as it can be read, in order.
    pub fields: Vec<Field>,
    /// What is wrong with them.
    pub fault: Option<Fault>,
}

/// A run of bytes that says one thing.
#[derive(Debug)]
pub struct Field {
    /// Of its first byte.
    pub offset: usize,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What it is called.
    pub name: String,
    /// What it says; an object for a record.
    pub value: Value,
}

/// What is wrong, and where.
#[derive(Debug, Serialize)]
pub struct Fault {
    /// For people: `byte 12`, `bytes 30-33`.
    pub place: String,
    /// For people.
    pub what: String,
}

impl Report {
    /// Of nothing yet.
    pub const fn new(kind: &'static str, length: usize) -> Self {
        Self { kind, length, fields: Vec::new(), fault: None }
    }

    /// Of bytes that begin like nothing of ours.
    pub fn unknown(length: usize, first: u8) -> Self {
        let what = format!(
            "{first:#04x} begins neither a frame ({:#04x}) nor an acknowledgement ({:#04x}) nor a batch of these ({:#04x})",
            wire::frame::MAGIC,
            wire::ack::MAGIC,
            wire::ack_batch::MAGIC
        );
        Self { fault: Some(Fault { place: "byte 0".to_owned(), what }), ..Self::new("unknown bytes", length) }
    }

    /// Appends the field at `from..to`, if the bytes reach that far.
    pub fn field(&mut self, all: &[u8], from: usize, to: usize, name: impl Into<String>, value: Value) {
        if let Some(bytes) = all.get(from..to) {
            self.fields.push(Field { offset: from, bytes: bytes.to_vec(), name: name.into(), value });
        }
    }

    /// Appends the checksum, the last four bytes, and before it what no field covers; whether it is right.
    pub fn checksum(&mut self, all: &[u8]) -> bool {
        let Some((message, stored)) = all.split_last_chunk::<4>() else { return false };
        let read = self.fields.last().map_or(0, |last| last.offset.saturating_add(last.bytes.len()));
        if read < message.len() {
            self.field(all, read, message.len(), "unread", Value::Null);
        }
        let (stored, computed) = (u32::from_le_bytes(*stored), CRC32C.checksum(message));
        let verdict = if stored == computed { format!("{stored:#010x}") } else { format!("{stored:#010x}, should be {computed:#010x}") };
        self.field(all, message.len(), all.len(), "checksum", json!(verdict));
        stored == computed
    }

    /// Sets what is wrong from byte `from` to byte `to`, the latter excluded.
    pub fn wrong(&mut self, from: usize, to: usize, what: impl ToString) {
        let last = to.saturating_sub(1);
        let place = if last > from { format!("bytes {from}-{last}") } else { format!("byte {from}") };
        self.fault = Some(Fault { place, what: what.to_string() });
    }

    /// For people.
    pub fn to_lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{}, {} bytes", self.kind, self.length)];
        for field in &self.fields {
            let shown: Vec<String> = field.bytes.iter().take(BYTES_SHOWN).map(|byte| format!("{byte:02x}")).collect();
            let more = field.bytes.len().saturating_sub(BYTES_SHOWN);
            let shown = if more > 0 { format!("{} +{more}", shown.join(" ")) } else { shown.join(" ") };
            let head = format!("{:>5}  {shown:<27} {:<14}", field.offset, field.name);
            match &field.value {
                Value::Object(members) => {
                    lines.push(head.trim_end().to_owned());
                    flatten("", members, &mut |name, value| lines.push(format!("{:>36}{name:<28} {value}", "")));
                }
                value => lines.push(format!("{head} {}", plain(value)).trim_end().to_owned()),
            }
        }
        lines
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let fields: Vec<Value> = self.fields.iter().map(Field::to_json).collect();
        json!({ "kind": self.kind, "length_bytes": self.length, "fields": fields, "fault": self.fault })
    }
}

impl Field {
    fn to_json(&self) -> Value {
        json!({ "offset": self.offset, "hex": hex::encode(&self.bytes), "name": self.name, "value": self.value })
    }
}

/// A record as an object: what it is, then its own fields.
pub fn record(record: &Record) -> Value {
    let (kind, value) = match record {
        Record::Hello(hello) => ("hello", serde_json::to_value(hello)),
        Record::Reading(reading) => ("reading", serde_json::to_value(reading)),
        Record::Event(event) => ("event", serde_json::to_value(event)),
        Record::Gap(gap) => ("gap", serde_json::to_value(gap)),
        Record::Outcome(outcome) => ("outcome", serde_json::to_value(outcome)),
    };
    // Fixed-point numbers and names always have a JSON form.
    json!({ kind: value.unwrap_or(Value::Null) })
}

/// Nested members under dotted names.
fn flatten(prefix: &str, members: &Map<String, Value>, each: &mut impl FnMut(&str, String)) {
    for (name, value) in members {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Object(members) => flatten(&name, members, each),
            value => each(&name, plain(value)),
        }
    }
}

/// A value without JSON's quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
