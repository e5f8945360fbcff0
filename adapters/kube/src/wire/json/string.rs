//! Strings: their ends and their escapes.

use super::{Cursor, JsonError, Result, scan};
use std::borrow::Cow;

impl<'a> Cursor<'a> {
    /// Takes a string; UTF-8 is not checked. Borrows unless something in it is escaped.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        match self.plain_string() {
            Some((text, end)) => {
                self.at = end;
                Ok(Cow::Borrowed(text))
            }
            None => self.other_string().map(Cow::Owned),
        }
    }

    /// A string without escapes, as almost all are, and where it ends, without taking it.
    #[inline]
    pub(super) fn plain_string(&mut self) -> Option<(&'a [u8], usize)> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let text = &self.bytes[self.at + 1..];
        let length = scan::plain(text);
        if text.get(length) != Some(&b'"') {
            return None;
        }
        Some((&text[..length], self.at + length + 2))
    }

    /// Takes a string with escapes, or finds out what is wrong with it.
    #[cold]
    fn other_string(&mut self) -> Result<Vec<u8>> {
        self.take(b'"', "expected a string")?;
        let mut text = Vec::new();
        loop {
            let start = self.at;
            self.plain();
            text.extend_from_slice(&self.bytes[start..self.at]);
            match self.next()? {
                b'"' => return Ok(text),
                b'\\' => self.escape(&mut text)?,
                _ => return Err(self.control()),
            }
        }
    }

    /// Skips a string; its escapes are not looked at.
    #[inline]
    pub(super) fn skip_string(&mut self) -> Result<()> {
        if let Some((_, end)) = self.plain_string() {
            self.at = end;
            return Ok(());
        }
        self.take(b'"', "expected a string")?;
        loop {
            self.plain();
            match self.next()? {
                b'"' => return Ok(()),
                // Also an escaped quote, which is all that matters here.
                b'\\' => drop(self.next()?),
                _ => return Err(self.control()),
            }
        }
    }

    #[inline]
    fn plain(&mut self) {
        self.at += scan::plain(&self.bytes[self.at..]);
    }

    #[inline]
    fn next(&mut self) -> Result<u8> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.error("does not end"))?;
        self.at += 1;
        Ok(byte)
    }

    #[cold]
    fn control(&self) -> JsonError {
        self.error("has a control character that is not escaped")
    }

    /// Takes what follows a backslash.
    fn escape(&mut self, text: &mut Vec<u8>) -> Result<()> {
        let byte = match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let char = self.char()?;
                text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.error("has an unknown escape")),
        };
        text.push(byte);
        Ok(())
    }

    /// Takes what follows `\u`, and the second half where the first is a surrogate.
    fn char(&mut self) -> Result<char> {
        let first = self.hex()?;
        let second = match first {
            0xd800..=0xdbff if self.bytes[self.at..].starts_with(b"\\u") => {
                self.at += 2;
                Some(self.hex()?)
            }
            _ => None,
        };
        match char::decode_utf16([first].into_iter().chain(second)).next() {
            Some(Ok(char)) => Ok(char),
            Some(Err(_)) | None => Err(self.error("has half of a surrogate pair")),
        }
    }

    fn hex(&mut self) -> Result<u16> {
        let digits = self.bytes.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.error("has an unknown escape"))?;
        self.at += 4;
        Ok(unit)
    }
}
