//! The names of pods, and their memory.

use super::*;
use alloc::format;

#[derive(Clone, Debug)]
struct Nothing;

impl Object for Nothing {
    fn uid(&self) -> &str {
        ""
    }

    fn resource_version(&self) -> &str {
        ""
    }
}

#[test]
fn names_differ_in_their_hashes() {
    let hashes =
        [("ci", "a"), ("ci", "b"), ("di", "a")].map(|(namespace, name)| name_hash(Key { namespace, name }));
    assert!(hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2]);
}

#[test]
fn pods_whose_waits_have_left_leave_no_memory_behind() {
    let mut registry: Registry<Nothing> = Registry::new();
    let name = |pod: usize| PodName::new("ci", &format!("pod{pod}"));
    let waits: Vec<WaitId> =
        (0..10_000).map(|pod| registry.join(Instant::ZERO, name(pod), None, 0).0).collect();
    for wait in &waits[10..] {
        assert!(registry.leave(*wait).is_some());
    }
    assert!(registry.names.capacity() <= 128, "{}", registry.names.capacity());
    assert!((0..10).all(|pod| registry.find("ci", name(pod).name()).is_some()));
}
