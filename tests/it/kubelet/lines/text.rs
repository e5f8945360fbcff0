//! The text that a step writes.

use podwait_tests::storm::dice::Dice;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

/// How much is written at once, in KiB.
const BLOCK: usize = 64;

/// Random lines, in a file that a step can read: short ones, empty ones, and some that are longer than the buffers of
/// the runtime and of podwait, with all bytes except line ends.
pub(super) struct Text {
    bytes: Vec<u8>,
    folder: TempDir,
}

impl Text {
    /// A text of at least this many bytes.
    pub(super) fn new(seed: u64, size: usize) -> Self {
        let (mut dice, mut bytes) = (Dice::new(seed), Vec::with_capacity(size + (256 << 10)));
        while bytes.len() < size {
            let longest = dice.weighted(&[(2000, 200), (200, 1), (50, 20 << 10), (1, 200 << 10)]);
            let length = usize::try_from(dice.below(longest)).expect("it is short");
            let end = bytes.len() + length;
            while bytes.len() < end {
                let chance = dice.roll().to_le_bytes();
                bytes.extend(chance.into_iter().filter(|byte| *byte >= b' ').take(end - bytes.len()));
            }
            bytes.push(b'\n');
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut file = std::fs::File::create(folder.path().join("text")).expect("a file");
        file.write_all(&bytes).expect("it is written");
        Self { bytes, folder }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its folder, which the container of the step has to have at the same path.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of the file.
    pub(super) fn path(&self) -> String {
        self.folder.path().join("text").to_str().expect("a readable path").to_owned()
    }

    /// A script that writes some megabytes per second of the text, and exits with this code. It writes the end only
    /// after [`finish`](Self::finish).
    pub(super) fn written_at_length(&self, code: i32) -> String {
        let (path, last) = (self.path(), self.bytes.len() / (BLOCK << 10));
        format!(
            "block() {{ dd if={path} bs={BLOCK}k skip=$1 count=1 2>/dev/null; }}; n=0; \
             while [ $n -lt {last} ]; do block $n; n=$((n + 1)); sleep 0.01; done; \
             while ! test -e {path}.end; do sleep 0.1; done; block {last}; exit {code}"
        )
    }

    pub(super) fn finish(&self) {
        std::fs::write(format!("{}.end", self.path()), "").expect("it is written");
    }
}

/// Asserts that the received text is the written one. The message has the place of the difference.
#[track_caller]
pub(super) fn assert_same(reader: &str, came: &[u8], written: &[u8]) {
    if came != written {
        let at = came.iter().zip(written).take_while(|(came, written)| came == written).count();
        let around = |text: &[u8]| {
            let part = &text[at.saturating_sub(60).min(text.len())..(at + 60).min(text.len())];
            String::from_utf8_lossy(part).into_owned()
        };
        let (length, expected) = (came.len(), written.len());
        let (came, written) = (around(came), around(written));
        panic!(
            "{reader}: {length} bytes, not {expected}, other ones from {at} on: {came:?}, not {written:?}"
        );
    }
}
