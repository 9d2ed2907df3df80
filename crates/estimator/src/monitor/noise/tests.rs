extern crate std;

use super::*;
use crate::load::{NoiseModel, SensorNoise};

/// Seeded, nearly normal numbers: sums of twelve uniform ones.
struct Dice(u32);

impl Dice {
    fn normal(&mut self) -> f32 {
        (0..12).fold(-6.0, |sum, _| {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum + (self.0 >> 8) as f32 / 16_777_216.0
        })
    }
}

/// A house behind a sensor, sample by sample.
struct House {
    dice: Dice,
    sensor: SensorNoise,
    model: NoiseModel<f32>,
    noise: Noise,
    supply: f32,
    load: f32,
    /// Factors on the deviation of the voltage's noise and of the others'.
    factors: (f32, f32),
}

impl House {
    fn new(seed: u32, sensor: SensorNoise) -> Self {
        Self {
            dice: Dice(seed),
            sensor,
            model: NoiseModel::new(&sensor),
            noise: Noise::new(),
            supply: 230.0,
            load: 2.0,
            factors: (1.0, 1.0),
        }
    }

    fn samples(&mut self, count: usize) {
        for _ in 0..count {
            self.supply += 0.1 * self.dice.normal();
            let truth = [self.supply, self.load, self.supply * self.load * 0.9, 50.0];
            let (white, rounding) = (self.model.variances(&truth), self.model.rounding());
            let white: [f32; CHANNELS] = core::array::from_fn(|i| white[i] - rounding[i]);
            let factors = [self.factors.0, self.factors.1, self.factors.1, 1.0];
            let z = core::array::from_fn(|i| {
                let quantum = self.sensor.quantum[i] as f32;
                ((truth[i] + factors[i] * sqrt(white[i]) * self.dice.normal()) / quantum + 0.5).floor() * quantum
            });
            self.noise.take(&z, &self.model.variances(&z), self.model.rounding());
        }
    }

    /// Windows until the alarm is raised.
    fn raised_after(&mut self) -> usize {
        (1..100)
            .find(|_| {
                self.samples(WINDOW);
                self.noise.is_raised()
            })
            .unwrap_or(usize::MAX)
    }

    fn learnt(seed: u32, sensor: SensorNoise) -> Self {
        let mut house = Self::new(seed, sensor);
        house.samples(LEARNING * WINDOW + 10);
        assert!(!house.noise.is_raised());
        house
    }
}

const SENSORS: [SensorNoise; 2] = [SensorNoise::PZEM_004T, SensorNoise::NOISY];

#[test]
fn three_times_the_noise_is_told_in_a_few_windows_and_by_how_much() {
    for (seed, sensor) in (1..9).flat_map(|seed| SENSORS.map(|sensor| (seed, sensor))) {
        for channel in 0..2 {
            let mut house = House::learnt(seed, sensor);
            house.factors = if channel == 0 { (3.0, 1.0) } else { (1.0, 3.0) };
            let windows = house.raised_after();
            let most = if sensor == SensorNoise::NOISY { 8 } else { 16 };
            assert!((2..=most).contains(&windows), "seed {seed}, series {channel}: {windows} windows");
            house.samples(30 * WINDOW);
            let ratio = house.noise.ratios()[channel];
            assert!((2.5..16.0).contains(&ratio), "seed {seed}, series {channel}: {ratio}");
            let [voltage, current, power, frequency] = house.noise.inflation().unwrap_or([0.0; CHANNELS]);
            assert_eq!((current, frequency), (power, 1.0));
            assert_eq!((voltage > 1.5, current > 1.5), (channel == 0, channel == 1), "seed {seed}, series {channel}");
            house.factors = (1.0, 1.0);
            house.samples(12 * WINDOW);
            assert!(!house.noise.is_raised(), "seed {seed}, series {channel}: it is over");
            assert_eq!(house.noise.inflation(), None);
        }
    }
}

#[test]
fn one_noisy_window_is_no_alarm() {
    let mut house = House::learnt(1, SensorNoise::NOISY);
    house.samples(WINDOW - 8);
    house.factors = (6.0, 6.0);
    house.samples(WINDOW);
    house.factors = (1.0, 1.0);
    assert!(!house.noise.is_raised(), "{:?}", house.noise.ratios());
    assert!(house.noise.ratios()[0] > RAISED, "it was a noisy one: {:?}", house.noise.ratios());
    assert_eq!(house.raised_after(), usize::MAX);
}

#[test]
fn loads_that_come_and_go_are_no_noise() {
    for (seed, sensor) in (1..5).flat_map(|seed| SENSORS.map(|sensor| (seed, sensor))) {
        let mut house = House::new(seed, sensor);
        for round in 0..900 {
            house.load = [0.4, 9.0, 0.4, 2.0, 0.1][round % 5];
            house.samples(37);
            assert!(!house.noise.is_raised(), "seed {seed}, round {round}: {:?}", house.noise.ratios());
        }
        assert!(house.noise.load.usual.is_some());
    }
}

#[test]
fn a_load_too_small_for_its_digits_is_not_looked_at() {
    let mut house = House::new(1, SensorNoise::PZEM_004T);
    house.load = 0.1;
    house.samples(3_000);
    assert_eq!((house.noise.load.windows, house.noise.load.filled), (0, 0));
    assert_eq!(usize::from(house.noise.voltage.windows), 2_998 / WINDOW);
    // A difference across the pause would say nothing.
    house.load = 2.0;
    house.samples(2);
    assert_eq!(house.noise.load.filled, 0);
    house.samples(1);
    assert_eq!(house.noise.load.filled, 1);
}

#[test]
fn what_is_usual_is_not_known_before_sixty_windows_and_never_less_than_the_model_says() {
    let mut house = House::new(3, SensorNoise::NOISY);
    house.factors = (0.3, 3.0);
    house.samples(LEARNING * WINDOW + 1);
    assert_eq!((house.noise.voltage.usual, house.noise.ratios()), (None, [1.0; 2]));
    house.samples(1);
    let usual = |series: &Series| series.usual.unwrap_or(0.0);
    assert_eq!(usual(&house.noise.voltage), 1.0);
    assert!((6.0..12.0).contains(&usual(&house.noise.load)), "{}", usual(&house.noise.load));
    house.samples(2_000);
    assert!(!house.noise.is_raised(), "a sensor that was noisy all the time");
}

#[test]
fn the_upper_median_is_that_of_the_sorted_values() {
    let of = |values: [f32; 6]| upper_median(&values.map(Coarse::new)).value();
    assert_eq!(of([5.0, 1.0, 0.0, 3.0, 2.0, 4.0]), 3.0);
    assert_eq!(of([0.0; 6]), 0.0);
    assert_eq!(of([0.0, 0.0, 0.0, 0.25, 7.0, 7.0]), 0.25);
    assert!(of([f32::INFINITY, 2.0, f32::MAX, f32::INFINITY, 1.0, 0.5]) > 65_000.0);
    let mut dice = Dice(7);
    for _ in 0..100 {
        let mut values: [f32; WINDOW] = core::array::from_fn(|_| dice.normal() * dice.normal()).map(f32::abs);
        let ours = upper_median(&values.map(Coarse::new)).value();
        values.sort_by(f32::total_cmp);
        assert_eq!(ours, Coarse::new(values[WINDOW / 2]).value());
    }
}

#[test]
fn three_digits_are_kept_from_2_to_the_minus_16_to_2_to_the_16() {
    for exact in [0.0, 1.0 / 32_768.0, 0.25, 1.0, 1.5, 1023.0, 32_768.0] {
        assert_eq!(Coarse::new(exact).value(), exact);
    }
    let mut value = 2e-5;
    while value < 65_000.0 {
        let (coarse, next) = (Coarse::new(value), Coarse::new(value * 1.001));
        assert!((0.0..1e-3).contains(&(1.0 - coarse.value() / value)), "{value}: {coarse:?}");
        assert!(next > coarse, "{value}: {coarse:?}, {next:?}");
        value *= 1.0007;
    }
    assert_eq!(Coarse::new(f32::NAN).value(), 0.0);
    assert_eq!(Coarse::new(1.5e-5).value(), 0.0);
    assert_eq!(Coarse::new(f32::INFINITY), Coarse(i16::MAX));
    assert_eq!(Coarse::new(65_536.0), Coarse(i16::MAX));
}

#[test]
fn a_median_within_its_step() {
    assert_eq!(grouped_median(&[25.0, 1.0, 4.0, 9.0].map(Coarse::new), 0.0), 9.0);
    // Magnitudes 1 1 1 2 on a grid of 1: the half of them lies two thirds into the step from 0.5 to 1.5.
    let median = grouped_median(&[1.0, 1.0, 4.0, 1.0].map(Coarse::new), 1.0);
    assert!((sqrt(median) - (0.5 + 2.0 / 3.0)).abs() < 1e-6, "{median}");
    // Zeros lie within half a step.
    let median = grouped_median(&[0.0, 0.0, 0.0, 1.0].map(Coarse::new), 1.0);
    assert!((sqrt(median) - 0.5 * 2.0 / 3.0).abs() < 1e-6, "{median}");
    // One below, three within.
    let median = grouped_median(&[0.0, 1.0, 1.0, 1.0].map(Coarse::new), 1.0);
    assert!((sqrt(median) - (0.5 + 1.0 / 3.0)).abs() < 1e-6, "{median}");
}

#[test]
fn the_load_is_expected_to_scatter_by_propagation_of_errors() {
    let (z, variances, rounding) = ([230.0, 4.0, 800.0, 50.0], [0.9, 0.002, 70.0, 1.0], [0.1, 0.0005, 20.0, 0.5]);
    let mut noise = Noise::new();
    for current in [3.9, 4.1, 4.0] {
        noise.take(&[z[V], current, z[P], z[3]], &variances, &rounding);
    }
    // The variance of P/(V I) relative to its square is the sum of those of P, V and I.
    let factor = z[P] / (z[V] * z[I]);
    let relative = |of: fn(f32, f32) -> f32| [V, I, P].iter().map(|i| of(variances[*i], rounding[*i]) / (z[*i] * z[*i])).sum::<f32>();
    let (white, rounded) = (factor * factor * relative(|all, rounding| all - rounding), factor * factor * relative(|_, rounding| rounding));
    let close = |ours: f32, theirs: f32| assert!((ours / theirs - 1.0).abs() < 1e-3, "{ours}, expected {theirs}");
    close(noise.load.rounding, rounded / white);
    let difference = |current: f32| z[P] / (z[V] * current) - factor;
    close(noise.load.differences[0][0].value(), difference(4.1).powi(2) / white);
    close(noise.load.differences[1][0].value(), difference(3.9).powi(2) / white);
    close(noise.voltage.rounding, 0.1 / 0.8);
}

/// A window of differences whose squares are these, over one sample and over two.
fn closed(mut series: Series, first: f32, second: f32, rounding: f32) -> Series {
    series.differences = [[Coarse::new(first); WINDOW], [Coarse::new(second); WINDOW]];
    series.close(rounding, 0.0);
    series
}

#[test]
fn a_window_is_weighed_by_its_variograms() {
    let variogram = |square: f32| 0.5 * 1.4826 * 1.4826 * square;
    let smoothed = |window: f32| 1.0 + 0.3 * (window - 1.0);
    let close = |series: &Series, window: f32| {
        assert!((series.ratio - smoothed(window)).abs() < 1e-4, "{}, expected {}", series.ratio, smoothed(window))
    };
    let new = || Series::new(false);
    close(&closed(new(), 4.0, 6.25, 1.0), 2.0 * variogram(4.0) - variogram(6.25) - 1.0);
    close(&closed(new(), 100.0, 400.0, 1.0), 0.1 * variogram(100.0) - 1.0);
    close(&closed(new(), 1.0, 1.0, 1.0), 0.25);
    close(&closed(new(), 1e6, 1e6, 1.0), 400.0);
}

#[test]
fn windows_are_compared_with_the_usual_one() {
    let known = |ratio| Series { usual: Some(2.0), ratio, ..Series::new(false) };
    let high = |ratio, square| closed(known(ratio), square, square, 0.0).high;
    // A window of squares s has a ratio of 1.099 s.
    assert_eq!(high(100.0, 4.0), 1, "more than twice the usual");
    assert_eq!(high(100.0, 3.24), 0, "less than twice the usual");
    assert_eq!(high(9.0, 6.25), 1, "smoothed to 8.4");
    assert_eq!(high(8.0, 6.25), 0, "smoothed to 7.7");
}

#[test]
fn an_alarm_is_raised_above_four_times_and_ends_at_twice() {
    let mut series = Series::new(false);
    let mut judged = |relative, window| {
        series.judge(relative, window);
        (series.high, series.raised)
    };
    assert_eq!(judged(RAISED, 5.0), (0, false));
    assert_eq!(judged(5.0, LOWERED), (0, false));
    assert_eq!(judged(5.0, 5.0), (1, false));
    assert_eq!(judged(5.0, 1.0), (0, false), "not in a row");
    assert_eq!(judged(5.0, 5.0), (1, false));
    assert_eq!(judged(5.0, 5.0), (2, true));
    assert_eq!(judged(2.1, 1.0), (0, true));
    assert_eq!(judged(LOWERED, 1.0), (0, false));
}

#[test]
fn a_load_needs_current_and_power_for_its_digits() {
    for (current, power, looked_at) in [
        (0.16, 26.0, true),
        (0.15, 26.0, false),
        (0.14, 26.0, false),
        (0.16, 25.0, false),
        (0.16, 24.0, false),
        (5.0, 24.0, false),
        (0.14, 900.0, false),
    ] {
        let mut noise = Noise::new();
        noise.take(&[230.0, current, power, 50.0], &[1.0; CHANNELS], &[0.1; CHANNELS]);
        assert_eq!(noise.load.unknown == 1, looked_at, "{current} A, {power} W");
        assert_eq!(noise.voltage.unknown, 1);
    }
}
