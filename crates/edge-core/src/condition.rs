//! The condition of the meter itself: heat, battery, supply. What is worth telling of it. Pure.
//!
//! Each is a state with two bounds, so that a value that trembles at one of them is told once.

use measure::EventKind;

/// Bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Too hot from here on, in 0.1 degrees Celsius.
    pub hot: i32,
    /// No longer too hot from here down, in 0.1 degrees Celsius.
    pub cool: i32,
    /// The battery is low from here down, in percent.
    pub battery_low: u8,
    /// And no longer low from here on, in percent.
    pub battery_good: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self { hot: 850, cool: 750, battery_low: 20, battery_good: 30 }
    }
}

/// What was measured; nothing for what the meter cannot measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// In 0.1 degrees Celsius.
    pub temperature: Option<i32>,
    /// What is left of the battery, in percent.
    pub battery: Option<u8>,
    /// Whether the mains are there.
    pub supply: Option<bool>,
}

/// What was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    hot: bool,
    low: bool,
    failing: bool,
}

impl Condition {
    /// What is to be told now: last gasp first.
    pub fn handle(&mut self, config: &Config, measured: &Measured) -> heapless::Vec<(EventKind, i64), 3> {
        let mut news = heapless::Vec::new();
        // Three kinds, each once: the vector holds them.
        let mut tell = |kind, value| _ = news.push((kind, value));
        if let Some(supply) = measured.supply {
            if !supply && !self.failing {
                tell(EventKind::SupplyFailing, 0);
            }
            self.failing = !supply;
        }
        if let Some(temperature) = measured.temperature {
            let hot = if self.hot { temperature > config.cool } else { temperature >= config.hot };
            if hot != self.hot {
                tell(EventKind::OverTemperature, if hot { temperature.into() } else { 0 });
            }
            self.hot = hot;
        }
        if let Some(battery) = measured.battery {
            let low = if self.low { battery < config.battery_good } else { battery <= config.battery_low };
            if low != self.low {
                tell(EventKind::BatteryLow, if low { battery.into() } else { -1 });
            }
            self.low = low;
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn told(condition: &mut Condition, measured: Measured) -> Vec<(EventKind, i64)> {
        condition.handle(&Config::default(), &measured).to_vec()
    }

    #[test]
    fn a_value_that_trembles_is_told_once() {
        let mut it = Condition::default();
        let heat = |temperature| Measured { temperature: Some(temperature), ..Measured::default() };
        let events: Vec<_> = [849, 850, 849, 851, 751, 750, 751].into_iter().flat_map(|value| told(&mut it, heat(value))).collect();
        assert_eq!(events, [(EventKind::OverTemperature, 850), (EventKind::OverTemperature, 0)]);
        let battery = |percent| Measured { battery: Some(percent), ..Measured::default() };
        let events: Vec<_> = [21, 20, 29, 19, 30, 29].into_iter().flat_map(|value| told(&mut it, battery(value))).collect();
        assert_eq!(events, [(EventKind::BatteryLow, 20), (EventKind::BatteryLow, -1)]);
    }

    #[test]
    fn the_last_gasp_goes_first_and_is_told_each_time() {
        let mut it = Condition::default();
        let all = Measured { temperature: Some(900), battery: Some(5), supply: Some(false) };
        let kinds: Vec<_> = told(&mut it, all).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [EventKind::SupplyFailing, EventKind::OverTemperature, EventKind::BatteryLow]);
        assert_eq!(told(&mut it, Measured { supply: Some(true), ..Measured::default() }), []);
        assert_eq!(told(&mut it, Measured { supply: Some(false), ..Measured::default() }), [(EventKind::SupplyFailing, 0)]);
        assert_eq!(told(&mut it, Measured::default()), []);
    }
}
