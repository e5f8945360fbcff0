//! The part of a URL before its `@`: a name and a password, which no error may quote.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;

/// A name and a password, without percent-encoding.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Userinfo {
    pub(crate) name: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl Userinfo {
    pub(crate) fn new(name: impl Into<Vec<u8>>, password: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), password: password.into() }
    }

    /// Removes the userinfo from an authority. The last `@` ends it: RFC 3986 allows only one, but passwords often
    /// contain more.
    pub(crate) fn split(authority: &str) -> (Option<Self>, &str) {
        let Some((userinfo, host)) = authority.rsplit_once('@') else { return (None, authority) };
        let (name, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        (Some(Self::new(decode(name), decode(password))), host)
    }

    /// The value of `Authorization` or `Proxy-Authorization`.
    pub(crate) fn basic(&self) -> Option<HeaderValue> {
        let both = [&*self.name, b":", &*self.password].concat();
        let mut header = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(both))).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

/// Neither is printed by accident.
impl std::fmt::Debug for Userinfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Userinfo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_at_the_last_at_and_is_decoded() {
        let split = |authority| Userinfo::split(authority);
        assert_eq!(split("host:1"), (None, "host:1"));
        assert_eq!(split("u:p@host"), (Some(Userinfo::new("u", "p")), "host"));
        assert_eq!(split("u@host"), (Some(Userinfo::new("u", "")), "host"));
        assert_eq!(split("u:p@ss:w@host"), (Some(Userinfo::new("u", "p@ss:w")), "host"));
        assert_eq!(split("a%40b:%3A%zz@h"), (Some(Userinfo::new("a@b", ":%zz")), "h"));
    }

    #[test]
    fn a_header_is_basic_and_shows_nothing() {
        let userinfo = Userinfo::new("Aladdin", "open sesame");
        let header = userinfo.basic().expect("a header");
        assert_eq!(header.as_bytes(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "the example of RFC 7617");
        assert!(header.is_sensitive());
        assert!(!format!("{userinfo:?}").contains("sesame"));
    }
}
