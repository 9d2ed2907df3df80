use proptest::prelude::*;

use super::*;
use crate::balance::topology::Topology;

fn feeder() -> Feeder {
    let text = r#"
        [[feeder]]
        id = "F1"
        line_meter = "L1"
        poles = ["p1"]
        [[feeder.house]]
        meter = "M1"
        pole = "p1"
        [[feeder.house]]
        meter = "M2"
        pole = "p1"
    "#;
    Topology::parse(text).unwrap().feeders.remove(0)
}

fn quarter(number: i64) -> FeederInterval {
    let energy = 100.0 + (number % 7) as f64 * 10.0;
    let voltage = 230.0 - energy / 100.0;
    FeederInterval {
        start: UnixMillis(number * 900_000),
        line_wh: 2.0 * energy + 5.0 + (number % 3) as f64,
        line_current_squared: (2.0 * energy / 57.5).powi(2),
        line_voltage: 232.0 + (number % 5) as f64 * 0.1,
        houses: vec![Some((energy, voltage)), Some((energy, voltage + 0.1 * (number % 2) as f64))],
    }
}

#[test]
fn what_is_left_out_is_counted() {
    let mut watch = FeederWatch::new(feeder());
    watch.push(&quarter(1));
    watch.push(&quarter(1));
    watch.push(&FeederInterval { houses: vec![], ..quarter(2) });
    watch.push(&FeederInterval { line_wh: f64::NAN, ..quarter(3) });
    watch.push(&FeederInterval { houses: vec![Some((100.0, 230.0)), None], ..quarter(4) });
    watch.push(&FeederInterval { houses: vec![Some((100.0, 230.0)), Some((100.0, 0.0))], ..quarter(5) });
    assert_eq!(watch.dropped(), Dropped { stale: 1, houses: 1, line: 1, energy: 1, voltage: 1 });
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..300.0, 1 => any::<f64>(), 1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, 0.0, -0.0, 1e6, -1e6, 50.0, 500.0])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever comes, while learning or later: no panic, sums that are numbers, memory that does not grow.
    #[test]
    fn hostile_intervals_do_no_harm(
        learned in any::<bool>(),
        hostile in prop::collection::vec((0_i64..40, number(), number(), number(), prop::collection::vec(prop::option::of((number(), number())), 0..4)), 1..200),
    ) {
        let mut watch = FeederWatch::new(feeder());
        let mut at = 0;
        if learned {
            while !watch.is_watching() && at < 1600 {
                at += 1;
                watch.push(&quarter(at));
            }
            prop_assert!(watch.is_watching());
        }
        for (step, line_wh, line_current_squared, line_voltage, houses) in hostile {
            at += step;
            let start = UnixMillis(at * 900_000);
            watch.push(&FeederInterval { start, line_wh, line_current_squared, line_voltage, houses });
        }
        prop_assert!(watch.balance_sum().0.is_finite());
        prop_assert!(watch.bytes_a_meter() < 200_000);
        for number in 1..200 {
            watch.push(&quarter(at + number));
            prop_assert!(watch.balance_sum().0.is_finite());
        }
    }
}
