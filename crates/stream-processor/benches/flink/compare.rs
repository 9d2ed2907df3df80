//! The intervals of both, side by side.

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::kafka::Row;

/// What is compared, to 0.001 of its unit. Registers count 0.01 Wh, voltages mV: that is all of their digits.
const NUMBERS: [&str; 9] = [
    "import_wh",
    "export_wh",
    "import_register_wh",
    "export_register_wh",
    "readings",
    "covered_ms",
    "voltage_mean_v",
    "voltage_min_v",
    "voltage_max_v",
];

/// Meter, channel, length, start.
pub type Key = (String, i64, String, i64);

/// An interval as it was last told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Where it ends.
    pub end_ms: i64,
    /// A, R, E, S or X.
    pub quality: String,
    numbers: [Option<i64>; NUMBERS.len()],
}

/// What one of them wrote.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The intervals, each as it was last told.
    pub intervals: BTreeMap<Key, Interval>,
    /// Records of each, tombstones included.
    pub records: BTreeMap<Key, usize>,
}

impl Told {
    /// Of the processor's topic: the highest revision counts.
    pub fn by_revision(rows: &[Row]) -> Self {
        let mut values: Vec<Value> = rows.iter().map(|row| serde_json::from_slice(row.value.as_deref().unwrap()).unwrap()).collect();
        values.sort_by_key(|it| it["revision"].as_u64().unwrap());
        let mut told = Self::default();
        values.iter().for_each(|it| told.take(key(it), Some(it)));
        told
    }

    /// Of a topic of upserts: the last record of a key counts.
    pub fn by_order(rows: &[Row]) -> Self {
        let mut told = Self::default();
        for row in rows {
            let key = key(&serde_json::from_slice(row.key.as_deref().unwrap()).unwrap());
            let value = row.value.as_deref().map(|it| serde_json::from_slice::<Value>(it).unwrap());
            told.take(key, value.as_ref());
        }
        told
    }

    fn take(&mut self, key: Key, value: Option<&Value>) {
        *self.records.entry(key.clone()).or_default() += 1;
        match value {
            Some(value) => _ = self.intervals.insert(key, interval(value)),
            None => _ = self.intervals.remove(&key),
        }
    }

    /// Without the intervals that `keep` does not name.
    pub fn retain(&mut self, keep: impl Fn(&Key, i64) -> bool) {
        self.intervals.retain(|key, it| keep(key, it.end_ms));
        let Self { intervals, records } = self;
        records.retain(|key, _| intervals.contains_key(key));
    }

    /// How many intervals were told more than once.
    pub fn revised(&self) -> usize {
        self.records.values().filter(|it| **it > 1).count()
    }

    /// How many have this quality.
    pub fn count(&self, quality: &str) -> usize {
        self.intervals.values().filter(|it| it.quality == quality).count()
    }
}

/// A sentence for each interval that both do not tell in the same way.
pub fn differences(ours: &Told, theirs: &Told) -> Vec<String> {
    let mut found = Vec::new();
    for (key, interval) in &ours.intervals {
        match theirs.intervals.get(key) {
            None => found.push(format!("{key:?}: ours alone: {interval:?}")),
            Some(other) if other != interval => found.push(format!("{key:?}: {}", difference(interval, other))),
            Some(_) => {}
        }
    }
    let only_theirs = theirs.intervals.iter().filter(|(key, _)| !ours.intervals.contains_key(*key));
    found.extend(only_theirs.map(|(key, interval)| format!("{key:?}: Flink's alone: {interval:?}")));
    found
}

fn difference(ours: &Interval, theirs: &Interval) -> String {
    let mut parts = Vec::new();
    if ours.quality != theirs.quality {
        parts.push(format!("quality {} and {}", ours.quality, theirs.quality));
    }
    for ((name, ours), theirs) in NUMBERS.iter().zip(ours.numbers).zip(theirs.numbers).filter(|((_, ours), theirs)| ours != theirs) {
        parts.push(format!("{name} {ours:?} and {theirs:?}, in thousandths"));
    }
    parts.join("; ")
}

fn key(value: &Value) -> Key {
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    (text("meter"), value["channel"].as_i64().unwrap(), text("length"), value["start_ms"].as_i64().unwrap())
}

fn interval(value: &Value) -> Interval {
    let numbers = NUMBERS.map(|name| value[name].as_f64().map(|it| (it * 1_000.0).round() as i64));
    Interval { end_ms: value["end_ms"].as_i64().unwrap(), quality: value["quality"].as_str().unwrap().to_owned(), numbers }
}
