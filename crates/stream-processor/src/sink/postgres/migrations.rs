//! The schema and its versions.
//!
//! Some forty lines instead of a crate: the ones there are bring a dozen crates for drivers, files and command lines that are not needed.

use tokio_postgres::Transaction;

use super::database::DatabaseError;

/// What makes each version of the one before it. Released ones never change: a new version is a new file.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_readings_and_intervals", include_str!("migrations/0001_readings_and_intervals.sql")),
    ("0002_accounts", include_str!("migrations/0002_accounts.sql")),
    ("0003_alerts_and_houses", include_str!("migrations/0003_alerts_and_houses.sql")),
];

/// Brings the schema up to date. Whoever comes at the same time waits.
pub(super) async fn migrate(transaction: &Transaction<'_>, schema: &str) -> Result<(), DatabaseError> {
    let lock = format!("ferraris migrates {schema}");
    transaction.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", &[&lock]).await?;
    // Asked first, because `if not exists` needs the right to create one even if there is nothing to create.
    let exists: bool = transaction.query_one("select exists (select from pg_namespace where nspname = $1)", &[&schema]).await?.get(0);
    if !exists {
        transaction.batch_execute(&format!("create schema \"{schema}\"")).await?;
    }
    let exists: bool = transaction.query_one("select to_regclass('migrations') is not null", &[]).await?.get(0);
    if !exists {
        let create =
            "create table migrations (version integer primary key, name text not null, applied timestamptz not null default now())";
        transaction.batch_execute(create).await?;
    }
    let found: i32 = transaction.query_one("select coalesce(max(version), 0) from migrations", &[]).await?.get(0);
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    if found > known {
        return Err(DatabaseError::Newer { schema: schema.to_owned(), found, known });
    }
    for ((name, sql), version) in MIGRATIONS.iter().zip(1_i32..).filter(|(_, version)| *version > found) {
        transaction.batch_execute(sql).await?;
        transaction.execute("insert into migrations (version, name) values ($1, $2)", &[&version, name]).await?;
        if version == 1 {
            partition_by_time(transaction).await?;
        }
        tracing::info!(schema, version, name, "PostgreSQL's schema migrated");
    }
    Ok(())
}

/// Fresh tables become hypertables where TimescaleDB is; later that would move all rows.
async fn partition_by_time(transaction: &Transaction<'_>) -> Result<(), DatabaseError> {
    let timescale: bool =
        transaction.query_one("select exists (select from pg_extension where extname = 'timescaledb')", &[]).await?.get(0);
    if timescale {
        let create = "select create_hypertable('readings', 'time'); select create_hypertable('intervals', 'start')";
        transaction.batch_execute(create).await?;
    }
    Ok(())
}
