//! The statuses of a list by name, indexed once for each snapshot.
//!
//! Most pods have a few containers, and a linear search of the list is fastest for them. But an object can hold
//! thousands, and each rule needs the status of each container: without an index the work is quadratic.

use crate::snapshot::ContainerStatus;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// Length from which on a list gets an index. A shorter list allocates no memory.
const MANY: usize = 16;

/// A list of statuses.
pub(crate) struct Statuses<'a> {
    list: &'a [ContainerStatus],
    /// Positions in the list, sorted by name and then by position; empty for a short list.
    order: Vec<usize>,
}

impl<'a> Statuses<'a> {
    pub(crate) fn of(list: &'a [ContainerStatus]) -> Self {
        let mut order = Vec::new();
        if list.len() >= MANY {
            order.extend(0..list.len());
            // A stable sort, so that the first status of a name stays first.
            order.sort_by(|a, b| compare(&list[*a].name, &list[*b].name));
        }
        Self { list, order }
    }

    /// The status with that name. Validation does not forbid duplicates: the first one counts.
    pub(crate) fn get(&self, name: &str) -> Option<&'a ContainerStatus> {
        let is_it = |status: &ContainerStatus| compare(&status.name, name) == Ordering::Equal;
        if self.order.is_empty() {
            return self.list.iter().find(|status| is_it(status));
        }
        let first = self.order.partition_point(|at| compare(&self.list[*at].name, name) == Ordering::Less);
        self.order.get(first).map(|at| &self.list[*at]).filter(|status| is_it(status))
    }
}

fn compare(a: &str, b: &str) -> Ordering {
    #[cfg(test)]
    tests::COMPARISONS.with(|comparisons| comparisons.set(comparisons.get() + 1));
    a.cmp(b)
}

#[cfg(test)]
mod tests {
    use super::Statuses;
    use crate::snapshot::{
        Container, ContainerState, ContainerStatus, Phase, PodSnapshot, RestartAction, RestartPolicy,
        RestartRule, Terminated,
    };
    use crate::{Input, Instant, WaitMachine};
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;
    use core::cell::Cell;

    std::thread_local! {
        /// The number of name comparisons on this thread.
        pub(super) static COMPARISONS: Cell<u64> = const { Cell::new(0) };
    }

    fn status(name: String, restart_count: i32) -> ContainerStatus {
        ContainerStatus { name, restart_count, ..ContainerStatus::default() }
    }

    #[test]
    fn the_first_of_a_name_is_found_in_lists_of_any_length() {
        for length in [0, 1, 2, 15, 16, 17, 100] {
            // Duplicate names, out of order.
            let list: Vec<_> =
                (0..length).map(|place| status(format!("c{}", place * 7 % 11), place)).collect();
            let statuses = Statuses::of(&list);
            for name in list.iter().map(|status| status.name.as_str()).chain(["", "c", "c9999", "z"]) {
                let expected = list.iter().find(|status| status.name == name);
                assert_eq!(statuses.get(name), expected, "{name} of {length}");
            }
        }
    }

    /// A pod with `count` init containers and `count` regular ones, all in this state.
    fn crowd(count: u32, phase: Phase, state: &ContainerState) -> PodSnapshot {
        let all =
            RestartRule { action: RestartAction::RestartAllContainers, negated: false, exit_codes: vec![42] };
        let container = |name: String| Container {
            name,
            restart_policy: Some(RestartPolicy::Never),
            restart_policy_rules: vec![all.clone()],
        };
        let names = |prefix: char| (0..count).map(move |number| format!("{prefix}{number}"));
        let statuses = |prefix| {
            let status = |name| ContainerStatus { state: Some(state.clone()), ..status(name, 0) };
            names(prefix).map(status).rev().collect()
        };
        PodSnapshot {
            uid: "u".into(),
            resource_version: "1".into(),
            containers: names('c').map(container).collect(),
            init_containers: names('i').map(container).collect(),
            container_statuses: statuses('c'),
            init_container_statuses: statuses('i'),
            phase,
            ..PodSnapshot::default()
        }
    }

    /// The number of name comparisons in two decisions about the pod.
    fn work(pod: &PodSnapshot) -> u64 {
        COMPARISONS.with(|comparisons| comparisons.set(0));
        let mut machine = WaitMachine::new(alloc::sync::Arc::default()).container("c0");
        for time in [0, 60_000] {
            let _ = machine.handle(Instant::from_millis(time), Input::Snapshot(pod));
        }
        COMPARISONS.with(Cell::get)
    }

    #[test]
    fn the_work_does_not_grow_faster_than_the_number_of_containers() {
        let waiting =
            |reason: &str| ContainerState::Waiting { reason: reason.into(), message: String::new() };
        let ended = |exit_code| ContainerState::Terminated(Terminated { exit_code, ..Terminated::default() });
        let states = [
            ContainerState::Running,
            waiting("PodInitializing"),
            waiting("ErrImagePull"),
            waiting("CrashLoopBackOff"),
            ended(0),
            ended(1),
            ended(42),
        ];
        let count = 20_000_u32;
        // For each decision: two indexes, made by sorting, and a few searches for each container, of log2(20,000) steps
        // each.
        let most = u64::from(2 * 2 * count * (15 + 8 * 16));
        for state in states {
            for phase in [Phase::Pending, Phase::Failed] {
                let work = work(&crowd(count, phase, &state));
                assert!(work <= most, "{work} for {phase:?}, {state:?}");
            }
        }
    }
}
