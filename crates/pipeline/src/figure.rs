//! Figures and their targets, as a table or as JSON.

use serde_json::json;

use crate::backlog::Drained;
use crate::backlog::story::Backlog;
use crate::memory::Memory;
use crate::peers::{self, Race};
use crate::plan::Load;
use crate::recovery::Recovery;
use crate::registers::Registers;
use crate::scenario::{Outcome, PROCESSES};

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// Told, not judged.
    None,
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// One number.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    target: Target,
}

impl Figure {
    /// Whether the target is reached.
    pub fn ok(&self) -> bool {
        match self.target {
            Target::None => true,
            Target::AtLeast(least) => self.value >= least,
            Target::AtMost(most) => self.value <= most,
        }
    }

    /// `{"name","value","unit","target","ok"}`.
    pub fn json(&self) -> String {
        let target = match self.target {
            Target::None => None,
            Target::AtLeast(value) | Target::AtMost(value) => Some(value),
        };
        let value = (self.value * 1000.0).round() / 1000.0;
        json!({ "name": self.name, "value": value, "unit": self.unit, "target": target, "ok": self.ok() }).to_string()
    }
}

impl Figure {
    /// One without a target.
    pub fn told(name: &str, value: f64, unit: &'static str) -> Self {
        Self { name: name.to_owned(), value, unit, target: Target::None }
    }

    /// As a row of a table in Markdown: name, value, target, verdict.
    pub fn table_row(&self) -> String {
        let target = match self.target {
            Target::None => String::new(),
            Target::AtLeast(least) => format!("≥ {least} "),
            Target::AtMost(most) => format!("≤ {most} "),
        };
        let verdict = match self.target {
            Target::None => "",
            _ if self.ok() => "reached ",
            _ => "missed ",
        };
        // A bar would end the cell.
        format!("| {} | {:.1} {} | {target}| {verdict}|", self.name.replace('|', "/"), self.value, self.unit)
    }
}

/// A line for each figure that has a target, and what became of it.
pub fn verdicts(figures: &[Figure]) -> Vec<String> {
    figures.iter().filter(|it| !matches!(it.target, Target::None)).map(line).collect()
}

/// A figure, and what became of its target if it has one.
pub fn line(it: &Figure) -> String {
    let measured = format!("{:<76} {:>10.1} {:<9}", it.name, it.value, it.unit);
    let verdict = if it.ok() { "ok" } else { "MISSED" };
    match it.target {
        Target::None => measured.trim_end().to_owned(),
        Target::AtLeast(target) => format!("{measured} >= {target:<7} {verdict}"),
        Target::AtMost(target) => format!("{measured} <= {target:<7} {verdict}"),
    }
}

/// A load in words.
pub fn title(load: &Load, processors: usize) -> String {
    let rate = load.rate.map_or_else(|| "as fast as acknowledged".to_owned(), |rate| format!("{rate:.0} frames/s"));
    let processors = if processors == 1 { String::new() } else { format!(", {processors} processors") };
    format!("{} meters, {rate}, records/frame {}{processors}", load.meters, load.records_per_frame)
}

/// All figures of a run, judged where the load is one that has targets.
pub fn figures(it: &Outcome) -> Vec<Figure> {
    let Load { meters, records_per_frame, rate, .. } = it.load;
    let unpaced = |records: usize| rate.is_none() && records_per_frame == records && it.processors == 1;
    let when = |applies: bool, target: Target| if applies { target } else { Target::None };
    let many = meters >= 500 && rate == Some(5_000.0) && records_per_frame == 1;
    let few = meters == 20 && rate == Some(20.0);
    let mut figures = Vec::new();
    let mut add = |what: &str, value: f64, unit: &'static str, target: Target| {
        figures.push(Figure { name: format!("{}: {what}", title(&it.load, it.processors)), value, unit, target });
    };
    add("frames", it.frames_per_s, "1/s", when(unpaced(1), Target::AtLeast(50_000.0)));
    add("readings", it.readings_per_s, "1/s", when(unpaced(32), Target::AtLeast(500_000.0)));
    for (process, cpu_us) in PROCESSES.iter().zip(it.cpu_us) {
        add(&format!("CPU, {process}"), cpu_us, "us/frame", Target::None);
    }
    add("CPU, gate and processor", it.own_cpu_us(), "us/frame", when(unpaced(1), Target::AtMost(9.4)));
    add("transactions", it.transactions_per_s, "1/s", Target::None);
    add("age p50", it.age.p50, "ms", when(many, Target::AtMost(35.0)));
    let p99 = if few { Target::AtMost(60.0) } else { when(many, Target::AtMost(100.0)) };
    add("age p99", it.age.p99, "ms", p99);
    add("age max", it.age.max, "ms", Target::None);
    add("peak memory, gate", it.peak_rss[0] / 1e6, "MB", Target::None);
    add("peak memory, processor", it.peak_rss[1] / 1e6, "MB", Target::AtMost(200.0));
    add("lost", it.verdict.lost as f64, "records", Target::AtMost(0.0));
    add("doubled", (it.verdict.doubled + it.verdict.foreign) as f64, "records", Target::AtMost(0.0));
    add("rate not held", f64::from(u8::from(!it.counts())), "", Target::AtMost(0.0));
    figures
}

/// What a killed processor cost.
pub fn recovery(it: &Recovery) -> Vec<Figure> {
    let figure =
        |what: &str, value: f64, unit: &'static str, target: Target| Figure { name: format!("recovery: {what}"), value, unit, target };
    vec![
        figure("kill -9 to the successor's first commit", it.seconds, "s", Target::AtMost(10.0)),
        figure("age max", it.age.max, "ms", Target::None),
        figure("lost", it.verdict.lost as f64, "records", Target::AtMost(0.0)),
        figure("doubled", (it.verdict.doubled + it.verdict.foreign) as f64, "records", Target::AtMost(0.0)),
    ]
}

/// What a processor holds that knows many meters.
pub fn memory(it: &Memory) -> Vec<Figure> {
    let figure =
        |what: &str, bytes: f64, target: Target| Figure { name: format!("memory: {what}"), value: bytes / 1e6, unit: "MB", target };
    vec![
        figure("100,000 meters known by the ledger", it.known, Target::AtMost(200.0)),
        figure("the same at the end of the load", it.end, Target::AtMost(200.0)),
        figure("growth under load", it.end - it.begin, Target::AtMost(10.0)),
    ]
}

/// A load on our way and on that of Mosquitto and Telegraf.
pub fn race(it: &Race) -> Vec<Figure> {
    let title = title(&it.ours.load, 1);
    let mut figures = Vec::new();
    let mut add = |what: &str, value: f64, unit: &'static str, target: Target| {
        figures.push(Figure { name: format!("peers: {title}: {what}"), value, unit, target });
    };
    add("Mosquitto and Telegraf, messages", it.theirs.messages_per_s, "1/s", Target::None);
    for (process, cpu_us) in peers::PROCESSES.iter().zip(it.theirs.cpu_us) {
        add(&format!("theirs, CPU, {process}"), cpu_us, "us/frame", Target::None);
    }
    add("ours, frames", it.ours.frames_per_s, "1/s", Target::None);
    for (process, cpu_us) in PROCESSES.iter().zip(it.ours.cpu_us) {
        add(&format!("ours, CPU, {process}"), cpu_us, "us/frame", Target::None);
    }
    // At a pace both mostly wake up; what a frame costs is told by as many as there can be.
    let target = if it.ours.load.rate.is_none() { Target::AtLeast(5.0) } else { Target::None };
    add("CPU, Mosquitto and Telegraf over gate and processor", it.ratio(), "times", target);
    figures
}

/// A backlog in words.
pub fn backlog_title(it: &Backlog) -> String {
    format!("backlog: {} meters with {} records each, {:.0} live readings/s", it.meters, it.records, it.live_per_s)
}

/// How meters got rid of their backlog.
pub fn backlog(it: &Drained) -> Vec<Figure> {
    let title = backlog_title(&it.backlog);
    let mut figures = Vec::new();
    let mut add = |what: &str, value: f64, unit: &'static str, target: Target| {
        figures.push(Figure { name: format!("{title}: {what}"), value, unit, target });
    };
    add("drained", it.readings_per_s(), "1/s", Target::AtLeast(200_000.0));
    add("time", it.seconds, "s", Target::None);
    add("live, age p50 before", it.before.p50, "ms", Target::None);
    add("live, age p99 before", it.before.p99, "ms", Target::None);
    add("live, age p50 meanwhile", it.meanwhile.p50, "ms", Target::None);
    add("live, age p99 meanwhile", it.meanwhile.p99, "ms", Target::AtMost(1_000.0));
    add("live, age max meanwhile", it.meanwhile.max, "ms", Target::None);
    for (process, cpu_us) in PROCESSES.iter().zip(it.cpu_us) {
        add(&format!("CPU, {process}"), cpu_us, "us/reading", Target::None);
    }
    add("peak memory, gate", it.peak_rss[0] / 1e6, "MB", Target::None);
    add("peak memory, processor", it.peak_rss[1] / 1e6, "MB", Target::AtMost(200.0));
    add("frames sent again", it.repeated as f64, "frames", Target::None);
    add("lost", it.verdict.lost as f64, "records", Target::AtMost(0.0));
    add("doubled", (it.verdict.doubled + it.verdict.foreign) as f64, "records", Target::AtMost(0.0));
    figures
}

/// Registers of all meters, each once, on their way into Kafka and PostgreSQL.
pub fn registers(it: &Registers) -> Vec<Figure> {
    let figure =
        |what: &str, value: f64, unit: &'static str, target: Target| Figure { name: format!("registers: {what}"), value, unit, target };
    vec![
        figure("registers", it.rows as f64, "", Target::AtLeast(50_000.0)),
        figure("from the first frame until all are in Kafka", it.kafka_s, "s", Target::None),
        figure("from the first frame until all are in PostgreSQL", it.postgres_s, "s", Target::AtMost(5.0)),
        figure("rows that differ", it.differing as f64, "rows", Target::AtMost(0.0)),
        figure("lost in Kafka", it.verdict.lost as f64, "records", Target::AtMost(0.0)),
        figure("doubled in Kafka", (it.verdict.doubled + it.verdict.foreign) as f64, "records", Target::AtMost(0.0)),
    ]
}

/// The table's head, in Markdown.
pub const HEAD: &str = "\
| processors | meters | asked for, frames/s | records a frame | frames/s | readings/s | CPU µs a frame: gate + processor | Kafka | generator \
| transactions/s | age p50 / p99 / max, ms | peak MB: gate, processor | sent again | lost, doubled |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

/// A run as a row under [`HEAD`].
pub fn row(it: &Outcome) -> String {
    let Load { meters, records_per_frame, rate, .. } = &it.load;
    let rate = rate.map_or_else(|| "no limit".to_owned(), |rate| format!("{rate:.0}"));
    let held = if it.counts() { "" } else { " (not held)" };
    let [gate, processor, kafka, generator] = it.cpu_us;
    format!(
        "| {} | {meters} | {rate}{held} | {records_per_frame} | {:.0} | {:.0} | {gate:.1} + {processor:.1} = {:.1} | {kafka:.1} | {generator:.1} \
         | {:.0} | {:.0} / {:.0} / {:.0} | {:.0}, {:.0} | {} | {}, {} |",
        it.processors,
        it.frames_per_s,
        it.readings_per_s,
        it.own_cpu_us(),
        it.transactions_per_s,
        it.age.p50,
        it.age.p99,
        it.age.max,
        it.peak_rss[0] / 1e6,
        it.peak_rss[1] / 1e6,
        it.repeated,
        it.verdict.lost,
        it.verdict.doubled + it.verdict.foreign,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Verdict;
    use crate::load::Age;

    fn outcome(rate: Option<f64>, frames_per_s: f64) -> Outcome {
        Outcome {
            load: Load { meters: 1_000, records_per_frame: 1, channels: 1, rate, warm_up_s: 1.0, seconds: 1.0 },
            processors: 1,
            frames_per_s,
            readings_per_s: frames_per_s,
            cpu_us: [5.0, 4.5, 3.0, 8.0],
            transactions_per_s: 40.0,
            age: Age { p50: 30.0, p99: 101.0, max: 200.0 },
            peak_rss: [1e8, 1e8],
            waiting: 0,
            repeated: 0,
            verdict: Verdict::default(),
        }
    }

    fn missed(outcome: &Outcome) -> Vec<String> {
        figures(outcome).into_iter().filter(|it| !it.ok()).map(|it| it.name).collect()
    }

    #[test]
    fn a_load_with_targets_is_judged_by_them() {
        let names = missed(&outcome(None, 49_999.0));
        assert!(names.len() == 2 && names[0].ends_with(": frames") && names[1].ends_with("gate and processor"), "{names:?}");
        let names = missed(&outcome(Some(5_000.0), 5_000.0));
        assert!(names.len() == 1 && names[0].ends_with("age p99"), "{names:?}");
        assert!(missed(&outcome(Some(7_000.0), 7_000.0)).is_empty());
    }

    #[test]
    fn a_rate_that_was_not_held_is_a_miss() {
        assert_eq!(missed(&outcome(Some(7_000.0), 6_000.0)).len(), 1);
        let lost = Outcome { verdict: Verdict { lost: 1, ..Verdict::default() }, ..outcome(Some(7_000.0), 7_000.0) };
        assert_eq!(missed(&lost).len(), 2);
    }
}
