//! Until when a certificate is valid: the one field of X.509 (RFC 5280) that has to be read here.
//!
//! client-go relies on the server to refuse an expired certificate. But an API server that allows anonymous requests
//! treats a request with an expired certificate as anonymous, and answers 403 instead of the 401 after which the plugin
//! would run again.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notAfter` of the first certificate in a PEM; `None` if it cannot be read; the TLS setup reports that error.
pub(super) fn not_after(pem: &str) -> Option<Timestamp> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (certificate, _) = element(&der, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, after)) = element(rest, VERSION) {
        rest = after;
    }
    // Serial number, signature algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = element(rest, tag)?.1;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, after) = time(validity)?;
    Some(time(after)?.0)
}

/// The content of a DER element with this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

/// A time, which by RFC 5280 is in UTC with seconds, and what follows it.
fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (text, rest, year) = match element(der, UTC_TIME) {
        Some((text, rest)) => {
            let year = number(text.get(..2)?)?;
            (text.get(2..)?, rest, if year < 50 { 2000 + year } else { 1900 + year })
        }
        None => {
            let (text, rest) = element(der, GENERALIZED_TIME)?;
            (text.get(4..)?, rest, number(text.get(..4)?)?)
        }
    };
    let field = |at: usize| i8::try_from(number(text.get(at..at + 2)?)?).ok();
    if text.len() != 11 || text.last() != Some(&b'Z') {
        return None;
    }
    let date = Date::new(year, field(0)?, field(2)?).ok()?;
    let time = jiff::civil::Time::new(field(4)?, field(6)?, field(8)?, 0).ok()?;
    let time = jiff::tz::TimeZone::UTC.to_timestamp(DateTime::from_parts(date, time)).ok()?;
    Some((time, rest))
}

fn number(digits: &[u8]) -> Option<i16> {
    digits.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A certificate that expires in this year.
    fn pem(year: i32) -> String {
        let mut params = rcgen::CertificateParams::new([String::from("me")]).expect("a name");
        params.not_after = rcgen::date_time_ymd(year, 2, 28);
        let key = rcgen::KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").pem()
    }

    #[test]
    fn it_is_read_in_both_forms() {
        for year in [1999, 2024, 2049, 2050, 9999] {
            let expected = format!("{year}-02-28T00:00:00Z").parse().expect("a time");
            assert_eq!(not_after(&pem(year)), Some(expected));
        }
        let two = format!("{}{}", pem(2031), pem(2024));
        assert_eq!(
            not_after(&two),
            Some("2031-02-28T00:00:00Z".parse().expect("a time")),
            "the leaf is the first"
        );
        assert_eq!(not_after("no certificate"), None);
        assert_eq!(not_after(""), None);
    }

    proptest! {
        /// No certificate causes a panic.
        #[test]
        fn anything_may_come(at in 0_usize..400, byte: u8, length in 0_usize..500) {
            let mut der = CertificateDer::from_pem_slice(pem(2030).as_bytes()).expect("a certificate").to_vec();
            if let Some(place) = der.get_mut(at) {
                *place = byte;
            }
            der.truncate(length);
            let body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
            not_after(&format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"));
        }
    }
}
