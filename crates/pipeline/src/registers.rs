//! Registers of all meters from MQTT into Kafka and on into PostgreSQL: `./dev bench registers [--json]`.
//!
//! 5,000 meters with ten channels each are connected; then every one of them sends its hello and a frame with its ten registers. Told is
//! how long it takes, from the moment that the first frame is due, until the last meter knows that its frame is in Kafka, and until the
//! last row is in PostgreSQL. Gate, processor, Kafka, PostgreSQL and the load share this machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use testkit::{Postgres, await_until};
use tokio_postgres::{Client, NoTls};

use crate::audit::{self, Verdict};
use crate::house::{House, PARTITIONS, Run};
use crate::load::{self, Errand, Stage};
use crate::plan::{Load, Plan, now_us};
use crate::scenario::Generator;
use crate::{figure, scenario};

/// Longest wait for the rows.
const PATIENCE: Duration = Duration::from_secs(60);
const METERS: usize = 5_000;
const CHANNELS: u8 = 10;
/// The first is the house's warm-up; the slowest of the others counts.
const RUNS: usize = 4;

/// 50,000 registers from MQTT into Kafka and PostgreSQL
#[derive(Parser)]
#[command(after_help = "Examples:\n  ./dev bench registers\n  ./dev bench registers --json")]
struct Options {
    /// One line of JSON for each figure instead of a table
    #[arg(long)]
    json: bool,
    /// Measure the `broker` and `stream-processor` in this directory instead of building those of this checkout
    #[arg(long, value_name = "DIRECTORY")]
    programs: Option<PathBuf>,
    /// The load generator's job
    #[arg(long, hide = true)]
    load: Option<String>,
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a run showed.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// Registers that PostgreSQL holds: meters times channels.
    pub rows: u64,
    /// Until the last meter had its acknowledgement, in s.
    pub kafka_s: f64,
    /// Until PostgreSQL held the last row, in s.
    pub postgres_s: f64,
    /// Rows of PostgreSQL that are not what was sent, and those that are missing.
    pub differing: u64,
    /// What Kafka holds.
    pub verdict: Verdict,
}

/// The program: measures, or is the load generator of a measurement.
pub fn main() -> ExitCode {
    let options = Options::parse();
    load::or_measure("registers", options.load.as_deref(), || measure(&options))
}

/// Whether all targets are reached.
fn measure(options: &Options) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let slowest = runtime.block_on(async {
        let mut house = House::open(options.programs.as_deref()).await?;
        let postgres = Postgres::start().await?;
        eprintln!("warming Kafka up");
        let warm_up = Load { meters: 100, records_per_frame: 8, channels: 1, rate: Some(2_000.0), warm_up_s: 1.0, seconds: 5.0 };
        scenario::run(&mut house, &warm_up, 1).await?;
        let mut slowest: Option<Registers> = None;
        for number in 0..RUNS {
            let it = run(&mut house, &postgres, number).await?;
            let warm = if number == 0 { " (not counted)" } else { "" };
            eprintln!("{} registers: Kafka {:.2} s, PostgreSQL {:.2} s{warm}", it.rows, it.kafka_s, it.postgres_s);
            if number > 0 && slowest.is_none_or(|slowest| slowest.postgres_s < it.postgres_s) {
                slowest = Some(it);
            }
        }
        slowest.context("nothing was measured")
    })?;
    let figures = figure::registers(&slowest);
    if options.json {
        figures.iter().for_each(|figure| println!("{}", figure.json()));
    } else {
        figure::verdicts(&figures).iter().for_each(|line| println!("{line}"));
    }
    Ok(figures.iter().all(figure::Figure::ok))
}

async fn run(house: &mut House, postgres: &Postgres, number: usize) -> anyhow::Result<Registers> {
    let schema = format!("run_{number}");
    let sinks = format!("[postgres]\nenabled = true\nurl = '{}'\nschema = '{schema}'\n", postgres.url());
    let run = house.start_with(1, sinks).await?;
    match registers(house, &run, postgres, &schema).await {
        Ok(it) => Ok(it),
        Err(error) => bail!("{error:#}\n{}", run.complaints()),
    }
}

async fn registers(house: &House, run: &Run, postgres: &Postgres, schema: &str) -> anyhow::Result<Registers> {
    let (client, connection) = tokio_postgres::connect(&postgres.url(), NoTls).await?;
    tokio::spawn(connection);
    // A frame of ten after each hello, and no third one: it would be due when the second has passed.
    let load = Load {
        meters: METERS,
        records_per_frame: usize::from(CHANNELS),
        channels: CHANNELS,
        rate: Some(2.0 * METERS as f64 - 0.5),
        warm_up_s: 0.0,
        seconds: 1.0,
    };
    let offsets = format!("select count(*) from {schema}.kafka_offsets");
    await_until("a worker for each partition is connected to PostgreSQL", PATIENCE, async || {
        // The table is not there at first.
        let workers = number(&client, &offsets).await.unwrap_or_default();
        Ok((workers >= 2 * u64::from(PARTITIONS)).then_some(()))
    })
    .await?;
    let mut generator = Generator::start(&house.job(run, Errand::Load(load.clone())))?;
    let Stage::Ready { start_us } = generator.next()? else { bail!("the load generator is not ready") };
    let since_start = || (now_us() - start_us) as f64 / 1e6;
    let Stage::Begin(_) = generator.next()? else { bail!("the measurement does not begin") };
    let Stage::End(_) = generator.next()? else { bail!("the measurement does not end") };
    let Stage::Drained { frames, missing, .. } = generator.next()? else { bail!("the load does not end") };
    let kafka_s = since_start();
    anyhow::ensure!(missing == 0, "{missing} frames were never acknowledged");
    let rows = METERS as u64 * u64::from(CHANNELS);
    let count = format!("select count(*) from {schema}.readings");
    let postgres_s =
        await_until("all registers are in PostgreSQL", PATIENCE, async || Ok((number(&client, &count).await? >= rows).then(since_start)))
            .await?;
    let plan = Plan::new(load, start_us);
    let verdict = audit::audit(house.kafka.bootstrap(), &run.prefix, &audit::Frames(&plan, &frames))?;
    let differing = differing(&client, schema, &plan).await?;
    Ok(Registers { rows: number(&client, &count).await?, kafka_s, postgres_s, differing, verdict })
}

async fn number(client: &Client, sql: &str) -> anyhow::Result<u64> {
    Ok(u64::try_from(client.query_one(sql, &[]).await?.try_get::<_, i64>(0)?)?)
}

/// Registers of the plan whose row is missing or other than it was sent.
async fn differing(client: &Client, schema: &str, plan: &Plan) -> anyhow::Result<u64> {
    let ask = format!("select meter, channel, (extract(epoch from time) * 1000)::bigint, import_wh from {schema}.readings");
    let mut stored = std::collections::BTreeMap::new();
    for row in client.query(&ask, &[]).await? {
        let place: (String, i16) = (row.try_get(0)?, row.try_get(1)?);
        stored.insert(place, (row.try_get::<_, i64>(2)?, row.try_get::<_, f64>(3)?));
    }
    let mut differing = 0;
    for meter in 0..METERS {
        for seq in plan.first_seq(1)..=plan.last_seq(1) {
            let measure::Record::Reading(reading) = plan.record(meter, seq) else { bail!("the plan has no reading {seq}") };
            let row = stored.remove(&(crate::plan::name(meter).to_string(), i16::from(reading.channel)));
            differing += u64::from(row != Some((reading.time.0, reading.import.raw.as_f64())));
        }
    }
    Ok(differing + stored.len() as u64)
}
