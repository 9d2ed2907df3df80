//! What meters show now, as a table. Pure.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ContentLineStyle, LineStyle, Table, TableStyle};
use contracts::LiveValue;
use measure::{Account, Channel, Flags, MeterId, UnixMillis};

/// A rule below the header, and nothing else.
pub(crate) const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .content_lines(ContentLineStyle::none());

/// What is known of each channel of each meter; what is known of the meter stands in the row of channel 0.
#[derive(Debug, Default)]
pub struct Sheet {
    rows: BTreeMap<(MeterId, Channel), Row>,
}

#[derive(Debug, Default)]
struct Row {
    live: Option<LiveValue>,
    online: Option<bool>,
    waiting: Option<u64>,
}

impl Sheet {
    /// A reading; an older one than the one shown changes nothing.
    pub fn reading(&mut self, live: LiveValue) {
        let row = self.rows.entry((live.meter.clone(), live.channel)).or_default();
        if row.live.as_ref().is_none_or(|shown| shown.time_ms <= live.time_ms) {
            row.live = Some(live);
        }
    }

    /// Whether the meter is there.
    pub fn online(&mut self, meter: MeterId, online: bool) {
        self.rows.entry((meter, 0)).or_default().online = Some(online);
    }

    /// How many records wait in the meter's journal for their acknowledgement.
    pub fn waiting(&mut self, meter: MeterId, records: u64) {
        self.rows.entry((meter, 0)).or_default().waiting = Some(records);
    }

    /// The table at `now`, at most `lines_max` lines high.
    pub fn to_lines(&self, now: UnixMillis, lines_max: usize) -> Vec<String> {
        /// The header and the rule below it.
        const HEAD_LINES: usize = 2;
        let room = lines_max.saturating_sub(HEAD_LINES);
        let shown = if self.rows.len() <= room { self.rows.len() } else { room.saturating_sub(1) };
        let mut lines: Vec<String> = self.table(now, shown).lines().map(|line| line.trim_end().to_owned()).collect();
        if shown < self.rows.len() {
            lines.push(format!("… and {} more; a higher window shows them", self.rows.len().saturating_sub(shown)));
        }
        lines
    }

    fn table(&self, now: UnixMillis, shown: usize) -> Table {
        let waiting = self.rows.values().any(|row| row.waiting.is_some());
        let states = self.rows.values().any(|row| row.online.is_some());
        let mut header = vec!["meter", "V", "A", "W", "PF", "Hz", "kWh", "age s"];
        if waiting {
            header.push("waiting");
        }
        if states {
            header.push("state");
        }
        let mut table = Table::new();
        table.load_style(STYLE).set_header(header);
        for ((meter, channel), row) in self.rows.iter().take(shown) {
            let mut cells = vec![name(meter, *channel)];
            cells.extend(row.values(now));
            if waiting {
                cells.push(row.waiting.map_or_else(String::new, |records| records.to_string()));
            }
            if states {
                let state = row.online.map(|online| if online { "online" } else { "offline" });
                cells.push(state.unwrap_or_default().to_owned());
            }
            table.add_row(cells);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Row {
    fn values(&self, now: UnixMillis) -> [String; 7] {
        let Some(live) = &self.live else { return Default::default() };
        let age_s = now.millis_since(live.time_ms).max(0) as f64 / 1e3;
        // A meter that shows its registers only has no other values, which is not the same as values of 0.
        let measured = |value: f64, digits: usize| if is_measured(live) { format!("{value:.digits$}") } else { String::new() };
        [
            measured(live.voltage_v.as_f64(), 1),
            measured(live.current_a.as_f64(), 3),
            measured(live.active_power_w.as_f64(), 1),
            measured(live.power_factor.as_f64(), 2),
            measured(live.frequency_hz.as_f64(), 2),
            format!("{:.3}", live.import_wh.as_f64() / 1e3),
            format!("{age_s:.1}"),
        ]
    }
}

/// A meter goes by its own name until a channel must be told from the first.
fn name(meter: &MeterId, channel: Channel) -> String {
    if channel == 0 { meter.to_string() } else { Account::new(meter, channel).to_string() }
}

/// Whether the meter measures more than its registers.
fn is_measured(live: &LiveValue) -> bool {
    !live.flags.contains(Flags::REGISTERS_ONLY)
}

/// One reading as a line.
pub fn line(live: &LiveValue) -> String {
    let name = name(&live.meter, live.channel);
    if !is_measured(live) {
        return format!("{name:<12} {:>46} {:>12.3} kWh", "registers only", live.import_wh.as_f64() / 1e3);
    }
    format!(
        "{name:<12} {:>7.1} V {:>8.3} A {:>9.1} W  PF {:>5.2} {:>6.2} Hz {:>12.3} kWh",
        live.voltage_v.as_f64(),
        live.current_a.as_f64(),
        live.active_power_w.as_f64(),
        live.power_factor.as_f64(),
        live.frequency_hz.as_f64(),
        live.import_wh.as_f64() / 1e3,
    )
}

#[cfg(test)]
mod tests {
    use contracts::ReadingRecord;
    use measure::{ClockQuality, Reading, StreamId, Volts, WattHours};

    use super::*;

    fn live(meter: &str, time: i64, volts: f64) -> LiveValue {
        let meter = meter.parse().unwrap();
        let reading = Reading { time: UnixMillis(time), voltage: Volts::from_f64(volts).unwrap(), ..Default::default() };
        LiveValue::from(&ReadingRecord::new(&meter, StreamId(1), 1, UnixMillis(time), &reading))
    }

    #[test]
    fn a_late_reading_does_not_turn_the_table_back() {
        let mut sheet = Sheet::default();
        sheet.reading(live("M1", 2_000, 230.0));
        sheet.reading(live("M1", 1_000, 100.0));
        let text = sheet.to_lines(UnixMillis(3_500), 24).join("\n");
        assert!(text.contains("230.0") && text.contains("1.5") && !text.contains("100.0"), "{text}");
    }

    #[test]
    fn channels_of_a_meter_have_rows_of_their_own() {
        let mut sheet = Sheet::default();
        let third = LiveValue { channel: 3, ..live("M1", 0, 231.0) };
        assert!(line(&third).starts_with("M1.3 "), "{}", line(&third));
        sheet.reading(live("M1", 0, 230.0));
        sheet.reading(third);
        let text = sheet.to_lines(UnixMillis(0), 9).join("\n");
        assert!(["M1.3", "230.0", "231.0"].iter().all(|it| text.contains(it)), "{text}");
    }

    #[test]
    fn a_meter_of_registers_only_shows_no_voltage_of_0() {
        let energy = WattHours::from_centiwatthours;
        let reading = Reading::of_registers(UnixMillis(0), ClockQuality::Synchronised, 0, energy(6_156_128_900), energy(0));
        let live = LiveValue::from(&ReadingRecord::new(&"M1".parse().unwrap(), StreamId(1), 1, UnixMillis(0), &reading));
        assert_eq!(line(&live).split_whitespace().collect::<Vec<_>>(), ["M1", "registers", "only", "61561.289", "kWh"]);
        let mut sheet = Sheet::default();
        sheet.reading(live);
        let text = sheet.to_lines(UnixMillis(0), 24).join("\n");
        assert!(text.contains("61561.289") && !text.contains("0.00"), "{text}");
    }

    #[test]
    fn it_never_grows_over_the_window() {
        let mut sheet = Sheet::default();
        (0..30).for_each(|n| sheet.reading(live(&format!("M{n:02}"), 0, 230.0)));
        for height in 3..40 {
            let lines = sheet.to_lines(UnixMillis(0), height);
            assert!(lines.len() <= height, "{height}: {}", lines.len());
        }
        assert_eq!(sheet.to_lines(UnixMillis(0), 40).len(), 32);
        assert!(sheet.to_lines(UnixMillis(0), 12).last().unwrap().contains("and 21 more"));
    }

    #[test]
    fn columns_without_any_value_are_left_out() {
        let mut sheet = Sheet::default();
        sheet.reading(live("M1", 0, 230.0));
        assert!(!sheet.to_lines(UnixMillis(0), 9).join("").contains("state"));
        sheet.online("M2".parse().unwrap(), false);
        sheet.waiting("M2".parse().unwrap(), 17);
        let text = sheet.to_lines(UnixMillis(0), 9).join("\n");
        assert!(text.contains("offline") && text.contains("waiting") && text.contains("17"), "{text}");
    }
}
