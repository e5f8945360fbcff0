//! The store of the model server: the pods, their history, and the part of it in the watch cache.

use crate::pod::{OVER, Pod};
use podwait_hub::{Event, PodName, Selection};
use std::rc::Rc;

/// One write.
#[derive(Debug)]
pub struct Change {
    pub revision: u64,
    pub name: usize,
    before: Option<Pod>,
    after: Option<Pod>,
    /// The object that a deletion carries: the last one, with the revision of the deletion.
    gone: Option<Pod>,
}

#[derive(Clone)]
pub struct World {
    pub names: Rc<[PodName]>,
    pub revision: u64,
    pub pods: Vec<Option<Pod>>,
    history: Vec<Rc<Change>>,
    /// The watch cache has every change after this revision.
    pub compacted: u64,
    /// The watch cache has no change after this revision yet.
    pub cached: u64,
    /// The cache lags behind the store at present.
    pub is_lagging: bool,
    /// A count of everything that happens, finer than time.
    pub tick: u64,
    /// The pod of each name, from which tick on.
    timeline: Vec<Vec<(u64, Option<Pod>)>>,
    /// Every deletion, restored or not, by its object.
    pub deleted: Vec<Pod>,
    /// When a backup was last restored.
    pub restored: u64,
    uids: u64,
}

impl World {
    pub fn new(names: Rc<[PodName]>) -> Self {
        let count = names.len();
        Self {
            names,
            revision: 100,
            pods: vec![None; count],
            history: Vec::new(),
            compacted: 100,
            cached: 100,
            is_lagging: false,
            tick: 0,
            timeline: vec![vec![(0, None)]; count],
            deleted: Vec::new(),
            restored: 0,
            uids: 0,
        }
    }

    fn write(&mut self, name: usize, after: Option<Pod>) {
        let before = self.pods[name].clone();
        let gone = match (&before, &after) {
            (Some(pod), None) => Some(pod.written(self.revision, pod.is_labelled, pod.life)),
            _ => None,
        };
        self.deleted.extend(gone.clone());
        let change = Change { revision: self.revision, name, before, after: after.clone(), gone };
        self.history.push(Rc::new(change));
        self.set(name, after);
        self.catch_up();
    }

    fn set(&mut self, name: usize, pod: Option<Pod>) {
        self.tick += 1;
        self.pods[name] = pod.clone();
        self.timeline[name].push((self.tick, pod));
    }

    pub fn create(&mut self, name: usize, is_labelled: bool) {
        self.revision += 1;
        self.uids += 1;
        let uid = format!("u{}", self.uids);
        self.write(name, Some(Pod::new(name, uid, self.revision, is_labelled, 0)));
    }

    pub fn update(&mut self, name: usize, with: impl Fn(&Pod) -> (bool, u8)) {
        let Some(pod) = self.pods[name].clone() else { return };
        self.revision += 1;
        let (is_labelled, life) = with(&pod);
        self.write(name, Some(pod.written(self.revision, is_labelled, life)));
    }

    pub fn step_on(&mut self, name: usize) {
        self.update(name, |pod| {
            (pod.is_labelled, if pod.is_over() { OVER } else { (pod.life + 1).min(OVER - 1) })
        });
    }

    pub fn end(&mut self, name: usize) {
        self.update(name, |pod| (pod.is_labelled, OVER));
    }

    pub fn label(&mut self, name: usize, is_labelled: bool) {
        self.update(name, |pod| (is_labelled, pod.life));
    }

    pub fn delete(&mut self, name: usize) {
        self.revision += 1;
        self.write(name, None);
    }

    /// An object other than a pod is written.
    pub fn write_elsewhere(&mut self, times: u64) {
        self.revision += times;
        self.catch_up();
    }

    /// The cache forgets what it has.
    pub fn compact(&mut self) {
        self.compacted = self.cached;
    }

    pub fn catch_up(&mut self) {
        if !self.is_lagging {
            self.cached = self.revision;
        }
    }

    /// A backup from before the last changes is restored, and the cache begins anew.
    pub fn restore(&mut self, changes: usize) {
        for _ in 0..changes {
            let Some(change) = self.history.pop() else { break };
            self.set(change.name, change.before.clone());
            self.revision = change.revision - 1;
        }
        self.tick += 1;
        self.restored = self.tick;
        self.compacted = self.revision;
        self.is_lagging = false;
        self.cached = self.revision;
    }

    pub fn index(&self, pod: &PodName) -> usize {
        self.names.iter().position(|name| name == pod).expect("a name of this world")
    }

    fn matches(&self, selection: &Selection, pod: &Pod) -> bool {
        let name = &self.names[pod.name];
        selection.namespace.as_deref().is_none_or(|namespace| namespace == name.namespace())
            && selection.pod.as_ref().is_none_or(|one| one == name)
            && (selection.labels.is_none() || pod.is_labelled)
    }

    /// A consistent LIST.
    pub fn list(&self, selection: &Selection) -> Vec<Pod> {
        self.pods.iter().flatten().filter(|pod| self.matches(selection, pod)).cloned().collect()
    }

    /// The pods as the watch cache has them.
    pub fn cached_list(&self, selection: &Selection) -> Vec<Pod> {
        let mut pods = self.pods.clone();
        for change in self.history.iter().rev().take_while(|change| change.revision > self.cached) {
            pods[change.name].clone_from(&change.before);
        }
        pods.into_iter().flatten().filter(|pod| self.matches(selection, pod)).collect()
    }

    /// The events of a watch after that revision (`convertToWatchEvent` of the cacher).
    pub fn events(&self, selection: &Selection, after: u64) -> Vec<(Event, Pod)> {
        let first = self.history.partition_point(|change| change.revision <= after);
        let changes = self.history[first..].iter().take_while(|change| change.revision <= self.cached);
        changes
            .filter_map(|change| {
                let had = change.before.as_ref().filter(|pod| self.matches(selection, pod));
                let has = change.after.as_ref().filter(|pod| self.matches(selection, pod));
                match (had, has) {
                    (_, Some(pod)) => Some((Event::State, pod.clone())),
                    (Some(pod), None) => Some((
                        Event::Deleted,
                        change
                            .gone
                            .clone()
                            .unwrap_or_else(|| pod.written(change.revision, pod.is_labelled, pod.life)),
                    )),
                    (None, None) => None,
                }
            })
            .collect()
    }

    /// The pods that a name had since that tick.
    fn since(&self, name: usize, tick: u64) -> impl Iterator<Item = Option<&Pod>> {
        let line = &self.timeline[name];
        let first = line.partition_point(|(from, _)| *from <= tick).saturating_sub(1);
        line[first..].iter().map(|(_, pod)| pod.as_ref())
    }

    /// The uids of a name's pods, the newest first.
    pub fn uids(&self, name: usize) -> impl Iterator<Item = &str> {
        let mut last = "";
        self.timeline[name].iter().rev().filter_map(|(_, pod)| pod.as_ref()).filter_map(move |pod| {
            let is_new = core::mem::replace(&mut last, &pod.uid) != pod.uid;
            is_new.then_some(pod.uid.as_str())
        })
    }

    pub fn was_absent_since(&self, name: usize, tick: u64) -> bool {
        self.since(name, tick).any(|pod| pod.is_none())
    }

    pub fn was_current_since(&self, pod: &Pod, tick: u64) -> bool {
        self.since(pod.name, tick).any(|stored| stored == Some(pod))
    }

    pub fn was_ever_unlabelled(&self, pod: &Pod) -> bool {
        self.since(pod.name, 0).flatten().any(|stored| stored.uid == pod.uid && !stored.is_labelled)
    }
}
