//! A cursor over JSON that reads what it is asked for, straight from the bytes, and skips the rest without looking.
//!
//! What is read is checked to the last character: types, escapes, surrogates, UTF-8, integers. Of an object or a list that
//! is skipped only the brackets outside of strings are counted, so nonsense between them passes. Nothing recurses but the
//! caller, so nesting is limited by what the caller reads, and not at all in what is skipped.

mod error;
mod scan;
mod string;
#[cfg(test)]
mod tests;

pub use error::JsonError;
pub(crate) use scan::Nesting;
use std::borrow::Cow;
use std::ops::ControlFlow;

pub(crate) type Result<T, E = JsonError> = std::result::Result<T, E>;

/// A place in a JSON text.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    /// The same, if all of it is known to be UTF-8.
    text: Option<&'a str>,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of a text that is going to be read in part: UTF-8 is checked in the strings that are taken.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, text: None, at: 0 }
    }

    /// At the start of a text that is going to be read to its end: all of it must be UTF-8.
    pub(crate) fn whole(bytes: &'a [u8]) -> Result<Self> {
        match simdutf8::compat::from_utf8(bytes) {
            Ok(text) => Ok(Self { bytes, text: Some(text), at: 0 }),
            Err(error) => Err(JsonError::new("is not UTF-8", error.valid_up_to())),
        }
    }

    /// Reads an object, each field by `field`, which must read or skip its value.
    #[inline]
    pub(crate) fn object(&mut self, mut field: impl FnMut(&mut Self, &[u8]) -> Result<()>) -> Result<()> {
        let all = self.object_until(|json, name| field(json, name).map(ControlFlow::<()>::Continue))?;
        debug_assert!(all.is_continue());
        Ok(())
    }

    /// The same until `field` breaks; the cursor then stays where it is.
    #[inline]
    pub(crate) fn object_until(
        &mut self,
        mut field: impl FnMut(&mut Self, &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        self.take(b'{', "expected an object")?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(ControlFlow::Continue(()));
        }
        loop {
            let name = self.name()?;
            if field(self, &name).map_err(|error| error.in_field(&name))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if !self.goes_on(b'}', "expected a comma or the object's end")? {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    /// Reads a list, each element by `element`; `null` is an empty one.
    #[inline]
    pub(crate) fn each(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        if self.null()? {
            return Ok(());
        }
        self.take(b'[', "expected a list")?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for index in 0.. {
            element(self).map_err(|error| error.in_element(index))?;
            if !self.goes_on(b']', "expected a comma or the list's end")? {
                break;
            }
        }
        Ok(())
    }

    /// The same, as a list of what `element` makes.
    #[inline]
    pub(crate) fn list<T>(&mut self, element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.list_in(Vec::new(), element)
    }

    /// The same, in the room of this empty list.
    #[inline]
    pub(crate) fn list_in<T>(
        &mut self,
        mut list: Vec<T>,
        mut element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.each(|json| {
            list.push(element(json)?);
            Ok(())
        })?;
        Ok(list)
    }

    /// Reads a field's value into its slot, which must be empty: a field that is there twice has no value.
    #[inline]
    pub(crate) fn fill<T>(
        &mut self,
        slot: &mut Option<T>,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<()> {
        if slot.is_some() {
            return Err(JsonError::new("is there twice", self.at));
        }
        *slot = Some(read(self)?);
        Ok(())
    }

    /// Reads a value that may be `null`.
    #[inline]
    pub(crate) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.null()? { Ok(None) } else { read(self).map(Some) }
    }

    /// Reads a value, or the default for `null`.
    #[inline]
    pub(crate) fn or_default<T: Default>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.optional(read).map(Option::unwrap_or_default)
    }

    /// Reads a string; `null` is an empty one. Borrows unless something in it is escaped.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>> {
        self.or_default(|json| {
            let text = match json.string()? {
                Cow::Borrowed(bytes) => match json.text {
                    // Its quote is behind it.
                    Some(all) => all.get(json.at - 1 - bytes.len()..json.at - 1).map(Cow::Borrowed),
                    None => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
                },
                Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
            };
            text.ok_or_else(|| json.error("is not UTF-8"))
        })
    }

    /// The same, owned.
    #[inline]
    pub(crate) fn owned(&mut self) -> Result<String> {
        self.text().map(Cow::into_owned)
    }

    /// Reads an integer. A number with a fraction or an exponent is none, even if its value is whole.
    pub(crate) fn integer<T: TryFrom<i64>>(&mut self) -> Result<T> {
        let byte = self.peek();
        let start = self.at;
        if !matches!(byte, Some(b'-' | b'0'..=b'9')) {
            return Err(JsonError::found("expected an integer", byte, start));
        }
        self.number()?;
        let digits = &self.bytes[start..self.at];
        if !digits.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9')) || digits == b"-0" {
            return Err(JsonError::new("expected an integer, found another number", start));
        }
        let value = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok());
        value
            .and_then(|value| T::try_from(value).ok())
            .ok_or_else(|| JsonError::new("is out of an integer's range", start))
    }

    /// Skips a value, whatever it is, and returns its bytes.
    #[inline]
    pub(crate) fn skip(&mut self) -> Result<&'a [u8]> {
        let byte = self.peek();
        let start = self.at;
        if byte == Some(b'"') {
            self.skip_string()?;
        } else if matches!(byte, Some(b'{' | b'[')) {
            self.skip_nested()?;
        } else {
            self.skip_scalar(byte)?;
        }
        Ok(&self.bytes[start..self.at])
    }

    /// Reads a value, and returns its bytes too.
    pub(crate) fn span<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<(T, &'a [u8])> {
        self.peek();
        let start = self.at;
        let value = read(self)?;
        Ok((value, &self.bytes[start..self.at]))
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(JsonError::new("something follows the end", self.at)),
        }
    }

    /// Something is wrong here.
    pub(crate) fn error(&self, problem: &'static str) -> JsonError {
        JsonError::new(problem, self.at)
    }

    /// The next byte that is no white space, without taking it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte > b' ' => Some(*byte),
            _ => self.peek_after_space(),
        }
    }

    #[cold]
    fn peek_after_space(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn take(&mut self, expected: u8, problem: &'static str) -> Result<()> {
        match self.peek() {
            Some(byte) if byte == expected => {
                self.at += 1;
                Ok(())
            }
            byte => Err(JsonError::found(problem, byte, self.at)),
        }
    }

    /// Takes the name of a field and its colon.
    #[inline]
    fn name(&mut self) -> Result<Cow<'a, [u8]>> {
        // At once where they stand as the API server writes them.
        if let Some((name, end)) = self.plain_string()
            && self.bytes.get(end) == Some(&b':')
        {
            self.at = end + 1;
            return Ok(Cow::Borrowed(name));
        }
        let name = self.string()?;
        self.take(b':', "expected a colon")?;
        Ok(name)
    }

    /// Takes a comma, or the end.
    #[inline]
    fn goes_on(&mut self, end: u8, problem: &'static str) -> Result<bool> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            byte => Err(JsonError::found(problem, byte, self.at)),
        }
    }

    /// Takes `null`, if it is there.
    #[inline]
    fn null(&mut self) -> Result<bool> {
        let is_null = self.peek() == Some(b'n');
        if is_null {
            self.word(b"null")?;
        }
        Ok(is_null)
    }

    /// Skips an object or a list.
    fn skip_nested(&mut self) -> Result<()> {
        let value = &self.bytes[self.at..];
        let end = match value {
            // Many are empty.
            [b'{', b'}', ..] | [b'[', b']', ..] => Some(2),
            _ => Nesting::default().end(value),
        };
        self.at += end.ok_or_else(|| self.error("does not end"))?;
        Ok(())
    }

    /// Skips what begins with this byte.
    fn skip_scalar(&mut self, byte: Option<u8>) -> Result<()> {
        match byte {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(_) | None => Err(JsonError::found("expected a value", byte, self.at)),
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<()> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(JsonError::new("expected a value, found something else", self.at));
        }
        self.at += word.len();
        Ok(())
    }

    /// Takes a number of whatever size.
    fn number(&mut self) -> Result<()> {
        let start = self.at;
        let wrong = || JsonError::new("is no number", start);
        self.one_of(b"-");
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else if !self.digits() {
            return Err(wrong());
        }
        if self.one_of(b".") && !self.digits() {
            return Err(wrong());
        }
        if self.one_of(b"eE") {
            self.one_of(b"+-");
            if !self.digits() {
                return Err(wrong());
            }
        }
        Ok(())
    }

    /// Takes one of these, if it is there.
    fn one_of(&mut self, of: &[u8]) -> bool {
        let is_there = self.bytes.get(self.at).is_some_and(|byte| of.contains(byte));
        self.at += usize::from(is_there);
        is_there
    }

    /// Takes digits: whether there was one.
    fn digits(&mut self) -> bool {
        let digits = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        digits > 0
    }
}
