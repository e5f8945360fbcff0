//! Frames of a watch.

use crate::encoding::Encoding;
use crate::error::DecodeError;
use crate::held::Held;
use memchr::memchr;

/// Longest object that is read from a stream, in bytes: 8 MiB.
///
/// Objects in etcd have at most 1.5 MiB by default, and JSON is somewhat larger.
pub const LONGEST_OBJECT: usize = 8 << 20;

/// The length of a frame in protobuf, in bytes: a big-endian `uint32`
/// (`NewLengthDelimitedFrameWriter` of k8s.io/apimachinery/pkg/util/framer).
const HEADER: usize = 4;

/// Cuts the stream of a watch into frames, one for each event.
///
/// A frame that is complete in one piece is borrowed from the piece. Only a frame that was cut is copied.
///
/// ```
/// use podwait_wire::{Encoding, Frames};
///
/// let mut frames = Frames::new(Encoding::Json);
/// let mut piece: &[u8] = b"{\"type\":1}\n{\"ty";
/// assert_eq!(frames.next_frame(&mut piece)?, Some(&b"{\"type\":1}"[..]));
/// assert_eq!(frames.next_frame(&mut piece)?, None);
/// assert!(frames.is_torn());
/// # Ok::<(), podwait_wire::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Frames {
    encoding: Encoding,
    held: Held,
}

impl Frames {
    /// A splitter for a stream in that encoding.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self { encoding, held: Held::default() }
    }

    /// Takes the next frame from the start of the piece; `None` when the piece is used up.
    ///
    /// In JSON a frame is a line without its end. An empty line is a frame, which is no [`Event`](crate::Event).
    ///
    /// # Errors
    /// [`DecodeError::TooLong`]. The stream cannot be read any further.
    pub fn next_frame<'s, 'p: 's>(
        &'s mut self,
        piece: &mut &'p [u8],
    ) -> Result<Option<&'s [u8]>, DecodeError> {
        match self.encoding {
            Encoding::Json => self.next_line(piece),
            Encoding::Protobuf => self.next_message(piece),
        }
    }

    /// Whether the stream, if it ends here, ends in the middle of a frame.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.held.len() > 0
    }

    fn next_line<'s, 'p: 's>(&'s mut self, piece: &mut &'p [u8]) -> Result<Option<&'s [u8]>, DecodeError> {
        let end = memchr(b'\n', piece);
        if self.held.len() + end.unwrap_or(piece.len()) > LONGEST_OBJECT {
            return Err(DecodeError::TooLong);
        }
        let Some(end) = end else {
            self.held.fill(piece, usize::MAX);
            return Ok(None);
        };
        let length = self.held.len() + end + 1;
        Ok(self.held.take(piece, length).map(|line| line.strip_suffix(b"\n").unwrap_or(line)))
    }

    fn next_message<'s, 'p: 's>(&'s mut self, piece: &mut &'p [u8]) -> Result<Option<&'s [u8]>, DecodeError> {
        let is_cut = self.held.len() > 0 || piece.len() < HEADER;
        if is_cut && self.held.len() < HEADER && !piece.is_empty() {
            self.held.fill(piece, HEADER);
        }
        let start = if is_cut { self.held.bytes() } else { *piece };
        let Some(header) = start.first_chunk::<HEADER>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
        if length > LONGEST_OBJECT {
            return Err(DecodeError::TooLong);
        }
        Ok(self.held.take(piece, HEADER + length).map(|frame| &frame[HEADER..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn frames(encoding: Encoding, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
        let mut splitter = Frames::new(encoding);
        let mut frames = Vec::new();
        for piece in pieces {
            let mut piece = *piece;
            while let Some(frame) = splitter.next_frame(&mut piece).expect("short frames") {
                frames.push(frame.to_vec());
            }
            assert!(piece.is_empty());
        }
        (frames, splitter.is_torn())
    }

    /// Two whole frames, an empty one between, and the start of another.
    fn stream(encoding: Encoding) -> &'static [u8] {
        match encoding {
            Encoding::Json => b"one\n\ntwo\nthree",
            Encoding::Protobuf => b"\0\0\0\x03one\0\0\0\0\0\0\0\x03two\0\0\0\x06three",
        }
    }

    #[test]
    fn frames_are_the_same_however_the_stream_is_cut() {
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let stream = stream(encoding);
            let expected = (vec![b"one".to_vec(), b"".to_vec(), b"two".to_vec()], true);
            for first in 0..=stream.len() {
                for second in first..=stream.len() {
                    let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                    assert_eq!(frames(encoding, &pieces), expected, "{first} {second}");
                }
            }
            assert_eq!(frames(encoding, &stream.chunks(1).collect::<Vec<_>>()), expected);
        }
    }

    #[test]
    fn a_stream_is_torn_anywhere_but_after_a_frame() {
        for (encoding, ends) in [(Encoding::Json, &[0, 4, 5, 9][..]), (Encoding::Protobuf, &[0, 7, 11, 18])] {
            let stream = stream(encoding);
            for cut in 0..=stream.len() {
                assert_eq!(frames(encoding, &[&stream[..cut]]).1, !ends.contains(&cut), "{cut}");
            }
        }
    }

    #[test]
    fn a_frame_that_came_whole_is_not_copied() {
        for (encoding, at) in [(Encoding::Json, 0), (Encoding::Protobuf, 4)] {
            let stream = stream(encoding);
            let mut piece = stream;
            let mut splitter = Frames::new(encoding);
            let frame = splitter.next_frame(&mut piece).expect("a frame").expect("a frame");
            assert_eq!(frame.as_ptr(), stream[at..].as_ptr());
        }
    }

    #[test]
    fn a_frame_has_a_limit_and_gives_its_memory_back() {
        let mut splitter = Frames::new(Encoding::Json);
        let line = vec![b'x'; LONGEST_OBJECT];
        let mut piece = &*line;
        assert!(splitter.next_frame(&mut piece).expect("no end yet").is_none());
        let mut end: &[u8] = b"\nnext\nafter";
        assert_eq!(splitter.next_frame(&mut end).expect("a line").map(<[u8]>::len), Some(LONGEST_OBJECT));
        assert_eq!(splitter.next_frame(&mut end).expect("a line"), Some(&b"next"[..]));
        assert!(splitter.next_frame(&mut end).expect("no end yet").is_none());
        assert!(splitter.held.capacity() < 1 << 10);
        let mut piece = &*line;
        assert!(matches!(splitter.next_frame(&mut piece), Err(DecodeError::TooLong)));

        let mut splitter = Frames::new(Encoding::Protobuf);
        for bytes in [&b"\0\x80\0\x01"[..], b"\xff\xff\xff\xff"] {
            for cut in 0..=4 {
                let mut splitter = Frames::new(Encoding::Protobuf);
                let (mut first, mut second) = bytes.split_at(cut);
                let result = splitter
                    .next_frame(&mut first)
                    .map(drop)
                    .and_then(|()| splitter.next_frame(&mut second).map(drop));
                assert!(matches!(result, Err(DecodeError::TooLong)), "{cut}");
            }
        }
        let mut piece: &[u8] = b"\0\x80\0\0";
        assert!(splitter.next_frame(&mut piece).expect("the longest").is_none());
    }
}
