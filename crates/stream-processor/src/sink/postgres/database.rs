//! A session with PostgreSQL.

use std::pin::pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::{Client, Connection, NoTls};

use super::Settings;
use super::batch::Batch;
use super::columns::{INTERVALS, READINGS, Table};
use super::grid::{DELETE_HOUSES, INSERT_HOUSES, UPSERT_ALERT};
use super::migrations::migrate;
use crate::sink::metrics::Failure;

/// Why the database did not take rows. Nothing of a transaction is stored, or all of it: the offsets in the database tell.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    /// It says no, or the connection broke.
    #[error("{0}")]
    Client(#[from] tokio_postgres::Error),
    /// The connection is gone.
    #[error("the connection was closed")]
    Closed,
    /// No answer in time.
    #[error("no answer within postgres.timeout_ms")]
    TimedOut,
    /// Another worker has stored the same records.
    #[error("{topic} was taken further by another instance")]
    Overtaken {
        /// Of which topic.
        topic: String,
    },
    /// A newer release was here.
    #[error("schema {schema} has version {found}, and this program knows {known}: start a newer release, or use another postgres.schema")]
    Newer {
        /// Which schema.
        schema: String,
        /// Its version.
        found: i32,
        /// Ours.
        known: i32,
    },
}

impl DatabaseError {
    /// For counting.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Client(error) if error.as_db_error().is_some_and(|it| !is_passing(it.code().code())) => Failure::Refused,
            Self::Client(_) | Self::Closed => Failure::Unreachable,
            Self::TimedOut => Failure::TimedOut,
            Self::Overtaken { .. } => Failure::Overtaken,
            Self::Newer { .. } => Failure::Refused,
        }
    }

    /// With what lies behind it: the driver's own text names only the kind.
    pub(super) fn told(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let more = error.to_string();
            if !text.contains(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            source = error.source();
        }
        text
    }
}

/// Whether a server that says so is on its way down or up (class 57) or lost the connection (class 08).
fn is_passing(code: &str) -> bool {
    code.starts_with("57") || code.starts_with("08")
}

/// A session. When it is dropped the connection is gone, and with it whatever was not committed.
pub(super) struct Database {
    client: Client,
    connection: AbortHandle,
}

impl Drop for Database {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Database {
    /// Connects, and brings the schema up to date.
    pub(super) async fn open(settings: &Settings) -> Result<Self, DatabaseError> {
        let mut it = match &settings.tls {
            None => Self::of(settings.server.connect(NoTls).await?),
            Some(tls) => Self::of(settings.server.connect(tls.clone()).await?),
        };
        // The name was checked with the configuration; public is where extensions are.
        it.client.batch_execute(&format!("set search_path to \"{}\", public", settings.schema)).await?;
        let transaction = it.client.transaction().await?;
        migrate(&transaction, &settings.schema).await?;
        transaction.commit().await?;
        for table in [READINGS, INTERVALS] {
            it.client.batch_execute(&table.make_staging()).await?;
        }
        Ok(it)
    }

    fn of<S, T>((client, connection): (Client, Connection<S, T>)) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "PostgreSQL's connection broke");
            }
        });
        Self { client, connection: connection.abort_handle() }
    }

    /// Whether the connection is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Where to go on, for each topic.
    pub(super) async fn offsets(&self, partition: i32, topics: impl Iterator<Item = &str>) -> Result<Vec<i64>, DatabaseError> {
        let mut offsets = Vec::new();
        for topic in topics {
            let begin = "insert into kafka_offsets (topic, partition, next_offset) values ($1, $2, 0) on conflict do nothing";
            self.client.execute(begin, &[&topic, &partition]).await?;
            let ask = "select next_offset from kafka_offsets where topic = $1 and partition = $2";
            offsets.push(self.client.query_one(ask, &[&topic, &partition]).await?.get(0));
        }
        Ok(offsets)
    }

    /// Stores rows and offsets in one transaction.
    pub(super) async fn store(&mut self, partition: i32, batch: &Batch, before_commit: impl FnOnce()) -> Result<(), DatabaseError> {
        let transaction = self.client.transaction().await?;
        // First of all: the offset's row is what two workers of one partition would meet at, and the second one goes away.
        for progress in batch.progress() {
            let advance = "update kafka_offsets set next_offset = $4 where topic = $1 and partition = $2 and next_offset = $3";
            let advanced = transaction.execute(advance, &[&progress.topic.as_str(), &partition, &progress.stored, &progress.next]).await?;
            if advanced != 1 {
                return Err(DatabaseError::Overtaken { topic: progress.topic.clone() });
            }
        }
        if !batch.readings.is_empty() {
            let mut out = pin!(copy(&transaction, &READINGS).await?);
            for row in &batch.readings {
                row.write(out.as_mut()).await?;
            }
            out.finish().await?;
            transaction.execute(&READINGS.upsert(), &[]).await?;
        }
        if batch.intervals().len() > 0 {
            let mut out = pin!(copy(&transaction, &INTERVALS).await?);
            for row in batch.intervals() {
                row.write(out.as_mut()).await?;
            }
            out.finish().await?;
            transaction.execute(&INTERVALS.upsert(), &[]).await?;
        }
        for json in batch.alerts() {
            transaction.execute(UPSERT_ALERT, &[&json]).await?;
        }
        for (feeder, json) in batch.feeders() {
            transaction.execute(DELETE_HOUSES, &[&feeder]).await?;
            if let Some(json) = json {
                transaction.execute(INSERT_HOUSES, &[&json]).await?;
            }
        }
        before_commit();
        Ok(transaction.commit().await?)
    }
}

async fn copy(transaction: &tokio_postgres::Transaction<'_>, table: &Table) -> Result<BinaryCopyInWriter, DatabaseError> {
    Ok(BinaryCopyInWriter::new(transaction.copy_in(&table.copy()).await?, &table.types()))
}
