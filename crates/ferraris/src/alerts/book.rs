//! All alerts as they are now.

use std::collections::BTreeMap;

use anyhow::bail;
use contracts::{AlertId, AlertRecord};
use rdkafka::message::{BorrowedMessage, Message as _};

use super::TOPIC;
use crate::kafka::{Address, Reader};

/// The last record of each alert.
#[derive(Debug, Default)]
pub struct Book {
    alerts: BTreeMap<AlertId, AlertRecord>,
}

impl Book {
    /// Reads all of them; the reader goes on where the book ends.
    pub fn read(address: &Address) -> anyhow::Result<(Reader, Self)> {
        let mut reader = Reader::open(address, TOPIC)?;
        let mut book = Self::default();
        reader.drain(|message| {
            if let Some(record) = record(message) {
                book.insert(record);
            }
        })?;
        Ok((reader, book))
    }

    fn insert(&mut self, record: AlertRecord) {
        self.alerts.insert(record.alert, record);
    }

    /// The newest first.
    pub fn alerts(&self) -> impl Iterator<Item = &AlertRecord> {
        let mut alerts: Vec<_> = self.alerts.values().collect();
        alerts.sort_by_key(|it| std::cmp::Reverse((it.at_ms, it.alert)));
        alerts.into_iter()
    }

    /// The one whose id begins so.
    pub fn find(&self, start: &str) -> anyhow::Result<&AlertRecord> {
        let start = start.to_ascii_lowercase();
        let found: Vec<_> = self.alerts.values().filter(|it| it.alert.to_string().starts_with(&start)).collect();
        match found[..] {
            [one] => Ok(one),
            [] => bail!("no alert's id begins with {start}: `ferraris alerts list --all` shows them"),
            _ => bail!("{} alerts' ids begin with {start}: give more of it", found.len()),
        }
    }
}

/// The alert in a message; none in what is no alert.
pub fn record(message: &BorrowedMessage<'_>) -> Option<AlertRecord> {
    serde_json::from_slice(message.payload()?).ok()
}

#[cfg(test)]
pub mod tests {
    use contracts::alerts::{AlertSeverity, AlertState};
    use measure::UnixMillis;

    use super::*;

    pub fn alert(id: u128) -> AlertRecord {
        AlertRecord {
            alert: AlertId(id),
            rule: "voltage_drop".to_owned(),
            severity: AlertSeverity::Warning,
            feeder: "F1".parse().unwrap(),
            pole: None,
            meter: Some("M1".parse().unwrap()),
            state: AlertState::Raised,
            at_ms: UnixMillis(1_795_000_000_000),
            shelved_until_ms: None,
            who: None,
            note: None,
            action: None,
            since_ms: UnixMillis(1_794_900_000_000),
            detected_ms: UnixMillis(1_795_000_000_000),
            delay_ms: 100_000_000,
            statistic: 16.25,
            threshold: 14.0,
            unit: "deviations".to_owned(),
            false_alarms_per_feeder_year_max: Some(1.2),
            cause: None,
            missing_current_a: Some(1.5),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn an_alert_is_found_by_the_start_of_its_id() {
        let mut book = Book::default();
        book.insert(alert(0xabc0_0000_0000_0000_0000_0000_0000_0000));
        book.insert(alert(0xabd0_0000_0000_0000_0000_0000_0000_0000));
        assert_eq!(book.find("ABC").unwrap().alert, AlertId(0xabc0_0000_0000_0000_0000_0000_0000_0000));
        assert!(book.find("ab").unwrap_err().to_string().contains("2 alerts' ids begin with ab"));
        assert!(book.find("f").unwrap_err().to_string().contains("ferraris alerts list"));
    }

    #[test]
    fn the_last_record_of_an_alert_counts_and_the_newest_comes_first() {
        let mut book = Book::default();
        let later = AlertRecord { at_ms: UnixMillis(1_795_000_000_001), state: AlertState::Cleared, ..alert(1) };
        [alert(1), alert(2), later].into_iter().for_each(|it| book.insert(it));
        let shown: Vec<_> = book.alerts().map(|it| (it.alert.0, it.state)).collect();
        assert_eq!(shown, [(1, AlertState::Cleared), (2, AlertState::Raised)]);
    }
}
