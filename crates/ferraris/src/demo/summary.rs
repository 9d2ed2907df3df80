//! The demo's last words.

use std::fmt;

use fleet::audit::{Identity, Verdict};
use serde::Serialize;

use super::accounts::Prepaid;
use super::age::Ages;
use super::thief::Trial;

/// What the demo reports; also its one line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Records that the agents' journals accepted.
    pub produced: u64,
    /// Records that Kafka holds.
    pub committed: u64,
    /// Accepted and not in Kafka.
    pub lost: usize,
    /// In Kafka once too often.
    pub doubled: usize,
    /// Frames in the dead-letter topic.
    pub dead_lettered: u64,
    /// Median age of a reading when a consumer sees it; `null` if none was seen.
    pub age_p50_ms: Option<i64>,
    /// 99th percentile of the age.
    pub age_p99_ms: Option<i64>,
    /// Which Kafka: `mock` or its address.
    pub kafka: String,
    /// What was said of the simulated feeder, and what is true.
    pub thief: Trial,
    /// What was said of the prepaid accounts, and what their relays do.
    pub prepaid: Prepaid,
}

impl Summary {
    /// Of a verdict.
    pub fn new(verdict: &Verdict, dead_lettered: u64, ages: &Ages, kafka: String, thief: Trial, prepaid: Prepaid) -> Self {
        Self {
            produced: verdict.produced,
            committed: verdict.committed,
            lost: verdict.lost(),
            doubled: verdict.doubled(),
            dead_lettered,
            age_p50_ms: ages.percentile(50),
            age_p99_ms: ages.percentile(99),
            kafka,
            thief,
            prepaid,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let age = |age: Option<i64>| age.map_or_else(|| "-".to_owned(), |age| format!("{age} ms"));
        writeln!(f, "produced       {:>8}  records that the agents' journals accepted", self.produced)?;
        writeln!(f, "committed      {:>8}  records read back from Kafka", self.committed)?;
        writeln!(f, "lost           {:>8}", self.lost)?;
        writeln!(f, "doubled        {:>8}", self.doubled)?;
        writeln!(f, "dead-lettered  {:>8}", self.dead_lettered)?;
        writeln!(
            f,
            "reading age    p50 {}, p99 {}  measurement to commit, as a consumer sees it",
            age(self.age_p50_ms),
            age(self.age_p99_ms)
        )?;
        writeln!(f, "{}", self.thief)?;
        write!(f, "{}", self.prepaid)
    }
}

/// Most records named one by one.
const NAMED_MAX: usize = 10;

/// The records that make the verdict bad, by name; empty for a clean one.
pub fn accusations(verdict: &Verdict) -> Vec<String> {
    let mut lines = Vec::new();
    let mut name = |what: &str, records: &[Identity]| {
        lines.extend(records.iter().take(NAMED_MAX).map(|record| format!("{what}: {} at {} ms UTC", record.meter, record.time.0)));
        if let Some(more) = records.len().checked_sub(NAMED_MAX).filter(|&more| more > 0) {
            lines.push(format!("{what}: {more} more"));
        }
    };
    name("lost", &verdict.lost);
    name("doubled", &verdict.doubled);
    name("in Kafka but accepted by no journal", &verdict.foreign);
    lines.extend(
        verdict.repeated.iter().take(NAMED_MAX).map(|n| format!("number twice in Kafka: {} stream {} seq {}", n.meter, n.stream, n.seq)),
    );
    lines
}

#[cfg(test)]
mod tests {
    use measure::UnixMillis;

    use super::*;

    #[test]
    fn json_has_the_promised_fields_in_order() {
        let mut ages = Ages::default();
        ages.add(UnixMillis(0), UnixMillis(80));
        let verdict = Verdict { produced: 5, committed: 5, ..Verdict::default() };
        let house: measure::MeterId = "F1-H08".parse().unwrap();
        let trial = Trial { thief: house.clone(), named: Some(house), days: Some(2.5), agrees: true, false_alarms: 0 };
        let prepaid = Prepaid { account: "flats.3".parse().ok(), warned_s: Some(4.0), cut_s: Some(5.5), closed: 5, agrees: true };
        let line = serde_json::to_string(&Summary::new(&verdict, 0, &ages, "mock".to_owned(), trial, prepaid)).unwrap();
        let begin = r#"{"produced":5,"committed":5,"lost":0,"doubled":0,"dead_lettered":0,"age_p50_ms":80,"age_p99_ms":80,"kafka":"mock","#;
        let thief = r#""thief":{"thief":"F1-H08","named":"F1-H08","days":2.5,"agrees":true,"false_alarms":0},"#;
        let end = r#""prepaid":{"account":"flats.3","warned_s":4.0,"cut_s":5.5,"closed":5,"agrees":true}}"#;
        assert_eq!(line, format!("{begin}{thief}{end}"));
    }

    #[test]
    fn a_bad_verdict_names_its_records_up_to_a_limit() {
        let meter = "M1".parse().unwrap();
        let lost: Vec<_> = (0..12).map(|n| Identity::of(&meter, UnixMillis(n), b"x")).collect();
        let lines = accusations(&Verdict { lost, ..Verdict::default() });
        assert_eq!(lines.len(), 11);
        assert_eq!(lines.last().map(String::as_str), Some("lost: 2 more"));
        assert!(accusations(&Verdict::default()).is_empty());
    }
}
