//! The lines that a pod's containers write, beside a wait.
//!
//! What the API server can give is less than a log: a stream that ends proves nothing, for it ends in the same way when the
//! container has ended, when the kubelet was restarted, after four hours (the kubelet's own limit), and when the connection
//! behind it broke. So a stream that ends is opened again from the last line on, with what was told taken off, until the
//! wait knows that the run has ended and a read that began after that brings nothing new.

mod beside;
mod cursor;
mod event;
mod kubelet_message;
mod pieces;
mod prefix;
mod request;
mod tail;

use crate::board::{Board, PodFacts};
pub use event::{GapReason, LogEvent, LogGap, LogLine, LogTrouble};

use crate::client::Calls;
use futures_util::Stream;
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use podwait_hub::PodName;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tail::Tail;
use tokio::sync::watch;

/// How long to go on without a line of a log whose run is over, unless told.
const DRAIN: Duration = Duration::from_secs(10);

/// Which logs are wanted, for [`Wait::logs`](crate::Wait::logs).
#[derive(Clone, Debug)]
pub struct Logs {
    which: Which,
    drain: Duration,
    since: Option<SystemTime>,
}

#[derive(Clone, Debug)]
enum Which {
    Target,
    Named(BTreeSet<String>),
    All,
}

impl Default for Logs {
    fn default() -> Self {
        Self { which: Which::Target, drain: DRAIN, since: None }
    }
}

impl Logs {
    /// The log of the container that is waited for.
    #[must_use]
    pub fn of_target() -> Self {
        Self::default()
    }

    /// Those of these containers, of whatever list of the pod. One that the pod does not have writes nothing.
    #[must_use]
    pub fn of(containers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let containers = containers.into_iter().map(Into::into).collect();
        Self { which: Which::Named(containers), ..Self::default() }
    }

    /// Those of all containers: init containers, sidecars, ephemeral ones too.
    #[must_use]
    pub fn of_all() -> Self {
        Self { which: Which::All, ..Self::default() }
    }

    /// How long to go on without a line once the wait is over. Default: 10 s.
    ///
    /// Lines that keep coming are read on, but a log that drips does not hold up an answer: twice this time is all that is
    /// spent waiting for the node, and each 64 KiB that it brings buy another second, up to six times this time in all. Only
    /// [`logs_so_far`](crate::Wait::logs_so_far), which holds up no answer, is without that last limit. What is not read then is
    /// a [gap](GapReason::Unreadable).
    ///
    /// Lines that were told already, which come first when a broken stream is read again, are no reason to go on with another
    /// stream, but the one that brings them is read to its end.
    #[must_use]
    pub fn drain(mut self, time: Duration) -> Self {
        self.drain = time;
        self
    }

    pub(crate) fn is_of_target(&self) -> bool {
        match self.which {
            Which::Target => true,
            Which::Named(_) | Which::All => false,
        }
    }

    /// Only lines that the runtime got at this time or later, to the second.
    #[must_use]
    pub fn since(mut self, time: SystemTime) -> Self {
        self.since = Some(time);
        self
    }
}

/// The lines of a pod's containers, made by [`Wait::logs`](crate::Wait::logs). It does something while it is polled, and
/// so does the wait: drive both.
///
/// Of one container all lines come in their order, each once, run after run; those of several come as they arrive. Opening
/// waits until there is something to read; whatever breaks is resumed. What cannot be had is told as a [`LogGap`], with its
/// bounds. It ends when the wait is over and the logs have been read to their end, or soon after the wait is dropped.
///
/// A log that cannot be read fails no wait, and nobody who reads slowly holds up one: not more than a piece of a line is
/// kept for each container.
///
/// # Rights
///
/// `get` on `pods/log`.
///
/// # What nobody can know
///
/// The kubelet serves the newest file of the current run and of the one before. While it changes over to a new file, lines
/// that are written to the old one in that moment are skipped by its own reader, without a word. That a file has been
/// changed is found out by asking for its first line after every 128 KiB, and told as a gap. Who comes to a run whose file
/// has been changed before begins with the newest one. A run's log goes as soon as the next run has ended, so that runs which
/// end at once can take one along before it is read, and that is a gap, too. A clock of the node that is set back while a file
/// is changed can make a gap look larger.
pub struct LogStream {
    calls: Calls,
    pod: PodName,
    logs: Logs,
    board: watch::Receiver<Board>,
    /// Tells of changes of the board, so that nobody waits for the first container.
    news: BoxStream<'static, ()>,
    tails: SelectAll<BoxStream<'static, LogEvent>>,
    begun: BTreeSet<String>,
    /// No wait goes on beside it, whose answer it could hold up.
    is_so_far: bool,
}

impl LogStream {
    pub(crate) fn new(
        calls: Calls,
        pod: PodName,
        mut logs: Logs,
        target: Option<&str>,
        board: watch::Receiver<Board>,
    ) -> Self {
        if let (Which::Target, Some(target)) = (&logs.which, target) {
            logs.which = Which::Named(BTreeSet::from([target.to_owned()]));
        }
        let is_so_far = board.borrow().is_over;
        let changes = board.clone();
        let news = futures_util::stream::unfold(changes, |mut changes| async move {
            changes.changed().await.is_ok().then_some(((), changes))
        });
        Self {
            calls,
            pod,
            logs,
            board,
            news: news.fuse().boxed(),
            tails: SelectAll::new(),
            begun: BTreeSet::new(),
            is_so_far,
        }
    }

    /// The next event; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<LogEvent> {
        StreamExt::next(self).await
    }

    /// Begins to read the logs of containers that were not known before.
    fn begin(&mut self, pod: &PodFacts) {
        for container in &pod.containers {
            let is_wanted = match &self.logs.which {
                Which::Target => pod.only.as_deref() == Some(&container.name),
                Which::Named(names) => names.contains(&container.name),
                Which::All => true,
            };
            if is_wanted && self.begun.insert(container.name.clone()) {
                let tail = Tail::new(
                    self.calls.clone(),
                    self.pod.clone(),
                    container.name.as_str().into(),
                    self.board.clone(),
                    self.logs.drain,
                    self.logs.since,
                    self.is_so_far,
                );
                self.tails.push(tail.into_events());
            }
        }
    }
}

impl Stream for LogStream {
    type Item = LogEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<LogEvent>> {
        let this = self.get_mut();
        // First that the next change is reported, then what the board says, in one look: the wait may be on another thread.
        let mut is_left = false;
        while let Poll::Ready(news) = this.news.poll_next_unpin(context) {
            is_left = news.is_none();
            if is_left {
                break;
            }
        }
        let board = this.board.borrow().clone();
        if let Some(pod) = &board.pod {
            this.begin(pod);
        }
        match this.tails.poll_next_unpin(context) {
            Poll::Ready(Some(event)) => Poll::Ready(Some(event)),
            // No container is known, and none will be.
            Poll::Ready(None) if is_left || board.is_over => Poll::Ready(None),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use podwait_core::{Container, PodSnapshot};

    /// The wait's first and last turn comes on another thread, just when the stream has found nothing.
    #[tokio::test]
    async fn a_wait_that_is_over_at_its_first_look_loses_no_log() {
        let (sender, board) = watch::channel(Board::default());
        let calls = Calls::new(kube::Client::new(
            tower::service_fn(|_: http::Request<kube::client::Body>| {
                std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>()
            }),
            "default",
        ));
        let mut logs = LogStream::new(calls, PodName::new("ci", "p"), Logs::of_all(), None, board);
        let pod = PodSnapshot {
            uid: "u".into(),
            containers: vec![Container { name: "step".into(), ..Default::default() }],
            ..Default::default()
        };
        let mut last = Some(Board::of_last_look(Some(&pod)));
        logs.news = futures_util::stream::poll_fn(move |_| {
            if let Some(last) = last.take() {
                let _ = sender.send(last);
            }
            Poll::Pending
        })
        .boxed();
        // Its log has ended: there was no run. What counts is that it was looked for.
        let _ = logs.next().now_or_never();
        assert_eq!(logs.begun, BTreeSet::from([String::from("step")]));
    }
}
