//! Filters side by side.
//!
//! A machine is not as fast from one second to the next. So nobody is measured after the others: each round, everybody walks through one short
//! stretch, in turns the first. A ratio is the median of the rounds' ratios: what slows a round down slows both sides of it, and a round in
//! which somebody was interrupted does not count.

use std::hint::black_box;
use std::time::Duration;

use estimator::Real;

use crate::clock;
use crate::meter::Meter;
use crate::moment::Moment;
use crate::peers::Peer;
use crate::table::{Bound, Figure};

/// Short stretches, so that a round takes a millisecond or two.
const STRETCH: usize = 500;
const ROUNDS: usize = 1500;

/// Who takes part.
pub struct Contender<'a> {
    name: String,
    /// Takes one step after the other.
    steps: Box<dyn FnMut() + 'a>,
    /// By round: a step's time in ns.
    times: Vec<f64>,
}

impl<'a> Contender<'a> {
    fn new(name: String, mut step: impl FnMut() + 'a) -> Self {
        Self { name, steps: Box::new(move || (0..STRETCH).for_each(|_| step())), times: Vec::new() }
    }

    /// The whole filter of a meter, second after second and again.
    pub fn whole<F: Real + 'a>(precision: &str, meter: &Meter, seconds: usize) -> Self {
        let samples = meter.samples::<F>(seconds);
        let mut estimator = meter.estimator::<F>();
        let mut next = 0;
        Self::new(whole_name(precision, meter), move || {
            black_box(&estimator.step(black_box(F::ONE), black_box(&samples[next])));
            next = if next + 1 < samples.len() { next + 1 } else { 0 };
        })
    }

    /// Another filter, or ours without what the others don't have.
    pub fn peer<F: 'a, P: Peer<F> + 'a>(precision: &str, moments: &'a [Moment<F>]) -> Self {
        let mut peer = P::starting_at(&moments[0].posterior);
        let mut moments = moments.iter().cycle();
        Self::new(peer_name::<F, P>(precision), move || {
            if let Some(moment) = moments.next() {
                peer.step(black_box(moment));
            }
        })
    }

    fn run(&mut self) {
        let start = clock::now();
        (self.steps)();
        let took: Duration = clock::now() - start;
        self.times.push(took.as_nanos() as f64 / STRETCH as f64);
    }
}

/// As figures name a whole filter.
pub fn whole_name(precision: &str, meter: &Meter) -> String {
    format!("step {precision}, {}", meter.name)
}

/// As figures name a peer.
pub fn peer_name<F, P: Peer<F>>(precision: &str) -> String {
    format!("{} {precision}", P::NAME)
}

/// What came of it.
pub struct Race<'a>(Vec<Contender<'a>>);

impl<'a> Race<'a> {
    /// Everybody, round after round.
    pub fn of(mut contenders: Vec<Contender<'a>>) -> Self {
        let many = contenders.len();
        for turn in (0..ROUNDS).flat_map(|round| (0..many).map(move |k| (round + k) % many)) {
            contenders[turn].run();
        }
        Self(contenders)
    }

    fn times(&self, name: &str) -> &[f64] {
        &self.0.iter().find(|contender| contender.name == name).unwrap_or_else(|| panic!("{name} took no part")).times
    }

    /// A step's time.
    pub fn time(&self, name: &str, bound: Option<Bound>) -> Figure {
        Figure::new(name, median(self.times(name).to_vec()), "ns", bound)
    }

    /// How many times as long theirs takes.
    pub fn ratio(&self, theirs: &str, ours: &str) -> Figure {
        let ratios = self.times(theirs).iter().zip(self.times(ours)).map(|(theirs, ours)| theirs / ours);
        Figure::new(&format!("{theirs} / {ours}"), median(ratios.collect()), "ratio", Some(Bound::AtLeast(1.0)))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
