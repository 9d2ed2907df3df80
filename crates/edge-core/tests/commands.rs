//! Commands as a meter takes them: each believed one is answered once, and nothing else is done.

#![expect(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "tests count small numbers, and panic where they are wrong")]

use edge_core::journal::MemoryJournal;
use edge_core::{CommandConfig, Config, Edge, Now, Sample, Wall};
use estimator::SensorNoise;
use measure::{
    Amperes, ClockQuality, Event, EventKind, Flags, Hertz, Outcome, PowerFactor, Raw, Reading, Record, UnixMillis, Verdict, Volts, Watts,
};
use proptest::prelude::*;
use wire::command::{Action, Authority, Command};
use wire::frame;

const NOON: i64 = 1_800_014_400_000;
const HOUR: i64 = 3_600_000;

fn authority() -> Authority {
    Authority::from_secret(&[1; 32])
}

fn signed(number: u64, action: Action) -> Vec<u8> {
    Command { meter: "M1".parse().unwrap(), number, expires: UnixMillis(NOON + HOUR), action }.sign(&authority()).to_vec()
}

struct Meter {
    edge: Edge,
    journal: MemoryJournal,
    ms: u64,
    knows_utc: bool,
}

fn config() -> Config {
    let keys = vec![Authority::from_secret(&[2; 32]).key(), authority().key()];
    let commands = CommandConfig { meter: Some("M1".parse().unwrap()), keys, read_patience_ms: 10_000 };
    Config { channels: vec![estimator::Config::new(SensorNoise::PZEM_004T); 2], commands, ..Config::default() }
}

fn start(journal: &mut MemoryJournal, now: Now) -> Edge {
    let mut edge = Edge::start(config(), [journal.len() as u8; 32], now, journal).unwrap();
    edge.handle_connected();
    journal.commit();
    edge.handle_committed();
    edge
}

impl Meter {
    fn new() -> Self {
        Self::with_clock(true)
    }

    fn with_clock(knows_utc: bool) -> Self {
        let mut journal = MemoryJournal::new(10_000);
        let edge = start(&mut journal, now(0, knows_utc));
        Self { edge, journal, ms: 0, knows_utc }
    }

    fn now(&self) -> Now {
        now(self.ms, self.knows_utc)
    }

    /// The power fails: what was not committed is gone.
    fn power_cut(&mut self) {
        self.journal.roll_back();
        let now = self.now();
        self.edge = start(&mut self.journal, now);
    }

    fn command(&mut self, bytes: &[u8]) {
        self.edge.handle_command(self.now(), &mut self.journal, bytes).unwrap();
    }

    fn sample(&mut self, channel: u8) {
        let raw = Raw {
            voltage: Volts::from_millivolts(232_100),
            current: Amperes::from_milliamperes(1_000),
            active_power: Watts::from_deciwatts(2_321),
            frequency: Hertz::from_millihertz(50_000),
            power_factor: PowerFactor::from_thousandths(1_000),
        };
        self.edge.handle_sample(self.now(), &mut self.journal, channel, &Sample { raw, ..Sample::default() }).unwrap();
    }

    /// Everything journalled since the last time.
    fn sent(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some(transmit) = self.edge.poll_transmit(self.now(), &mut self.journal).unwrap() {
            self.journal.commit();
            self.edge.handle_committed();
            let (header, body) = frame::decode(&transmit.bytes).unwrap();
            records.extend(body.map(Result::unwrap));
            let ack = wire::ack::Ack { stream: header.stream, through: header.last_seq(), incarnation: 1 };
            self.edge.handle_ack(self.now(), &mut self.journal, &ack).unwrap();
        }
        self.journal.commit();
        self.edge.handle_committed();
        records
    }

    fn outcomes(&mut self) -> Vec<(u64, Verdict)> {
        let outcome = |record| if let Record::Outcome(Outcome { number, verdict, .. }) = record { Some((number, verdict)) } else { None };
        self.sent().into_iter().filter_map(outcome).collect()
    }

    fn refusals(&mut self) -> Vec<i64> {
        let refusal = |record| match record {
            Record::Event(Event { kind: EventKind::CommandRefused, value, .. }) => Some(value),
            _ => None,
        };
        self.sent().into_iter().filter_map(refusal).collect()
    }

    fn counted(&self, verdict: Verdict) -> u64 {
        self.edge.counters().of_commands(verdict)
    }
}

fn now(ms: u64, knows_utc: bool) -> Now {
    let wall = Wall { time: UnixMillis(NOON + ms as i64), quality: ClockQuality::Synchronised };
    Now { monotonic_ms: ms, wall: knows_utc.then_some(wall) }
}

const INTERVAL: Action = Action::ReportInterval { heartbeat_ms: 5_000 };

#[test]
fn a_copy_changes_nothing_and_is_answered_once_over_a_power_cut_too() {
    let mut meter = Meter::new();
    let bytes = signed(7, INTERVAL);
    meter.command(&bytes);
    meter.power_cut();
    assert_eq!(meter.outcomes(), [], "nothing was committed, so nothing was done");
    meter.command(&bytes);
    assert_eq!(meter.outcomes(), [(7, Verdict::Done)]);
    meter.command(&bytes);
    meter.power_cut();
    meter.command(&bytes);
    assert_eq!(meter.outcomes(), []);
    assert_eq!(meter.counted(Verdict::Replayed), 1);
}

#[test]
fn what_comes_out_of_order_is_refused_and_answered_once() {
    let mut meter = Meter::new();
    meter.command(&signed(9, INTERVAL));
    meter.command(&signed(8, INTERVAL));
    meter.command(&signed(8, INTERVAL));
    assert_eq!(meter.outcomes(), [(9, Verdict::Done), (8, Verdict::Reordered)]);
}

#[test]
fn what_has_expired_is_refused() {
    let mut meter = Meter::new();
    meter.ms = HOUR as u64;
    meter.command(&signed(7, INTERVAL));
    meter.ms += 1;
    meter.command(&signed(8, INTERVAL));
    assert_eq!(meter.outcomes(), [(7, Verdict::Done), (8, Verdict::Expired)]);
}

#[test]
fn without_a_clock_it_waits_to_come_again() {
    let mut meter = Meter::with_clock(false);
    meter.command(&signed(7, INTERVAL));
    assert_eq!(meter.counted(Verdict::ClockUnknown), 1);
    meter.knows_utc = true;
    assert_eq!(meter.refusals(), [i64::from(Verdict::ClockUnknown.code())]);
    meter.command(&signed(7, INTERVAL));
    assert_eq!(meter.outcomes(), [(7, Verdict::Done)]);
}

#[test]
fn what_cannot_be_believed_is_told_once_a_minute_for_each_reason() {
    let mut meter = Meter::new();
    let foreign = Command { meter: "M2".parse().unwrap(), number: 7, expires: UnixMillis(i64::MAX), action: INTERVAL };
    let stranger = Command { meter: "M1".parse().unwrap(), ..foreign.clone() }.sign(&Authority::from_secret(&[3; 32]));
    for _ in 0..3 {
        meter.command(b"");
        meter.command(&foreign.sign(&authority()));
        meter.command(&stranger);
    }
    let codes = [Verdict::Malformed, Verdict::Foreign, Verdict::BadSignature].map(|verdict| i64::from(verdict.code()));
    assert_eq!(meter.refusals(), codes);
    assert_eq!(codes.map(|code| meter.counted(Verdict::from_code(code as u8).unwrap())), [3, 3, 3]);
    meter.ms += 60_000;
    meter.command(b"");
    assert_eq!(meter.refusals(), codes[..1]);
    assert_eq!(meter.outcomes(), []);
}

#[test]
fn either_of_two_authorities_is_obeyed() {
    let mut meter = Meter::new();
    let command = Command { meter: "M1".parse().unwrap(), number: 7, expires: UnixMillis(NOON + HOUR), action: INTERVAL };
    meter.command(&command.sign(&Authority::from_secret(&[2; 32])));
    assert_eq!(meter.outcomes(), [(7, Verdict::Done)]);
}

#[test]
fn a_meter_without_keys_obeys_nobody() {
    let mut journal = MemoryJournal::new(100);
    let mut edge = Edge::start(Config::default(), [0; 32], now(0, true), &mut journal).unwrap();
    edge.handle_command(now(1, true), &mut journal, &signed(7, INTERVAL)).unwrap();
    assert_eq!(edge.counters().of_commands(Verdict::BadSignature), 1);
}

#[test]
fn a_reading_is_answered_when_every_channel_was_read() {
    let mut meter = Meter::new();
    for channel in [0, 1] {
        meter.sample(channel);
    }
    meter.sent();
    meter.ms = 1_000;
    meter.command(&signed(7, Action::Read));
    assert_eq!(meter.outcomes(), []);
    meter.command(&signed(7, Action::Read));
    meter.sample(0);
    assert_eq!(meter.outcomes(), [], "channel 1 is missing");
    meter.ms = 1_100;
    meter.sample(1);
    let records = meter.sent();
    assert!(
        matches!(
            &records[..],
            [Record::Outcome(Outcome { number: 7, verdict: Verdict::Done, .. }), Record::Reading(Reading { channel: 1, flags, .. })]
                if flags.contains(Flags::REQUESTED)
        ),
        "{records:?}"
    );
    meter.ms = 1_200;
    meter.sample(1);
    assert_eq!(meter.sent(), [], "one reading was asked for");
}

#[test]
fn a_reading_that_does_not_come_is_answered_too() {
    let mut meter = Meter::new();
    meter.command(&signed(7, Action::Read));
    meter.sample(0);
    assert_eq!(meter.edge.poll_timeout(), Some(10_000));
    meter.ms = 10_000;
    assert_eq!(meter.outcomes(), [(7, Verdict::NoData)]);
    assert_ne!(meter.edge.poll_timeout(), Some(10_000));
}

#[test]
fn a_report_interval_holds_over_restarts() {
    let mut meter = Meter::new();
    meter.command(&signed(7, INTERVAL));
    meter.command(&signed(8, Action::ReportInterval { heartbeat_ms: 1 }));
    assert_eq!(meter.outcomes(), [(7, Verdict::Done), (8, Verdict::OutOfRange)]);
    meter.power_cut();
    meter.sample(0);
    meter.sent();
    let mut heartbeats = Vec::new();
    for second in 1..=11 {
        meter.ms = second * 1_000;
        meter.sample(0);
        let is_heartbeat = |record: &Record| matches!(record, Record::Reading(it) if it.flags.contains(Flags::HEARTBEAT));
        heartbeats.extend(meter.sent().iter().any(is_heartbeat).then_some(second));
    }
    assert_eq!(heartbeats, [5, 10]);
}

#[test]
fn a_calibration_corrects_what_is_estimated_and_not_what_was_measured() {
    let mut meter = Meter::new();
    meter.command(&signed(7, Action::Calibration { channel: 0, voltage_ppm: -9_048, current_ppm: 10_000 }));
    meter.command(&signed(8, Action::Calibration { channel: 2, voltage_ppm: 0, current_ppm: 0 }));
    meter.command(&signed(9, Action::Calibration { channel: 0, voltage_ppm: 250_001, current_ppm: 0 }));
    assert_eq!(meter.outcomes(), [(7, Verdict::Done), (8, Verdict::NotEquipped), (9, Verdict::OutOfRange)]);
    meter.power_cut();
    meter.sample(0);
    let records = meter.sent();
    let reading = records.iter().find_map(|record| if let Record::Reading(it) = record { Some(it) } else { None }).unwrap();
    assert_eq!((reading.voltage.millivolts(), reading.current.milliamperes()), (230_000, 1_010));
    assert_eq!(reading.raw.voltage.millivolts(), 232_100);
}

#[test]
fn what_a_meter_does_not_have_is_not_done() {
    let mut meter = Meter::new();
    meter.command(&signed(7, Action::Relay { channel: Some(0), on: false }));
    meter.command(&signed(8, Action::Limit { channel: 0, watts: None }));
    assert_eq!(meter.outcomes(), [(7, Verdict::NotEquipped), (8, Verdict::NotEquipped)]);
}

proptest! {
    /// Whatever order copies come in, with power cuts in between: no number is answered twice, and those carried out grow.
    #[test]
    fn no_number_is_answered_twice(steps in prop::collection::vec((0..40u64, any::<bool>(), any::<bool>()), 1..80)) {
        let mut meter = Meter::new();
        let mut answered = Vec::new();
        for (number, commit, cut) in steps {
            meter.command(&signed(number, INTERVAL));
            if commit {
                answered.extend(meter.outcomes());
            }
            if cut {
                meter.power_cut();
            }
        }
        answered.extend(meter.outcomes());
        let mut numbers: Vec<u64> = answered.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        let before = numbers.len();
        numbers.dedup();
        prop_assert_eq!(numbers.len(), before);
        let done: Vec<u64> = answered.iter().filter(|(_, verdict)| verdict.is_done()).map(|(number, _)| *number).collect();
        prop_assert!(done.windows(2).all(|pair| pair[0] < pair[1]), "{done:?}");
    }
}
