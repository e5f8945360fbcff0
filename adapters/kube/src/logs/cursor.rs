//! The position of a tail in the log of one run, and which lines of a log that is read again were reported already.
//!
//! A log can be read again from a time on. The API server cuts that time to whole seconds (`LogLocation` in
//! `pkg/registry/core/pod/strategy.go`), and the kubelet leaves out the earlier lines one by one. So the stream begins
//! with lines that were already reported. If its first line is the first reported line of that second, all these lines
//! are there, and are skipped by count. If not, the file was rotated since, because the kubelet serves only the newest
//! one; then the cursor searches for the last reported line. If that line is missing, a part of the log is missing.

use super::pieces::Piece;
use bytes::Bytes;
use jiff::Timestamp;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many bytes of a line distinguish it from others of the same time.
const HEAD: usize = 4096;

/// Identifies a line by its time and its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    time: Timestamp,
    /// The length of the beginning; more of the line may not have arrived yet.
    length: usize,
    head: u64,
}

impl Mark {
    fn of(piece: &Piece, time: Timestamp) -> Self {
        let length = piece.text.len().min(HEAD);
        Self { time, length, head: hash(&piece.text[..length]) }
    }

    /// Whether a line begins in the same way.
    fn is_of(&self, piece: &Piece, time: Timestamp) -> bool {
        let beginning = piece.text.get(..self.length).filter(|_| self.time == time);
        beginning.is_some_and(|beginning| hash(beginning) == self.head)
    }
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Which part of the log of one run was reported.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    reported: Option<Reported>,
    reading: Reading,
}

#[derive(Clone, Copy, Debug)]
struct Reported {
    /// The first line in the same second as the last one.
    first: Mark,
    /// The number of lines from that one to the last one.
    count: u64,
    last: Mark,
    /// How many of the last lines are alike.
    alike: u64,
    /// How many bytes of the last line were reported, and whether that was all of it.
    length: usize,
    is_whole: bool,
    /// The latest time of all lines. Clocks may be set back.
    latest: Timestamp,
}

/// What the next pieces of a stream are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    /// New lines.
    #[default]
    New,
    /// Reported lines, with the count so far; the last reported one is still to come.
    Counting(u64),
    /// Lines at an unknown position; this many consecutive lines were like the last reported one.
    Searching(u64),
    /// The rest of a line that was reported completely.
    Skipping(Next),
    /// The last reported line, with the number of its reported bytes still to come.
    Last(usize),
}

/// What follows a skipped line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    New,
    Counting(u64),
    Searching(u64),
}

/// How a piece compares with the reported part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was reported already.
    Old,
    /// This part of it is new.
    New(Bytes),
    /// It is new, and lines may be missing between the last reported one and this one.
    AfterGap(Bytes),
}

impl Cursor {
    /// The time of the last reported line.
    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.reported.map(|reported| reported.last.time)
    }

    /// Whether the next pieces are new: nothing was reported, or the last reported line has come again.
    pub(crate) fn is_met(&self) -> bool {
        match self.reading {
            Reading::New | Reading::Skipping(Next::New) | Reading::Last(_) => true,
            Reading::Counting(_) | Reading::Searching(_) | Reading::Skipping(_) => false,
        }
    }

    /// Begins to read again. Returns the second from which to request the log, if not from the beginning.
    pub(crate) fn resume(&mut self) -> Option<i64> {
        self.reading = if self.reported.is_some() { Reading::Counting(0) } else { Reading::New };
        self.reported.map(|reported| reported.last.time.as_second())
    }

    /// Takes the next piece of a stream, of a line with this time.
    pub(crate) fn take(&mut self, piece: &Piece, time: Timestamp) -> Taken {
        let Some(reported) = self.reported else { return self.report(piece, time) };
        if piece.is_first {
            self.reading = match self.reading {
                Reading::Counting(0) if !reported.first.is_of(piece, time) => Reading::Searching(0),
                Reading::New | Reading::Skipping(Next::New) | Reading::Last(_) => Reading::New,
                Reading::Counting(count) | Reading::Skipping(Next::Counting(count)) => {
                    Reading::Counting(count)
                }
                Reading::Searching(alike) | Reading::Skipping(Next::Searching(alike)) => {
                    Reading::Searching(alike)
                }
            };
        }
        match self.reading {
            Reading::New => self.report(piece, time),
            Reading::Counting(count) if count + 1 == reported.count => self.meet_last(piece, reported),
            Reading::Counting(count) => self.skip(Next::Counting(count + 1)),
            Reading::Searching(alike) => {
                let is_last = reported.last.is_of(piece, time);
                if is_last && alike + 1 == reported.alike {
                    self.meet_last(piece, reported)
                } else if is_last {
                    self.skip(Next::Searching(alike + 1))
                } else if time > reported.latest {
                    // The unreported rest of the last line is lost.
                    self.report(piece, time);
                    Taken::AfterGap(piece.text.clone())
                } else {
                    self.skip(Next::Searching(0))
                }
            }
            Reading::Skipping(_) => Taken::Old,
            Reading::Last(left) => self.report_rest(piece, left),
        }
    }

    fn skip(&mut self, next: Next) -> Taken {
        self.reading = Reading::Skipping(next);
        Taken::Old
    }

    /// The last reported line comes again.
    fn meet_last(&mut self, piece: &Piece, reported: Reported) -> Taken {
        if reported.is_whole {
            return self.skip(Next::New);
        }
        self.report_rest(piece, reported.length)
    }

    /// Reports the new part of a line that was reported in part.
    fn report_rest(&mut self, piece: &Piece, left: usize) -> Taken {
        let old = left.min(piece.text.len());
        self.reading = Reading::Last(left - old);
        let rest = piece.text.slice(old..);
        if rest.is_empty() && !(piece.ends_line && left == old) {
            return Taken::Old;
        }
        if let Some(reported) = &mut self.reported {
            reported.length += rest.len();
            reported.is_whole = piece.ends_line;
        }
        Taken::New(rest)
    }

    fn report(&mut self, piece: &Piece, time: Timestamp) -> Taken {
        self.reading = Reading::New;
        let (length, is_whole) = (piece.text.len(), piece.ends_line);
        match &mut self.reported {
            Some(reported) if !piece.is_first => {
                reported.length += length;
                reported.is_whole = is_whole;
            }
            reported => {
                let mark = Mark::of(piece, time);
                let is_same_second =
                    |reported: &&mut Reported| reported.last.time.as_second() == mark.time.as_second();
                *reported = Some(match reported.as_mut().filter(is_same_second) {
                    Some(reported) => Reported {
                        count: reported.count + 1,
                        alike: if reported.last == mark { reported.alike + 1 } else { 1 },
                        last: mark,
                        length,
                        is_whole,
                        latest: reported.latest.max(mark.time),
                        first: reported.first,
                    },
                    None => {
                        let latest =
                            reported.as_ref().map_or(mark.time, |reported| reported.latest.max(mark.time));
                        Reported { first: mark, count: 1, last: mark, alike: 1, length, is_whole, latest }
                    }
                });
            }
        }
        Taken::New(piece.text.clone())
    }
}
