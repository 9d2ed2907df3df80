//! Alerts for people.

use std::time::Duration;

use comfy_table::Table;
use contracts::AlertRecord;
use contracts::alerts::AlertState;
use measure::UnixMillis;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::sheet::STYLE;

/// Digits of an id that are shown: one in 4 billion pairs of alerts begins alike.
const ID_DIGITS: usize = 8;

/// An alert's change in one line.
pub fn line(it: &AlertRecord) -> String {
    let missing = it.missing_current_a.map_or_else(String::new, |amperes| format!(", {amperes:.2} A missing"));
    let (place, state, found) = (place(it), state(it), found(it));
    printable(&format!("{} {} {} {place}: {state}; {found}{missing}", instant_text(it.at_ms), id(it), it.rule))
}

/// A row for each.
pub fn table(alerts: &[&AlertRecord]) -> impl Iterator<Item = String> {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(["alert", "severity", "test", "where", "state", "since", "found"]);
    for it in alerts {
        let row = [id(it), it.severity.name().to_owned(), it.rule.clone(), place(it), state(it), instant_text(it.since_ms), found(it)];
        table.add_row(row.iter().map(|it| printable(it)));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().into_iter()
}

/// `30m`, `8h` or `2d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is no time: write a number and m, h or d, as 8h");
    let unit = text.chars().last().ok_or_else(problem)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(problem()),
    };
    let number: u32 = text.strip_suffix(unit).and_then(|it| it.parse().ok()).filter(|it| *it > 0).ok_or_else(problem)?;
    Ok(Duration::from_secs(u64::from(number).saturating_mul(seconds)))
}

/// As `2026-12-01T08:00:00Z`.
pub fn instant(text: &str) -> Result<UnixMillis, String> {
    let problem = || format!("{text:?} is no time: write it as 2026-12-01T08:00:00Z");
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| problem())?;
    Ok(UnixMillis(at.unix_timestamp().saturating_mul(1_000)))
}

/// To the second; the number itself where it is none that a calendar has.
fn instant_text(at: UnixMillis) -> String {
    let known = OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000)).ok();
    known.and_then(|it| it.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{} ms", at.0))
}

fn id(it: &AlertRecord) -> String {
    it.alert.to_string().chars().take(ID_DIGITS).collect()
}

fn place(it: &AlertRecord) -> String {
    match (&it.meter, &it.pole) {
        (Some(meter), _) => format!("meter {meter} on feeder {}", it.feeder),
        (None, Some(pole)) => format!("pole {pole} of feeder {}", it.feeder),
        (None, None) => format!("feeder {}", it.feeder),
    }
}

fn state(it: &AlertRecord) -> String {
    let until = it.shelved_until_ms.filter(|_| it.state == AlertState::Shelved);
    let until = until.map_or_else(String::new, |until| format!(" until {}", instant_text(until)));
    let who = it.who.as_deref().map_or_else(String::new, |who| format!(" by {who}"));
    let note = it.note.as_deref().map_or_else(String::new, |note| format!(" ({note})"));
    format!("{}{until}{who}{note}", it.state.name())
}

fn found(it: &AlertRecord) -> String {
    let cause = it.cause.as_deref().map_or_else(String::new, |cause| format!(" ({cause})"));
    // Limits of pairs are a few percent, others are tens.
    let digits = if it.threshold.abs() < 10.0 { 2 } else { 0 };
    format!("{:.1} of {:.digits$} {}{cause}", it.statistic, it.threshold, it.unit)
}

/// Text from outside, without what could move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::book::tests::alert;
    use super::*;

    #[test]
    fn an_alert_is_one_line_and_one_row() {
        let mut it = alert(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(
            line(&it),
            "2026-11-18T11:06:40Z 01234567 voltage_drop meter M1 on feeder F1: raised; 16.2 of 14 deviations, 1.50 A missing"
        );
        it.state = AlertState::Shelved;
        (it.shelved_until_ms, it.who, it.note) =
            (Some(UnixMillis(1_795_003_600_000)), Some("ann".to_owned()), Some("\u{1b}[2Jlater".to_owned()));
        let rows: Vec<String> = table(&[&it]).collect();
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert!(rows.iter().any(|row| row.contains("shelved until 2026-11-18T12:06:40Z by ann (\u{fffd}[2Jlater)")), "{rows:?}");
    }

    #[test]
    fn times_are_read_or_refused_with_an_example() {
        assert_eq!(duration("90m").unwrap().as_secs(), 5_400);
        assert_eq!(duration("2d").unwrap().as_secs(), 172_800);
        assert_eq!(instant("2026-11-18T11:06:40Z").unwrap(), UnixMillis(1_795_000_000_000));
        for wrong in ["", "8", "h", "0h", "-1h", "8w", "8ä", "99999999999d"] {
            assert!(duration(wrong).unwrap_err().contains("as 8h"), "{wrong}");
        }
        assert!(instant("tomorrow").unwrap_err().contains("2026-12-01T08:00:00Z"));
    }
}
