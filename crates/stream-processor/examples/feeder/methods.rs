//! How meters are cheated, or cheat, and which test shows that each is told or is not.

use fleet::feeder::TheftKind;
use stream_processor::balance::pair::{Compared, Indication, Pair, Verdict};

/// A way to cheat a meter, or of a meter to cheat.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// In words.
    pub name: &'static str,
    /// On a simulated feeder.
    pub kind: TheftKind,
    /// The share of a day's energy that the house's meter registers; none if it is stolen before any meter of a house.
    pub share: Option<f64>,
    /// Whether the feeder's balance tells.
    pub by_balance: bool,
    /// The test of `tests/feeder_benchmark_holds.rs` that shows it.
    pub test: &'static str,
}

const fn method(name: &'static str, kind: TheftKind, share: f64, by_balance: bool, test: &'static str) -> Method {
    Method { name, kind, share: Some(share), by_balance, test }
}

/// All of them.
pub const METHODS: [Method; 9] = [
    method("bypass of half the current", TheftKind::Scaled(0.5), 0.5, true, "a_bypass"),
    method("register reversed", TheftKind::RegisterReversed, -1.0, true, "a_reversed_register"),
    method("register obstructed", TheftKind::Scaled(0.0), 0.0, true, "an_obstructed_register"),
    method("slowed by remote control, half the hours", TheftKind::SlowedByRemote(0.4), 0.7, true, "remote_slowing"),
    method("neutral tampered, 80 % of the voltage seen", TheftKind::NeutralLifted(0.8), 0.8, true, "a_tampered_neutral"),
    method("discharge stopped the electronics", TheftKind::Frozen, 0.0, true, "a_discharge"),
    method("over-reading by 2.5 %", TheftKind::Scaled(1.025), 1.025, false, "over_reading"),
    method("under-reading by 3.5 %", TheftKind::Scaled(0.965), 0.965, false, "under_reading"),
    Method { name: "hook on the line, 500 W at night", kind: TheftKind::Tap(500.0), share: None, by_balance: true, test: "a_hook" },
];

/// Two meters of class 1 and a service of 0.3 ohm: what a line-side meter needs to be told.
const PAIR: Pair = Pair { line_class: 1.0, house_class: 1.0, loop_ohm: 0.3, resolution_wh: 1.0 };
/// A day at 1 kW.
const LINE: Compared = Compared { line_wh: 24_000.0, house_wh: 0.0, current: 1000.0 / 230.0, voltage: 230.0 };

impl Method {
    /// What a line-side meter before the house says after a day; none if the energy never came past it.
    pub fn compared(&self) -> Option<Indication> {
        let loss = PAIR.loop_ohm * LINE.current / LINE.voltage;
        self.share.map(|share| PAIR.compare(&Compared { house_wh: LINE.line_wh * (1.0 - loss) * share, ..LINE }))
    }

    /// What it ought to say.
    pub fn expected(&self) -> Option<Verdict> {
        self.share.map(|share| if share > 1.0 { Verdict::OverReading } else { Verdict::Theft })
    }
}
