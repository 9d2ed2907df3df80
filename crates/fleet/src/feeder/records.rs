//! A simulated feeder in the form in which the head-end knows one.

use contracts::intervals::{Checks, IntervalLength, Quality};
use contracts::{FeederIntervalRecord, FeederRecord, HouseRecord, IntervalRecord};
use measure::{Account, Amperes, FeederId, InvalidId, MeterId, UnixMillis, Volts, WattHours};

use super::{HOUSES, INTERVAL_MIN, Interval, POLES, pole};

const INTERVAL_MS: i64 = 60_000 * INTERVAL_MIN as i64;

/// The meter of a house, counted from 0.
pub fn house_meter(feeder: &FeederId, house: usize) -> Result<MeterId, InvalidId> {
    format!("{feeder}-H{:02}", house + 1).parse()
}

/// The meter where the line begins.
pub fn line_meter(feeder: &FeederId) -> Result<MeterId, InvalidId> {
    format!("{feeder}-L").parse()
}

/// Name of a pole, counted from 0.
pub fn pole_name(pole: usize) -> String {
    format!("P{}", pole + 1)
}

/// What hangs where.
pub fn topology(feeder: &FeederId) -> Result<FeederRecord, InvalidId> {
    let house = |number| {
        let (line_side, loop_ohm, contract_power_w, phase) = (None, None, None, None);
        Ok(HouseRecord {
            meter: house_meter(feeder, number)?,
            pole: pole_name(pole(number)),
            class: 1.0,
            line_side,
            loop_ohm,
            contract_power_w,
            phase,
        })
    };
    let houses = (0..HOUSES).map(house).collect::<Result<_, _>>()?;
    Ok(FeederRecord {
        id: feeder.clone(),
        line_meter: line_meter(feeder)?,
        line_class: 0.5,
        poles: (0..POLES).map(pole_name).collect(),
        houses,
    })
}

/// What the meters report for the quarter of an hour that began at `start`: the line's, then those of the houses.
pub fn records(feeder: &FeederId, start: UnixMillis, it: &Interval) -> Result<Vec<FeederIntervalRecord>, InvalidId> {
    let of = |meter, energy_wh, voltage, current| FeederIntervalRecord {
        feeder: feeder.clone(),
        interval: record(meter, start, energy_wh, voltage, current),
    };
    let mut records = vec![of(line_meter(feeder)?, it.line_wh, it.line_voltage, Amperes::from_f64(it.line_current))];
    for (number, house) in it.houses.iter().enumerate() {
        records.push(of(house_meter(feeder, number)?, house.energy_wh, house.voltage, None));
    }
    Ok(records)
}

fn record(meter: MeterId, start: UnixMillis, energy_wh: f64, voltage: f64, current: Option<Amperes>) -> IntervalRecord {
    let wh = |energy: f64| WattHours::from_f64(energy).unwrap_or_default();
    IntervalRecord {
        account: Some(Account::new(&meter, 0)),
        meter,
        channel: 0,
        length: IntervalLength::QuarterHour,
        start_ms: start,
        end_ms: start.saturating_add(INTERVAL_MS),
        revision: 1,
        quality: Quality::Actual,
        checks: Checks::empty(),
        import_wh: wh(energy_wh.max(0.0)),
        export_wh: wh((-energy_wh).max(0.0)),
        import_register_wh: None,
        export_register_wh: None,
        tariff_import_wh: Vec::new(),
        readings: INTERVAL_MIN as u32,
        covered_ms: INTERVAL_MS as u32,
        voltage_mean_v: Volts::from_f64(voltage),
        voltage_min_v: None,
        voltage_max_v: None,
        current_mean_a: current,
        current_min_a: None,
        current_max_a: None,
        active_power_mean_w: None,
        active_power_min_w: None,
        active_power_max_w: None,
        power_factor_mean: None,
        power_factor_min: None,
        power_factor_max: None,
        frequency_mean_hz: None,
        frequency_min_hz: None,
        frequency_max_hz: None,
        block_demand_max_w: None,
        block_demand_max_ms: None,
        sliding_demand_max_w: None,
        sliding_demand_max_ms: None,
    }
}
