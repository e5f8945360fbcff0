//! The lines that a pod's containers write during a wait.
//!
//! The end of a stream does not prove the end of a log: a stream ends in the same way when the container has ended,
//! when the kubelet was restarted, after four hours (the kubelet's own limit), and when the connection behind the API
//! server broke. So a stream that ends is opened again from the last line on, without the lines that were reported.
//! This stops when the wait knows that the run has ended, and a read that began after that has nothing new.

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

/// The default of [`Logs::drain`].
const DRAIN: Duration = Duration::from_secs(10);

/// The selection of logs for [`Wait::logs`](crate::Wait::logs).
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
    /// The log of the wait's target.
    #[must_use]
    pub fn of_target() -> Self {
        Self::default()
    }

    /// The logs of these containers, from any of the pod's lists. A container that the pod does not have writes
    /// nothing.
    #[must_use]
    pub fn of(containers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let containers = containers.into_iter().map(Into::into).collect();
        Self { which: Which::Named(containers), ..Self::default() }
    }

    /// The logs of all containers, including init containers, sidecars and ephemeral ones.
    #[must_use]
    pub fn of_all() -> Self {
        Self { which: Which::All, ..Self::default() }
    }

    /// How long to continue without a new line once the wait is over. Default: 10 s.
    ///
    /// Reading continues while lines keep coming, but a slow log must not delay the answer. The total time spent
    /// waiting for the node is limited to twice this time, plus a second for each 64 KiB that it sends, up to six times
    /// this time. Only [`logs_so_far`](crate::Wait::logs_so_far), which delays no answer, is without the last limit.
    /// Lines that are not read by then are a [gap](GapReason::Unreadable).
    ///
    /// When a broken stream is read again, lines come first that were already reported. They are no reason to open
    /// another stream, but the stream with them is read to its end.
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

    /// Only lines that the runtime received at this time or later, to the second.
    #[must_use]
    pub fn since(mut self, time: SystemTime) -> Self {
        self.since = Some(time);
        self
    }
}

/// The lines of a pod's containers, made by [`Wait::logs`](crate::Wait::logs). The stream and the wait make progress
/// only while they are polled: drive both.
///
/// The lines of one container come in order, each once, run after run; the lines of several containers come as they
/// arrive. The stream opens a log when there is something to read, and resumes it after a break. Lines that cannot be
/// read are reported as a [`LogGap`], with its bounds. The stream ends when the wait is over and the logs have been
/// read to their end, or soon after the wait is dropped.
///
/// A log that cannot be read fails no wait, and a slow reader delays no wait: for each container only a piece of a line
/// is kept.
///
/// # Rights
///
/// `get` on `pods/log`.
///
/// # Limits
///
/// The kubelet serves the newest file of the current run and of the one before. When it changes to a new file, its own
/// reader silently skips lines that are written to the old file at that moment. The stream detects a change by a
/// request for the first line after every 128 KiB, and reports a gap. If the file was changed before the stream began,
/// the stream begins with the newest file. A run's log is removed as soon as the next run has ended. So if runs end
/// quickly, a log may be gone before it is read, which is a gap too. If the node's clock is set back while a file is
/// changed, a gap may look larger.
pub struct LogStream {
    calls: Calls,
    pod: PodName,
    logs: Logs,
    board: watch::Receiver<Board>,
    /// Signals changes of the board, so that a change is handled while the stream waits for a container.
    news: BoxStream<'static, ()>,
    tails: SelectAll<BoxStream<'static, LogEvent>>,
    begun: BTreeSet<String>,
    /// There is no wait whose answer the logs could delay.
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

    /// Starts to read the logs of containers that were not known before.
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
        // First register for the next change, then read the board once: the wait may be on another thread.
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
    use crate::client::Client;
    use futures_util::FutureExt;
    use podwait_core::{Container, PodSnapshot};

    /// The wait's first and last turn comes on another thread, at the moment when the stream has found nothing.
    #[tokio::test]
    async fn a_wait_that_ends_at_its_first_read_loses_no_log() {
        let (sender, board) = watch::channel(Board::default());
        let calls = Calls::new(Client::from_service(
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
        // The log has ended, because there was no run. The test is that the stream looked for it.
        let _ = logs.next().now_or_never();
        assert_eq!(logs.begun, BTreeSet::from([String::from("step")]));
    }
}
