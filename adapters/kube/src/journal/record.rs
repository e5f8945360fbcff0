//! The format: a first line that identifies the file, then one record on each line, with a checksum before it.

use super::JournalError;
use crate::text::clean;
use podwait_core::SavedWait;
use podwait_core::Target;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read};
use std::path::Path;

/// The version of the format.
pub(super) const VERSION: u32 = 1;

/// Longest line that is read and written, in bytes.
const LONGEST: u64 = 8 << 20;

/// The beginning of the first line; the version follows.
const MAGIC: &[u8] = b"podwait-journal ";

/// The first line identifies a journal. A file that begins with a complete record counts too, because older versions of
/// podwait wrote no first line.
pub(super) fn first_line() -> Vec<u8> {
    [MAGIC, VERSION.to_string().as_bytes(), b"\n"].concat()
}

/// The state of one wait at one time; `None` for a wait that was forgotten.
pub(super) struct Record {
    pub(super) at_ms: u64,
    pub(super) target: Target,
    pub(super) wait: Option<SavedWait>,
    /// The length of its line, in bytes.
    pub(super) length: u64,
}

#[derive(Serialize, Deserialize)]
struct RecordView<T, W> {
    podwait_journal: u32,
    at_ms: u64,
    target: T,
    wait: Option<W>,
}

/// The line of a record.
///
/// # Errors
/// The line would be too long to read.
pub(super) fn line(at_ms: u64, target: &Target, wait: Option<&SavedWait>) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(&RecordView { podwait_journal: VERSION, at_ms, target, wait })?;
    let mut line = format!("{:08x} ", crc32fast::hash(json.as_bytes())).into_bytes();
    line.extend_from_slice(json.as_bytes());
    line.push(b'\n');
    if line.len() as u64 >= LONGEST {
        return Err(io::Error::other(format!(
            "a record has {} bytes, and at most {LONGEST} can be kept",
            line.len()
        )));
    }
    Ok(line)
}

/// Reads a journal from its beginning.
pub(super) struct Reading<'a, R> {
    path: &'a Path,
    input: R,
    /// The number of the line that was read last.
    line: u64,
    /// The length of the complete lines, in bytes; 0 only in an empty file.
    pub(super) length: u64,
}

impl<'a, R: BufRead> Reading<'a, R> {
    pub(super) fn new(path: &'a Path, input: R) -> Self {
        Self { path, input, line: 0, length: 0 }
    }

    /// The next record; `None` at the end, or where the last one was cut off.
    pub(super) fn next(&mut self) -> Result<Option<Record>, JournalError> {
        let mut line = self.next_line()?;
        if self.line == 1 {
            if line.is_empty() {
                return Ok(None);
            }
            if let Some(version) = version(&line) {
                self.known(version)?;
                self.length = line.len() as u64;
                line = self.next_line()?;
            }
        }
        let Some(text) = line.strip_suffix(b"\n") else { return self.end("its end is missing") };
        let Some(json) = checked(text) else {
            // The last bytes may not have reached the disk in order.
            let is_last = self.input.fill_buf().is_ok_and(<[u8]>::is_empty);
            let why = "its checksum is wrong";
            return if is_last { self.end(why) } else { Err(self.damaged(why)) };
        };
        let view = match serde_json::from_slice::<RecordView<Target, SavedWait>>(json) {
            Ok(view) => view,
            Err(error) => {
                #[derive(Deserialize)]
                struct VersionView {
                    podwait_journal: u32,
                }
                match serde_json::from_slice::<VersionView>(json) {
                    // A record of another version has its own error.
                    Ok(view) => self.known(view.podwait_journal)?,
                    Err(_) if self.length == 0 => return Err(self.damaged("it is no record")),
                    Err(_) => {}
                }
                return Err(JournalError::Record(self.path.to_owned(), self.line, clean(&error)));
            }
        };
        self.known(view.podwait_journal)?;
        let length = line.len() as u64;
        self.length += length;
        Ok(Some(Record { at_ms: view.at_ms, target: view.target, wait: view.wait, length }))
    }

    fn next_line(&mut self) -> Result<Vec<u8>, JournalError> {
        self.line += 1;
        let mut line = Vec::new();
        let read = (&mut self.input).take(LONGEST).read_until(b'\n', &mut line);
        read.map_err(|error| JournalError::Io(self.path.to_owned(), error))?;
        if line.len() as u64 == LONGEST {
            return Err(self.damaged("it is too long"));
        }
        Ok(line)
    }

    /// The end of the records, because the last line is incomplete. If there is no complete line, the file is no
    /// journal.
    fn end(&self, why: &'static str) -> Result<Option<Record>, JournalError> {
        if self.length == 0 { Err(self.damaged(why)) } else { Ok(None) }
    }

    fn damaged(&self, why: &'static str) -> JournalError {
        match self.length {
            0 => JournalError::NoJournal(self.path.to_owned()),
            _ => JournalError::Damaged(self.path.to_owned(), self.line, why),
        }
    }

    fn known(&self, version: u32) -> Result<(), JournalError> {
        if version == VERSION {
            return Ok(());
        }
        Err(JournalError::Version(self.path.to_owned(), self.line, version))
    }
}

/// The version in a first line.
fn version(line: &[u8]) -> Option<u32> {
    let version = line.strip_prefix(MAGIC)?.strip_suffix(b"\n")?;
    if !version.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(version).ok()?.parse().ok()
}

/// The record after its checksum, if the checksum is right.
fn checked(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum.strip_suffix(b" ")?).ok()?;
    (u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(json)).then_some(json)
}
