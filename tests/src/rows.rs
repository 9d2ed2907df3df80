//! What PostgreSQL holds, as the records that it was made of.

use std::net::SocketAddr;

use anyhow::Context;
use contracts::topology::Phase;
use contracts::{AlertRecord, FeederRecord, HouseRecord, IntervalRecord, ReadingRecord};
use measure::{FeederId, MeterId};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;

/// A reader of the tables.
pub struct Rows {
    client: tokio_postgres::Client,
}

/// A row of `houses`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "as in the table")]
pub struct HouseRow {
    pub feeder: FeederId,
    pub meter: MeterId,
    pub line_meter: MeterId,
    pub line_class: f64,
    pub pole: String,
    pub pole_number: usize,
    pub class: f64,
    pub line_side: Option<MeterId>,
    pub loop_ohm: Option<f64>,
    pub contract_power_w: Option<f64>,
    pub phase: Option<Phase>,
}

impl HouseRow {
    /// The rows of a feeder, by meter.
    pub fn of(feeder: &FeederRecord) -> Vec<Self> {
        let row = |house: &HouseRecord| {
            let HouseRecord { meter, pole, class, line_side, loop_ohm, contract_power_w, phase } = house.clone();
            let pole_number = feeder.poles.iter().zip(1..).find(|(name, _)| **name == pole).map_or(0, |(_, number)| number);
            let FeederRecord { id, line_meter, line_class, .. } = feeder.clone();
            Self { feeder: id, meter, line_meter, line_class, pole, pole_number, class, line_side, loop_ohm, contract_power_w, phase }
        };
        let mut rows: Vec<Self> = feeder.houses.iter().map(row).collect();
        rows.sort_by(|one, other| one.meter.cmp(&other.meter));
        rows
    }
}

/// A table's rows as JSON with the names of the contract: `x` becomes `x_ms` where it is a time.
fn as_contract(table: &str, times: &[&str]) -> String {
    let without: String = times.iter().map(|time| format!(" - '{time}'")).collect();
    let millis = |time: &&str| format!("'{time}_ms', (extract(epoch from \"{time}\") * 1000)::bigint");
    let millis: Vec<String> = times.iter().map(millis).collect();
    format!("select ((to_jsonb(r){without}) || jsonb_build_object({}))::text from {table} r", millis.join(", "))
}

impl Rows {
    /// Connects to the database; the tables are in this schema.
    pub async fn open(url: &str, schema: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("PostgreSQL does not answer")?;
        tokio::spawn(connection);
        client.batch_execute(&format!("set search_path to {schema}")).await?;
        Ok(Self { client })
    }

    /// The client, for everything else.
    pub const fn client(&self) -> &tokio_postgres::Client {
        &self.client
    }

    /// All readings.
    pub async fn readings(&self) -> anyhow::Result<Vec<ReadingRecord>> {
        self.records(&as_contract("readings", &["time", "received"])).await
    }

    /// All intervals.
    pub async fn intervals(&self) -> anyhow::Result<Vec<IntervalRecord>> {
        self.records(&as_contract("intervals", &["start", "end", "block_demand_max", "sliding_demand_max"])).await
    }

    /// All alerts.
    pub async fn alerts(&self) -> anyhow::Result<Vec<AlertRecord>> {
        self.records(&as_contract("alerts", &["at", "shelved_until", "since", "detected"])).await
    }

    /// All houses, by feeder and meter.
    pub async fn houses(&self) -> anyhow::Result<Vec<HouseRow>> {
        self.records("select to_jsonb(h)::text from houses h order by feeder, meter").await
    }

    /// A number.
    pub async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        Ok(self.client.query_one(sql, &[]).await?.try_get(0)?)
    }

    async fn records<T: serde::de::DeserializeOwned>(&self, sql: &str) -> anyhow::Result<Vec<T>> {
        let rows = self.client.query(sql, &[]).await?;
        rows.iter().map(|row| Ok(serde_json::from_str(row.try_get(0)?)?)).collect()
    }
}

/// Asks a service by HTTP: the whole answer.
pub async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
