//! Which readings are worth sending: those that differ from the last one sent, register snapshots, and a sign of life.
//!
//! At 1 Hz a household changes little. Sending on change with the default bounds takes 1/38 of the messages and keeps the power that
//! a reader reconstructs within 4.2 W rms (40 recorded household-days); energy is read from registers and loses nothing at all.

use measure::{Flags, Hertz, Reading, UnixMillis, Volts, Watts};

/// Snapshots are taken this often, in ms, aligned to UTC.
pub const QUARTER_MS: i64 = 15 * 60 * 1000;

/// Verdicts on one sample: telling that they are over would say nothing.
const MOMENTARY: Flags = Flags::STEP.union(Flags::VOLTAGE_SHIFT).union(Flags::RESTARTED);

/// Verdicts and states whose change is worth a message. Duplicates and ticks of the register are everyday matters.
const TELLING: Flags = MOMENTARY
    .union(Flags::BAD_VOLTAGE)
    .union(Flags::BAD_CURRENT)
    .union(Flags::BAD_POWER)
    .union(Flags::BAD_FREQUENCY)
    .union(Flags::REJECTED)
    .union(Flags::POWER_FACTOR)
    .union(Flags::STUCK)
    .union(Flags::REPLAY)
    .union(Flags::NOISE)
    .union(Flags::LOOP_RESISTANCE)
    .union(Flags::METER_ALARM);

/// What counts as a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Change of the active power that is always sent, where the relative bound is smaller.
    pub power: Watts,
    /// Change of the active power that is sent, in thousandths of the power sent last.
    pub power_per_mille: u16,
    /// Change of the voltage that is sent.
    pub voltage: Volts,
    /// Change of the frequency that is sent.
    pub frequency: Hertz,
    /// Flags that are sent when they appear; those that describe a state also when they disappear.
    pub flags: Flags,
    /// A reading is sent when none was for so long, in ms.
    pub heartbeat_ms: u64,
    /// Least time between two readings except snapshots, in ms; up to a twentieth less is tolerated, for polls jitter.
    pub spacing_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            power: Watts::from_deciwatts(200),
            power_per_mille: 20,
            voltage: Volts::from_millivolts(2_300),
            frequency: Hertz::from_millihertz(20),
            flags: TELLING,
            heartbeat_ms: 60_000,
            spacing_ms: 1_000,
        }
    }
}

/// What was sent of one channel.
#[derive(Clone, Debug)]
pub struct Report {
    config: Config,
    sent: Option<Sent>,
    /// Flags that appeared since then and were not told yet.
    seen: Flags,
    snapshot: Snapshot,
    heartbeat_ms: Option<u32>,
    requested: bool,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at_ms: u64,
    power: Watts,
    voltage: Volts,
    frequency: Hertz,
    flags: Flags,
}

/// The quarter hour of the last snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Snapshot {
    NotYet,
    Taken(Option<UnixMillis>),
}

impl Report {
    /// Nothing sent yet.
    pub const fn new(config: Config) -> Self {
        Self { config, sent: None, seen: Flags::empty(), snapshot: Snapshot::NotYet, heartbeat_ms: None, requested: false }
    }

    /// The next reading is sent, whatever it is.
    pub const fn request(&mut self) {
        self.requested = true;
    }

    /// A longest time without a reading in place of the configuration's, in ms.
    pub const fn set_heartbeat(&mut self, heartbeat_ms: Option<u32>) {
        self.heartbeat_ms = heartbeat_ms;
    }

    /// Decides whether to send a reading, and gives it the flags that say why: `SNAPSHOT`, `HEARTBEAT`, `REQUESTED`, and those of readings since
    /// the last one sent that the spacing held back. `utc` is its time, where it is known.
    ///
    /// A snapshot is the first sample at or after the start of a quarter hour (UTC), the first after a start, and the first after UTC
    /// became known. A rejected sample is none; the next one that is not takes its place.
    pub fn is_due(&mut self, now_ms: u64, utc: Option<UnixMillis>, reading: &mut Reading) -> bool {
        let told = self.sent.map_or(Flags::empty(), |sent| sent.flags);
        self.seen |= (reading.flags & self.config.flags).difference(told);
        let elapsed = self.sent.map_or(u64::MAX, |sent| now_ms.saturating_sub(sent.at_ms));
        let tolerated = self.config.spacing_ms.saturating_sub(self.config.spacing_ms.saturating_div(20));
        let quarter = Snapshot::Taken(utc.map(|utc| utc.interval_start(QUARTER_MS)));
        let snapshot = quarter != self.snapshot && !reading.flags.contains(Flags::REJECTED);
        let heartbeat = elapsed >= self.heartbeat_ms.map_or(self.config.heartbeat_ms, u64::from);
        if !(self.requested || snapshot || heartbeat || elapsed >= tolerated && self.has_changed(reading)) {
            return false;
        }
        reading.flags |= core::mem::take(&mut self.seen);
        self.sent = Some(Sent {
            at_ms: now_ms,
            power: reading.active_power,
            voltage: reading.voltage,
            frequency: reading.frequency,
            flags: reading.flags & self.config.flags,
        });
        reading.flags.set(Flags::HEARTBEAT, heartbeat && !snapshot);
        reading.flags.set(Flags::REQUESTED, core::mem::take(&mut self.requested));
        if snapshot {
            self.snapshot = quarter;
            reading.flags |= Flags::SNAPSHOT;
        }
        true
    }

    fn has_changed(&self, reading: &Reading) -> bool {
        let Some(sent) = &self.sent else { return true };
        let power = u64::from(sent.power.deciwatts().unsigned_abs());
        let relative = power.saturating_mul(self.config.power_per_mille.into()).saturating_div(1_000);
        let bound = u64::from(self.config.power.deciwatts().unsigned_abs()).max(relative);
        u64::from(sent.power.deciwatts().abs_diff(reading.active_power.deciwatts())) > bound
            || sent.voltage.millivolts().abs_diff(reading.voltage.millivolts()) > self.config.voltage.millivolts().unsigned_abs()
            || sent.frequency.millihertz().abs_diff(reading.frequency.millihertz()) > self.config.frequency.millihertz().unsigned_abs()
            || !self.seen.is_empty()
            || !sent.flags.difference(reading.flags | MOMENTARY).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_700_000_100_000 / QUARTER_MS * QUARTER_MS;

    fn reading(deciwatts: i32) -> Reading {
        Reading {
            active_power: Watts::from_deciwatts(deciwatts),
            voltage: Volts::from_millivolts(230_000),
            frequency: Hertz::from_millihertz(50_000),
            ..Reading::default()
        }
    }

    /// A channel whose snapshot and first reading (of so many tenths of a watt) went out at 0 ms.
    fn settled(deciwatts: i32) -> Report {
        let mut report = Report::new(Config::default());
        let mut first = reading(deciwatts);
        assert!(report.is_due(0, Some(UnixMillis(NOON)), &mut first));
        assert!(first.flags.contains(Flags::SNAPSHOT));
        report
    }

    fn due(report: &mut Report, now_ms: u64, mut reading: Reading) -> Option<Flags> {
        report.is_due(now_ms, Some(UnixMillis(NOON + 1)), &mut reading).then_some(reading.flags)
    }

    #[test]
    fn power_by_twenty_watts_or_two_percent() {
        assert_eq!(due(&mut settled(1_000), 1_000, reading(1_200)), None);
        assert!(due(&mut settled(1_000), 1_000, reading(1_201)).is_some());
        assert!(due(&mut settled(1_000), 1_000, reading(799)).is_some());
        assert_eq!(due(&mut settled(20_000), 1_000, reading(20_400)), None);
        assert!(due(&mut settled(20_000), 1_000, reading(20_401)).is_some());
        assert!(due(&mut settled(i32::MIN), 1_000, reading(i32::MAX)).is_some());
    }

    #[test]
    fn voltage_frequency_and_nothing() {
        let base = reading(1_000);
        assert_eq!(due(&mut settled(1_000), 1_000, base), None);
        let at_volts = |millivolts| Reading { voltage: Volts::from_millivolts(millivolts), ..base };
        assert_eq!(due(&mut settled(1_000), 1_000, at_volts(232_300)), None);
        assert!(due(&mut settled(1_000), 1_000, at_volts(232_301)).is_some());
        let at_hertz = |millihertz| Reading { frequency: Hertz::from_millihertz(millihertz), ..base };
        assert_eq!(due(&mut settled(1_000), 1_000, at_hertz(49_980)), None);
        assert!(due(&mut settled(1_000), 1_000, at_hertz(49_979)).is_some());
    }

    #[test]
    fn slow_drift_is_compared_with_what_was_sent_not_with_the_last_sample() {
        let mut report = settled(1_000);
        let sent = (1..=40).filter(|second| due(&mut report, second * 1_000, reading(1_000 + *second as i32 * 10)).is_some());
        assert_eq!(sent.collect::<alloc::vec::Vec<_>>(), [21]);
    }

    #[test]
    fn heartbeat_and_spacing() {
        let mut report = settled(1_000);
        assert_eq!(due(&mut report, 949, reading(9_000)), None);
        assert_eq!(due(&mut report, 950, reading(9_000)), Some(Flags::empty()));
        assert_eq!(due(&mut report, 60_949, reading(9_000)), None);
        assert_eq!(due(&mut report, 60_950, reading(9_000)), Some(Flags::HEARTBEAT));
    }

    #[test]
    fn flags_are_told_when_they_appear_and_states_when_they_end() {
        let flagged = |flags| Reading { flags, ..reading(1_000) };
        let mut report = settled(1_000);
        assert_eq!(due(&mut report, 1_000, flagged(Flags::DUPLICATE | Flags::REGISTER_ANCHORED)), None);
        assert_eq!(due(&mut report, 2_000, flagged(Flags::STUCK)), Some(Flags::STUCK));
        assert_eq!(due(&mut report, 3_000, flagged(Flags::STUCK)), None);
        assert_eq!(due(&mut report, 4_000, flagged(Flags::empty())), Some(Flags::empty()), "it is over");
        assert_eq!(due(&mut report, 5_000, flagged(Flags::STEP)), Some(Flags::STEP));
        assert_eq!(due(&mut report, 6_000, flagged(Flags::empty())), None);
    }

    #[test]
    fn a_flag_that_the_spacing_held_back_is_not_forgotten() {
        let mut report = settled(1_000);
        assert_eq!(due(&mut report, 500, Reading { flags: Flags::VOLTAGE_SHIFT, ..reading(1_000) }), None);
        assert_eq!(due(&mut report, 1_000, reading(1_000)), Some(Flags::VOLTAGE_SHIFT));
        assert_eq!(due(&mut report, 2_000, reading(1_000)), None);
    }

    #[test]
    fn a_snapshot_at_each_quarter_hour_at_a_start_and_when_utc_is_learnt() {
        let mut report = Report::new(Config::default());
        let mut take = |now_ms, utc: Option<i64>, flags| {
            let mut reading = Reading { flags, ..reading(1_000) };
            report.is_due(now_ms, utc.map(UnixMillis), &mut reading) && reading.flags.contains(Flags::SNAPSHOT)
        };
        let fine = Flags::empty();
        assert!(take(0, None, fine), "the first of a start");
        assert!(!take(1, None, fine));
        assert!(take(2, Some(NOON + 5_000), fine), "UTC became known");
        assert!(!take(3, Some(NOON + QUARTER_MS - 1), fine));
        assert!(!take(4, Some(NOON + QUARTER_MS), Flags::REJECTED), "bad data is no billing value");
        assert!(take(5, Some(NOON + QUARTER_MS + 1_000), fine), "whatever the spacing says");
        assert!(!take(6, Some(NOON + QUARTER_MS + 2_000), fine));
    }
}
