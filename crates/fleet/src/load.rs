//! A steady load behind a relay, in real time: what its module shows, and what it has really taken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use measure::{Amperes, Hertz, PowerFactor, Volts, WattHours, Watts};
use meters::pzem004t::Measurement;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::pzem_module::{Source, registers};

/// The supply, and how far it trembles from reading to reading, in V. A sound module hardly shows the same values twice, and never for long:
/// what comes round again is a recording to the filter, and no interval believes its registers.
const SUPPLY_V: f64 = 230.0;
const TREMBLE_V: f64 = 0.5;
const FREQUENCY_HZ: f64 = 50.0;
const HOUR_S: f64 = 3_600.0;

/// Asked for each look: whether the relay is closed.
type Relay = Box<dyn FnMut() -> bool + Send>;

/// A load with its register. Clones are the same load.
#[derive(Clone)]
pub struct Load(Arc<Mutex<State>>);

struct State {
    watts: f64,
    relay: Relay,
    closed: bool,
    taken_wh: f64,
    begin: WattHours,
    looked: Instant,
    tremble: ChaCha8Rng,
}

impl Load {
    /// Takes `watts` from now on, as long as `relay` says that it is closed; the register begins at `begin`.
    pub fn new(watts: f64, begin: WattHours, mut relay: impl FnMut() -> bool + Send + 'static) -> Self {
        let closed = relay();
        let (relay, looked): (Relay, _) = (Box::new(relay), Instant::now());
        let tremble = ChaCha8Rng::seed_from_u64(watts.to_bits() ^ begin.centiwatthours().cast_unsigned());
        Self(Arc::new(Mutex::new(State { watts, relay, closed, taken_wh: 0.0, begin, looked, tremble })))
    }

    /// What a module at this load shows.
    pub fn source(&self) -> Source {
        let this = self.clone();
        Box::new(move || Some(registers(&this.lock().measure())))
    }

    /// The register, as finely as it is known; its module shows whole Wh.
    pub fn register(&self) -> WattHours {
        let mut state = self.lock();
        state.pass();
        state.register()
    }

    /// Whether it takes anything.
    pub fn is_closed(&self) -> bool {
        let mut state = self.lock();
        state.pass();
        state.closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts the time since the last look; a relay that moved meanwhile counts from now on.
    fn pass(&mut self) {
        let now = Instant::now();
        let hours = now.saturating_duration_since(self.looked).as_secs_f64() / HOUR_S;
        self.looked = now;
        if self.closed {
            self.taken_wh += self.watts * hours;
        }
        self.closed = (self.relay)();
    }

    fn register(&self) -> WattHours {
        let taken = WattHours::from_f64(self.taken_wh).unwrap_or_default();
        WattHours::from_centiwatthours(self.begin.centiwatthours().saturating_add(taken.centiwatthours()))
    }

    fn measure(&mut self) -> Measurement {
        self.pass();
        let tremble = self.tremble.random_range(-TREMBLE_V..=TREMBLE_V);
        let (volts, watts) = (SUPPLY_V + tremble, if self.closed { self.watts } else { 0.0 });
        Measurement {
            voltage: Volts::from_f64(volts).unwrap_or_default(),
            current: Amperes::from_f64(watts / volts).unwrap_or_default(),
            active_power: Watts::from_f64(watts).unwrap_or_default(),
            energy: self.register(),
            frequency: Hertz::from_f64(FREQUENCY_HZ).unwrap_or_default(),
            power_factor: PowerFactor::from_thousandths(if self.closed { 1_000 } else { 0 }),
            alarm: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use estimator::{Config, Estimator, Sample, SensorNoise};
    use measure::Flags;

    use super::*;

    #[test]
    fn the_register_counts_while_the_relay_is_closed_and_then_no_more() {
        let relay = Arc::new(AtomicBool::new(true));
        let closed = relay.clone();
        let begin = WattHours::from_centiwatthours(1_000_000);
        // So much that a moment is enough to see it.
        let load = Load::new(1e6, begin, move || closed.load(Ordering::Relaxed));
        while load.register() < WattHours::from_centiwatthours(1_000_100) {
            std::thread::yield_now();
        }
        let mut module = load.source();
        assert!(load.is_closed() && module().is_some_and(|it| it[5] > 10_000 || it[6] > 0));
        relay.store(false, Ordering::Relaxed);
        assert!(!load.is_closed());
        let stopped = load.register();
        let shown = module().expect("it has supply");
        assert_eq!((shown[1], shown[3]), (0, 0), "no current, no power");
        assert_eq!(load.register(), stopped);
    }

    #[test]
    fn a_filter_takes_it_for_no_recording() {
        let mut module = Load::new(1_900.0, WattHours::default(), || true).source();
        let mut estimator = Estimator::<f64>::new(Config::new(SensorNoise::PZEM_004T));
        for second in 0..3_600 {
            let [tenths_v, milliamperes, _, deciwatts, ..] = module().expect("it has supply").map(f64::from);
            let sample = Sample {
                voltage: tenths_v / 10.0,
                current: milliamperes / 1_000.0,
                active_power: deciwatts / 10.0,
                frequency: FREQUENCY_HZ,
                power_factor: 1.0,
                energy_wh: 0,
            };
            let estimate = estimator.step(1.0, &sample).expect("a sound sample");
            assert!(!estimate.flags.intersects(Flags::REPLAY | Flags::STUCK | Flags::REJECTED), "{second} s: {:?}", estimate.flags);
        }
    }
}
