//! `ferraris topology`: which meter hangs on which pole of which feeder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use contracts::{FeederRecord, topics};
use rdkafka::message::Message as _;
use serde_json::json;
use stream_processor::balance::topology::{Feeder, Topology};

use crate::kafka::{self, Address, Reader};
use crate::output::{self, Outcome};

/// What can be done with a topology.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a file without touching Kafka
    #[command(after_help = "Examples:\n  ferraris topology check feeders.toml\n\n\
        The file, by example:\n  \
        [[feeder]]\n  id = \"F1\"\n  line_meter = \"L1\"          # the meter where the line begins\n  line_class = 0.5            # percent; default 1\n  \
        poles = [\"p1\", \"p2\"]       # from the transformer on\n  [[feeder.house]]\n  meter = \"M1\"\n  pole = \"p1\"\n  class = 1.0                 # percent; default 1\n  \
        contract_power_w = 5750     # optional\n  phase = \"L1\"                # optional: L1, L2 or L3\n  line_side = \"S1\"            # optional: a meter at the pole before this house, with\n  \
        loop_ohm = 0.3              # the resistance of the service, both conductors\n\n\
        Exit code 1: the file can't be so.")]
    Check {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Write the feeders of a file to Kafka
    ///
    /// A feeder whose meters or poles have changed is learned anew, for two weeks; one that is as it was is left alone.
    #[command(after_help = "Examples:\n  ferraris topology publish feeders.toml --kafka localhost:9092\n  \
        ferraris topology publish all-feeders.toml --kafka localhost:9092 --prune")]
    Publish {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        address: Address,
        /// Take away feeders that the file does not name
        #[arg(long)]
        prune: bool,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub fn run(command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Check { file, json } => match Topology::parse(&read(file)?) {
            Ok(topology) => {
                let (feeders, meters) = (topology.feeders.len(), topology.feeders.iter().flat_map(Feeder::meters).count());
                let text = format!("{}: {feeders} feeders with {meters} meters", file.display());
                output::line(if *json { json!({ "feeders": feeders, "meters": meters }).to_string() } else { text })?;
                Ok(Outcome::Good)
            }
            Err(error) => {
                output::complain(format_args!("{}: {error}", file.display()));
                Ok(Outcome::Bad)
            }
        },
        Command::Publish { file, address, prune, json } => {
            let wanted = Topology::parse(&read(file)?).with_context(|| file.display().to_string())?;
            let changes = changes(published(address)?, wanted, *prune)?;
            kafka::write(address, topics::TOPOLOGY.name, &changes.rows()?)?;
            let Changes { written, removed, unchanged } = changes;
            let written: Vec<String> = written.iter().map(|it| it.id.to_string()).collect();
            if *json {
                output::line(json!({ "written": written, "removed": removed, "unchanged": unchanged }))?;
                return Ok(Outcome::Good);
            }
            written.iter().try_for_each(|id| output::line(format_args!("written    {id}")))?;
            removed.iter().try_for_each(|id| output::line(format_args!("removed    {id}")))?;
            output::line(format_args!("{} written, {} removed, {unchanged} as they were", written.len(), removed.len()))?;
            Ok(Outcome::Good)
        }
    }
}

/// What is to be written.
struct Changes {
    written: Vec<FeederRecord>,
    removed: Vec<String>,
    unchanged: usize,
}

impl Changes {
    fn rows(&self) -> serde_json::Result<Vec<kafka::Row>> {
        let written = self.written.iter().map(|it| Ok((it.id.to_string(), Some(serde_json::to_vec(it)?))));
        written.chain(self.removed.iter().map(|id| Ok((id.clone(), None)))).collect()
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The feeders that are in Kafka. A record that is none is passed over, as the processor does.
fn published(address: &Address) -> anyhow::Result<BTreeMap<String, FeederRecord>> {
    let mut feeders = BTreeMap::new();
    Reader::open(address, topics::TOPOLOGY.name)?.drain(|message| {
        let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
        match message.payload().map(serde_json::from_slice::<FeederRecord>) {
            Some(Ok(record)) => _ = feeders.insert(key, record),
            Some(Err(_)) => {}
            None => _ = feeders.remove(&key),
        }
    })?;
    Ok(feeders)
}

/// From what is published to what is wanted. Feeders that stay must go together with the new ones.
fn changes(mut published: BTreeMap<String, FeederRecord>, wanted: Topology, prune: bool) -> anyhow::Result<Changes> {
    let wanted: Vec<FeederRecord> = wanted.feeders.iter().map(Feeder::record).collect();
    let count = wanted.len();
    let written: Vec<FeederRecord> = wanted.into_iter().filter(|it| published.remove(it.id.as_str()).as_ref() != Some(it)).collect();
    let unchanged = count.saturating_sub(written.len());
    if prune {
        return Ok(Changes { written, removed: published.into_keys().collect(), unchanged });
    }
    for record in &written {
        let feeder = Feeder::of(record.clone())?;
        for other in published.values().cloned().filter_map(|it| Feeder::of(it).ok()) {
            if let Some(meter) = feeder.meters().find(|meter| other.meters().any(|it| it == *meter)) {
                anyhow::bail!(
                    "meter {meter} of feeder {} is on feeder {} in Kafka: take it from there first, in the same file or with --prune",
                    feeder.id,
                    other.id
                );
            }
        }
    }
    Ok(Changes { written, removed: Vec::new(), unchanged })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(feeders: &[(&str, &str)]) -> Topology {
        let text = feeders.iter().map(|(id, meter)| {
            format!("[[feeder]]\nid = '{id}'\nline_meter = 'L{id}'\npoles = ['p']\n[[feeder.house]]\nmeter = '{meter}'\npole = 'p'\n")
        });
        Topology::parse(&text.collect::<String>()).unwrap()
    }

    fn published(feeders: &[(&str, &str)]) -> BTreeMap<String, FeederRecord> {
        file(feeders).feeders.iter().map(|it| (it.id.to_string(), it.record())).collect()
    }

    fn names(changes: &Changes) -> (Vec<&str>, Vec<&str>, usize) {
        (changes.written.iter().map(|it| it.id.as_str()).collect(), changes.removed.iter().map(String::as_str).collect(), changes.unchanged)
    }

    #[test]
    fn only_what_differs_is_written_and_only_pruning_removes() {
        let before = published(&[("F1", "M1"), ("F2", "M2"), ("F3", "M3")]);
        let wanted = || file(&[("F1", "M1"), ("F2", "M9"), ("F4", "M4")]);
        assert_eq!(names(&changes(before.clone(), wanted(), false).unwrap()), (vec!["F2", "F4"], vec![], 1));
        assert_eq!(names(&changes(before, wanted(), true).unwrap()), (vec!["F2", "F4"], vec!["F3"], 1));
    }

    #[test]
    fn a_meter_is_on_one_feeder() {
        let before = published(&[("F1", "M1")]);
        let error = changes(before.clone(), file(&[("F2", "M1")]), false).err().unwrap().to_string();
        assert!(error.contains("meter M1 of feeder F2 is on feeder F1"), "{error}");
        assert!(changes(before, file(&[("F2", "M1")]), true).is_ok());
    }
}
