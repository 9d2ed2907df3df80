//! What a processor holds in memory that knows many meters from its ledger, and whether that grows under load.

use std::time::Duration;

use anyhow::{Context, bail};
use contracts::ledger::ThroughRow;
use contracts::topics::LEDGER;
use contracts::{LedgerKey, LedgerRecord};
use measure::{StreamId, UnixMillis};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use wire::topic::Shard;

use crate::house::{House, PARTITIONS, Run};
use crate::load::{Errand, Stage};
use crate::plan::{self, Load, now_us};
use crate::scenario::Generator;
use crate::usage::rss;

/// Meters that the ledger knows; names have five digits.
pub const METERS: usize = 100_000;
/// The stream that each of them had.
const STREAM: StreamId = StreamId(0x5eed);

/// Memory of the processor, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Before the first frame: the meters of the ledger.
    pub known: f64,
    /// After the warm-up.
    pub begin: f64,
    /// At the end of the load.
    pub end: f64,
}

/// Fills the ledger, starts a processor on it and loads it; the load's meters are among those that it knows.
pub async fn run(house: &mut House, load: &Load) -> anyhow::Result<Memory> {
    // The first processor makes the topics.
    let mut run = house.start(1).await?;
    run.processors[0].server.kill()?;
    fill(house.kafka.bootstrap(), &LEDGER.name_with(&run.prefix))?;
    run.processors[0] = house.processor(&run, 0)?;
    run.ready().await?;
    measure(house, &run, load).with_context(|| run.complaints())
}

fn measure(house: &House, run: &Run, load: &Load) -> anyhow::Result<Memory> {
    let processor = run.processors[0].server.id();
    let known = rss(processor)?;
    let mut generator = Generator::start(&house.job(run, Errand::Load(load.clone())))?;
    let Stage::Ready { .. } = generator.next()? else { bail!("the load generator is not ready") };
    let Stage::Begin(_) = generator.next()? else { bail!("the measurement does not begin") };
    let begin = rss(processor)?;
    let Stage::End(_) = generator.next()? else { bail!("the measurement does not end") };
    Ok(Memory { known, begin, end: rss(processor)? })
}

/// One row for each meter, as a processor writes them.
fn fill(bootstrap: &str, topic: &str) -> anyhow::Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap).set("acks", "all").set("linger.ms", "20").create()?;
    let now = UnixMillis(now_us() / 1_000);
    for number in 0..METERS {
        let meter = plan::name(number);
        let partition = Shard::of(&meter).partition(PARTITIONS);
        let key = LedgerKey::Stream(meter.clone(), STREAM).to_string();
        let row = ThroughRow { meter, stream: STREAM, through: 1_000, updated_ms: now, latest_ms: Some(now) };
        let value = serde_json::to_vec(&LedgerRecord::Through(row))?;
        // librdkafka's queue holds as many by default.
        producer.send(BaseRecord::to(topic).partition(partition).key(&key).payload(&value)).map_err(|(error, _)| error)?;
    }
    Ok(producer.flush(Duration::from_secs(60))?)
}
