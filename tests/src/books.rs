//! What the journals accepted, and whether Kafka holds it: each record once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use contracts::topics::{EVENTS, READINGS};
use contracts::{EventRecord, ReadingRecord};
use edge_agent::Accepted;
use fleet::audit::{self, Held, Tally, Verdict, record};
use measure::{MeterId, Record};
use testkit::await_until;

use crate::{PATIENCE, Stage};

/// An account of what journals accepted. Clones write into the same one.
#[derive(Clone, Default)]
pub struct Books(Arc<Mutex<Tally>>);

impl Books {
    /// For an agent's `accepted` hook.
    pub fn observer(&self) -> impl FnMut(Vec<Accepted>) + Send + 'static {
        let this = self.clone();
        move |rows| rows.iter().for_each(|row| this.note(&row.meter, &row.record))
    }

    /// Notes a record that a journal accepted.
    pub fn note(&self, meter: &MeterId, record: &Record) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(record::accepted(meter, record));
    }

    /// How many records journals accepted so far.
    pub fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total()
    }

    /// Compares with what Kafka holds now. What was accepted only while Kafka was read is not called lost, for it may be on its way;
    /// so a home that goes on measuring can be compared, too.
    pub async fn compare(&self, stage: &Stage) -> anyhow::Result<Verdict> {
        let before = self.tally();
        let held = held(stage).await?;
        let lost = audit::compare(&before, &held).lost;
        Ok(Verdict { lost, ..audit::compare(&self.tally(), &held) })
    }

    fn tally(&self) -> Tally {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until Kafka holds every accepted record, and checks that it holds none twice and nothing else.
    pub async fn settle(&self, stage: &Stage) -> anyhow::Result<Verdict> {
        let mut missing = 0;
        let verdict = await_until("every accepted record is in Kafka", PATIENCE, async || {
            let verdict = self.compare(stage).await?;
            missing = verdict.lost();
            Ok((missing == 0).then_some(verdict))
        });
        let verdict = verdict.await.with_context(|| format!("{missing} of {} records missing", self.total()))?;
        anyhow::ensure!(verdict.is_clean(), "nothing lost, but not each record once: {verdict:?}");
        Ok(verdict)
    }
}

/// What readers of Kafka see.
pub async fn held(stage: &Stage) -> anyhow::Result<Held> {
    let mut held = Held::default();
    for reading in readings(stage).await? {
        let (number, identity) = record::reading(&reading);
        held.add(number, identity);
    }
    for event in events(stage).await? {
        if let Some((number, identity)) = record::event(&event) {
            held.add(number, identity);
        }
    }
    Ok(held)
}

/// All readings in Kafka.
pub async fn readings(stage: &Stage) -> anyhow::Result<Vec<ReadingRecord>> {
    let rows = stage.topic(&READINGS).await?;
    Ok(rows.iter().map(|row| serde_json::from_slice(row.value.as_deref().unwrap_or_default())).collect::<Result<_, _>>()?)
}

/// All events, gaps and hellos in Kafka.
pub async fn events(stage: &Stage) -> anyhow::Result<Vec<EventRecord>> {
    let rows = stage.topic(&EVENTS).await?;
    Ok(rows.iter().map(|row| serde_json::from_slice(row.value.as_deref().unwrap_or_default())).collect::<Result<_, _>>()?)
}

/// Readings in Kafka by meter, in the order of their numbers.
pub fn by_meter(readings: Vec<ReadingRecord>) -> BTreeMap<MeterId, Vec<ReadingRecord>> {
    let mut meters: BTreeMap<MeterId, Vec<ReadingRecord>> = BTreeMap::new();
    for reading in readings {
        meters.entry(reading.meter.clone()).or_default().push(reading);
    }
    meters.values_mut().for_each(|readings| readings.sort_by_key(|reading| (reading.stream, reading.seq)));
    meters
}
