//! One value of each shape, and the checked-in files they are compared with.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "test code: what cannot be built fails the test")]

pub mod compat;
pub mod files;

use contracts::alerts::{AlertActionKind, AlertEvidence, AlertSeverity, AlertState};
use contracts::dead_letter::DeadLetterReason;
use contracts::feeders::FeederEventKind;
use contracts::intervals::{Checks, IntervalLength, Quality};
use contracts::ledger::{IncarnationRow, ThroughRow};
use contracts::quality::{QualityKind, QualityMethod};
use contracts::state::Presence;
use contracts::topology::Phase;
use contracts::{
    AlertActionRecord, AlertId, AlertRecord, CommandRecord, DeadLetter, EventRecord, FeederEventRecord, FeederIntervalRecord, FeederRecord,
    FeederStateRecord, HouseRecord, IntervalRecord, LatestRecord, LedgerRecord, LiveValue, MeterStateRecord, QualityRecord, ReadingRecord,
    StateValue, VoltageWeekRecord,
};
use measure::{
    Account, ActionKind, Amperes, ClockQuality, Deviation, Deviations, Event, EventKind, Flags, Gap, GapReason, Hello, Hertz, MeterId,
    NormalisedInnovation, Outcome, PowerFactor, Raw, Reading, Record, Register, StreamId, Text, UnixMillis, Vars, Verdict, Volts,
    WattHours, Watts,
};
use serde_json::Value;

const TIME: UnixMillis = UnixMillis(1_795_000_000_250);
const RECEIVED: UnixMillis = UnixMillis(1_795_000_000_391);
const STREAM: StreamId = StreamId(0x0123_4567_89ab_cdef);

fn meter() -> MeterId {
    "M0001".parse().unwrap()
}

pub fn reading() -> Reading {
    Reading {
        time: TIME,
        clock: ClockQuality::Synchronised,
        channel: 0,
        voltage: Volts::from_millivolts(231_847),
        current: Amperes::from_milliamperes(2_262),
        active_power: Watts::from_deciwatts(4_979),
        frequency: Hertz::from_millihertz(49_987),
        power_factor: PowerFactor::from_thousandths(949),
        non_active_power: Vars::from_decivars(1_648),
        import: Register { raw: WattHours::from_centiwatthours(123_400), integrated: WattHours::from_centiwatthours(123_457) },
        export: Register::default(),
        deviation: Deviations {
            voltage: Deviation::from_f64(0.043),
            current: Deviation::from_f64(0.0016),
            active_power: Deviation::from_f64(0.409),
            frequency: Deviation::from_f64(0.0161),
        },
        nis: NormalisedInnovation::from_f64(2.82),
        flags: Flags::STEP | Flags::SNAPSHOT,
        raw: Raw {
            voltage: Volts::from_millivolts(231_800),
            current: Amperes::from_milliamperes(2_262),
            active_power: Watts::from_deciwatts(4_978),
            frequency: Hertz::from_millihertz(50_000),
            power_factor: PowerFactor::from_thousandths(950),
        },
    }
}

pub fn reading_record() -> ReadingRecord {
    ReadingRecord::new(&meter(), STREAM, 42, RECEIVED, &reading())
}

pub fn events() -> Vec<EventRecord> {
    let hello = Hello {
        time: TIME,
        clock: ClockQuality::Holdover,
        device: Text::try_from("pzem-004t").unwrap(),
        software: Text::try_from("edge-agent 0.1.0").unwrap(),
        configuration: 0x00c0_ffee_00c0_ffee,
        starts: 7,
    };
    let event = Event { time: TIME, clock: ClockQuality::Repaired, channel: 0, kind: EventKind::RegisterDecreased, value: -123_400 };
    let gap = Gap { from: UnixMillis(TIME.0 - 3_600_000), to: TIME, count: 3_600, reason: GapReason::JournalFull };
    let outcome = Outcome {
        time: TIME,
        clock: ClockQuality::Synchronised,
        channel: 5,
        number: 1_794_999_999_000,
        action: ActionKind::TopUp,
        verdict: Verdict::Done,
        value: 5_000_000,
    };
    let records = [Record::Hello(hello), Record::Event(event), Record::Gap(gap), Record::Outcome(outcome)];
    let said = records.iter().zip(1..).map(|(it, seq)| EventRecord::new(&meter(), STREAM, seq, RECEIVED, it).unwrap());
    said.chain([EventRecord::PowerQuality(quality()), EventRecord::VoltageWeek(voltage_week())]).collect()
}

fn quality() -> QualityRecord {
    QualityRecord {
        meter: meter(),
        channel: 0,
        account: Some(Account::new(&meter(), 0)),
        kind: QualityKind::UnderVoltage,
        method: QualityMethod::SlowRms,
        start_ms: UnixMillis(TIME.0 - 90_000),
        end_ms: Some(TIME),
        duration_ms: Some(90_000),
        cut: false,
        threshold: 207.0,
        hysteresis: 4.6,
        extreme: 198.4,
        mean: 203.25,
        unit: "V".to_owned(),
        samples: 31,
        at_ms: RECEIVED,
    }
}

fn voltage_week() -> VoltageWeekRecord {
    let start_ms = UnixMillis(1_794_787_200_000);
    VoltageWeekRecord {
        meter: meter(),
        channel: 0,
        account: Some(Account::new(&meter(), 0)),
        start_ms,
        end_ms: start_ms.saturating_add(604_800_000),
        nominal_v: Volts::from_millivolts(230_000),
        means: 1_002,
        within: 949,
        far_out: 0,
        lowest_v: Volts::from_millivolts(201_300),
        highest_v: Volts::from_millivolts(247_900),
        complies: false,
        method: QualityMethod::SlowRms,
        at_ms: start_ms.saturating_add(605_460_000),
    }
}

pub fn intervals() -> [IntervalRecord; 2] {
    let quarter_start = UnixMillis(1_795_000_500_000);
    let day_start = UnixMillis(1_794_956_400_000);
    let day = IntervalRecord {
        meter: meter(),
        channel: 0,
        account: Some(Account::new(&meter(), 0)),
        length: IntervalLength::Day,
        start_ms: day_start,
        end_ms: day_start.saturating_add(86_400_000),
        revision: 2,
        quality: Quality::Actual,
        checks: Checks::GAP | Checks::ROLLOVER,
        import_wh: WattHours::from_centiwatthours(1_023_400),
        export_wh: WattHours::from_centiwatthours(0),
        import_register_wh: Some(WattHours::from_centiwatthours(123_400)),
        export_register_wh: Some(WattHours::from_centiwatthours(0)),
        tariff_import_wh: [820_000, 203_400].map(WattHours::from_centiwatthours).to_vec(),
        readings: 1_398,
        covered_ms: 83_880_000,
        voltage_mean_v: Some(Volts::from_millivolts(231_847)),
        voltage_min_v: Some(Volts::from_millivolts(224_100)),
        voltage_max_v: Some(Volts::from_millivolts(238_000)),
        current_mean_a: Some(Amperes::from_milliamperes(1_985)),
        current_min_a: Some(Amperes::from_milliamperes(212)),
        current_max_a: Some(Amperes::from_milliamperes(14_020)),
        active_power_mean_w: Some(Watts::from_deciwatts(4_264)),
        active_power_min_w: Some(Watts::from_deciwatts(390)),
        active_power_max_w: Some(Watts::from_deciwatts(31_990)),
        power_factor_mean: Some(PowerFactor::from_thousandths(931)),
        power_factor_min: Some(PowerFactor::from_thousandths(602)),
        power_factor_max: Some(PowerFactor::from_thousandths(998)),
        frequency_mean_hz: Some(Hertz::from_millihertz(50_001)),
        frequency_min_hz: Some(Hertz::from_millihertz(49_952)),
        frequency_max_hz: Some(Hertz::from_millihertz(50_048)),
        block_demand_max_w: Some(Watts::from_deciwatts(21_120)),
        block_demand_max_ms: Some(day_start.saturating_add(45_900_000)),
        sliding_demand_max_w: Some(Watts::from_deciwatts(22_040)),
        sliding_demand_max_ms: Some(day_start.saturating_add(46_140_000)),
    };
    let unmeasured = IntervalRecord {
        length: IntervalLength::QuarterHour,
        start_ms: quarter_start,
        end_ms: quarter_start.saturating_add(900_000),
        revision: 1,
        quality: Quality::Estimated,
        checks: Checks::GAP,
        import_wh: WattHours::from_centiwatthours(10_661),
        tariff_import_wh: Vec::new(),
        readings: 0,
        covered_ms: 0,
        voltage_mean_v: None,
        voltage_min_v: None,
        voltage_max_v: None,
        current_mean_a: None,
        current_min_a: None,
        current_max_a: None,
        active_power_mean_w: None,
        active_power_min_w: None,
        active_power_max_w: None,
        power_factor_mean: None,
        power_factor_min: None,
        power_factor_max: None,
        frequency_mean_hz: None,
        frequency_min_hz: None,
        frequency_max_hz: None,
        block_demand_max_w: None,
        block_demand_max_ms: None,
        sliding_demand_max_w: None,
        sliding_demand_max_ms: None,
        ..day.clone()
    };
    [day, unmeasured]
}

pub fn feeder_interval() -> FeederIntervalRecord {
    FeederIntervalRecord { feeder: "F1".parse().unwrap(), interval: intervals()[1].clone() }
}

pub fn feeder_event() -> FeederEventRecord {
    let (feeder, meter) = ("F1".parse().unwrap(), meter());
    FeederEventRecord { feeder, meter, kind: FeederEventKind::Silent, since_ms: TIME, at_ms: TIME.saturating_add(180_500) }
}

pub fn meter_state() -> MeterStateRecord {
    MeterStateRecord { meter: meter(), next_offset: 2_016, state: "oWRsYXN0AA==".to_owned() }
}

pub fn feeder_state() -> FeederStateRecord {
    FeederStateRecord { feeder: "F1".parse().unwrap(), next_offset: 2_016, state: "oWRsYXN0AA==".to_owned() }
}

pub fn alerts() -> [AlertRecord; 2] {
    let raised = AlertRecord {
        alert: AlertId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        rule: "voltage_drop".to_owned(),
        severity: AlertSeverity::Warning,
        feeder: "F1".parse().unwrap(),
        pole: None,
        meter: Some(meter()),
        state: AlertState::Raised,
        at_ms: RECEIVED,
        shelved_until_ms: None,
        who: None,
        note: None,
        action: None,
        since_ms: UnixMillis(TIME.0 - 172_800_000),
        detected_ms: TIME,
        delay_ms: 172_800_000,
        statistic: 16.25,
        threshold: 14.0,
        unit: "deviations".to_owned(),
        false_alarms_per_feeder_year_max: Some(1.2),
        cause: None,
        missing_current_a: Some(1.875),
        evidence: vec![AlertEvidence { time_ms: UnixMillis(TIME.0 - 86_400_000), value: 7.5 }, AlertEvidence { time_ms: TIME, value: 8.0 }],
    };
    let shelved = AlertRecord {
        state: AlertState::Shelved,
        at_ms: RECEIVED.saturating_add(60_000),
        shelved_until_ms: Some(RECEIVED.saturating_add(86_400_000)),
        who: Some("ann".to_owned()),
        note: Some("crew on Monday".to_owned()),
        action: Some(STREAM),
        ..raised.clone()
    };
    [raised, shelved]
}

pub fn alert_actions() -> [AlertActionRecord; 2] {
    let acknowledge = AlertActionRecord {
        action: STREAM,
        alert: alerts()[0].alert,
        feeder: "F1".parse().unwrap(),
        kind: AlertActionKind::Acknowledge,
        until_ms: None,
        who: "ann".to_owned(),
        note: String::new(),
    };
    let until_ms = Some(RECEIVED.saturating_add(86_400_000));
    let shelve = AlertActionRecord { kind: AlertActionKind::Shelve, until_ms, note: "crew on Monday".to_owned(), ..acknowledge.clone() };
    [acknowledge, shelve]
}

pub fn feeder() -> FeederRecord {
    let house = |meter: &str, line_side: Option<&str>| HouseRecord {
        meter: meter.parse().unwrap(),
        pole: "p1".to_owned(),
        class: 1.0,
        line_side: line_side.map(|it| it.parse().unwrap()),
        loop_ohm: line_side.map(|_| 0.3),
        contract_power_w: Some(5_750.0),
        phase: Some(Phase::L2),
    };
    FeederRecord {
        id: "F1".parse().unwrap(),
        line_meter: "L1".parse().unwrap(),
        line_class: 0.5,
        poles: vec!["p1".to_owned()],
        houses: vec![house("M0001", None), house("M0002", Some("S0002"))],
    }
}

/// Two commands of the wire's golden file: one that names no channel, and one that does.
pub fn commands() -> [CommandRecord; 2] {
    let golden = include_str!("../../../wire/golden/v1/commands.hex");
    let record = |line, number, action, channel: Option<u8>| CommandRecord {
        meter: meter(),
        number,
        action,
        channel,
        account: channel.map(|channel| Account::new(&meter(), channel)),
        issued_ms: TIME,
        expires_ms: UnixMillis(1_795_003_600_250),
        who: Some("ann".to_owned()),
        authority: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".to_owned(),
        command: golden.lines().filter(|line| !line.starts_with('#')).nth(line).unwrap().to_owned(),
    };
    [record(0, 1_795_000_000_250, ActionKind::Read, None), record(2, 1_795_000_000_252, ActionKind::TopUp, Some(5))]
}

fn ledger() -> [LedgerRecord; 2] {
    [
        LedgerRecord::Through(ThroughRow { meter: meter(), stream: STREAM, through: 42, updated_ms: RECEIVED, latest_ms: Some(TIME) }),
        LedgerRecord::Incarnation(IncarnationRow { incarnation: 2, updated_ms: RECEIVED }),
    ]
}

pub fn dead_letters() -> [DeadLetter; 3] {
    let letter = |reason, detail: &str, topic: &str| DeadLetter {
        reason,
        detail: detail.to_owned(),
        topic: topic.to_owned(),
        received_ms: RECEIVED,
        meter: Some(meter()),
        stream: None,
        from_seq: None,
        through_seq: None,
    };
    let body = letter(DeadLetterReason::BadBody, "body version 9 is unknown here", "f1/07/M0001/up");
    [
        DeadLetter { stream: Some(STREAM), from_seq: Some(43), through_seq: Some(50), ..body },
        letter(DeadLetterReason::BadFrame, "checksum mismatch: the frame was damaged", "f1/07/M0001/up"),
        DeadLetter { meter: None, ..letter(DeadLetterReason::BadTopic, "topic has none of the known forms", "f1/zz/M0001/up") },
    ]
}

fn states() -> [StateValue; 2] {
    let state = |state, later_ms: i64, why: &str| {
        let at_ms = TIME.saturating_add(later_ms);
        StateValue { meter: meter(), state, since_ms: TIME, at_ms, why: why.to_owned() }
    };
    [state(Presence::Online, 0, "connected"), state(Presence::Offline, 60_000, "connection_lost")]
}

/// The values of the contract's golden file.
pub fn examples(name: &str) -> Value {
    match name {
        "meter.readings.v1" => serde_json::to_value([reading_record()]),
        "meter.events.v1" => serde_json::to_value(events()),
        "meter.intervals.v1" => serde_json::to_value(intervals()),
        "feeder.intervals.v1" => serde_json::to_value([feeder_interval()]),
        "feeder.events.v1" => serde_json::to_value([feeder_event()]),
        "meter.state.v1" | "meter.profiles.v1" => serde_json::to_value([meter_state()]),
        "feeder.state.v1" => serde_json::to_value([feeder_state()]),
        "alerts.v1" => serde_json::to_value(alerts()),
        "alerts.actions.v1" => serde_json::to_value(alert_actions()),
        "grid.topology.v1" => serde_json::to_value([feeder()]),
        "meter.commands.v1" => serde_json::to_value(commands()),
        "meter.latest.v1" => serde_json::to_value([LatestRecord(reading_record())]),
        "meter.ledger.v1" => serde_json::to_value(ledger()),
        "dead-letter.v1" => serde_json::to_value(dead_letters()),
        "live" => serde_json::to_value([LiveValue::from(&reading_record())]),
        "state" => serde_json::to_value(states()),
        other => panic!("contract {other} needs an example"),
    }
    .unwrap()
}
