//! The rooms of the filter, one by one. Each works on a copy of what it is handed, so a room's time includes that copy, and their sum is more
//! than a step.

use std::hint::black_box;

use criterion::Criterion;
use estimator::energy::Ledger;
use estimator::load::NoiseModel;
use estimator::monitor::loop_resistance::THRESHOLD_FLEET;
use estimator::monitor::replay::TWO_HOURS;
use estimator::monitor::{self, Monitors, Repetition};
use estimator::{Real, gate, load};
use measure::Flags;

use crate::clock::ProcessorTime;
use crate::meter::Meter;
use crate::moment::Moment;

/// Their names.
pub const ROOMS: [&str; 6] = ["predict", "linearise", "update", "gate", "monitors", "energy"];

/// Measures each as `NAME PRECISION`.
pub fn measure<F: Real>(criterion: &mut Criterion<ProcessorTime>, precision: &str, meter: &Meter, moments: &[Moment<F>]) {
    let model = NoiseModel::<F>::new(&meter.noise);
    let mut bench = |name: &str, work: &mut dyn FnMut(&Moment<F>)| {
        let mut moments = moments.iter().cycle();
        criterion.bench_function(&format!("{name} {precision}"), |bencher| bencher.iter(|| moments.next().map(|it| work(black_box(it)))));
    };
    bench("predict", &mut |moment| {
        let mut belief = moment.posterior;
        load::predict(&mut belief, black_box(F::ONE), F::ONE);
        black_box(&belief);
    });
    bench("linearise", &mut |moment| {
        let noise = model.variances(&moment.measured);
        black_box(&load::linearise(&moment.prior, &moment.measured, &noise));
    });
    bench("update", &mut |moment| {
        black_box(load::updated(&moment.prior, &moment.linearised, None));
    });
    // Whatever the sample: a step asks the gate only when it is surprised.
    bench("gate", &mut |moment| {
        black_box(gate::judge(&moment.prior, &moment.linearised, false));
    });
    let mut repetition = Repetition::default();
    let mut monitors = Monitors::<F, TWO_HOURS>::new(THRESHOLD_FLEET);
    bench("monitors", &mut |moment| {
        black_box(monitor::is_plausible(&moment.measured));
        black_box(monitor::power_factor_contradicts(&moment.sample));
        black_box(repetition.count(&moment.measured));
        monitors.see(&moment.measured);
        monitors.weigh(&moment.measured, &moment.noise, model.rounding(), black_box(Flags::empty()));
        black_box(monitors.flags());
    });
    let mut ledger = Ledger::starting_at(0, F::ZERO);
    bench("energy", &mut |moment| {
        let mut belief = moment.posterior;
        ledger.integrate(&mut belief, black_box(F::ONE));
        ledger.read(&mut belief, moment.sample.energy_wh, F::ONE);
        load::settle(&mut belief);
        black_box(&belief);
    });
}
