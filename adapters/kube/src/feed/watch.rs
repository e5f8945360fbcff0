//! One watch of one selection: its lines, and why it ends.

use crate::client::{CALL_TIMEOUT, Calls, WATCH_SECONDS, failure};
use crate::selection::Selection;
use crate::source::{ApiFailure, Via};
use crate::wire::lines::{EndOfLines, Lines};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::time::Duration;
use tokio::time::Instant;

/// A watch that ends sooner than this did not work, whatever it said at its end.
const SHORTEST: Duration = Duration::from_secs(1);

/// A watch that was open for so long did work, though nothing came: something on the way cuts connections that are idle.
const STOOD: Duration = Duration::from_secs(10);

/// A watch that is open for longer than the server was asked for is a connection that nobody closed.
const LONGEST: Duration = Duration::from_secs(WATCH_SECONDS as u64).saturating_add(CALL_TIMEOUT);

/// The resourceVersion of a watch that begins with what the API server's cache has.
const ANY: &str = "0";

/// A watch, as far as there is one.
pub(crate) enum Watch {
    /// There is none, and there is to be none before that time.
    None { until: Instant },
    /// To be opened.
    Wanted(From),
    /// The answer is awaited. With the resourceVersion that it starts from.
    Opening(BoxFuture<'static, Result<Lines, ApiFailure>>, String),
    /// With the resourceVersion that it has reached, and since when it is open.
    Open(Lines, String, Instant),
}

/// Where a watch is to begin.
pub(crate) enum From {
    /// After this resourceVersion.
    Version(String),
    /// With the pod as the API server's cache has it now, which was at this resourceVersion when it was read.
    Any(String),
}

/// What a watch brings.
pub(crate) enum News {
    /// The server lets us watch.
    Opened,
    /// One line.
    Line(Bytes),
    /// The watch is over, and was good for something.
    Over,
    /// It failed.
    Failed(ApiFailure),
}

impl Watch {
    /// None, but at once if somebody wants one.
    pub(crate) fn none() -> Self {
        Self::None { until: Instant::now() }
    }

    /// Opens what is wanted, for so many seconds.
    pub(crate) fn open(&mut self, calls: &Calls, selection: &Selection, seconds: u32) {
        let Self::Wanted(from) = self else { return };
        let (from, version) = match from {
            From::Version(version) => (version.clone(), version),
            From::Any(version) => (String::from(ANY), version),
        };
        let watch = calls.clone().watch(selection.clone(), from, seconds);
        *self = Self::Opening(Box::pin(watch), std::mem::take(version));
    }

    /// Whether events come, or are about to.
    pub(crate) fn is_on(&self) -> bool {
        match self {
            Self::None { .. } => false,
            Self::Wanted(_) | Self::Opening(..) | Self::Open(..) => true,
        }
    }

    /// Whether the API server has opened it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open(..))
    }

    /// The resourceVersion that it has reached.
    pub(crate) fn reached(&self) -> Option<&str> {
        match self {
            Self::None { .. } => None,
            Self::Wanted(From::Version(version) | From::Any(version))
            | Self::Opening(_, version)
            | Self::Open(_, version, _) => Some(version),
        }
    }

    pub(crate) fn has_reached(&mut self, resource_version: &str) {
        if let Self::Open(_, version, _) = self {
            version.clear();
            version.push_str(resource_version);
        }
    }

    /// Whether it is open, and long enough to have been good for something: sooner if it has brought news. One that brings
    /// something and breaks at once, again and again, is no better than one that brings nothing.
    pub(crate) fn has_stood(&self, has_news: bool) -> bool {
        let long_enough = if has_news { SHORTEST } else { STOOD };
        match self {
            Self::Open(_, _, since) => since.elapsed() >= long_enough,
            Self::None { .. } | Self::Wanted(_) | Self::Opening(..) => false,
        }
    }

    /// When it has been open for too long.
    pub(crate) fn end(&self) -> Option<Instant> {
        match self {
            Self::Open(_, _, since) => Some(*since + LONGEST),
            Self::None { .. } | Self::Wanted(_) | Self::Opening(..) => None,
        }
    }

    /// The next thing that the watch says; never, while there is none. Cancel-safe.
    pub(crate) async fn next(&mut self) -> News {
        if let Self::Opening(opening, version) = self {
            match opening.await {
                Ok(lines) => {
                    *self = Self::Open(lines, std::mem::take(version), Instant::now());
                    return News::Opened;
                }
                Err(failure) => return News::Failed(failure),
            }
        }
        let Self::Open(lines, _, since) = self else { return std::future::pending().await };
        match lines.next().await {
            Ok(line) => News::Line(line),
            // Servers end watches as a matter of course.
            Err(EndOfLines::Clean) if since.elapsed() >= SHORTEST => News::Over,
            Err(end) => News::Failed(failure(Via::Watch, 0, end.to_string())),
        }
    }
}
