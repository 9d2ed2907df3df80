//! How meters are cheated, or cheat: which detector catches it, on three feeders each, by stress.

use std::fmt::Write;

use fleet::feeder::{FeederConfig, Theft, TheftKind};
use stream_processor::balance::finding::Test;
use stream_processor::balance::pair::{Compared, Pair};

use crate::bench;

const FEEDERS: u64 = 3;
const METHODS: [(&str, TheftKind); 9] = [
    ("bypass of half the current", TheftKind::Scaled(0.5)),
    ("register reversed", TheftKind::RegisterReversed),
    ("register obstructed", TheftKind::Scaled(0.0)),
    ("slowed by remote control, half the hours", TheftKind::SlowedByRemote(0.4)),
    ("neutral tampered, 80 % of the voltage seen", TheftKind::NeutralLifted(0.8)),
    ("discharge stopped the electronics", TheftKind::Frozen),
    ("over-reading by 2.5 %", TheftKind::Scaled(1.025)),
    ("under-reading by 3.5 %", TheftKind::Scaled(0.965)),
    ("hook on the line, 500 W at night", TheftKind::Tap(500.0)),
];

/// Two meters of class 1 and a service of 0.3 ohm at 1 kW for a day: what a line-side meter would say.
const PAIR: Pair = Pair { line_class: 1.0, house_class: 1.0, loop_ohm: 0.3, resolution_wh: 1.0 };
const LINE: Compared = Compared { line_wh: 24_000.0, house_wh: 0.0, current: 1000.0 / 230.0, voltage: 230.0 };

/// The table, in Markdown.
pub fn all(seed: u64) -> anyhow::Result<String> {
    let mut table = String::from(
        "| method | balance: found, days | voltage drop: found, days, right place | pair: indicator % | verdict |\n|---|---|---|---|---|\n",
    );
    for ((name, kind), group) in METHODS.into_iter().zip(100..) {
        let run = |number: u64| {
            let theft = Theft { kind, house: (3 + 5 * number as usize) % 20, from_day: 21 + number as usize };
            bench::run(
                seed.wrapping_mul(1_000_000).wrapping_add(group * 1000 + number),
                &FeederConfig { stress: true, theft: Some(theft), ..FeederConfig::default() },
            )
        };
        let outcomes = (0..FEEDERS).map(run).collect::<anyhow::Result<Vec<_>>>()?;
        let found = |test| outcomes.iter().filter_map(|it| it.days_to_detect(Some(test))).collect::<Vec<f64>>();
        let told = |days: Vec<f64>| match days.len() {
            0 => "not found".to_owned(),
            found => format!("{found} of {FEEDERS}, {:.1}", crate::median(days)),
        };
        let right = outcomes.iter().filter(|it| it.right_place() == Some(true)).count();
        let (indicator, verdict) = match share(kind) {
            Some(share) => {
                let loss = PAIR.loop_ohm * LINE.current / LINE.voltage;
                let said = PAIR.compare(&Compared { house_wh: LINE.line_wh * (1.0 - loss) * share, ..LINE });
                (format!("{:.2}, limit {:.2}", said.indicator, said.limit()), format!("{:?}", said.verdict))
            }
            None => ("-".to_owned(), "can't be seen: it is before both meters".to_owned()),
        };
        let (balance, drop) = (told(found(Test::Balance)), told(found(Test::VoltageDrop)));
        writeln!(table, "| {name} | {balance} | {drop}, {right} | {indicator} | {verdict} |")?;
    }
    Ok(table)
}

/// The share of the energy that the house's meter registers.
fn share(kind: TheftKind) -> Option<f64> {
    match kind {
        TheftKind::Scaled(share) | TheftKind::NeutralLifted(share) => Some(share),
        TheftKind::SlowedByRemote(share) => Some((1.0 + share) / 2.0),
        TheftKind::RegisterReversed => Some(-1.0),
        TheftKind::Frozen => Some(0.0),
        _ => None,
    }
}
