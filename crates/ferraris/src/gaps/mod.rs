//! `ferraris gaps`: what Kafka misses or holds twice, by the ledger.

mod books;
mod read;

use measure::MeterId;
use serde_json::json;

use crate::kafka::Address;
use crate::output::{self, Outcome};
use books::{Finding, Findings};

/// What Kafka misses or holds twice, by the ledger.
///
/// Reads the ledger, then the readings, events and dead letters up to their ends, committed records only, and compares the numbers of each stream with how far
/// the ledger says it is committed. Meters may go on sending meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ferraris gaps --kafka localhost:9092\n  \
    ferraris gaps --kafka localhost:9092 --meter M0001\n  \
    ferraris gaps --kafka localhost:9092 --json | jq 'select(.finding == \"missing\")'\n\n\
    Exit code 1: something is missing or doubled. What meters themselves reported as lost, what was passed over as a dead letter\n\
    and what Kafka's retention has deleted is shown, but is no error.")]
pub struct Options {
    #[command(flatten)]
    address: Address,
    /// Only this meter; may be repeated
    #[arg(long = "meter", value_name = "METER")]
    meters: Vec<MeterId>,
    /// One JSON object a line, the last one with the sums
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let findings = read::books(&options.address, &options.meters)?.close();
    for finding in &findings.list {
        output::line(if options.json { serde_json::to_string(finding)? } else { text(finding) })?;
    }
    output::line(if options.json { sums_json(&findings) } else { sums(&findings) })?;
    Ok(Outcome::good_if(findings.is_good()))
}

fn text(finding: &Finding) -> String {
    match finding {
        Finding::Missing { meter, stream, run } => format!("missing        {meter} stream {stream} number {run}"),
        Finding::Doubled { meter, stream, run } => format!("doubled        {meter} stream {stream} number {run}"),
        Finding::PassedOver { meter, stream, run } => format!("dead-lettered  {meter} stream {stream} number {run}"),
        Finding::Reported { meter, from_ms, to_ms, count, reason } => {
            format!("reported       {meter} lost {count} records from {from_ms} to {to_ms} ms UTC: {reason}")
        }
        Finding::Unreadable { topic, partition, offset, why } => {
            format!("unreadable     {topic} partition {partition} offset {offset}: {why}")
        }
    }
}

fn sums(it: &Findings) -> String {
    format!(
        "{} meters, {} streams, {} records: {} missing, {} doubled, {} unreadable; {} passed over as dead letters, {} reported lost by meters, {} deleted by retention",
        it.meters, it.streams, it.records, it.missing, it.doubled, it.unreadable, it.passed_over, it.reported, it.expired
    )
}

fn sums_json(it: &Findings) -> String {
    json!({
        "finding": "sums", "meters": it.meters, "streams": it.streams, "records": it.records, "missing": it.missing, "doubled": it.doubled,
        "unreadable": it.unreadable, "passed_over": it.passed_over, "reported": it.reported, "expired": it.expired,
    })
    .to_string()
}
