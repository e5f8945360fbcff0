//! The beginning of a value whose end has not arrived.

use alloc::vec::Vec;

/// How much memory is kept for the next value that is cut, in bytes.
const KEPT: usize = 64 << 10;

/// Bytes of a value from earlier pieces of a stream.
///
/// A value that is complete in one piece is never copied.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    /// The bytes were returned as a complete value.
    is_spent: bool,
}

impl Held {
    /// The bytes of the value so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.is_spent { &[] } else { &self.bytes }
    }

    /// How many bytes of the value have arrived.
    pub(crate) fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Copies the start of the piece until `length` bytes are held, or all of it if that is not enough.
    pub(crate) fn fill(&mut self, piece: &mut &[u8], length: usize) {
        if core::mem::take(&mut self.is_spent) {
            self.bytes.clear();
            if self.bytes.capacity() > KEPT {
                self.bytes = Vec::new();
            }
        }
        let missing = length.saturating_sub(self.bytes.len()).min(piece.len());
        let (taken, rest) = piece.split_at(missing);
        self.bytes.extend_from_slice(taken);
        *piece = rest;
    }

    /// A value of that length, if it is complete: the held bytes and the start of the piece.
    pub(crate) fn take<'s, 'p: 's>(&'s mut self, piece: &mut &'p [u8], length: usize) -> Option<&'s [u8]> {
        if self.len() == 0
            && let Some((value, rest)) = piece.split_at_checked(length)
        {
            *piece = rest;
            return Some(value);
        }
        self.fill(piece, length);
        self.is_spent = self.bytes.len() == length;
        self.is_spent.then_some(&*self.bytes)
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
