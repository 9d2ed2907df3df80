//! What a meter shows, as a table for people and as JSON. Pure.

use comfy_table::Table;
use edge_agent::push::{NoRegisters, Told};
use meters::ade7816::Reading;
use meters::iec62056_21::readout::{Readout, Register};
use meters::modbus::Address;
use meters::pzem004t::Measurement;
use meters::sml;
use serde_json::json;

use crate::sheet;

/// What a meter shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// Who it is.
    meter: String,
    rows: Vec<Row>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    address: String,
    obis: Option<String>,
    repeated: bool,
    /// Texts and units.
    values: Vec<(String, String)>,
}

impl Row {
    fn new(address: &str, value: impl Into<String>, unit: &str) -> Self {
        Self { address: address.to_owned(), values: vec![(value.into(), unit.to_owned())], ..Self::default() }
    }
}

impl Shown {
    /// A module's measurement.
    pub fn of_module(address: Address, it: &Measurement) -> Self {
        let rows = vec![
            Row::new("voltage", format!("{:.1}", it.voltage.as_f64()), "V"),
            Row::new("current", format!("{:.3}", it.current.as_f64()), "A"),
            Row::new("active power", format!("{:.1}", it.active_power.as_f64()), "W"),
            Row::new("energy", format!("{:.0}", it.energy.as_f64()), "Wh"),
            Row::new("frequency", format!("{:.1}", it.frequency.as_f64()), "Hz"),
            Row::new("power factor", format!("{:.2}", it.power_factor.as_f64()), ""),
            Row::new("alarm", if it.alarm { "on" } else { "off" }, ""),
        ];
        Self { meter: format!("pzem-004t at address {}", address.get()), rows }
    }

    /// A chip's channels: the mains, and a row for each.
    pub fn of_chip(meter: String, readings: &[Reading]) -> Self {
        let mut rows = Vec::new();
        if let Some(first) = readings.first() {
            let mut voltage = Row::new("voltage", format!("{:.1}", first.raw.voltage.as_f64()), "V");
            voltage.values.push((first.counts.voltage.to_string(), "counts".to_owned()));
            rows.extend([voltage, Row::new("frequency", format!("{:.2}", first.raw.frequency.as_f64()), "Hz")]);
        }
        rows.extend(readings.iter().enumerate().map(|(channel, it)| {
            let mut row = Row::new(&format!("channel {channel}"), format!("{:.1}", it.raw.active_power.as_f64()), "W");
            row.values.extend(
                [
                    (format!("{:.3}", it.raw.current.as_f64()), "A"),
                    (format!("{:.3}", it.raw.power_factor.as_f64()), "power factor"),
                    (format!("{:.2}", it.import.as_f64() - it.export.as_f64()), "Wh"),
                    (it.counts.current.to_string(), "counts of current"),
                    (it.counts.energy.to_string(), "counts of energy"),
                ]
                .map(|(text, unit)| (text, unit.to_owned())),
            );
            if it.clips {
                row.values.push(("at the end of its range".to_owned(), String::new()));
            }
            row
        }));
        Self { meter, rows }
    }

    /// A readout by IEC 62056-21.
    pub fn of_readout(meter: String, registers: &[Register<'_>]) -> Self {
        let rows = registers.iter().map(|it| Row {
            address: it.address.to_owned(),
            obis: it.code.map(|code| code.to_string()),
            repeated: it.repeated,
            values: it.values().map(|value| (value.text.to_owned(), value.unit.to_owned())).collect(),
        });
        Self { meter, rows: rows.collect() }
    }

    /// A message of a meter that talks unasked.
    pub fn of_told(told: &Told) -> Result<Self, NoRegisters> {
        match told {
            Told::DsmrP1 { identification, text } => {
                Ok(Self::of_readout(identification.clone(), Readout::parse_telegram(text)?.registers()))
            }
            Told::Sml(messages) => {
                let readout = sml::Readout::parse(messages)?;
                Ok(Self { meter: bytes(readout.server), rows: readout.entries().iter().map(entry).collect() })
            }
        }
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        let registers: Vec<_> = self
            .rows
            .iter()
            .map(|it| {
                let values: Vec<_> = it.values.iter().map(|(text, unit)| json!({ "value": text, "unit": unit })).collect();
                json!({ "address": it.address, "obis": it.obis, "repeated": it.repeated, "values": values })
            })
            .collect();
        json!({ "meter": self.meter, "registers": registers })
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(sheet::STYLE).set_header(["register", "value", "unit", "more"]);
        for row in &self.rows {
            let mut values = row.values.iter();
            let (text, unit) = values.next().map_or(("", ""), |(text, unit)| (text, unit));
            let more: Vec<_> = values.map(|(text, unit)| format!("{text} {unit}").trim_end().to_owned()).collect();
            table.add_row([&row.address, text, unit, &more.join(", ")]);
        }
        let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        format!("{}\n{}", self.meter, lines.join("\n"))
    }
}

fn entry(it: &sml::Entry<'_>) -> Row {
    let code = it.code.map(|code| code.to_string());
    let text = match it.value {
        sml::Value::Number(number) => number.to_string(),
        sml::Value::Bytes(it) => bytes(it),
        sml::Value::Flag(flag) => flag.to_string(),
        sml::Value::Seconds(seconds) => seconds.to_string(),
        sml::Value::Beyond => "too large a number".to_owned(),
    };
    Row { obis: code.clone(), ..Row::new(&code.unwrap_or_else(|| bytes(it.name)), text, it.unit) }
}

/// Text where it is some, else hexadecimal digits.
fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => text.to_owned(),
        _ => hex::encode(bytes),
    }
}

#[cfg(test)]
mod tests {
    use measure::{Raw, Volts, WattHours, Watts};
    use meters::ade7816::driver::Counts;

    use super::*;

    #[test]
    fn digits_and_repetitions_are_shown_as_the_meter_shows_them() {
        let readout = Readout::parse("0.0.0(7)\r\n0.0(15*min)\r\n1.6.0(003.215*kW)(18-07-02,19:30)\r\n!\r\n").unwrap();
        let shown = Shown::of_readout("ABC5X".into(), readout.registers());
        let table = shown.table();
        assert!(table.contains("003.215") && table.contains("18-07-02,19:30") && table.contains("min"), "{table}");
        assert_eq!(
            shown.json()["registers"][1],
            json!({ "address": "0.0", "obis": "0.0.0", "repeated": true, "values": [{ "value": "15", "unit": "min" }] })
        );
    }

    #[test]
    fn a_chip_shows_six_channels() {
        let counts = Counts { voltage: 2_515_146, current: 2_095_955, energy: -800 };
        let raw = Raw { voltage: Volts::from_millivolts(230_100), active_power: Watts::from_deciwatts(-1_728), ..Raw::default() };
        let export = WattHours::from_centiwatthours(5);
        let reading = Reading { raw, import: WattHours::default(), export, clips: true, counts };
        let shown = Shown::of_chip("ade7816".to_owned(), &[reading; 6]);
        let rows = shown.json()["registers"].as_array().unwrap().clone();
        assert_eq!((rows.len(), &rows[0]["values"][0]), (8, &json!({ "value": "230.1", "unit": "V" })));
        assert_eq!(rows[7]["address"], "channel 5");
        assert_eq!(rows[7]["values"][5], json!({ "value": "-800", "unit": "counts of energy" }));
        let table = shown.table();
        assert!(table.contains("-172.8") && table.contains("-0.05 Wh") && table.contains("at the end of its range"), "{table}");
    }

    #[test]
    fn bytes_that_are_text_are_shown_as_such() {
        assert_eq!((bytes(b"ITR"), bytes(b"\x0a\x01ITR"), bytes(b"")), ("ITR".into(), "0a01495452".into(), String::new()));
    }
}
