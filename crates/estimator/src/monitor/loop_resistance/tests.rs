use super::*;

const LOOP_OHM: f64 = 0.2;

/// A house whose loads are switched, and what part of their current is measured.
struct House {
    monitor: LoopResistance<f64>,
    current: f64,
    measured: f64,
    second: u32,
}

impl House {
    fn new(threshold: f64) -> Self {
        Self { monitor: LoopResistance::new(threshold), current: 1.0, measured: 1.0, second: 0 }
    }

    fn second(&mut self, verdicts: Flags) {
        self.second += 1;
        // The supply goes its own way by tenths of a volt.
        let wander = [0.2, -0.1, 0.0, -0.2, 0.1, 0.3, -0.3][(self.second % 7) as usize];
        self.monitor.take(230.0 + wander - LOOP_OHM * self.current, self.current * self.measured, verdicts);
    }

    /// Calm, a switching of so many samples, calm.
    fn step(&mut self, amperes: f64, samples: u32) {
        self.calm(3);
        self.current += amperes;
        (0..samples).for_each(|_| self.second(Flags::STEP));
        self.calm(2);
    }

    fn calm(&mut self, seconds: u32) {
        (0..seconds).for_each(|_| self.second(Flags::REGISTER_ANCHORED));
    }

    fn steps(&mut self, count: u32) {
        for _ in 0..count {
            self.step(if self.current < 5.0 { 8.0 } else { -8.0 }, 1);
        }
    }

    fn learnt() -> Self {
        let mut house = Self::new(THRESHOLD_SINGLE);
        house.steps(LEARNING);
        house
    }
}

#[test]
fn forty_steps_teach_the_loop() {
    let mut house = House::new(THRESHOLD_SINGLE);
    house.steps(LEARNING - 1);
    assert_eq!((house.monitor.reference(), house.monitor.statistic()), (0.0, 0.0));
    house.steps(1);
    assert!((house.monitor.reference() - LOOP_OHM).abs() < 0.01, "{}", house.monitor.reference());
    assert!((house.monitor.recent() - LOOP_OHM).abs() < 0.02, "{}", house.monitor.recent());
    house.steps(300);
    assert_eq!(house.monitor.statistic(), 0.0);
    assert!((house.monitor.reference() - LOOP_OHM).abs() < 0.005, "{}", house.monitor.reference());
}

#[test]
fn a_loop_that_can_hardly_be_seen_is_learnt_for_longer() {
    // Residuals of 0.3 V either way: a step of 1 A brings an information of (0.2 V/0.3 V)² = 0.44, one of 2.5 A of 2.8.
    let mut monitor = LoopResistance::<f64>::new(THRESHOLD_SINGLE);
    let steps = noisy_steps(&mut monitor, 1.0, 0.3, LEARNING);
    assert_eq!((steps, monitor.reference()), (LEARNING, 0.0));
    let steps = noisy_steps(&mut monitor, 2.5, 0.3, 200);
    assert!((40..70).contains(&steps), "known after {steps} more");
}

/// Switches loads of so many amperes behind 0.2 ohm and a supply that moves by so many volts, until the loop is learnt, at most `count`
/// times. Returns how often.
fn noisy_steps(monitor: &mut LoopResistance<f64>, amperes: f64, volts: f64, count: u32) -> u32 {
    for k in 0..count {
        if monitor.reference() > 0.0 {
            return k;
        }
        let error = if k % 2 == 0 { volts } else { -volts };
        monitor.all.add(error - LOOP_OHM * amperes, amperes);
        monitor.learnt += 1;
    }
    count
}

#[test]
fn a_shunted_current_is_told_and_its_end_too() {
    let mut house = House::learnt();
    house.measured = 0.5;
    house.calm(5);
    let steps = (1..50).find(|_| {
        house.steps(1);
        house.monitor.is_raised()
    });
    assert!(steps.is_some_and(|steps| (2..=6).contains(&steps)), "{steps:?}");
    house.steps(100);
    assert_eq!(house.monitor.statistic(), 2.0 * THRESHOLD_SINGLE);
    assert!((house.monitor.recent() - LOOP_OHM / 0.5).abs() < 0.04, "{}", house.monitor.recent());
    assert!((house.monitor.reference() - LOOP_OHM).abs() < 0.01, "it does not get used to it: {}", house.monitor.reference());
    house.measured = 1.0;
    house.calm(5);
    house.steps(100);
    assert!(!house.monitor.is_raised());
}

#[test]
fn the_statistic_is_the_sum_of_logarithms_of_likelihood_ratios() {
    let mut house = House::learnt();
    let (r0, variance) = (house.monitor.reference(), house.monitor.variance());
    let r1 = r0 / MEASURED_SHARE;
    let ratio = |dv: f64, di: f64| ((dv + r0 * di).powi(2) - (dv + r1 * di).powi(2)) / (2.0 * variance);
    let di = 2.0;
    let dv = -1.2 * r1 * di;
    house.monitor.weigh((230.0, 1.0), (230.0 + dv, 1.0 + di));
    let first = ratio(dv, di);
    assert!(first > 0.1 && (house.monitor.statistic() - first).abs() < 1e-9, "{first} {}", house.monitor.statistic());
    let before = house.monitor.statistic();
    house.monitor.weigh((230.0, 20.0), (200.0, 40.0));
    assert!((house.monitor.statistic() - before - EVIDENCE_MAX).abs() < 1e-9, "one step's say is limited");
    house.monitor.weigh((230.0, 20.0), (232.0, 40.0));
    assert!((house.monitor.statistic() - before).abs() < 1e-9, "the other way, too");
}

#[test]
fn variance_is_what_the_resistance_does_not_explain() {
    let mut monitor = LoopResistance::<f64>::new(1.0);
    // Residuals of +0.3 V and -0.3 V by turns, of the same weight: no slope.
    for k in 0..40 {
        let error = if k % 2 == 0 { 0.3 } else { -0.3 };
        monitor.weigh((230.0, 0.0), (230.0 - 0.2 * 10.0 + error, 10.0));
    }
    assert!((monitor.variance() - 0.09 * 40.0 / 39.0).abs() < 1e-9, "{}", monitor.variance());
    assert!((monitor.reference() - 0.2).abs() < 1e-12);
    let mut exact = LoopResistance::<f64>::new(1.0);
    (0..40).for_each(|_| exact.weigh((230.0, 0.0), (228.0, 10.0)));
    assert!((exact.variance() - DEVIATION_MIN_V * DEVIATION_MIN_V).abs() < 1e-12);
}

#[test]
fn a_suspicious_house_teaches_nothing() {
    let mut monitor = LoopResistance::<f64>::new(THRESHOLD_SINGLE);
    noisy_steps(&mut monitor, 5.0, 0.3, 100);
    let learnt = monitor.learnt;
    monitor.statistic = 0.6 * THRESHOLD_SINGLE;
    monitor.weigh((230.0, 0.0), (229.0, 5.0));
    assert_eq!(monitor.learnt, learnt);
    // Less than half of the threshold is no suspicion.
    for (statistic, taught) in [(0.45, 1), (0.0, 2)] {
        monitor.statistic = statistic * THRESHOLD_SINGLE;
        monitor.weigh((230.0, 0.0), (229.0, 5.0));
        assert_eq!(monitor.learnt, learnt + taught);
    }
    let mut house = House::learnt();
    house.steps(2_000);
    let learnt = house.monitor.learnt;
    house.steps(1);
    assert_eq!(house.monitor.learnt, learnt, "it is known well enough");
}

#[test]
fn only_isolated_steps_of_some_size_count() {
    let counted = |act: fn(&mut House)| {
        let mut house = House::new(THRESHOLD_SINGLE);
        act(&mut house);
        house.monitor.learnt
    };
    assert_eq!(counted(|house| house.step(8.0, 1)), 1);
    assert_eq!(counted(|house| house.step(8.0, 3)), 1);
    assert_eq!(counted(|house| house.step(8.0, 4)), 0, "something that goes on");
    assert_eq!(counted(|house| house.step(1.51, 1)), 1);
    assert_eq!(counted(|house| house.step(-1.51, 1)), 1);
    assert_eq!(counted(|house| house.step(1.49, 1)), 0);
    let spoilt = |before: Flags, at: Flags, after: Flags| {
        let mut house = House::new(THRESHOLD_SINGLE);
        house.calm(5);
        house.second(before);
        house.calm(1);
        house.current += 8.0;
        house.second(at);
        house.second(Flags::empty());
        house.second(after);
        house.calm(2);
        house.monitor.learnt
    };
    let (calm, step) = (Flags::empty(), Flags::STEP);
    assert_eq!(spoilt(calm, step, calm), 1);
    assert_eq!(spoilt(calm, step | Flags::VOLTAGE_SHIFT | Flags::REGISTER_ANCHORED, calm), 1);
    assert_eq!(spoilt(calm, Flags::VOLTAGE_SHIFT, calm), 0);
    assert_eq!(spoilt(calm, step | Flags::BAD_POWER, calm), 0);
    assert_eq!(spoilt(Flags::BAD_VOLTAGE, step, calm), 0, "only one calm sample before");
    assert_eq!(spoilt(calm, step, step), 0, "another step right after");
    assert_eq!(spoilt(calm, step, Flags::REJECTED), 0);
}
