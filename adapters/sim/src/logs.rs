//! The logs of containers, as a kubelet serves them: by run, from the newest file, line by line.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use crate::kubelet;
use crate::refusal::Refusal;
use crate::reply::Frames;
use crate::store::{Cluster, Store, text};

/// The logs of all containers, by the pod's uid and the container's name: one for each run.
pub(crate) type Logs = BTreeMap<(String, String), Vec<RunLog>>;

/// The log of one run.
#[derive(Debug, Default)]
pub(crate) struct RunLog {
    lines: Vec<Line>,
    /// The first line of the newest file.
    file: usize,
    /// The run is over, whether or not the API server has been informed.
    has_ended: bool,
}

#[derive(Debug)]
struct Line {
    time: Timestamp,
    text: Vec<u8>,
    /// The parts of the line that were written later: their offsets and times.
    later: Vec<(usize, Timestamp)>,
    is_whole: bool,
    /// Written to the old file when a reader that follows the log had already changed to the new file.
    is_missed: bool,
}

/// A request for a log.
pub(crate) struct LogRequest {
    pub(crate) container: String,
    pub(crate) previous: bool,
    pub(crate) follow: bool,
    pub(crate) timestamps: bool,
    pub(crate) since: Option<Timestamp>,
    pub(crate) limit: Option<u64>,
}

impl Cluster {
    /// The container writes. Text after the last line end is a partial line, which the next write continues.
    pub fn write_log(&self, namespace: &str, pod: &str, container: &str, text: impl AsRef<[u8]>) {
        self.change_log(namespace, pod, container, |log, time| log.write(text.as_ref(), time, false));
    }

    /// The kubelet begins a new file. At that moment the container still writes `unseen` to the old file, which is not
    /// served any more.
    pub fn rotate_log(&self, namespace: &str, pod: &str, container: &str, unseen: impl AsRef<[u8]>) {
        self.change_log(namespace, pod, container, |log, time| {
            log.write(unseen.as_ref(), time, true);
            log.file = log.lines.len();
        });
    }

    /// The container has ended. The API server has not been informed yet.
    pub fn end_log(&self, namespace: &str, pod: &str, container: &str) {
        self.change_log(namespace, pod, container, |log, _| log.has_ended = true);
    }

    /// The kubelet has started the container again. The API server has not been informed yet.
    pub fn begin_log(&self, namespace: &str, pod: &str, container: &str) {
        self.end_log(namespace, pod, container);
        self.with(|store| {
            if let Ok(pod) = store.get(namespace, pod) {
                store.logs.entry(key(&pod, container)).or_default().push(RunLog::default());
            }
        });
        self.log_changed();
    }

    fn change_log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        change: impl FnOnce(&mut RunLog, Timestamp),
    ) {
        self.with(|store| {
            let Ok(pod) = store.get(namespace, pod) else { return };
            let nanos = store.clock.nanos();
            let runs = store.logs.entry(key(&pod, container)).or_default();
            // As many runs as the status has, or more if the kubelet is ahead.
            let reported = restarts(&pod, container) + 1;
            while runs.len() < reported {
                if let Some(last) = runs.last_mut() {
                    last.has_ended = true;
                }
                runs.push(RunLog::default());
            }
            // No two lines have the same time, as with a real runtime.
            let last =
                runs.iter().flat_map(|run| run.lines.last()).map(|line| line.time.as_nanosecond()).max();
            let nanos = last.map_or(nanos, |last| nanos.max(last + 1));
            let time = Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX);
            if let Some(run) = runs.last_mut() {
                change(run, time);
            }
        });
        self.log_changed();
    }

    /// A log as the kubelet serves it.
    pub(crate) fn log(
        &self,
        namespace: &str,
        name: &str,
        request: LogRequest,
    ) -> Result<Option<Frames>, Refusal> {
        let changes = self.log_changes();
        let Some((key, run)) = self.with(|store| find(store, namespace, name, &request))? else {
            return Ok(None);
        };
        let reader =
            Reader { cluster: self.clone(), changes, key, run, request, next: None, sent: 0, part: 0 };
        let frames = stream::unfold(reader, |mut reader| async move {
            let frame = reader.next_frame().await?;
            Some((Ok(frame), reader))
        });
        Ok(Some(frames.boxed()))
    }
}

fn key(pod: &Value, container: &str) -> (String, String) {
    (text(pod, "/metadata/uid").to_owned(), container.to_owned())
}

fn status<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    let lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    let statuses = lists.iter().filter_map(|list| pod["status"][list].as_array()).flatten();
    statuses.into_iter().find(|status| text(status, "/name") == container)
}

fn restarts(pod: &Value, container: &str) -> usize {
    let count = status(pod, container).and_then(|status| status["restartCount"].as_u64());
    count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

type Found = ((String, String), usize);

/// The requested run, as `validateContainerLogStatus` finds it; `None` if the pod has no node.
fn find(store: &Store, namespace: &str, name: &str, request: &LogRequest) -> Result<Option<Found>, Refusal> {
    let pod = store.get(namespace, name)?;
    let container = &request.container;
    let lists = ["containers", "initContainers"];
    let mut known = lists.iter().flat_map(|list| kubelet::containers(&pod, list));
    if !known.any(|known| text(&known, "/name") == container) {
        let message = format!("container {container} is not valid for pod {name}");
        return Err(Refusal::BadRequest { message });
    }
    if text(&pod, "/spec/nodeName").is_empty() {
        return Ok(None);
    }
    let key = key(&pod, container);
    let runs = store.logs.get(&key).map_or(0, Vec::len);
    let status = status(&pod, container);
    let has = |pointer| status.is_some_and(|status| status.pointer(pointer).is_some_and(Value::is_object));
    let (started, ended_before) =
        (has("/state/running") || has("/state/terminated"), has("/lastState/terminated"));
    let reported = restarts(&pod, container);
    // The kubelet knows of every run that it has begun.
    let newest = runs.saturating_sub(1).max(reported);
    let refuse = |message| Err(Refusal::BadRequest { message });
    match request.previous {
        true if newest > reported => Ok(Some((key, newest - 1))),
        true if ended_before => Ok(Some((key, if started { newest.saturating_sub(1) } else { newest }))),
        true => refuse(format!("previous terminated container {container:?} in pod {name:?} not found")),
        false if started || ended_before => Ok(Some((key, newest))),
        false => {
            let reason = status.map_or("", |status| text(status, "/state/waiting/reason"));
            refuse(format!("container {container:?} in pod {name:?} is waiting to start: {reason}"))
        }
    }
}

impl RunLog {
    fn write(&mut self, text: &[u8], time: Timestamp, is_missed: bool) {
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            let is_whole = part.ends_with(b"\n");
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            match self.lines.last_mut().filter(|line| !line.is_whole) {
                Some(line) => {
                    line.later.push((line.text.len(), time));
                    line.text.extend_from_slice(text);
                    line.is_whole = is_whole;
                }
                None => {
                    let nth = i128::try_from(self.lines.len()).unwrap_or(0);
                    let time = Timestamp::from_nanosecond(time.as_nanosecond() + nth).unwrap_or(time);
                    let text = text.to_vec();
                    self.lines.push(Line { time, text, later: Vec::new(), is_whole, is_missed });
                }
            }
        }
    }
}

impl Line {
    /// The offset from which the line is served. The kubelet leaves out each part of a line that is too old.
    fn start(&self, since: Option<Timestamp>) -> Option<usize> {
        let Some(since) = since else { return Some(0) };
        let mut bits = [(0, self.time)].into_iter().chain(self.later.iter().copied());
        bits.find(|(_, time)| *time >= since).map(|(start, _)| start)
    }
}

/// The progress of one request in a log.
struct Reader {
    cluster: Cluster,
    changes: watch::Receiver<u64>,
    key: (String, String),
    run: usize,
    request: LogRequest,
    /// The next line to send: at first the first line of the newest file.
    next: Option<usize>,
    /// How much was sent, in bytes.
    sent: u64,
    /// How much of the next line was sent.
    part: usize,
}

impl Reader {
    async fn next_frame(&mut self) -> Option<Bytes> {
        loop {
            if self.request.limit.is_some_and(|limit| self.sent >= limit) {
                return None;
            }
            let has_ended = self.has_ended();
            if let Some(mut frame) = self.read() {
                if let Some(limit) = self.request.limit {
                    let left = usize::try_from(limit - self.sent).unwrap_or(usize::MAX);
                    frame.truncate(left);
                }
                self.sent += frame.len() as u64;
                return Some(frame.into());
            }
            if has_ended || !self.request.follow || self.changes.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Whether nothing more will be written. The log of a pod that is gone has ended.
    fn has_ended(&self) -> bool {
        self.cluster.with(|store| {
            let Some(runs) = store.logs.get(&self.key) else { return false };
            let pod = store.pods.values().find(|pod| text(pod, "/metadata/uid") == self.key.0);
            let Some(pod) = pod else { return true };
            let is_over = status(pod, &self.key.1).is_some_and(|status| status["state"]["running"].is_null());
            self.run + 1 < runs.len() || runs.get(self.run).is_some_and(|run| run.has_ended) || is_over
        })
    }

    fn read(&mut self) -> Option<Vec<u8>> {
        let Self { cluster, key, run, request, next, part, .. } = self;
        cluster.with(|store| {
            let log = store.logs.get(key)?.get(*run)?;
            let next = next.get_or_insert(log.file);
            while let Some(line) = log.lines.get(*next) {
                let start = line.start(request.since).filter(|_| !(line.is_missed && request.follow));
                if line.is_whole && start.is_none() {
                    (*next, *part) = (*next + 1, 0);
                    continue;
                }
                let start = start?;
                // Only the beginning of a line has a time.
                let begins = *part == 0 && start == 0;
                let rest = line.text.get(start.max(*part)..).unwrap_or_default();
                if !line.is_whole && rest.is_empty() {
                    return None;
                }
                let mut frame = Vec::new();
                if begins && request.timestamps {
                    frame.extend_from_slice(format!("{:.9} ", line.time).as_bytes());
                }
                frame.extend_from_slice(rest);
                *part = line.text.len();
                if line.is_whole {
                    frame.push(b'\n');
                    (*next, *part) = (*next + 1, 0);
                }
                return Some(frame);
            }
            None
        })
    }
}
