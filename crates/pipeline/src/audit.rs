//! Reads Kafka back and compares it, record by record, with what was sent: nothing may be missing, there twice, or other than it was sent.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use contracts::topics::{EVENTS, READINGS};
use contracts::{EventRecord, ReadingRecord};
use fleet::audit::record;
use measure::{MeterId, Record, Seq, StreamId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::plan::{self, Plan};

/// Longest wait for anything new.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the records that the meters sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records that meters sent.
    pub sent: u64,
    /// Records sent that Kafka does not hold.
    pub lost: u64,
    /// Records that Kafka holds once more than once.
    pub doubled: u64,
    /// Records that no meter sent: altered, or from nowhere.
    pub foreign: u64,
}

impl Verdict {
    /// Whether each record is there once, and nothing else.
    pub const fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.foreign == 0
    }
}

/// What meters sent. Each has one stream, and numbers from 1 without gaps.
pub trait Sent {
    /// How many meters.
    fn meters(&self) -> usize;
    /// A meter's last number.
    fn last_seq(&self, meter: usize) -> Seq;
    /// What it sent under a number.
    fn record(&self, meter: usize, seq: Seq) -> Record;
}

/// So many frames of a plan, by meter.
pub struct Frames<'a>(pub &'a Plan, pub &'a [usize]);

impl Sent for Frames<'_> {
    fn meters(&self) -> usize {
        self.1.len()
    }

    fn last_seq(&self, meter: usize) -> Seq {
        self.1[meter].checked_sub(1).map_or(0, |last| self.0.last_seq(last))
    }

    fn record(&self, meter: usize, seq: Seq) -> Record {
        self.0.record(meter, seq)
    }
}

/// Which of the records that were sent have been found.
pub struct Book<'a> {
    sent: &'a dyn Sent,
    /// By meter, by number from 1.
    found: Vec<Vec<bool>>,
    verdict: Verdict,
}

impl<'a> Book<'a> {
    /// Nothing is found yet.
    pub fn new(sent: &'a dyn Sent) -> Self {
        let found = (0..sent.meters()).map(|meter| vec![false; sent.last_seq(meter) as usize]);
        Self { sent, found: found.collect(), verdict: Verdict::default() }
    }

    /// A record that Kafka holds, under its number; `same` compares it with what was sent under that number.
    pub fn found(&mut self, meter: &MeterId, stream: StreamId, seq: Seq, same: impl FnOnce(&Record) -> bool) {
        let meter = plan::number(meter).filter(|meter| plan::stream(*meter) == stream);
        let place = meter.and_then(|meter| self.found.get_mut(meter)?.get_mut(seq.checked_sub(1)? as usize));
        match (place, meter) {
            (Some(found), Some(meter)) if same(&self.sent.record(meter, seq)) => {
                self.verdict.doubled += u64::from(std::mem::replace(found, true));
            }
            _ => self.verdict.foreign += 1,
        }
    }

    /// The end of Kafka is reached.
    pub fn close(mut self) -> Verdict {
        let records = || self.found.iter().flatten();
        (self.verdict.sent, self.verdict.lost) = (records().count() as u64, records().filter(|found| !**found).count() as u64);
        self.verdict
    }
}

/// Reads all readings and events of a run under read_committed.
pub fn audit(bootstrap: &str, prefix: &str, sent: &dyn Sent) -> anyhow::Result<Verdict> {
    let mut book = Book::new(sent);
    read(bootstrap, &READINGS.name_with(prefix), |value| {
        let it: ReadingRecord = serde_json::from_slice(value)?;
        book.found(&it.meter, it.stream, it.seq, |sent| *sent == Record::Reading(it.reading()));
        Ok(())
    })?;
    read(bootstrap, &EVENTS.name_with(prefix), |value| {
        let it: EventRecord = serde_json::from_slice(value)?;
        if let Some((number, identity)) = record::event(&it) {
            book.found(&number.meter, number.stream, number.seq, |sent| record::accepted(&number.meter, sent) == identity);
        }
        Ok(())
    })?;
    Ok(book.close())
}

fn read(bootstrap: &str, topic: &str, mut each: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "pipeline-audit")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).context("cannot read the topic's metadata")?;
    let mut open: BTreeSet<i32> = metadata.topics().iter().flat_map(|it| it.partitions()).map(|it| it.id()).collect();
    let mut assignment = TopicPartitionList::new();
    for partition in &open {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;
    let mut news = Instant::now();
    while !open.is_empty() {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => each(message.payload().unwrap_or_default()).with_context(|| format!("a record of {topic}"))?,
            Some(Err(KafkaError::PartitionEOF(partition))) => _ = open.remove(&partition),
            Some(Err(error)) => return Err(error).with_context(|| format!("cannot read {topic}")),
            None if news.elapsed() < PATIENCE => continue,
            None => bail!("the end of {topic} was not reached"),
        }
        news = Instant::now();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Load;

    fn verdict(found: &[(usize, Seq)]) -> Verdict {
        let load = Load { meters: 2, records_per_frame: 2, channels: 1, rate: None, warm_up_s: 0.0, seconds: 1.0 };
        let plan = Plan::new(load, 0);
        // Meter 0: records 1 to 3; meter 1: record 1.
        let sent = Frames(&plan, &[2, 1]);
        let mut book = Book::new(&sent);
        for &(meter, seq) in found {
            book.found(&plan::name(meter), plan::stream(meter), seq, |_| true);
        }
        book.close()
    }

    #[test]
    fn each_record_once_is_clean_and_anything_else_is_not() {
        let all = [(0, 1), (0, 3), (0, 2), (1, 1)];
        assert!(verdict(&all).is_clean());
        assert_eq!(verdict(&all[1..]), Verdict { sent: 4, lost: 1, ..Verdict::default() });
        assert_eq!(verdict(&[&all[..], &all[..1]].concat()), Verdict { sent: 4, doubled: 1, ..Verdict::default() });
        assert_eq!(verdict(&[&all[..], &[(1, 2)]].concat()), Verdict { sent: 4, foreign: 1, ..Verdict::default() });
    }

    #[test]
    fn an_altered_record_is_lost_and_foreign() {
        let plan = Plan::new(Load { meters: 1, records_per_frame: 1, channels: 1, rate: None, warm_up_s: 0.0, seconds: 1.0 }, 0);
        let sent = Frames(&plan, &[1]);
        let mut book = Book::new(&sent);
        book.found(&plan::name(0), plan::stream(0), 1, |sent| *sent == plan.record(0, 2));
        assert_eq!(book.close(), Verdict { sent: 1, lost: 1, doubled: 0, foreign: 1 });
    }
}
