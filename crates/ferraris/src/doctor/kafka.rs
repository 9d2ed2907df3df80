//! How durable a Kafka's acknowledgements are.
//!
//! Kafka acknowledges before it has written to the disk, and relies on copies: with one broker, or one copy, a power cut takes what was
//! acknowledged and not yet flushed. A meter has deleted it by then.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use comfy_table::Table;
use contracts::topics::ALL;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use serde_json::json;

use crate::kafka::Address;
use crate::output::{self, Outcome};
use crate::sheet;

/// How long Kafka may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Copies of which two must have a record before it is acknowledged: one may fail, and one be down for maintenance.
const COPIES: usize = 3;
const IN_SYNC: u32 = 2;
const MIN_IN_SYNC: &str = "min.insync.replicas";

/// What is known of a topic.
#[derive(Debug, Default)]
struct Topic {
    name: String,
    partitions: usize,
    /// The least of its partitions.
    copies: usize,
    in_sync: Option<u32>,
}

impl Topic {
    /// Whether what it acknowledges outlives a broker.
    fn is_durable(&self) -> bool {
        self.copies >= COPIES && self.in_sync.is_some_and(|in_sync| in_sync >= IN_SYNC)
    }
}

/// Looks at a Kafka and prints how durable it is.
pub(super) async fn run(address: &Address, json: bool) -> anyhow::Result<Outcome> {
    address.check()?;
    let admin: AdminClient<DefaultClientContext> = address.client().create().context("bad Kafka client settings")?;
    let metadata = admin.inner().fetch_metadata(None, ANSWER_MAX).context("Kafka does not list its topics")?;
    let brokers = metadata.brokers().len();
    let ours: Vec<String> = ALL.iter().map(|topic| address.topic(topic.name)).collect();
    let mut topics: Vec<Topic> = metadata
        .topics()
        .iter()
        .filter(|topic| ours.iter().any(|name| name == topic.name()))
        .map(|topic| Topic {
            name: topic.name().to_owned(),
            partitions: topic.partitions().len(),
            copies: topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0),
            in_sync: None,
        })
        .collect();
    topics.sort_by(|one, other| one.name.cmp(&other.name));
    let settings = in_sync(&admin, &topics).await?;
    for topic in &mut topics {
        topic.in_sync = settings.get(&topic.name).copied();
    }
    let missing: Vec<&String> = ours.iter().filter(|name| !topics.iter().any(|topic| topic.name == **name)).collect();
    let verdict = verdict(brokers, &topics);
    if json {
        let rows: Vec<_> = topics
            .iter()
            .map(|it| {
                json!({ "topic": it.name, "partitions": it.partitions, "replicas": it.copies, "min_insync_replicas": it.in_sync, "durable": it.is_durable() })
            })
            .collect();
        output::line(
            json!({ "kafka": address.kafka, "brokers": brokers, "topics": rows, "missing": missing, "durable": verdict.is_none(), "verdict": verdict }),
        )?;
    } else {
        output::line(table(&address.kafka, brokers, &topics))?;
        if !missing.is_empty() {
            output::line(format_args!(
                "{} topics are missing: `ferraris topics create --kafka {}` makes them",
                missing.len(),
                address.kafka
            ))?;
        }
        output::line(verdict.as_deref().unwrap_or("\nWhat is acknowledged outlives the loss of a broker."))?;
    }
    Ok(Outcome::good_if(verdict.is_none() && missing.is_empty()))
}

async fn in_sync(admin: &AdminClient<DefaultClientContext>, topics: &[Topic]) -> anyhow::Result<BTreeMap<String, u32>> {
    let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
    if resources.is_empty() {
        return Ok(BTreeMap::new());
    }
    let options = AdminOptions::new().request_timeout(Some(ANSWER_MAX));
    let described = admin.describe_configs(&resources, &options).await.context("Kafka does not tell its topics' settings")?;
    let settings = topics.iter().zip(described).filter_map(|(topic, described)| {
        let value = described.ok()?.get(MIN_IN_SYNC)?.value.as_ref()?.parse().ok()?;
        Some((topic.name.clone(), value))
    });
    Ok(settings.collect())
}

fn table(servers: &str, brokers: usize, topics: &[Topic]) -> String {
    let mut table = Table::new();
    table.load_style(sheet::STYLE).set_header(["topic", "partitions", "replicas", MIN_IN_SYNC]);
    for topic in topics {
        let in_sync = topic.in_sync.map_or_else(|| "?".to_owned(), |in_sync| in_sync.to_string());
        table.add_row([topic.name.clone(), topic.partitions.to_string(), topic.copies.to_string(), in_sync]);
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    format!("{servers}: {brokers} {}\n{}", if brokers == 1 { "broker" } else { "brokers" }, lines.join("\n"))
}

/// What a power cut can take, and what to do; `None` if nothing.
fn verdict(brokers: usize, topics: &[Topic]) -> Option<String> {
    let weak = topics.iter().filter(|topic| !topic.is_durable()).count();
    if brokers >= COPIES && weak == 0 {
        return None;
    }
    let what = if brokers < COPIES {
        format!(
            "\n{brokers} of {COPIES} brokers: Kafka acknowledges before it has written to the disk (fsync), and there are too few copies to make up for it."
        )
    } else {
        format!(
            "\n{weak} topics have less than {COPIES} replicas, or {MIN_IN_SYNC} below {IN_SYNC}: Kafka acknowledges before it has written to the disk (fsync)."
        )
    };
    Some(format!(
        "{what}\nA power cut can take what was acknowledged, and meters have deleted it by then. Run {COPIES} brokers, with replication {COPIES} and {MIN_IN_SYNC} {IN_SYNC};\nthe topics that `ferraris topics create` makes there have both."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(copies: usize, in_sync: Option<u32>) -> Topic {
        Topic { name: "t".into(), partitions: 4, copies, in_sync }
    }

    #[test]
    fn three_brokers_three_copies_and_two_of_them_in_sync_are_durable() {
        assert_eq!(verdict(3, &[topic(3, Some(2))]), None);
        for (brokers, weak) in
            [(1, topic(1, Some(1))), (2, topic(2, Some(2))), (3, topic(3, Some(1))), (3, topic(2, Some(2))), (3, topic(3, None))]
        {
            let text = verdict(brokers, &[weak]).unwrap();
            assert!(text.contains("fsync") && text.contains("min.insync.replicas 2"), "{text}");
        }
    }
}
