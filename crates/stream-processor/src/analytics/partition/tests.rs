use std::sync::OnceLock;

use contracts::alerts::{AlertActionKind, AlertState};
use fleet::feeder::{self, FeederConfig, Theft, TheftKind};
use measure::StreamId;

use super::*;

const SETTLE_MS: i64 = 7_200_000;
const STORM_MS: i64 = 60_000;
const THIEF: usize = 13;

fn id() -> FeederId {
    "F1".parse().unwrap()
}

fn feeder_of(houses: usize) -> Feeder {
    let mut record = feeder::topology(&id()).unwrap();
    record.houses.truncate(houses);
    Feeder::of(record).unwrap()
}

/// Nineteen days, with a thief from the sixteenth on; the log of a partition.
fn log() -> &'static [FeederIntervalRecord] {
    static LOG: OnceLock<Vec<FeederIntervalRecord>> = OnceLock::new();
    LOG.get_or_init(|| {
        let theft = Some(Theft { kind: TheftKind::Scaled(0.3), house: THIEF, from_day: 15 });
        let quarters = feeder::simulate(21, &FeederConfig { days: 20, stress: true, theft });
        let records = quarters.iter().zip(0..).map(|(it, number)| feeder::records(&id(), UnixMillis(number * 900_000), it).unwrap());
        records.flatten().collect()
    })
}

fn new() -> Partition {
    Partition::new(SETTLE_MS, STORM_MS, Metrics::new())
}

fn now(offset: i64) -> UnixMillis {
    UnixMillis(1_800_000_000_000 + offset)
}

/// What one partition makes of the log without interruption.
fn recomputed() -> Vec<Output> {
    let (mut partition, mut out) = (new(), Vec::new());
    partition.topology(0, now(0), &id(), Some(feeder_of(feeder::HOUSES)), &mut out);
    for (record, offset) in log().iter().zip(0..) {
        partition.interval(offset, now(offset), record, &mut out);
    }
    out
}

/// One that goes on from what is written, up to `next`, and where its predecessor had said that it must read from.
fn successor(written: &[Output], low_water: i64, next: i64) -> Partition {
    let mut partition = new();
    for output in written {
        match output {
            Output::State(record) => partition.restore_feeder(record.feeder.clone(), Some(record)),
            Output::Gone(feeder) => partition.restore_feeder(feeder.clone(), None),
            Output::Alert(record) => partition.restore_alert(AlertRecord::clone(record)),
        }
    }
    partition.restored();
    for (record, offset) in log().iter().zip(0..).filter(|(_, offset)| (low_water..next).contains(offset)) {
        partition.replay(offset, record);
    }
    partition
}

fn alerts(outputs: &[Output]) -> Vec<&AlertRecord> {
    outputs.iter().filter_map(|it| if let Output::Alert(record) = it { Some(&**record) } else { None }).collect()
}

#[test]
fn the_thief_is_named_once_by_each_test() {
    let outputs = recomputed();
    let alerts = alerts(&outputs);
    let told: Vec<_> = alerts.iter().map(|it| (it.rule.as_str(), it.state, it.meter.as_ref().map(ToString::to_string))).collect();
    let thief = feeder::house_meter(&id(), THIEF).unwrap().to_string();
    let expected = [("feeder_balance", AlertState::Raised, None), ("voltage_drop", AlertState::Raised, Some(thief))];
    assert_eq!(told, expected);
    for alert in alerts {
        assert!(alert.statistic > alert.threshold && !alert.evidence.is_empty() && alert.delay_ms > 0, "{alert:?}");
    }
}

#[test]
fn whoever_goes_on_writes_the_same() {
    let expected = recomputed();
    let length = i64::try_from(log().len()).unwrap();
    let (mut partition, mut written) = (new(), Vec::new());
    partition.topology(0, now(0), &id(), Some(feeder_of(feeder::HOUSES)), &mut written);
    // Steps that are no multiple of a day, nor of a quarter of an hour.
    for (record, offset) in log().iter().zip(0..) {
        if offset % 1_777 == 1_776 {
            let low_water = partition.low_water(offset);
            assert!(offset - low_water < 3 * 96 * 21, "a successor reads {} intervals again", offset - low_water);
            partition = successor(&written, low_water, offset);
        }
        partition.interval(offset, now(offset), record, &mut written);
    }
    assert!(written == expected, "{} outputs instead of {}", written.len(), expected.len());
    assert!(length / 1_777 > 15);
}

#[test]
fn what_is_kept_is_small_beside_the_intervals() {
    let bytes = |it: &FeederIntervalRecord| serde_json::to_vec(it).unwrap().len();
    let day = log().iter().map(bytes).sum::<usize>() / 20;
    let kept: Vec<usize> =
        recomputed().iter().filter_map(|it| if let Output::State(record) = it { Some(record.state.len()) } else { None }).collect();
    let (most, last) = (kept.iter().max().unwrap(), kept.last().unwrap());
    println!("a day's intervals {day} bytes, kept a day at most {most} while learning and {last} later");
    assert_eq!(kept.len(), 20, "once at first, and with each day that follows");
    assert!(5 * most < day);
}

#[test]
fn a_kafka_whose_clock_is_behind_raises_as_well() {
    let (mut partition, mut out) = (new(), Vec::new());
    partition.topology(0, UnixMillis(0), &id(), Some(feeder_of(feeder::HOUSES)), &mut out);
    for (record, offset) in log().iter().zip(0..) {
        partition.interval(offset, UnixMillis(-1), record, &mut out);
    }
    assert_eq!(alerts(&out).iter().map(|it| (it.state, it.at_ms)).collect::<Vec<_>>(), [(AlertState::Raised, UnixMillis(-1)); 2]);
}

fn action(alert: &AlertRecord, number: u64, kind: AlertActionKind, until_ms: Option<UnixMillis>) -> AlertActionRecord {
    let (alert, feeder) = (alert.alert, alert.feeder.clone());
    AlertActionRecord { action: StreamId(number), alert, feeder, kind, until_ms, who: "ann".to_owned(), note: "seen".to_owned() }
}

#[test]
fn what_people_do_stands_before_a_successor_as_a_fact() {
    let mut written = recomputed();
    let next = i64::try_from(log().len()).unwrap();
    let raised = alerts(&written)[0].clone();
    let mut partition = successor(&written, 0, next);
    partition.action(now(next), &action(&raised, 1, AlertActionKind::Acknowledge, None), &mut written);
    let mut partition = successor(&written, partition.low_water(next), next);
    let mut out = Vec::new();
    // The same once more, and one that names another feeder.
    partition.action(now(next), &action(&raised, 1, AlertActionKind::Acknowledge, None), &mut out);
    let foreign = AlertActionRecord { feeder: "F2".parse().unwrap(), ..action(&raised, 2, AlertActionKind::Clear, None) };
    partition.action(now(next), &foreign, &mut out);
    partition.action(now(next), &action(&raised, 3, AlertActionKind::Shelve, None), &mut out);
    assert_eq!(out, []);
    partition.action(now(next), &action(&raised, 4, AlertActionKind::Shelve, Some(now(next + 60_000))), &mut out);
    written.append(&mut out);
    let mut partition = successor(&written, partition.low_water(next), next);
    partition.interval(next, now(next + 59_999), &log()[0], &mut out);
    assert_eq!(out, []);
    partition.interval(next, now(next + 60_000), &log()[0], &mut out);
    let [Output::Alert(again)] = &out[..] else { panic!("{out:?}") };
    assert_eq!((again.state, again.alert, &again.who), (AlertState::Raised, raised.alert, &None));
    partition.action(now(next + 60_001), &action(&raised, 5, AlertActionKind::Clear, None), &mut out);
    let [_, Output::Alert(cleared)] = &out[..] else { panic!("{out:?}") };
    assert_eq!((cleared.state, cleared.who.as_deref(), cleared.note.as_deref()), (AlertState::Cleared, Some("ann"), Some("seen")));
}

#[test]
fn another_topology_is_learned_anew_and_clears_what_was_open() {
    let mut written = recomputed();
    let next = i64::try_from(log().len()).unwrap();
    let mut partition = successor(&written, 0, next);
    let mut out = Vec::new();
    partition.topology(next, now(next), &id(), Some(feeder_of(feeder::HOUSES)), &mut out);
    assert_eq!(out, [], "as it was");
    partition.topology(next, now(next), &id(), Some(feeder_of(3)), &mut out);
    assert_eq!(alerts(&out).iter().map(|it| it.state).collect::<Vec<_>>(), [AlertState::Cleared; 2]);
    assert!(alerts(&out).iter().all(|it| it.note.is_some() && it.who.is_none()));
    assert!(matches!(out.last(), Some(Output::State(state)) if state.next_offset == next));
    written.append(&mut out);
    let mut partition = successor(&written, partition.low_water(next), next);
    partition.topology(next, now(next), &id(), Some(feeder_of(3)), &mut out);
    assert_eq!(out, []);
    partition.topology(next, now(next), &id(), None, &mut out);
    assert_eq!(out, [Output::Gone(id())]);
}

#[test]
fn a_state_that_is_damaged_is_learned_anew() {
    let mut partition = new();
    let mut out = Vec::new();
    partition.topology(0, now(0), &id(), Some(feeder_of(3)), &mut out);
    let Output::State(sound) = out[0].clone() else { panic!("{out:?}") };
    let mut of_another = new();
    let foreign = FeederStateRecord { feeder: "F2".parse().unwrap(), ..sound.clone() };
    of_another.restore_feeder(foreign.feeder.clone(), Some(&foreign));
    assert_eq!(of_another.feeders().count(), 0);
    for damage in ["", "!", "AAAA", &sound.state[..sound.state.len() / 2]] {
        let mut partition = new();
        partition.restore_feeder(id(), Some(&FeederStateRecord { state: damage.to_owned(), ..sound.clone() }));
        assert_eq!(partition.feeders().count(), 0, "{damage}");
        let mut out = Vec::new();
        partition.topology(7, now(0), &id(), Some(feeder_of(3)), &mut out);
        assert!(matches!(out[..], [Output::State(FeederStateRecord { next_offset: 7, .. })]));
    }
}

/// Whoever goes on in between, an hour of phases that are apart is one alert, and an hour in which they are not ends it.
#[test]
fn phases_that_are_apart_are_one_alert_across_successors() {
    let mut record = feeder_of(3).record();
    for (house, phase) in record.houses.iter_mut().zip(contracts::topology::Phase::ALL) {
        house.phase = Some(phase);
    }
    let of = |number: i64| {
        // 10 A each, or 20, 5 and 5.
        let share = if (10..20).contains(&number) { [2.0, 0.5, 0.5] } else { [1.0; 3] };
        let houses = share.iter().map(|it| feeder::HouseInterval { energy_wh: 575.0 * it, voltage: 230.0 }).collect();
        let quarter = feeder::Interval { line_wh: 1_800.0, line_current: 30.0, line_voltage: 230.0, houses, ..feeder::Interval::default() };
        feeder::records(&id(), UnixMillis(number * 900_000), &quarter).unwrap()
    };
    let log: Vec<FeederIntervalRecord> = (0..40).flat_map(of).collect();
    let (mut partition, mut written) = (new(), Vec::new());
    partition.topology(0, now(0), &id(), Some(Feeder::of(record).unwrap()), &mut written);
    for (record, offset) in log.iter().zip(0..) {
        if offset % 7 == 6 {
            let low_water = partition.low_water(offset);
            partition = new();
            for output in &written {
                match output {
                    Output::State(record) => partition.restore_feeder(record.feeder.clone(), Some(record)),
                    Output::Gone(feeder) => partition.restore_feeder(feeder.clone(), None),
                    Output::Alert(record) => partition.restore_alert(AlertRecord::clone(record)),
                }
            }
            partition.restored();
            (low_water..offset).for_each(|it| partition.replay(it, &log[usize::try_from(it).unwrap()]));
        }
        partition.interval(offset, now(offset), record, &mut written);
    }
    let told: Vec<_> = alerts(&written).iter().map(|it| (it.rule.as_str(), it.state, it.alert)).collect();
    let [(rule, AlertState::Raised, raised), (_, AlertState::Cleared, cleared)] = told[..] else { panic!("{told:?}") };
    assert_eq!((rule, raised), ("unbalance", cleared));
    let alert = alerts(&written)[0];
    assert_eq!((alert.statistic, alert.threshold, alert.since_ms), (100.0, 30.0, UnixMillis(10 * 900_000)));
    assert_eq!(alert.cause.as_deref(), Some("L1 20.0 A, L2 5.0 A, L3 5.0 A"));
}

#[test]
fn last_gasps_are_an_outage_within_a_minute_and_are_forgotten_if_nothing_confirms_them() {
    let (mut partition, mut out) = (new(), Vec::new());
    partition.topology(0, now(0), &id(), Some(feeder_of(4)), &mut out);
    out.clear();
    for (number, offset) in (0..3).zip(0..) {
        let meter = feeder::house_meter(&id(), number).unwrap();
        let kind = contracts::feeders::FeederEventKind::LastGasp;
        let event = FeederEventRecord { feeder: id(), meter, kind, since_ms: now(0), at_ms: now(0) };
        partition.event(offset, now(0), &event, &mut out);
    }
    partition.tick(now(STORM_MS - 1), &mut out);
    assert_eq!(out, []);
    partition.tick(now(STORM_MS), &mut out);
    let raised: Vec<_> = alerts(&out).iter().map(|it| (it.rule.as_str(), it.state, it.statistic)).collect();
    assert_eq!(raised, [("supply_lost", AlertState::Raised, 3.0)]);
    assert_eq!(partition.low_water_of_events(3), 0);
    for minute in 2..=11 {
        partition.tick(now(minute * 60_000), &mut out);
    }
    assert_eq!(alerts(&out).iter().map(|it| it.state).collect::<Vec<_>>(), [AlertState::Raised, AlertState::Cleared]);
    assert_eq!(partition.low_water_of_events(3), 3, "nobody needs them any more");
}
