//! Dates as JavaScript writes them into JSON.

use alloc::{format, string::String};

/// How far from 1970 a JavaScript date reaches, either way: 100,000,000 days.
const MAX_MILLIS: i64 = 8_640_000_000_000_000;

const MILLIS_A_DAY: i64 = 86_400_000;

/// The date as of `Date.prototype.toISOString`, in UTC; `None` beyond the range of a date.
pub(super) fn to_iso_string(millis: i64) -> Option<String> {
    if !(-MAX_MILLIS..=MAX_MILLIS).contains(&millis) {
        return None;
    }
    let (year, month, day) = civil(millis.div_euclid(MILLIS_A_DAY));
    let time = millis.rem_euclid(MILLIS_A_DAY);
    let (hour, minute, second) = (time / 3_600_000, time / 60_000 % 60, time / 1000 % 60);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    Some(format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", time % 1000))
}

/// Year, month and day in the proleptic Gregorian calendar, of a day counted from 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last day of one, and in cycles of 400 years.
fn civil(day: i64) -> (i64, i64, i64) {
    const DAYS_A_CYCLE: i64 = 146_097;
    let from_march_of_0 = day + 719_468;
    let cycle = from_march_of_0.div_euclid(DAYS_A_CYCLE);
    let day = from_march_of_0.rem_euclid(DAYS_A_CYCLE);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (cycle * 400 + year + i64::from(month <= 2), month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each as printed by Node.
    #[test]
    fn as_javascript_prints_them() {
        for (millis, text) in [
            (0, Some("1970-01-01T00:00:00.000Z")),
            (-1, Some("1969-12-31T23:59:59.999Z")),
            (951_782_400_000, Some("2000-02-29T00:00:00.000Z")),
            (1_735_689_599_123, Some("2024-12-31T23:59:59.123Z")),
            (-2_203_891_200_000, Some("1900-03-01T00:00:00.000Z")),
            (253_402_300_800_000, Some("+010000-01-01T00:00:00.000Z")),
            (-62_198_755_200_000, Some("-000001-01-01T00:00:00.000Z")),
            (MAX_MILLIS, Some("+275760-09-13T00:00:00.000Z")),
            (-MAX_MILLIS, Some("-271821-04-20T00:00:00.000Z")),
            (MAX_MILLIS + 1, None),
            (i64::MIN, None),
        ] {
            assert_eq!(to_iso_string(millis).as_deref(), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(-800_000);
        for day in -799_999..800_000 {
            let today = civil(day);
            let follows = match (before, today) {
                ((year, month, date), (y, m, d)) if (y, m) == (year, month) => d == date + 1,
                ((year, month, date), (y, m, 1)) => {
                    let next_month = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                    (y, m) == next_month && date == days_of(year, month)
                }
                _ => false,
            };
            assert!(follows, "{before:?}, {today:?}");
            before = today;
        }
    }

    fn days_of(year: i64, month: i64) -> i64 {
        match month {
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}
