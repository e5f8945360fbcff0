//! A watch: the changes after a resourceVersion, one piece for each event: a line of JSON, or a frame of protobuf.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::encoding::Encoding;
use crate::event::EventType;
use crate::refusal::Refusal;
use crate::reply::Frames;
use crate::selector::Selector;
use crate::store::{Cluster, Store};

const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);

/// A request for a watch.
pub(crate) struct WatchRequest {
    pub(crate) encoding: Encoding,
    pub(crate) selector: Selector,
    /// `None` begins with the pods that exist. Otherwise the changes after this revision are replayed.
    pub(crate) after: Option<u64>,
    /// With all pods that exist, whatever `after` says, and then a bookmark that says so.
    pub(crate) lists_first: bool,
    pub(crate) timeout: Duration,
    pub(crate) bookmarks: bool,
}

impl Cluster {
    pub(crate) fn watch(&self, request: WatchRequest) -> Frames {
        let watch = Watch::start(self, request);
        stream::unfold(watch, |mut watch| async move {
            let piece = watch.next_piece().await?;
            Some((Ok(piece), watch))
        })
        .boxed()
    }
}

struct Watch {
    cluster: Cluster,
    encoding: Encoding,
    writes: watch::Receiver<u64>,
    selector: Selector,
    /// Every change up to this revision was processed.
    seen: u64,
    /// Events that are to be sent.
    pieces: VecDeque<Bytes>,
    next_bookmark: Option<Instant>,
    deadline: Instant,
    /// An ERROR was sent, after which there are no more events.
    failed: bool,
}

impl Watch {
    fn start(cluster: &Cluster, request: WatchRequest) -> Self {
        let WatchRequest { encoding, selector, after, lists_first, timeout, bookmarks } = request;
        let now = Instant::now();
        let writes = cluster.subscribe();
        let (seen, mut pieces) = match after.filter(|_| !lists_first) {
            Some(revision) => (revision, VecDeque::new()),
            None => cluster.with(|store| (store.revision, existing(encoding, store, &selector))),
        };
        if lists_first && bookmarks {
            let mut mark = bookmark_object(seen);
            mark["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
            pieces.push_back(encoding.event("BOOKMARK", &mark));
        }
        Self {
            cluster: cluster.clone(),
            encoding,
            writes,
            selector,
            seen,
            pieces,
            next_bookmark: bookmarks.then(|| now + BOOKMARK_INTERVAL),
            deadline: now + timeout,
            failed: false,
        }
    }

    async fn next_piece(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Some(piece);
            }
            if self.failed {
                return None;
            }
            self.read_log();
            if self.pieces.is_empty() && !self.wait().await {
                return None;
            }
        }
    }

    fn read_log(&mut self) {
        let Self { cluster, encoding, selector, seen, pieces, .. } = self;
        let gone = cluster.with(|store| {
            if *seen < store.compacted {
                return Some(Refusal::Expired { asked: *seen, oldest: store.compacted });
            }
            let unread = store.log.partition_point(|event| event.revision <= *seen);
            for event in &store.log[unread..] {
                pieces.extend(selector.view(event).map(|(kind, pod)| encoding.event(kind.as_str(), &pod)));
            }
            // A watch may begin at a revision after the last write. It then waits for that revision.
            *seen = store.revision.max(*seen);
            None
        });
        if let Some(expired) = gone {
            self.pieces.push_back(self.encoding.event("ERROR", &expired.status()));
            self.failed = true;
        }
    }

    /// Waits until there may be an event. Returns false when the watch is over.
    async fn wait(&mut self) -> bool {
        let bookmark = self.next_bookmark.unwrap_or(self.deadline);
        let seen = self.seen;
        tokio::select! {
            biased;
            // This waits for a value of the revision, not for a change of it. So a write since `read_log` ends the wait
            // at once, and no write is missed.
            written = self.writes.wait_for(|revision| *revision > seen) => written.is_ok(),
            () = tokio::time::sleep_until(self.deadline) => false,
            () = tokio::time::sleep_until(bookmark), if self.next_bookmark.is_some() => {
                self.pieces.push_back(self.encoding.event("BOOKMARK", &bookmark_object(self.seen)));
                self.next_bookmark = Some(bookmark + BOOKMARK_INTERVAL);
                true
            }
        }
    }
}

fn existing(encoding: Encoding, store: &Store, selector: &Selector) -> VecDeque<Bytes> {
    let pods = store.pods.values().filter(|pod| selector.matches(pod));
    pods.map(|pod| encoding.event(EventType::Added.as_str(), pod)).collect()
}

fn bookmark_object(revision: u64) -> Value {
    json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "resourceVersion": revision.to_string() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_between_reading_the_log_and_waiting_ends_the_wait() {
        let cluster = Cluster::new();
        let (selector, timeout) = (Selector::default(), Duration::from_secs(1));
        let request = WatchRequest {
            encoding: Encoding::Json,
            selector,
            after: Some(1),
            lists_first: false,
            timeout,
            bookmarks: false,
        };
        let mut watch = Watch::start(&cluster, request);
        watch.read_log();
        cluster.create(crate::pod("ci", "a", &["step"])).unwrap();
        assert!(watch.wait().await);
        watch.read_log();
        assert_eq!(watch.pieces.len(), 1);
        assert!(!watch.wait().await);
    }
}
