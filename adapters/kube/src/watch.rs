//! The source that watches one pod by name.

use crate::client::{PodClient, StatusView, failure};
use crate::decode::{DecodeError, Pod, PodView};
use crate::lines::{EndOfLines, Lines};
use crate::reader::Reader;
use crate::source::{ApiFailure, Observed, ObservedPod, PodSource, Via};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

/// A watch that ends sooner than this did not work, whatever it said at its end.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// How long to do without a watch after one that failed; it doubles with each that fails as well.
const SHORTEST_REST: Duration = Duration::from_secs(1);

/// How long at most, and at once if the server refuses to watch at all.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// Observes a pod by a GET and a watch from there, with a GET whenever the machine asks.
///
/// The watch selects by `metadata.name`, so the API server sends this pod's events only, and a DELETED is a deletion. A
/// watch that ends, breaks or expires (410) is followed by a GET and a new watch. A GET that finds the pod further
/// on than the watch does shows that the watch is dead, and replaces it.
///
/// Where the API server will not watch (RBAC without the verb `watch`, a proxy in between), this source polls
/// as [`PollSource`](crate::PollSource) does, and tries to watch again every minute.
pub struct WatchSource {
    client: PodClient,
    reader: Reader,
    stream: Stream,
    /// Watches that failed in a row.
    failed: u32,
}

enum Stream {
    /// A GET must come first, at once.
    None,
    /// No watch before that time; polling meanwhile.
    Resting(Instant),
    /// With the resourceVersion that it starts from.
    Opening(BoxFuture<'static, Result<Lines, ApiFailure>>, String),
    /// With the pod's resourceVersion that it has reached, and since when it is open.
    Open(Lines, String, Instant),
}

/// What the watch brings.
enum News {
    Observed(Observed),
    /// The watch is over, and was good for something.
    Over,
    /// It failed.
    Failed(ApiFailure),
}

impl WatchSource {
    /// A source for one pod.
    #[must_use]
    pub fn new(client: kube::Client, namespace: &str, name: &str) -> Self {
        let client = PodClient::new(client, namespace, name);
        Self { reader: Reader::new(client.clone()), client, stream: Stream::None, failed: 0 }
    }

    /// Waits for the watch's next word, or for a GET's.
    async fn listen(&mut self, after: Duration) -> News {
        let is_watching = matches!(self.stream, Stream::Opening(..) | Stream::Open(..));
        let read = async {
            News::Observed(match is_watching {
                true => self.reader.read_after(after).await,
                false => self.reader.read_paced(after).await,
            })
        };
        tokio::select! {
            biased;
            news = news(&mut self.stream, self.client.name()) => news,
            read = read => read,
        }
    }

    /// Watches from where a GET found the pod, unless the watch is there already.
    fn watch_from(&mut self, version: &str) {
        let start = match &self.stream {
            Stream::None => true,
            Stream::Resting(until) => *until <= Instant::now(),
            Stream::Opening(_, reached) | Stream::Open(_, reached, _) => reached != version,
        };
        if start {
            let watch = self.client.clone().watch(version.to_owned());
            self.stream = Stream::Opening(Box::pin(watch), version.to_owned());
        }
    }

    /// Does without a watch for a while. The failure is worth telling unless the server simply will not watch: whether
    /// it lets us read is for the GETs to find out.
    fn rest(&mut self, failure: ApiFailure) -> Option<Observed> {
        let will_not = matches!(failure.code, 400 | 403 | 404 | 405 | 406 | 415 | 422);
        let rest = match self.failed {
            _ if will_not => LONGEST_REST,
            // The first failure may be a mere hiccup, and a 410 is no failure: the machine paces those.
            0 => Duration::ZERO,
            failed => SHORTEST_REST.saturating_mul(1 << (failed - 1).min(6)).min(LONGEST_REST),
        };
        self.failed = self.failed.saturating_add(1);
        self.stream = Stream::Resting(Instant::now() + rest);
        if will_not {
            return None;
        }
        self.reader.wait_until_asked();
        Some(Observed::ApiError(failure))
    }
}

impl PodSource for WatchSource {
    async fn next(&mut self, after: Duration) -> Observed {
        let observed = match self.listen(after).await {
            News::Observed(observed) => observed,
            News::Over => {
                self.stream = Stream::None;
                self.reader.read_after(Duration::ZERO).await
            }
            News::Failed(failure) => match self.rest(failure) {
                Some(observed) => return observed,
                None => self.reader.read_paced(after).await,
            },
        };
        match &observed {
            Observed::Pod(pod) if pod.via == Via::Watch => {
                self.failed = 0;
                self.reader.forget();
            }
            Observed::Pod(pod) => self.watch_from(&pod.pod.snapshot.resource_version),
            Observed::NotFound(_) => self.stream = Stream::Resting(Instant::now()),
            Observed::ApiError(_) | Observed::Deleted(_) | Observed::Silence | Observed::Cancelled => {}
        }
        observed
    }
}

/// The next thing that the watch says; never, while there is no watch. Cancel-safe.
async fn news(stream: &mut Stream, name: &str) -> News {
    if let Stream::Opening(opening, version) = stream {
        match opening.await {
            Ok(lines) => *stream = Stream::Open(lines, std::mem::take(version), Instant::now()),
            Err(failure) => return News::Failed(failure),
        }
    }
    let Stream::Open(lines, version, since) = stream else { return std::future::pending().await };
    loop {
        let line = match lines.next().await {
            Ok(line) => line,
            // Servers end watches as a matter of course.
            Err(EndOfLines::Clean) if since.elapsed() >= SHORTEST_WATCH => return News::Over,
            Err(end) => return News::Failed(failure(Via::Watch, 0, end.to_string())),
        };
        match event(line) {
            Ok(Event::Pod(pod)) if pod.pod.name == name => {
                version.clone_from(&pod.pod.snapshot.resource_version);
                return News::Observed(Observed::Pod(pod));
            }
            Ok(Event::Deleted(pod)) if pod.pod.name == name => return News::Observed(Observed::Deleted(pod)),
            Ok(Event::Pod(_) | Event::Deleted(_) | Event::Bookmark) => {}
            Err(failure) => return News::Failed(failure),
        }
    }
}

enum Event {
    Pod(ObservedPod),
    Deleted(ObservedPod),
    /// Nothing about the pod, and its object is almost empty. The place in history that it names is not kept: a watch that
    /// ends is followed by a GET, and what is compared with a GET is the pod's own version.
    Bookmark,
}

#[derive(Deserialize)]
struct EventView<'a> {
    r#type: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    object: &'a serde_json::value::RawValue,
}

/// Reads one line of a watch.
fn event(line: Bytes) -> Result<Event, ApiFailure> {
    let unreadable =
        |error: &dyn std::fmt::Display| failure(Via::Watch, 0, format!("unreadable watch event: {error}"));
    let view: EventView<'_> = serde_json::from_slice(&line).map_err(|error| unreadable(&error))?;
    let pod = || -> Result<ObservedPod, DecodeError> {
        let pod: Pod = serde_json::from_str::<PodView>(view.object.get())?.try_into()?;
        let json = line.slice_ref(view.object.get().as_bytes());
        Ok(ObservedPod { via: Via::Watch, pod: Box::new(pod), json })
    };
    match &*view.r#type {
        "ADDED" | "MODIFIED" => pod().map(Event::Pod).map_err(|error| unreadable(&error)),
        "DELETED" => pod().map(Event::Deleted).map_err(|error| unreadable(&error)),
        "BOOKMARK" => Ok(Event::Bookmark),
        "ERROR" => {
            Err(serde_json::from_str::<StatusView>(view.object.get()).unwrap_or_default().into_failure())
        }
        other => Err(unreadable(&format_args!("unknown type {other:?}"))),
    }
}
