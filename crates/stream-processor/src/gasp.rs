//! Last gasps on their way to the analytics: a meter whose supply fails says so, and is not heard for minutes before its silence tells.
//!
//! The intake sees both the event and what comes after it, so it says of both what happened: the meter is lost, and it is back when it
//! measures a voltage again. Pure. What a predecessor knew is not known here: the analytics forget a gasp that nothing confirms.

use std::collections::BTreeMap;

use contracts::feeders::FeederEventKind;
use measure::{EventKind, Flags, MeterId, Record, UnixMillis};

use crate::quality::Sign;
use crate::shard::Accepted;

/// An older gasp is no news: it was kept while there was no way to say it, and there is one now.
const NEWS_MS: i64 = 60_000;
/// Meters that are waited for; of further ones the analytics forget the gasp by themselves.
const WAITING_MAX: usize = 100_000;
/// With more than this a meter measures its supply, in mV.
const SUPPLY_MIN_MV: i32 = 50_000;

/// The meters whose gasp was heard and nothing since.
#[derive(Debug, Default)]
pub struct Gasps(BTreeMap<MeterId, UnixMillis>);

impl Gasps {
    /// What new records say, in their order, for those who watch the meters' feeders.
    pub fn signs(&mut self, records: &[Accepted]) -> Vec<Sign> {
        records.iter().filter_map(|it| self.sign(it)).collect()
    }

    fn sign(&mut self, it: &Accepted) -> Option<Sign> {
        let sign = |kind, since| Some(Sign { meter: it.meter.clone(), kind, since, at: it.received });
        match &it.record {
            Record::Event(event) if event.kind == EventKind::SupplyFailing => {
                if it.received.millis_since(event.time) > NEWS_MS {
                    return None;
                }
                if self.0.len() < WAITING_MAX {
                    self.0.insert(it.meter.clone(), event.time);
                }
                sign(FeederEventKind::LastGasp, event.time)
            }
            Record::Reading(reading) if !self.0.is_empty() => {
                // An urgent event comes before readings that are older.
                let is_later = self.0.get(&it.meter).is_some_and(|gasp| reading.time > *gasp);
                let is_measured = !reading.flags.intersects(Flags::REGISTERS_ONLY | Flags::REPLAY | Flags::STUCK | Flags::REJECTED);
                if !is_later || !is_measured || reading.raw.voltage.millivolts() <= SUPPLY_MIN_MV {
                    return None;
                }
                self.0.remove(&it.meter);
                sign(FeederEventKind::Heard, reading.time)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use measure::{ClockQuality, Event, Raw, Reading, StreamId, Volts};

    use super::*;

    const AT: i64 = 1_800_000_000_000;

    fn accepted(received_s: i64, record: Record) -> Accepted {
        let received = UnixMillis(AT).saturating_add(received_s.saturating_mul(1_000));
        Accepted { meter: "M1".parse().unwrap(), stream: StreamId(1), seq: 1, received, record }
    }

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(AT).saturating_add(seconds.saturating_mul(1_000))
    }

    fn gasp(time_s: i64) -> Record {
        let (clock, kind) = (ClockQuality::Synchronised, EventKind::SupplyFailing);
        Record::Event(Event { time: at(time_s), clock, channel: 0, kind, value: 0 })
    }

    fn reading(time_s: i64, volts: i32, flags: Flags) -> Record {
        let raw = Raw { voltage: Volts::from_millivolts(volts.saturating_mul(1_000)), ..Raw::default() };
        Record::Reading(Reading { time: at(time_s), raw, flags, ..Reading::default() })
    }

    fn kinds(records: &[Accepted]) -> Vec<(FeederEventKind, UnixMillis)> {
        Gasps::default().signs(records).into_iter().map(|it| (it.kind, it.since)).collect()
    }

    #[test]
    fn a_gasp_is_told_and_the_first_voltage_after_it() {
        let none = Flags::empty();
        let records = [
            accepted(0, reading(-1, 230, none)),
            accepted(1, gasp(0)),
            accepted(2, reading(-5, 231, none)),
            accepted(3, reading(3, 0, none)),
            accepted(4, reading(4, 230, Flags::REPLAY)),
            accepted(5, reading(5, 229, none)),
            accepted(6, reading(6, 230, none)),
        ];
        assert_eq!(kinds(&records), [(FeederEventKind::LastGasp, at(0)), (FeederEventKind::Heard, at(5))]);
    }

    #[test]
    fn a_gasp_that_could_not_be_said_in_time_is_no_news() {
        assert_eq!(kinds(&[accepted(61, gasp(0)), accepted(62, reading(1, 230, Flags::empty()))]), []);
        assert_eq!(kinds(&[accepted(60, gasp(0))]).len(), 1);
    }
}
