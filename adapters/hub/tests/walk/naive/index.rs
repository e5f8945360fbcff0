//! An index of the list: which entries are about what. It only saves time.

use super::entries::{Entry, Role, What};
use podwait_hub::{RequestId, WaitId};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The scope, its LIST and its watch.
    Scope,
    /// A probe: of this pod, or of the scope.
    Probe(Option<usize>),
    /// A pod.
    Pod(usize),
    /// The waits of a pod, as they come and go.
    Waits(usize),
    /// What a wait wants.
    Want(WaitId),
    /// What a wait has to receive.
    Shown(WaitId),
    /// What a wait has received.
    Delivered(WaitId),
    /// A request.
    Call(RequestId),
    /// All requests, as they were sent.
    Sent,
    /// The ends of all requests.
    Ends,
}

/// The places of the entries about each topic.
#[derive(Clone, Default)]
pub struct Index {
    places: BTreeMap<Topic, Rc<Vec<usize>>>,
    roles: BTreeMap<RequestId, Role>,
    pods: BTreeMap<WaitId, usize>,
    /// The requests that are under way.
    pub open: Vec<RequestId>,
    /// Which request ended at a place.
    ended: BTreeMap<usize, RequestId>,
}

impl Index {
    /// The places before `end` of the entries about that.
    pub fn about(&self, topic: Topic, end: usize) -> &[usize] {
        let places = self.places.get(&topic).map_or(&[][..], |places| places.as_slice());
        &places[..places.partition_point(|place| *place < end)]
    }

    pub fn pod_of(&self, wait: WaitId) -> usize {
        self.pods[&wait]
    }

    /// Files an entry.
    pub fn file(&mut self, place: usize, entry: &Entry, role_of: impl Fn(&podwait_hub::Request) -> Role) {
        if let What::Join { wait, pod, .. } = &entry.what {
            self.pods.insert(*wait, *pod);
        } else if let What::Sent { id, request } = &entry.what {
            self.roles.insert(*id, role_of(request));
            self.open.push(*id);
        } else if let What::Closed { id }
        | What::Page { id, .. }
        | What::Answer { id, .. }
        | What::Ended { id }
        | What::Failed { id, .. } = &entry.what
        {
            self.open.retain(|open| open != id);
            self.ended.insert(place, *id);
        }
        for topic in self.topics(&entry.what) {
            Rc::make_mut(self.places.entry(topic).or_default()).push(place);
        }
    }

    /// The request that ended at that place.
    pub fn ended(&self, place: usize) -> Option<RequestId> {
        self.ended.get(&place).copied()
    }

    /// The role of a request, but for the end of the LIST at the beginning of a watch.
    pub fn role(&self, id: RequestId) -> Option<Role> {
        self.roles.get(&id).copied()
    }

    fn topics(&self, what: &What) -> Vec<Topic> {
        let read = |id: &RequestId| self.role(*id).and_then(Role::read).map(Topic::Pod);
        let with = |topics: &[Topic], more: Option<Topic>| topics.iter().copied().chain(more).collect();
        match what {
            What::Time => Vec::new(),
            What::Join { pod, .. } => vec![Topic::Pod(*pod), Topic::Waits(*pod)],
            What::Leave { wait } => {
                let pod = self.pod_of(*wait);
                vec![Topic::Pod(pod), Topic::Waits(pod)]
            }
            What::Want { wait, .. } => vec![Topic::Want(*wait), Topic::Pod(self.pod_of(*wait))],
            What::Delivered { wait } => vec![Topic::Delivered(*wait)],
            What::Shown { pod, to, .. } => {
                let mut topics: Vec<Topic> = to.iter().map(|wait| Topic::Shown(*wait)).collect();
                topics.push(Topic::Pod(*pod));
                topics
            }
            What::Sent { id, .. } => with(&[Topic::Call(*id), Topic::Sent], read(id)),
            What::Opened { id }
            | What::Bytes { id }
            | What::Bookmark { id, .. }
            | What::Listed { id, .. } => {
                vec![Topic::Call(*id)]
            }
            What::Event { id, pod, .. } => vec![Topic::Call(*id), Topic::Pod(*pod)],
            What::Item { id, object } => vec![Topic::Call(*id), Topic::Pod(object.name)],
            What::Closed { id }
            | What::Page { id, .. }
            | What::Answer { id, .. }
            | What::Ended { id }
            | What::Failed { id, .. }
            | What::Dead { id } => with(&[Topic::Call(*id), Topic::Ends], read(id)),
            What::Doubted { pod, .. }
            | What::Unmatched { pod, .. }
            | What::Unlisted { pod, .. }
            | What::Ask { pod }
            | What::Alone { pod, .. }
            | What::Served { pod }
            | What::OwnWatch { pod, .. }
            | What::OwnRest { pod, .. }
            | What::Missed { pod, .. }
            | What::Found { pod } => vec![Topic::Pod(*pod)],
            What::Runs
            | What::Idle
            | What::Refused { .. }
            | What::Watch { .. }
            | What::List { .. }
            | What::Gather
            | What::Over { .. }
            | What::Pages
            | What::Broken
            | What::Whole { .. }
            | What::Tolerated
            | What::Restored
            | What::Behind
            | What::Current
            | What::ByName
            | What::Ahead { .. } => vec![Topic::Scope],
            What::Probe { of, .. } | What::NoProbe { of } => vec![Topic::Probe(*of)],
        }
    }
}
