//! Rule 1, half of it: which of two objects is newer.

use core::cmp::Ordering;

/// Whether `candidate` is older than `accepted`.
///
/// resourceVersions of one resource compare as decimal integers of any length (KEP-5504, stable in 1.35, and
/// true of etcd-backed servers before). One that is not decimal cannot be ordered and counts as newer.
pub(crate) fn is_older(candidate: &str, accepted: &str) -> bool {
    if candidate == accepted {
        // The same object again: every GET of an unchanged pod returns it.
        return false;
    }
    match (decimal(candidate), decimal(accepted)) {
        (Some(candidate), Some(accepted)) => compare(candidate, accepted) == Ordering::Less,
        _ => false,
    }
}

/// The digits without leading zeros, or `None` if the text is no decimal integer.
fn decimal(text: &str) -> Option<&str> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| text.trim_start_matches('0'))
}

fn compare(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::is_older;

    #[test]
    fn versions_compare_as_integers_of_any_length() {
        assert!(is_older("9", "10"));
        assert!(!is_older("10", "9"));
        assert!(!is_older("10", "10"));
        assert!(is_older("0009", "10"));
        assert!(is_older("18446744073709551615", "18446744073709551616"));
        assert!(is_older("0", "1"));
        assert!(!is_older("0", "00"));
    }

    #[test]
    fn what_cannot_be_compared_counts_as_newer() {
        for (candidate, accepted) in
            [("", "5"), ("abc", "5"), ("4", ""), ("4", "v5"), ("-1", "5"), ("4.0", "5")]
        {
            assert!(!is_older(candidate, accepted), "{candidate} {accepted}");
        }
    }
}
