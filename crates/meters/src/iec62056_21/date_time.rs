//! Times as meters write them, by their own clock: without zone, in many ways.

use time::{Date, Month, PrimitiveDateTime, Time};

/// The text is no date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a date and time: expected YY-MM-DD,hh:mm or YYYYMMDDhhmmss, or shorter or longer forms of these")]
pub struct NotTime;

/// Reads `18-07-04,10:15`, `2018-07-04 10:15:30`, `1807041015`, `20180704101530` or, with the digit for the season that some meters put
/// in front, `01807041015`. Years of two digits are of this century. `None` where the date is all zeros: it was never set.
///
/// # Errors
/// Anything else, days that no calendar has included.
pub fn parse(text: &str) -> Result<Option<PrimitiveDateTime>, NotTime> {
    let mut parts = if text.bytes().all(|byte| byte.is_ascii_digit()) { unseparated(text)? } else { separated(text)? };
    let [year, month, day, hour, minute, second] = &mut parts;
    if (*year, *month, *day) == (0, 0, 0) {
        return Ok(None);
    }
    if *year < 100 {
        *year = year.saturating_add(2_000);
    }
    let small = |number: u16| u8::try_from(number).map_err(|_| NotTime);
    let month = Month::try_from(small(*month)?).map_err(|_| NotTime)?;
    let date = Date::from_calendar_date((*year).into(), month, small(*day)?).map_err(|_| NotTime)?;
    let time = Time::from_hms(small(*hour)?, small(*minute)?, small(*second)?).map_err(|_| NotTime)?;
    Ok(Some(PrimitiveDateTime::new(date, time)))
}

/// Groups of digits, with anything of `-/.,: ` or a `T` between them.
fn separated(text: &str) -> Result<[u16; 6], NotTime> {
    let mut parts = [0; 6];
    let mut count = 0usize;
    for group in text.split(['-', '/', '.', ',', ':', ' ', 'T']) {
        let len_max = if count == 0 { 4 } else { 2 };
        if group.is_empty() || group.len() > len_max || group.len() == 3 {
            return Err(NotTime);
        }
        *parts.get_mut(count).ok_or(NotTime)? = number(group)?;
        count = count.saturating_add(1);
    }
    if count < 5 { Err(NotTime) } else { Ok(parts) }
}

/// By the number of digits.
fn unseparated(text: &str) -> Result<[u16; 6], NotTime> {
    let without_season = || text.get(1..).filter(|_| text.starts_with(['0', '1', '2'])).ok_or(NotTime);
    let (text, year_len) = match text.len() {
        10 | 12 => (text, 2),
        14 => (text, 4),
        11 | 13 => (without_season()?, 2),
        _ => return Err(NotTime),
    };
    let (year, mut rest) = text.split_at_checked(year_len).ok_or(NotTime)?;
    let mut parts = [number(year)?, 0, 0, 0, 0, 0];
    for part in parts.iter_mut().skip(1) {
        // Seconds may be missing.
        let Some((digits, behind)) = rest.split_at_checked(2) else { break };
        (*part, rest) = (number(digits)?, behind);
    }
    Ok(parts)
}

fn number(digits: &str) -> Result<u16, NotTime> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().map_err(|_| NotTime) } else { Err(NotTime) }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn every_way_to_write_it() {
        for (text, expected) in [
            ("18-07-04,10:15", "2018-07-04 10:15:00.0"),
            ("2018-07-04 10:15:30", "2018-07-04 10:15:30.0"),
            ("2018/07/04T10:15", "2018-07-04 10:15:00.0"),
            ("1807041015", "2018-07-04 10:15:00.0"),
            ("180704101530", "2018-07-04 10:15:30.0"),
            ("0180704101530", "2018-07-04 10:15:30.0"),
            ("11807041015", "2018-07-04 10:15:00.0"),
            ("20180704101530", "2018-07-04 10:15:30.0"),
            ("00-02-29,00:00", "2000-02-29 0:00:00.0"),
        ] {
            assert_eq!(parse(text).expect(text).expect(text).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn never_set_is_no_time() {
        for text in ["00-00-00,00:00", "0000-00-00,00:00:00", "0000000000", "00-00-00,24:00"] {
            assert_eq!(parse(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn days_that_do_not_exist_and_other_texts_are_refused() {
        for text in [
            "",
            "18-02-30,10:15",
            "18-13-01,10:15",
            "18-07-04,25:00",
            "18-07-04",
            "018-07-04,10:15",
            "91807041015",
            "x",
            "1-2-3,4:5:6:7",
            "--------,--:--",
            "٣٣٣٣٣",
        ] {
            assert_eq!(parse(text), Err(NotTime), "{text}");
        }
    }
}
