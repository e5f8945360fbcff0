//! The pods, and the log of their changes, in place of etcd.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock::{self, Clock};
use crate::event::{Event, EventType};
use crate::logs::Logs;
use crate::refusal::Refusal;
use crate::traffic::{Faults, RequestCounts};

/// A simulated cluster. Clones are handles to the same cluster.
///
/// The methods on this type act as the cluster itself does (the API server's storage, the kubelet); clients use the
/// tower service that it is, [`client`](Self::client), [`serve`](Self::serve) or [`handle`](Self::handle), where
/// faults are injected.
#[derive(Clone, Debug)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Mutex<Store>,
    /// The revision of the last write, for which open watches wait.
    revision: watch::Sender<u64>,
    /// Changes with every log and every write, each of which may end or continue the stream of a log.
    log_news: watch::Sender<u64>,
    faults: Faults,
}

impl Cluster {
    /// An empty cluster, which begins now at the simulated time 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self::with_clock(Clock::tokio())
    }

    pub(crate) fn with_clock(clock: Clock) -> Self {
        let store = Mutex::new(Store::new(clock));
        let revision = watch::Sender::new(Store::FIRST_REVISION);
        let (log_news, faults) = (watch::Sender::new(0), Faults::default());
        Self { inner: Arc::new(Inner { store, revision, log_news, faults }) }
    }

    /// Stores a new pod as the API server does: its phase is Pending whatever `pod` has, and its namespace defaults to
    /// "default".
    pub fn create(&self, pod: Value) -> Result<Arc<Value>, Refusal> {
        self.with(|store| store.create(pod))
    }

    /// The stored pod.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.with(|store| store.get(namespace, name)).ok()
    }

    /// Changes a pod in one write: one resourceVersion and one MODIFIED event. Without a difference there is no write,
    /// as in Kubernetes. Name, namespace and uid cannot change.
    pub fn update_status(
        &self,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Arc<Value>, Refusal> {
        self.with(|store| store.update(namespace, name, change))
    }

    /// The log of changes since the last compaction, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.with(|store| store.log.clone())
    }

    /// The resourceVersion of the last write.
    pub fn revision(&self) -> u64 {
        self.with(|store| store.revision)
    }

    /// Removes the changes up to and including `revision` from the log: a watch that would need them receives 410
    /// Expired.
    pub fn compact(&self, revision: u64) {
        self.with(|store| {
            store.compacted = revision.min(store.revision).max(store.compacted);
            store.log.retain(|event| event.revision > store.compacted);
        });
    }

    /// Writes other objects `writes` times: the pods are unchanged, and the resourceVersion grows by as much.
    pub fn write_elsewhere(&self, writes: u64) {
        self.with(|store| store.revision = store.revision.saturating_add(writes));
    }

    /// Saves the pods and the resourceVersion, in place of the last saved state.
    pub fn back_up(&self) {
        self.with(|store| store.backup = Some((store.revision, store.pods.clone())));
    }

    /// Returns to the state that [`back_up`](Self::back_up) saved, like an etcd that is restored from a backup: objects
    /// and resourceVersions are those of that time, and later writes are lost. A watch that is ahead is silent until
    /// the store reaches its resourceVersion again, like a watch of an API server that was not restarted. Does nothing
    /// if nothing was saved.
    pub fn restore(&self) {
        self.with(|store| {
            let Some((revision, pods)) = store.backup.clone() else { return };
            store.log.retain(|event| event.revision <= revision);
            store.compacted = store.compacted.min(revision);
            store.pages.clear();
            (store.revision, store.pods) = (revision, pods);
        });
    }

    /// The simulated time, as it is written into timestamps.
    pub fn now(&self) -> String {
        self.with(|store| store.now())
    }

    /// The faults, which tests inject here.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// How many requests clients have sent.
    pub fn requests(&self) -> RequestCounts {
        self.inner.faults.counts()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.revision.subscribe()
    }

    pub(crate) fn log_changes(&self) -> watch::Receiver<u64> {
        self.inner.log_news.subscribe()
    }

    pub(crate) fn log_changed(&self) {
        self.inner.log_news.send_modify(|changes| *changes += 1);
    }

    /// Runs `f` on the store and wakes the watches if it wrote. A panic in `f` leaves a valid store: every write
    /// replaces whole objects.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut Store) -> R) -> R {
        let mut store = self.inner.store.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut store);
        let written = store.revision;
        if self.inner.revision.send_if_modified(|seen| std::mem::replace(seen, written) != written) {
            self.log_changed();
        }
        result
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

/// By namespace and name.
type Pods = BTreeMap<(String, String), Arc<Value>>;

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) clock: Clock,
    pub(crate) revision: u64,
    pub(crate) compacted: u64,
    /// How many pods were created so far, from which uids are made.
    created: u64,
    pub(crate) pods: Pods,
    pub(crate) log: Vec<Event>,
    pub(crate) logs: Logs,
    /// The saved pods, with their revision.
    backup: Option<(u64, Pods)>,
    /// The remaining pods of LISTs, by the token of the next page, with their revision.
    pages: BTreeMap<u64, (u64, VecDeque<Arc<Value>>)>,
    /// The last token.
    token: u64,
}

impl Store {
    /// As in etcd: an empty store has revision 1, and the first write makes 2.
    const FIRST_REVISION: u64 = 1;

    fn new(clock: Clock) -> Self {
        let (pods, log, pages) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let revision = Self::FIRST_REVISION;
        let logs = Logs::new();
        Self { clock, revision, compacted: 0, created: 0, pods, log, logs, backup: None, pages, token: 0 }
    }

    pub(crate) fn now(&self) -> String {
        clock::rfc3339(self.clock.now())
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Result<Arc<Value>, Refusal> {
        let pod = self.pods.get(&(namespace.to_owned(), name.to_owned()));
        pod.cloned().ok_or_else(|| Refusal::NotFound { name: name.to_owned() })
    }

    /// Keeps the rest of a LIST, and returns the token for it.
    pub(crate) fn keep_page(&mut self, revision: u64, rest: VecDeque<Arc<Value>>) -> u64 {
        self.token += 1;
        self.pages.insert(self.token, (revision, rest));
        self.token
    }

    /// A token is valid for one page, and until its revision is compacted.
    pub(crate) fn take_page(&mut self, token: u64) -> Result<(u64, VecDeque<Arc<Value>>), Refusal> {
        match self.pages.remove(&token) {
            Some((revision, rest)) if revision >= self.compacted => Ok((revision, rest)),
            Some((asked, _)) => Err(Refusal::Expired { asked, oldest: self.compacted }),
            None => Err(Refusal::Expired { asked: 0, oldest: self.compacted }),
        }
    }

    /// The pod as it was `behind` writes ago, as far as the log has that.
    pub(crate) fn get_as_of(
        &self,
        namespace: &str,
        name: &str,
        behind: usize,
    ) -> Result<Arc<Value>, Refusal> {
        let is_its = |event: &&Event| {
            let pod = &event.object;
            text(pod, "/metadata/name") == name && text(pod, "/metadata/namespace") == namespace
        };
        let last =
            if behind == 0 { None } else { self.log.iter().rev().filter(is_its).take(behind + 1).last() };
        match last {
            Some(event) if event.kind != EventType::Deleted => Ok(Arc::clone(&event.object)),
            Some(_) | None => self.get(namespace, name),
        }
    }

    fn create(&mut self, mut pod: Value) -> Result<Arc<Value>, Refusal> {
        if text(&pod, "/metadata/name").is_empty() && !text(&pod, "/metadata/generateName").is_empty() {
            // The five characters of a real API server are random.
            let name = format!("{}{:05}", text(&pod, "/metadata/generateName"), self.created + 1);
            pod["metadata"]["name"] = json!(name);
        }
        let name = text(&pod, "/metadata/name").to_owned();
        if name.is_empty() || !pod["spec"].is_object() {
            let message = "metadata.name and spec: Required value".to_owned();
            return Err(Refusal::Invalid { name, message });
        }
        let namespace = match text(&pod, "/metadata/namespace") {
            "" => "default".to_owned(),
            namespace => namespace.to_owned(),
        };
        if self.get(&namespace, &name).is_ok() {
            return Err(Refusal::AlreadyExists { name });
        }
        self.created += 1;
        prepare_for_create(&mut pod, &namespace, self.created, &self.now());
        Ok(self.write(EventType::Added, pod))
    }

    pub(crate) fn update(
        &mut self,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Arc<Value>, Refusal> {
        let old = self.get(namespace, name)?;
        let mut new = Value::clone(&old);
        change(&mut new);
        for identity in ["name", "namespace", "uid"] {
            new["metadata"][identity] = old["metadata"][identity].clone();
        }
        if new == *old {
            return Ok(old);
        }
        Ok(self.write(EventType::Modified, new))
    }

    /// The only place where a pod changes: one write, one revision, one entry in the log.
    pub(crate) fn write(&mut self, kind: EventType, mut pod: Value) -> Arc<Value> {
        self.revision += 1;
        pod["metadata"]["resourceVersion"] = json!(self.revision.to_string());
        let key = (text(&pod, "/metadata/namespace").to_owned(), text(&pod, "/metadata/name").to_owned());
        let object = Arc::new(pod);
        let previous = match kind {
            EventType::Added | EventType::Modified => self.pods.insert(key, Arc::clone(&object)),
            EventType::Deleted => self.pods.remove(&key),
        };
        let at = self.clock.age();
        self.log.push(Event { kind, revision: self.revision, at, object: Arc::clone(&object), previous });
        object
    }
}

/// Adds to a new pod what the API server adds, and removes what it removes.
fn prepare_for_create(pod: &mut Value, namespace: &str, nth: u64, now: &str) {
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    let metadata = &mut pod["metadata"];
    metadata["namespace"] = json!(namespace);
    metadata["uid"] = json!(format!("00000000-0000-4000-8000-{nth:012x}"));
    metadata["creationTimestamp"] = json!(now);
    metadata["generation"] = json!(1);
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("deletionTimestamp");
        metadata.remove("deletionGracePeriodSeconds");
    }
    default_to(&mut pod["spec"], "restartPolicy", json!("Always"));
    default_to(&mut pod["spec"], "terminationGracePeriodSeconds", json!(30));
    pod["status"] = json!({ "phase": "Pending", "qosClass": "BestEffort" });
}

fn default_to(object: &mut Value, field: &str, value: Value) {
    if object[field].is_null() {
        object[field] = value;
    }
}

/// The string at a JSON pointer; "" if there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
