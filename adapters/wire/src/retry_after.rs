//! The header `Retry-After`.

use crate::time::{clock_seconds, days, number};
use core::time::Duration;

/// Longest time that is accepted from a server: a day. No wait needs more, and sums with it cannot overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long the header `Retry-After` asks to wait, a day at most; `None` if its value is invalid.
///
/// The value is a number of seconds, or a date. A date counts from the answer's own header `Date`, so that clocks need
/// not agree. Only the form that RFC 9110 lets servers write is read (IMF-fixdate).
pub(crate) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let seconds = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too large is invalid, as a word is, and must not cause a pause of a day.
        value.parse().ok()?
    } else {
        u64::try_from(imf_fixdate(value)? - imf_fixdate(date?)?).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds).min(LONGEST))
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate(text: &str) -> Option<i64> {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let &[
        w1,
        w2,
        w3,
        b',',
        b' ',
        d1,
        d2,
        b' ',
        m1,
        m2,
        m3,
        b' ',
        y1,
        y2,
        y3,
        y4,
        b' ',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
        b' ',
        b'G',
        b'M',
        b'T',
    ] = text.as_bytes()
    else {
        return None;
    };
    if ![w1, w2, w3].iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    let month = 1 + MONTHS.chunks(3).position(|month| month == [m1, m2, m3])?;
    let days = days(number(&[y1, y2, y3, y4])?, i64::try_from(month).ok()?, number(&[d1, d2])?)?;
    let time = clock_seconds(number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?)?;
    Some(days * 24 * 3600 + time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DATE: Option<&str> = Some("Sun, 06 Nov 1994 08:49:37 GMT");

    #[test]
    fn it_has_seconds_or_a_date() {
        for (value, expected) in [
            ("3", Some(3)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Tue, 08 Nov 1994 08:49:38 GMT", Some(86_400)),
            ("86401", Some(86_400)),
            ("18446744073709551615", Some(86_400)),
            ("99999999999999999999", None),
            ("Fri, 01 Jan 2100 00:00:00 GMT", Some(86_400)),
            ("soon", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            (" 3", None),
            ("", None),
            ("Sun, 06 Nov 1994 08:50:07 UTC", None),
            ("Sun, 31 Feb 1994 08:50:07 GMT", None),
            ("Sun, 06 Nov 1994 25:50:07 GMT", None),
            ("Sun, 06 XYZ 1994 08:50:07 GMT", None),
        ] {
            assert_eq!(retry_after(value, DATE), expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after("3", None), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:07 GMT", Some("today")), None);
    }

    proptest! {
        #[test]
        fn dates_are_read_as_jiff_reads_them(seconds in 0_i64..=253_402_207_200) {
            let time = jiff::Timestamp::from_second(seconds).expect("in range");
            let text = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).expect("a date");
            prop_assert_eq!(imf_fixdate(&text), Some(seconds), "{}", text);
        }

        #[test]
        fn any_text_is_read_or_not(text in "\\PC{0,40}") {
            let _ = retry_after(&text, DATE);
        }
    }
}
