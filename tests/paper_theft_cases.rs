//! Promise: of the paper's four pairs (0.96, 1.54, 2.02 and 17.77 % less in the house than at the pole) the last is theft and no other. The
//! paper says "more than 2 %" and yet clears 2.02 %: the loss of 0.3 ohm at the current of five lamps of 20 W, 0.0567 %, decides. From
//! the indicator to the alert.

use contracts::AlertRecord;
use contracts::alerts::AlertState;
use fleet::feeder::{self, HouseInterval};
use measure::{FeederId, MeterId, UnixMillis};
use stream_processor::analytics::partition::{Output, Partition};
use stream_processor::balance::pair::{Compared, Pair, Verdict};
use stream_processor::balance::topology::Feeder;
use stream_processor::metrics::Metrics;

const CASES: [(f64, Verdict); 4] = [(0.96, Verdict::Fair), (1.54, Verdict::Fair), (2.02, Verdict::Fair), (17.77, Verdict::Theft)];
const PAIR: Pair = Pair { line_class: 1.0, house_class: 1.0, loop_ohm: 0.3, resolution_wh: 0.0 };
/// Five lamps of 20 W at 230 V.
const WATTS: f64 = 100.0;
const VOLTS: f64 = 230.0;
const QUARTER_MS: i64 = 900_000;

fn compared(percent: f64) -> Compared {
    let line_wh = 240.0 * WATTS;
    Compared { line_wh, house_wh: line_wh * (1.0 - percent / 100.0), current: WATTS / VOLTS, voltage: VOLTS }
}

#[test]
fn the_technical_loss_decides() {
    for (percent, verdict) in CASES {
        let indication = PAIR.compare(&compared(percent));
        println!("{indication}");
        assert_eq!(indication.verdict, verdict, "{indication}");
        assert!((indication.indicator - percent).abs() < 1e-9 && (indication.limit() - 2.0567).abs() < 1e-4, "{indication}");
    }
    let without_loss = Pair { loop_ohm: 0.0, ..PAIR };
    assert_eq!(without_loss.compare(&compared(2.02)).verdict, Verdict::Theft, "it is the loss that decides");
}

#[test]
fn one_of_four_houses_is_told() -> anyhow::Result<()> {
    let id: FeederId = "F1".parse()?;
    let mut record = feeder::topology(&id)?;
    record.houses.truncate(CASES.len());
    for (house, number) in record.houses.iter_mut().zip(1..) {
        house.line_side = Some(format!("S{number}").parse()?);
        house.loop_ohm = Some(0.3);
    }
    let names: Vec<(MeterId, MeterId)> = record.houses.iter().filter_map(|it| Some((it.meter.clone(), it.line_side.clone()?))).collect();
    let mut partition = Partition::new(7_200_000, 60_000, Metrics::new());
    let mut out = Vec::new();
    partition.topology(0, UnixMillis(0), &id, Some(Feeder::of(record)?), &mut out);
    let (mut offset, quarter_wh) = (0, WATTS / 4.0);
    for quarter in 0..2 * 96 {
        for ((house, line), (percent, _)) in names.iter().zip(CASES) {
            let houses = vec![HouseInterval { energy_wh: quarter_wh * (1.0 - percent / 100.0), voltage: VOLTS }];
            let line_current = WATTS / VOLTS;
            let interval =
                feeder::Interval { line_wh: quarter_wh, line_current, line_voltage: VOLTS, houses, ..feeder::Interval::default() };
            let records = feeder::records(&id, UnixMillis(quarter * QUARTER_MS), &interval)?;
            for (mut record, meter) in records.into_iter().zip([line, house]) {
                record.interval.meter = meter.clone();
                partition.interval(offset, UnixMillis(quarter * QUARTER_MS), &record, &mut out);
                offset += 1;
            }
        }
    }
    let alerts: Vec<&AlertRecord> = out.iter().filter_map(|it| if let Output::Alert(it) = it { Some(&**it) } else { None }).collect();
    let [alert] = alerts[..] else { panic!("{alerts:?}") };
    assert_eq!((alert.rule.as_str(), alert.state, alert.meter.as_ref()), ("pair", AlertState::Raised, Some(&names[3].0)));
    assert_eq!(alert.cause.as_deref(), Some("under_registered"));
    assert!((alert.statistic - 17.77).abs() < 0.02 && alert.threshold > 2.05, "{alert:?}");
    assert!(alert.false_alarms_per_feeder_year_max.is_some() && !alert.evidence.is_empty(), "{alert:?}");
    Ok(())
}
