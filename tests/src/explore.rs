//! Every sequence of inputs of an alphabet, as a tree whose branches share their beginnings.

pub mod job;

use crate::duel::Duel;
use crate::model::{Config, Goal};
use podwait_core::{ApiError, Input, Instant, PodSnapshot};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// One observation, owned.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A snapshot. An empty resourceVersion is replaced by one that is newer than all before.
    Pod(PodSnapshot),
    /// The same from a consistent read.
    Read(PodSnapshot),
    /// The object of a DELETED event, with the same treatment of its resourceVersion.
    Deleted(PodSnapshot),
    /// A 404 about this pod.
    NotFound,
    /// A failed call.
    Error {
        /// The HTTP status.
        code: u16,
        /// Whether the response has a `Status` about the request.
        is_status: bool,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// Only time passes.
    Tick,
    /// The caller cancels the wait.
    Cancel,
}

impl Seen {
    /// The same for the machine.
    #[must_use]
    pub fn as_input(&self) -> Input<'_> {
        match self {
            Self::Pod(pod) => Input::Snapshot(pod),
            Self::Read(pod) => Input::Read(pod),
            Self::Deleted(pod) => Input::Deleted(pod),
            Self::NotFound => Input::NotFound,
            Self::Error { code, is_status, retry_after } => Input::ApiError(ApiError {
                code: *code,
                is_status: *is_status,
                retry_after: retry_after.map(Duration::from_secs),
                message: "no answer",
            }),
            Self::Tick => Input::Tick,
            Self::Cancel => Input::Cancel,
        }
    }

    fn stamped(&self, version: usize) -> Self {
        let stamp = |pod: &PodSnapshot| {
            let mut pod = pod.clone();
            if pod.resource_version.is_empty() {
                pod.resource_version = version.to_string();
            }
            pod
        };
        match self {
            Self::Pod(pod) => Self::Pod(stamp(pod)),
            Self::Read(pod) => Self::Read(stamp(pod)),
            Self::Deleted(pod) => Self::Deleted(stamp(pod)),
            Self::NotFound | Self::Error { .. } | Self::Tick | Self::Cancel => self.clone(),
        }
    }
}

/// One letter: an observation, and the time since the last one.
#[derive(Clone, Debug)]
pub struct Letter {
    label: &'static str,
    step: Duration,
    seen: Seen,
}

/// The inputs from which a tree is built.
pub struct Alphabet {
    /// The values of the policy.
    pub config: Config,
    /// The target.
    pub goal: Goal,
    /// The letters.
    pub letters: Vec<Letter>,
}

impl Alphabet {
    /// An alphabet with each of these observations after each of these times.
    #[must_use]
    pub fn new(
        config: Config,
        goal: Goal,
        steps_ms: &[u64],
        seen: impl IntoIterator<Item = (&'static str, Seen)>,
    ) -> Self {
        let letters = seen.into_iter().flat_map(|(label, seen)| {
            steps_ms.iter().map(move |step| Letter {
                label,
                step: Duration::from_millis(*step),
                seen: seen.clone(),
            })
        });
        Self { config, goal, letters: letters.collect() }
    }

    /// Plays every sequence up to this length, and returns their number. A branch ends with its wait. Then each letter
    /// is played once more, and must not change the verdict.
    ///
    /// # Panics
    /// The machine disagrees with the model, or breaks an invariant. The message has the shortest such sequences.
    #[must_use]
    pub fn check(&self, length: usize) -> usize {
        let policy = Arc::new(self.config.policy());
        // One copy of the letters for each position, so that every position has its own resourceVersions.
        let copy = |place| self.letters.iter().map(move |letter| letter.seen.stamped(100 + place)).collect();
        let places: Vec<Vec<Seen>> = (0..length).map(copy).collect();
        let mut walk =
            Walk { alphabet: self, places: &places, path: Vec::new(), count: 0, complaints: vec![] };
        walk.from(&Duel::new(&self.config, &self.goal, &policy), Instant::from_millis(1000));
        walk.complaints.sort_by_key(|complaint| complaint.length);
        let mut kinds = BTreeSet::new();
        let first_of_kind = walk.complaints.iter().filter(|complaint| kinds.insert(complaint.kind()));
        let shown: Vec<_> = first_of_kind.map(|complaint| complaint.text.as_str()).collect();
        assert!(
            shown.is_empty(),
            "{} of {} sequences:\n{}",
            walk.complaints.len(),
            walk.count,
            shown.join("\n")
        );
        walk.count
    }
}

struct Walk<'a> {
    alphabet: &'a Alphabet,
    places: &'a [Vec<Seen>],
    path: Vec<&'a Letter>,
    count: usize,
    complaints: Vec<Complaint>,
}

impl<'a> Walk<'a> {
    fn from(&mut self, duel: &Duel<'a>, now: Instant) {
        let Some(place) = self.places.get(self.path.len()) else { return };
        for (index, (letter, seen)) in self.alphabet.letters.iter().zip(place).enumerate() {
            if self.takes_deletion_back(index) {
                continue;
            }
            let mut next = duel.clone();
            let at = now.after(letter.step);
            self.path.push(letter);
            self.count += 1;
            let outcome = next.step(at, seen.as_input()).and_then(|()| next.check_ticks_alone());
            match outcome {
                Err(complaint) => self.complain(&complaint),
                Ok(()) if next.is_over() => self.check_latched(next, at),
                Ok(()) => self.from(&next, at),
            }
            self.path.pop();
        }
    }

    /// Whether this letter is a newer state of a deleted pod without its deletion, which no API server sends.
    fn takes_deletion_back(&self, letter: usize) -> bool {
        let fresh = |letter: &Letter| match &letter.seen {
            Seen::Pod(pod) | Seen::Read(pod) | Seen::Deleted(pod) if pod.resource_version.is_empty() => {
                Some(pod.deletion_timestamp.is_some())
            }
            Seen::Pod(_) | Seen::Read(_) | Seen::Deleted(_) | Seen::NotFound => None,
            Seen::Error { .. } | Seen::Tick | Seen::Cancel => None,
        };
        fresh(&self.alphabet.letters[letter]) == Some(false)
            && self.path.iter().any(|before| fresh(before) == Some(true))
    }

    /// Invariant 3, for every letter.
    fn check_latched(&mut self, mut over: Duel<'a>, now: Instant) {
        let Some(place) = self.places.get(self.path.len()) else { return };
        for seen in place {
            if let Err(complaint) = over.step(now, seen.as_input()) {
                return self.complain(&complaint);
            }
        }
    }

    fn complain(&mut self, complaint: &str) {
        let path: Vec<_> =
            self.path.iter().map(|letter| format!("+{:?} {}", letter.step, letter.label)).collect();
        let text = format!("{}\n    {complaint}", path.join(", "));
        self.complaints.push(Complaint {
            length: path.len(),
            last: self.path.last().map_or("", |letter| letter.label),
            text,
        });
    }
}

struct Complaint {
    length: usize,
    /// The last letter.
    last: &'static str,
    text: String,
}

impl Complaint {
    /// Complaints of one kind differ only in their sequences and times.
    fn kind(&self) -> (&'static str, String) {
        let complaint = self.text.lines().skip(1).flat_map(str::chars);
        (self.last, complaint.filter(|c| !c.is_ascii_digit()).collect())
    }
}
