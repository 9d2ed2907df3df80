//! 200 abusers beside 500 honest meters.

use crate::House;
use crate::figure::{Figure, Target, Values};
use crate::load::Load;
use crate::server::{Kind, Server, say};
use crate::sessions::both;

/// Floods, half-open handshakes, slow readers and senders of garbage: 50 each, from a process that runs when nobody else wants to, because they
/// share our processors, which attackers elsewhere do not. What they cost the broker is in the figures.
pub fn abuse(house: &House) -> Vec<Figure> {
    let [gate, mosquitto] = both(house, |house, kind| {
        let server = Server::start(house, kind);
        let load = Load::Paced { publishers: 500, per_second: 500, seconds: house.seconds(10), windows: 2 };
        let mut honest = server.load(house, load);
        honest.until("warm");
        honest.go();
        let alone = honest.until("measured");
        let mut abusers = server.idle_load(house, Load::Abuse { each: 50 });
        abusers.until("attacking");
        honest.go();
        let beside = honest.until("measured");
        abusers.go();
        let done = abusers.until("over");
        let (without, with) = (alone.get("p99_us") / 1e3, beside.get("p99_us") / 1e3);
        let (lost, cut) = (beside.get("lost"), beside.get("cut"));
        say(&format!("abuse, {}: p99 {without:.2} ms without, {with:.2} ms with, {lost} lost, {cut} cut; {done:?}", kind.name()));
        Values::from([
            ("without_ms".into(), without),
            ("with_ms".into(), with),
            ("ratio".into(), with / without),
            ("lost".into(), lost + cut),
        ])
    });
    let mut figures = Vec::new();
    for (kind, values) in [(Kind::Gate, &gate), (Kind::Mosquitto, &mosquitto)] {
        let name = |what: &str| format!("500 meters beside 200 abusers, {}: {what}", kind.name());
        let target = |most| if kind == Kind::Gate { Target::AtMost(most) } else { Target::None };
        figures.push(Figure::new(name("lost"), values["lost"], "", target(0.0)));
        figures.push(Figure::new(name("p99 without"), values["without_ms"], "ms", Target::None));
        figures.push(Figure::new(name("p99"), values["with_ms"], "ms", Target::None));
        figures.push(Figure::new(name("p99 with : without"), values["ratio"], "x", target(2.0)));
    }
    figures
}
