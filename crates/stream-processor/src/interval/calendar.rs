//! When a day begins, and which tariff holds: a time zone, and a time-of-use calendar if there is one. Read from TOML, and refused with
//! the reason if it can't be so.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use measure::UnixMillis;
use serde::Deserialize;

use super::profile::number;

/// Tariffs of a calendar: each costs eight bytes in each open interval.
pub const TARIFFS_MAX: usize = 4;
/// Seasons, rules of a season, and holidays.
const SEASONS_MAX: usize = 16;
const RULES_MAX: usize = 64;
const HOLIDAYS_MAX: usize = 4_096;
const TARIFF_NAME_MAX: usize = 32;

/// A quarter of an hour: tariffs change at no other time.
pub(super) const QUARTER_MS: i64 = 900_000;
const DAY_MS: i64 = 86_400_000;
const QUARTERS_OF_A_DAY: u16 = 96;

/// A time zone and the tariffs in it.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    tariffs: Vec<String>,
    standard: u8,
    seasons: Vec<Season>,
    holidays: BTreeSet<Date>,
}

#[derive(Clone, Debug)]
struct Season {
    /// Month and day of the first and the last day; a season may go over the turn of the year.
    from: (i8, i8),
    to: (i8, i8),
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    days: Vec<DayType>,
    /// Quarter hours of the clock, the end excluded.
    from: u16,
    to: u16,
    tariff: u8,
}

/// A weekday, or a holiday whatever weekday it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DayType {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
    Holiday,
}

/// Why a calendar is refused; the text says where and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("calendar: {0}")]
pub struct CalendarError(String);

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    zone: String,
    #[serde(default)]
    tariffs: Vec<String>,
    standard: Option<String>,
    #[serde(default)]
    holidays: Vec<String>,
    #[serde(default, rename = "season")]
    seasons: Vec<SeasonRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeasonRow {
    from: String,
    to: String,
    #[serde(default, rename = "rule")]
    rules: Vec<RuleRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleRow {
    days: Vec<DayType>,
    from: String,
    to: String,
    tariff: String,
}

/// A local day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Day {
    /// Its first instant, and the first after it.
    pub start: UnixMillis,
    pub end: UnixMillis,
    /// Its date, in days since 1970.
    pub number: u16,
    /// Whether it is a day from Monday to Friday, and no holiday.
    pub is_workday: bool,
    /// The tariff of each quarter hour from its start on.
    tariffs: Vec<u8>,
}

impl Default for Calendar {
    /// UTC, without tariffs.
    fn default() -> Self {
        Self { zone: TimeZone::UTC, tariffs: Vec::new(), standard: 0, seasons: Vec::new(), holidays: BTreeSet::new() }
    }
}

impl Calendar {
    /// Reads a file's text:
    ///
    /// ```toml
    /// zone = "Europe/Berlin"          # IANA
    /// tariffs = ["peak", "off-peak"]  # registers 1.8.1, 1.8.2; at most 4; leave out all that follows if there are none
    /// standard = "off-peak"           # whenever no rule says otherwise
    /// holidays = ["2026-12-25"]
    ///
    /// [[season]]                      # the first that a day lies in counts
    /// from = "10-01"                  # month and day, both inclusive
    /// to = "03-31"
    /// [[season.rule]]                 # the first that fits counts
    /// days = ["mon", "tue", "wed", "thu", "fri"]  # a holiday is "holiday" and no weekday
    /// from = "06:00"                  # local time, quarter hours
    /// to = "22:00"                    # excluded; up to 24:00
    /// tariff = "peak"
    /// ```
    ///
    /// # Errors
    ///
    /// Says what can't be so: syntax, an unknown zone, day, time or tariff, or too much of something.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        let file: File = toml::from_str(text).map_err(|error| CalendarError(error.to_string()))?;
        Self::new(file).map_err(CalendarError)
    }

    /// Names of the tariffs, in the order of their registers 1.8.1, 1.8.2 …
    pub fn tariffs(&self) -> &[String] {
        &self.tariffs
    }

    fn new(file: File) -> Result<Self, String> {
        let zone = TimeZone::get(&file.zone).map_err(|_| format!("zone {:?} is no IANA time zone", file.zone))?;
        let tariffs = file.tariffs;
        if tariffs.len() > TARIFFS_MAX {
            return Err(format!("{} tariffs, at most {TARIFFS_MAX}", tariffs.len()));
        }
        if let Some(name) = tariffs.iter().find(|it| it.is_empty() || it.len() > TARIFF_NAME_MAX) {
            return Err(format!("tariff {name:?}: a name has 1 to {TARIFF_NAME_MAX} bytes"));
        }
        if tariffs.iter().collect::<BTreeSet<_>>().len() < tariffs.len() {
            return Err("a tariff is there twice: name each once".to_owned());
        }
        for (what, found, most) in [("seasons", file.seasons.len(), SEASONS_MAX), ("holidays", file.holidays.len(), HOLIDAYS_MAX)] {
            if found > most {
                return Err(format!("{found} {what}, at most {most}"));
            }
        }
        let number = |name: &str| {
            let place = tariffs.iter().position(|it| it == name).and_then(|it| u8::try_from(it).ok());
            place.ok_or_else(|| format!("tariff {name:?} is not among `tariffs`"))
        };
        let standard = match &file.standard {
            Some(name) => number(name)?,
            None if tariffs.is_empty() => 0,
            None => return Err("`standard` must name the tariff that holds when no rule does".to_owned()),
        };
        let seasons = file.seasons.iter().map(|it| it.season(number)).collect::<Result<_, _>>()?;
        let holiday = |text: &String| text.parse().map_err(|_| format!("holiday {text:?}: write it as 2026-12-25"));
        let holidays = file.holidays.iter().map(holiday).collect::<Result<_, String>>()?;
        Ok(Self { zone, standard, seasons, holidays, tariffs })
    }

    /// The day that `at` lies in; a day of UTC where the calendar ends.
    pub(super) fn day(&self, at: UnixMillis) -> Day {
        self.local_day(at).unwrap_or_else(|_| {
            let start = at.interval_start(DAY_MS);
            let number = number(start.0.div_euclid(DAY_MS));
            Day { start, end: start.saturating_add(DAY_MS), number, is_workday: true, tariffs: Vec::new() }
        })
    }

    fn local_day(&self, at: UnixMillis) -> Result<Day, jiff::Error> {
        let date = self.zone.to_datetime(Timestamp::from_millisecond(at.0)?).date();
        let start = date.to_zoned_datetime(self.zone.clone())?.timestamp();
        let end = date.tomorrow()?.to_zoned_datetime(self.zone.clone())?.timestamp();
        let mut tariffs = Vec::new();
        let mut quarter = start;
        while quarter < end && !self.tariffs.is_empty() {
            tariffs.push(self.tariff(date, quarter));
            quarter = quarter.checked_add(15.minutes())?;
        }
        let midnight_utc = date.to_zoned_datetime(TimeZone::UTC)?.timestamp().as_millisecond();
        let number = number(midnight_utc.div_euclid(DAY_MS));
        let is_workday = !matches!(self.type_of(date), DayType::Sat | DayType::Sun | DayType::Holiday);
        let (start, end) = (UnixMillis(start.as_millisecond()), UnixMillis(end.as_millisecond()));
        Ok(Day { start, end, number, is_workday, tariffs })
    }

    fn tariff(&self, date: Date, at: Timestamp) -> u8 {
        let time = self.zone.to_datetime(at).time();
        let quarter = u16::from(time.hour().unsigned_abs()) * 4 + u16::from(time.minute().unsigned_abs()) / 15;
        let day = self.type_of(date);
        let season = self.seasons.iter().find(|it| it.contains((date.month(), date.day())));
        let rule = season.and_then(|it| it.rules.iter().find(|it| it.days.contains(&day) && (it.from..it.to).contains(&quarter)));
        rule.map_or(self.standard, |it| it.tariff)
    }

    fn type_of(&self, date: Date) -> DayType {
        if self.holidays.contains(&date) { DayType::Holiday } else { DayType::of(date.weekday()) }
    }
}

impl Day {
    /// Number of the tariff that holds at `at`, from 0; 0 if there are none.
    pub fn tariff(&self, at: UnixMillis) -> usize {
        let quarter = usize::try_from(at.millis_since(self.start) / QUARTER_MS).unwrap_or_default();
        self.tariffs.get(quarter).copied().unwrap_or_default().into()
    }
}

impl Season {
    fn contains(&self, day: (i8, i8)) -> bool {
        if self.from <= self.to { (self.from..=self.to).contains(&day) } else { day >= self.from || day <= self.to }
    }
}

impl SeasonRow {
    fn season(&self, number: impl Fn(&str) -> Result<u8, String>) -> Result<Season, String> {
        if self.rules.len() > RULES_MAX {
            return Err(format!("season from {}: {} rules, at most {RULES_MAX}", self.from, self.rules.len()));
        }
        let rule = |row: &RuleRow| {
            let (from, to) = (quarter_of_the_clock(&row.from)?, quarter_of_the_clock(&row.to)?);
            if from >= to {
                return Err(format!("rule from {} to {}: it must end later; over midnight, write two", row.from, row.to));
            }
            Ok(Rule { days: row.days.clone(), from, to, tariff: number(&row.tariff)? })
        };
        let rules = self.rules.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Season { from: month_and_day(&self.from)?, to: month_and_day(&self.to)?, rules })
    }
}

impl DayType {
    const fn of(weekday: Weekday) -> Self {
        match weekday {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }
}

fn quarter_of_the_clock(text: &str) -> Result<u16, String> {
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?)));
    let sound = |(hour, minute): &(u16, u16)| *hour <= 24 && *minute < 60 && minute % 15 == 0;
    let quarter = parts.filter(sound).map(|(hour, minute)| hour * 4 + minute / 15).filter(|it| *it <= QUARTERS_OF_A_DAY);
    quarter.ok_or_else(|| format!("time {text:?}: write 00:00 to 24:00, in quarter hours"))
}

fn month_and_day(text: &str) -> Result<(i8, i8), String> {
    // A leap year, so that a season may begin or end on 29 February.
    let date: Result<Date, _> = format!("2024-{text}").parse();
    date.map(|it| (it.month(), it.day())).map_err(|_| format!("day {text:?}: write month and day as 03-31"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        zone = "Europe/Berlin"
        tariffs = ["peak", "off-peak"]
        standard = "off-peak"
        holidays = ["2026-12-25"]
        [[season]]
        from = "10-01"
        to = "03-31"
        [[season.rule]]
        days = ["mon", "tue", "wed", "thu", "fri"]
        from = "06:00"
        to = "22:00"
        tariff = "peak"
    "#;

    #[test]
    fn the_one_that_comes_with_the_product_is_one() {
        let calendar = Calendar::parse(include_str!("../../../../deploy/calendar.toml")).unwrap();
        assert_eq!(calendar.tariffs(), ["peak", "off-peak"]);
        // A Wednesday in summer and one in winter: 7 h local is off-peak in the one and peak in the other.
        for (time, tariff) in [("2026-07-01T05:00Z", 1), ("2026-07-01T06:00Z", 0), ("2026-12-16T06:00Z", 0)] {
            assert_eq!(calendar.day(at(time)).tariff(at(time)), tariff, "{time}");
        }
    }

    fn at(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn days_begin_at_local_midnight_and_have_23_to_25_hours() {
        let calendar = Calendar::parse(FILE).unwrap();
        for (noon, start, hours) in [
            ("2026-03-28T12:00Z", "2026-03-27T23:00Z", 24),
            ("2026-03-29T12:00Z", "2026-03-28T23:00Z", 23),
            ("2026-10-25T12:00Z", "2026-10-24T22:00Z", 25),
        ] {
            let day = calendar.day(at(noon));
            assert_eq!((day.start, day.end.millis_since(day.start) / 3_600_000), (at(start), hours), "{noon}");
            assert_eq!(day.tariffs.len(), hours as usize * 4, "{noon}");
            assert_eq!(calendar.day(UnixMillis(day.end.0 - 1)), day);
            assert_eq!(calendar.day(day.end).start, day.end);
        }
    }

    #[test]
    fn tariffs_follow_the_local_clock_seasons_weekdays_and_holidays() {
        let calendar = Calendar::parse(FILE).unwrap();
        for (time, tariff) in [
            // A Friday in winter: 6 to 22 h local is 5 to 21 h UTC.
            ("2026-12-18T04:59:59Z", 1),
            ("2026-12-18T05:00Z", 0),
            ("2026-12-18T20:59:59Z", 0),
            ("2026-12-18T21:00Z", 1),
            // Saturday, holiday, summer.
            ("2026-12-19T12:00Z", 1),
            ("2026-12-25T12:00Z", 1),
            ("2026-07-01T12:00Z", 1),
            // The turn of the year lies in the season.
            ("2027-01-04T12:00Z", 0),
            // The Monday after the clocks went forward: 6 h is 4 h UTC.
            ("2026-03-30T04:00Z", 0),
            ("2026-03-30T03:59Z", 1),
        ] {
            assert_eq!(calendar.day(at(time)).tariff(at(time)), tariff, "{time}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_says_what() {
        for (from, to, expected) in [
            ("Europe/Berlin", "Europe/Berlim", "zone \"Europe/Berlim\""),
            ("tariff = \"peak\"", "tariff = \"night\"", "tariff \"night\" is not among"),
            ("standard = \"off-peak\"", "", "`standard` must name"),
            ("\"peak\", \"off-peak\"", "\"peak\", \"peak\"", "twice"),
            ("\"peak\", \"off-peak\"", "\"a\", \"b\", \"c\", \"d\", \"e\"", "5 tariffs, at most 4"),
            ("2026-12-25", "2026-02-30", "holiday \"2026-02-30\""),
            ("10-01", "13-01", "day \"13-01\""),
            ("06:00", "06:10", "time \"06:10\""),
            ("22:00", "24:15", "time \"24:15\""),
            ("22:00", "05:00", "it must end later"),
            ("\"mon\"", "\"moon\"", "unknown variant `moon`"),
            ("days = [\"mon", "daze = [\"mon", "unknown field `daze`"),
        ] {
            let error = Calendar::parse(&FILE.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(expected), "{to}: {error}");
        }
    }

    #[test]
    fn the_ends_of_time_have_days_too() {
        for at in [i64::MIN, -1, i64::MAX].map(UnixMillis) {
            let day = Calendar::parse(FILE).unwrap().day(at);
            assert!(day.start <= at && at <= day.end);
        }
    }
}
