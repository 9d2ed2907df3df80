//! The meter's service: serial bus, SQLite journal, MQTT link.

pub mod journal_sqlite;
