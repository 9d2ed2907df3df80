//! What Kafka tells of prepaid accounts, beside what their relays really do. Pure.

use std::collections::BTreeMap;
use std::fmt;

use contracts::EventRecord;
use measure::{Account, EventKind, UnixMillis};
use serde::Serialize;

/// What the events of the accounts have told so far.
#[derive(Debug)]
pub struct Accounts {
    begin: UnixMillis,
    told: BTreeMap<Account, Told>,
}

#[derive(Debug, Default)]
struct Told {
    warned: Option<UnixMillis>,
    /// Since when its relay is open.
    cut: Option<UnixMillis>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prepaid {
    /// Whose credit ran out.
    pub account: Option<Account>,
    /// When its consumer was warned, in s from the beginning.
    pub warned_s: Option<f64>,
    /// When it was cut off.
    pub cut_s: Option<f64>,
    /// How many relays are closed in truth.
    pub closed: usize,
    /// Whether every relay is as Kafka tells.
    pub agrees: bool,
}

impl Accounts {
    /// Nothing yet; times are told from `begin` on.
    pub fn new(begin: UnixMillis) -> Self {
        Self { begin, told: BTreeMap::new() }
    }

    /// Takes an event out of Kafka. What to say of it, if anything.
    pub fn hear(&mut self, event: &EventRecord) -> Option<String> {
        let EventRecord::Event(it) = event else { return None };
        let account = it.account.as_ref()?;
        let told = self.told.entry(account.clone()).or_default();
        let what = match it.kind {
            EventKind::CreditLow => "credit is low".to_owned(),
            EventKind::DisconnectWarning => {
                told.warned = Some(it.time_ms);
                format!("credit is used up, and it is cut off in {:.1} s", it.value as f64 / 1e3)
            }
            EventKind::Disconnected => {
                told.cut = Some(it.time_ms);
                "cut off: its relay opens".to_owned()
            }
            EventKind::Reconnected => {
                told.cut = None;
                "its relay closes".to_owned()
            }
            _ => return None,
        };
        Some(format!("account {account}: {what}"))
    }

    /// Compares with the truth: each account, and whether its relay is closed.
    pub fn end(&self, truth: &[(Account, bool)]) -> Prepaid {
        let cut_of = |account: &Account| self.told.get(account).and_then(|told| told.cut);
        let seconds = |at: UnixMillis| at.millis_since(self.begin) as f64 / 1e3;
        let cut = self.told.iter().find(|(_, told)| told.cut.is_some());
        Prepaid {
            account: cut.map(|(account, _)| account.clone()),
            warned_s: cut.and_then(|(_, told)| told.warned).map(seconds),
            cut_s: cut.and_then(|(_, told)| told.cut).map(seconds),
            closed: truth.iter().filter(|(_, closed)| *closed).count(),
            agrees: truth.iter().all(|(account, closed)| *closed == cut_of(account).is_none()),
        }
    }
}

impl fmt::Display for Prepaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let truth = if self.agrees { "the relays agree" } else { "the relays do NOT agree" };
        let account = self.account.as_ref().map(ToString::to_string);
        match (account, self.warned_s, self.cut_s) {
            (Some(account), Some(warned), Some(cut)) => {
                write!(f, "prepaid        {account:>8}  warned after {warned:.1} s, cut off after {cut:.1} s")?;
            }
            (Some(account), _, _) => write!(f, "prepaid        {account:>8}  cut off without a warning")?,
            (None, ..) => write!(f, "prepaid        nobody was cut off")?,
        }
        write!(f, "; relays closed: {}; {truth}", self.closed)
    }
}

#[cfg(test)]
mod tests {
    use measure::{ClockQuality, Event, MeterId, Record, StreamId};

    use super::*;

    #[test]
    fn who_is_cut_is_told_and_compared_with_the_relays() {
        let meter: MeterId = "flats".parse().unwrap();
        let event = |time, channel, kind, value| {
            let event = Event { time: UnixMillis(time), clock: ClockQuality::Synchronised, channel, kind, value };
            EventRecord::new(&meter, StreamId(1), 1, UnixMillis(time), &Record::Event(event)).unwrap()
        };
        let mut accounts = Accounts::new(UnixMillis(1_000));
        assert_eq!(accounts.hear(&event(1_500, 0, EventKind::Started, 1)), None);
        for (time, channel, kind) in [
            (2_000, 1, EventKind::Disconnected),
            (2_500, 1, EventKind::Reconnected),
            (5_000, 3, EventKind::DisconnectWarning),
            (6_500, 3, EventKind::Disconnected),
        ] {
            assert!(accounts.hear(&event(time, channel, kind, 1_500)).unwrap().contains(&format!("flats.{channel}")));
        }
        let truth = |open: u8| [1, 3].map(|channel| (Account::new(&meter, channel), channel != open));
        let end = accounts.end(&truth(3));
        assert_eq!((end.warned_s, end.cut_s, end.closed, end.agrees), (Some(4.0), Some(5.5), 1, true));
        assert_eq!(end.to_string(), "prepaid         flats.3  warned after 4.0 s, cut off after 5.5 s; relays closed: 1; the relays agree");
        assert!(!accounts.end(&truth(1)).agrees);
        assert_eq!(Accounts::new(UnixMillis(0)).end(&truth(0)).account, None);
    }
}
