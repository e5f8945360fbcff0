//! The LIST of the scope: when it is due, and its pages.

use crate::call::RequestId;
use crate::failure::{ApiFailure, Via};
use crate::hash::TextHash;
use crate::link::{LONGEST_REST, SHORTEST_REST};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use core::time::Duration;
use podwait_core::Instant;

/// How many pods one page holds: some megabytes, which an API server prepares within a second.
pub(crate) const PAGE: u32 = 500;

/// Waits that join at about the same time share a LIST: it is sent when no wait has joined for the first of these
/// times, and at the latest after the second.
const GATHER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(200));

/// Minimum gap between LISTs that replace GETs, as a multiple of the last LIST's duration, within the shortest and the longest
/// rest. For a LIST that precedes a watch the factor is 1.
pub(crate) const TO_SPARE_GETS: u32 = 10;

/// How long a LIST may take before pods that need a read are read by GETs.
pub(crate) const SLOW: Duration = Duration::from_secs(10);

/// How long a LIST may take. After five minutes an API server usually no longer has the state that a continue token
/// refers to.
const LONGEST: Duration = Duration::from_secs(300);

/// How many pages a LIST may have: twenty times what the largest clusters need.
const MOST_PAGES: usize = 10_000;

/// The largest LIST, in bytes over all its pages: more than the pods of the largest clusters.
const MOST_BYTES: u64 = 8 << 30;

/// Longest continue token that is sent on. It goes into a URL, which has room for 64 KiB.
const LONGEST_TOKEN: usize = 16 << 10;

/// A LIST that is under way.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) began: Instant,
    pub(crate) page: Page,
    limits: PageLimits,
}

/// The limits of one LIST over all its pages: time, bytes, number, and no page twice.
#[derive(Clone, Debug)]
pub struct PageLimits {
    began: Instant,
    /// Hashes of the continue tokens so far.
    tokens: BTreeSet<TextHash>,
    bytes: u64,
}

/// The page of a LIST that is next.
#[derive(Clone, Debug)]
pub(crate) enum Page {
    /// To be requested: the first page, or that of a continue token.
    Wanted(Option<String>),
    /// Under way.
    Sent(RequestId),
}

/// When a LIST is due.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lister {
    pub(crate) listing: Option<Listing>,
    /// LISTs that have begun.
    pub(crate) count: u64,
    /// The newest generation before the last of them.
    pub(crate) generation: u64,
    /// When the last one was over, and how long it took.
    last: Option<(Instant, Duration)>,
    /// When the first and the last of the waits joined that joined since the last LIST began.
    came: Option<(Instant, Instant)>,
}

impl Lister {
    /// A wait joined.
    pub(crate) fn join(&mut self, now: Instant) {
        let first = self.came.map_or(now, |(first, _)| first);
        self.came = Some((first, now));
    }

    /// When a LIST may begin for the waits that joined since the last one began.
    pub(crate) fn gathered(&self) -> Option<Instant> {
        let (lull, longest) = GATHER;
        self.came.map(|(first, last)| last.after(lull).min(first.after(longest)))
    }

    /// When another LIST may begin: after the last one, by `times` its duration.
    pub(crate) fn after(&self, times: u32) -> Option<Instant> {
        let (over, took) = self.last?;
        Some(over.after(took.saturating_mul(times).clamp(SHORTEST_REST, LONGEST_REST)))
    }

    /// Begins a LIST.
    pub(crate) fn begin(&mut self, now: Instant, generation: u64) {
        self.count += 1;
        self.generation = generation;
        self.came = None;
        let page = Page::Wanted(None);
        self.listing = Some(Listing { began: now, page, limits: PageLimits::new(now) });
    }

    /// The LIST is over, or has failed.
    pub(crate) fn finish(&mut self, now: Instant) {
        if let Some(listing) = self.listing.take() {
            self.last = Some((now, now.since(listing.began)));
        }
    }

    /// Bytes of the LIST arrived.
    ///
    /// # Errors
    /// The LIST takes too long, or is too large.
    pub(crate) fn progress(&mut self, now: Instant, bytes: usize) -> Result<(), ApiFailure> {
        self.listing.as_mut().map_or(Ok(()), |listing| listing.limits.progress(now, bytes))
    }

    /// There is another page.
    ///
    /// # Errors
    /// As [`PageLimits::turn_to`].
    pub(crate) fn turn_to(&mut self, token: String) -> Result<(), ApiFailure> {
        let Some(listing) = &mut self.listing else { return Ok(()) };
        listing.limits.turn_to(&token)?;
        listing.page = Page::Wanted(Some(token));
        Ok(())
    }
}

impl PageLimits {
    /// For a LIST that begins now.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { began: now, tokens: BTreeSet::new(), bytes: 0 }
    }

    /// Bytes arrived.
    ///
    /// # Errors
    /// The LIST takes too long, or is too large.
    pub fn progress(&mut self, now: Instant, bytes: usize) -> Result<(), ApiFailure> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if now.since(self.began) > LONGEST {
            return Err(ApiFailure::new(Via::List, 0, &format!("it takes longer than {LONGEST:?}")));
        }
        if self.bytes > MOST_BYTES {
            return Err(unreadable("the list does not end"));
        }
        Ok(())
    }

    /// There is another page.
    ///
    /// # Errors
    /// A page with this token is not allowed: the token was used before, is too long, or there are too many pages.
    pub fn turn_to(&mut self, token: &str) -> Result<(), ApiFailure> {
        if token.len() > LONGEST_TOKEN {
            return Err(unreadable(&format!("a continue token of {} bytes", token.len())));
        }
        if !self.tokens.insert(TextHash::of(token)) {
            return Err(unreadable("a continue token came twice, so the list would never end"));
        }
        if self.tokens.len() >= MOST_PAGES {
            return Err(unreadable(&format!("it has more than {MOST_PAGES} pages")));
        }
        Ok(())
    }
}

/// An answer that arrived but cannot be read.
pub(crate) fn unreadable(message: &str) -> ApiFailure {
    ApiFailure::new(Via::List, 200, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn waits_that_come_together_share_a_list() {
        let mut lister = Lister::default();
        assert_eq!(lister.gathered(), None);
        lister.join(at(100));
        lister.join(at(120));
        assert_eq!(lister.gathered(), Some(at(170)));
        for time in (140..400).step_by(20) {
            lister.join(at(time));
        }
        assert_eq!(lister.gathered(), Some(at(300)));
        lister.begin(at(300), 7);
        assert_eq!((lister.gathered(), lister.count, lister.generation), (None, 1, 7));
    }

    #[test]
    fn the_next_one_comes_no_sooner_than_the_last_one_took() {
        let mut lister = Lister::default();
        assert_eq!(lister.after(1), None);
        for (took, times, expected) in
            [(10, 1, 1000), (3000, 1, 3000), (3000, 10, 30_000), (9000, 10, 60_000)]
        {
            lister.begin(at(0), 0);
            lister.finish(at(took));
            assert_eq!(lister.after(times), Some(at(took + expected)));
        }
    }

    #[test]
    fn a_list_has_an_end() {
        let mut lister = Lister::default();
        lister.begin(at(0), 0);
        assert!(lister.turn_to("a".to_string()).is_ok() && lister.turn_to("b".to_string()).is_ok());
        assert!(lister.turn_to("a".to_string()).is_err(), "in a circle");
        assert!(lister.turn_to("x".repeat(LONGEST_TOKEN)).is_ok());
        assert!(lister.turn_to("x".repeat(LONGEST_TOKEN + 1)).is_err());
        let last = (0..MOST_PAGES).map(|page| lister.turn_to(page.to_string())).find(Result::is_err);
        assert!(last.is_some(), "pages without an end");
        assert!(lister.progress(at(300_000), 1).is_ok() && lister.progress(at(300_001), 1).is_err());
        let mut limits = PageLimits::new(at(0));
        let most = usize::try_from(MOST_BYTES).unwrap_or(usize::MAX);
        assert!(limits.progress(at(0), most).is_ok() && limits.progress(at(0), 1).is_err());
    }
}
