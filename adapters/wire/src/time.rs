//! Times in RFC 3339, as in JSON, and the calendar for them.

use alloc::format;
use alloc::string::String;
use core::ops::RangeInclusive;
use podwait_core::Timestamp;

/// The seconds that a `metav1.Time` can have: the years 0 to 9999.
pub(crate) const RANGE: RangeInclusive<i64> = -62_167_219_200..=253_402_300_799;

const DAY: i64 = 24 * 3600;

/// Reads a time in RFC 3339, such as `2026-01-31T23:59:59.5+01:00`; `None` if it is invalid.
///
/// Fractions of a second are dropped, as Kubernetes drops them (`metav1.Time`). `T` and `Z` may be lower case, and a
/// space may replace `T`. A leap second is read as the second before it.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.as_bytes().split_at_checked(10)?;
    let (clock, rest) = rest.split_at_checked(9)?;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return None };
    let &[b'T' | b't' | b' ', h1, h2, b':', n1, n2, b':', s1, s2] = clock else { return None };
    let days = days(number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?)?;
    let time = clock_seconds(number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?)?;
    let seconds = days * DAY + time - offset(after_fraction(rest)?)?;
    RANGE.contains(&seconds).then_some(Timestamp(seconds))
}

/// The time as `2026-01-31T23:59:59Z`, which is how Kubernetes writes it; `None` outside of the years 0 to 9999.
pub(crate) fn format_rfc3339(time: Timestamp) -> Option<String> {
    if !RANGE.contains(&time.0) {
        return None;
    }
    let (days, second) = (time.0.div_euclid(DAY), time.0.rem_euclid(DAY));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// Skips a fraction of a second; a fraction without digits is invalid.
fn after_fraction(text: &[u8]) -> Option<&[u8]> {
    let [b'.' | b',', fraction @ ..] = text else { return Some(text) };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=9).contains(&digits).then(|| &fraction[digits..])
}

/// The offset from UTC, in seconds.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match *text {
        [b'Z' | b'z'] => return Some(0),
        [b'+', h1, h2, b':', m1, m2] => (1, [h1, h2], [m1, m2]),
        [b'-', h1, h2, b':', m1, m2] => (-1, [h1, h2], [m1, m2]),
        _ => return None,
    };
    Some(sign * clock_seconds(number(&hours)?, number(&minutes)?, 0)?)
}

/// Seconds since midnight.
pub(crate) fn clock_seconds(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let is_valid = hour < 24 && minute < 60 && second <= 60;
    is_valid.then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// A number that has only digits.
pub(crate) fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// Days since 1970-01-01 of a valid date in the Gregorian calendar.
///
/// Years are counted from March, so that a leap day is the last of its year.
pub(crate) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(is_leap),
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let year = if month > 2 { year } else { year - 1 };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // From March to January the months have 31 and 30 days alternately, 153 days in five months.
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    Some(year * 365 + leap_days + day_of_year - EPOCH)
}

/// 1970-01-01, in days since 0000-03-01.
const EPOCH: i64 = 719_468;

/// Year, month and day of a day since 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    // Subtracts the earlier leap days: one in 4 years, none in 100 years, again one in 400 years.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let day = day - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_jiff(text: &str) -> Option<Timestamp> {
        let time = text.parse::<jiff::Timestamp>().ok()?;
        // Towards the past, as if the fraction were cut off the text.
        let fraction = i64::from(time.subsec_nanosecond() < 0);
        // jiff also accepts years before 0, through an offset.
        Some(Timestamp(time.as_second() - fraction)).filter(|time| RANGE.contains(&time.0))
    }

    #[test]
    fn the_forms_of_rfc_3339_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-24T01:53:50Z", Some(1_795_485_230)),
            ("2026-11-24t01:53:50z", Some(1_795_485_230)),
            ("2026-11-24 01:53:50Z", Some(1_795_485_230)),
            ("2026-11-24T01:53:50.999999999Z", Some(1_795_485_230)),
            ("2026-11-24T03:23:50.5+01:30", Some(1_795_485_230)),
            ("2026-11-23T20:53:50-05:00", Some(1_795_485_230)),
            ("1969-12-31T23:59:59.5Z", Some(-1)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_799)),
            ("2000-02-29T00:00:00Z", Some(951_782_400)),
            ("0000-01-01T00:00:00Z", Some(-62_167_219_200)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("9999-12-31T23:59:59-00:01", None),
            ("0000-01-01T00:00:00+00:01", None),
            ("1900-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-00-01T00:00:00Z", None),
            ("2026-01-00T00:00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:60:00Z", None),
            ("2026-01-01T00:00:61Z", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01T00:00:00.Z", None),
            ("2026-01-01T00:00:00.0000000000Z", None),
            ("2026-01-01T00:00:00+24:00", None),
            ("2026-01-01T00:00:00Zx", None),
            ("2026-01-01", None),
            ("yesterday", None),
            ("", None),
            ("2026-01-0äT00:00:00Z", None),
        ] {
            assert_eq!(parse_rfc3339(text), expected.map(Timestamp), "{text}");
        }
    }

    #[test]
    fn days_are_read_as_they_are_written() {
        // All days from 1896 to 2110, and every 97th of the others.
        let near = (-2_335_219_200_i64..4_449_600_000).step_by(86_400);
        for day in (*RANGE.start()..=*RANGE.end()).step_by(97 * 86_400).chain(near) {
            let time = Timestamp(day + day.rem_euclid(86_399));
            let text = format_rfc3339(time).expect("in range");
            assert_eq!(parse_rfc3339(&text), Some(time), "{text}");
        }
        assert_eq!(format_rfc3339(Timestamp(RANGE.end() + 1)), None);
        assert_eq!(format_rfc3339(Timestamp(RANGE.start() - 1)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn what_jiff_writes_and_reads_is_read_so(
            seconds in -62_167_219_200_i64..=253_402_207_200, nanos in 0_i32..1_000_000_000, hours in -23_i32..=23, minutes in 0_i32..60,
        ) {
            let time = jiff::Timestamp::new(seconds, nanos).expect("in range");
            prop_assert_eq!(parse_rfc3339(&format!("{time}")), Some(Timestamp(seconds)));
            prop_assert_eq!(
                format_rfc3339(Timestamp(seconds)),
                jiff::Timestamp::from_second(seconds).ok().map(|time| format!("{time}"))
            );
            let offset = jiff::tz::Offset::from_seconds(hours * 3600 + hours.signum() * minutes * 60).expect("an offset");
            let text = format!("{}", time.display_with_offset(offset));
            prop_assume!(!text.starts_with('-') && text.len() <= 35);
            prop_assert_eq!(parse_rfc3339(&text), Some(Timestamp(seconds)), "{}", text);
        }

        #[test]
        fn what_is_read_jiff_reads_so(
            text in "(00|19|20)[0-9]{2}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.,][0-9]{0,10})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-6][0-9])",
        ) {
            if let Some(time) = by_jiff(&text) {
                prop_assert_eq!(parse_rfc3339(&text), Some(time), "{}", text);
            } else if let Some(time) = parse_rfc3339(&text) {
                prop_assert!(time.0 < -62_000_000_000, "{} {:?}", text, time);
            }
        }

        #[test]
        fn any_text_is_read_or_not(text in "\\PC{0,40}") {
            let _ = parse_rfc3339(&text);
        }
    }
}
