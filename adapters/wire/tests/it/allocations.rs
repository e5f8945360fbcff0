//! The memory of an event: none for a pod without a wait, and for other pods the strings and lists of the snapshot.

use crate::data::{ENCODINGS, data};
use allocation_counter::measure;
use podwait_wire::{Encoding, Event, Frames, ListItems};

#[test]
fn a_head_takes_no_memory_and_a_pod_only_its_own() {
    let mut counts = Vec::new();
    for (encoding, end) in ENCODINGS {
        let stream = data(&format!("rich.watch.{end}"));
        let (mut piece, mut frames) = (&*stream, Frames::new(encoding));
        while let Some(frame) = frames.next_frame(&mut piece).expect("a frame") {
            let heads = measure(|| drop(Event::read(encoding, frame).expect("an event")));
            // In JSON only an error stops serde, and the error is a box.
            assert!(encoding == Encoding::Json || heads.count_total == 0, "{heads:?}");
            let event = Event::read(encoding, frame).expect("an event");
            let mut pod = None;
            let heap = measure(|| pod = event.pod().ok());
            let Some(pod) = pod else { continue };
            // In a clone each non-empty string and list is one allocation.
            let own = measure(|| drop(pod.clone())).count_total;
            assert!(encoding == Encoding::Json || heap.count_total <= own + 5, "{heap:?} {own}");
            counts.push((heap.count_total, own));
        }
    }
    assert!(!counts.is_empty());
}

#[test]
fn the_items_of_a_list_take_no_memory_where_they_are_whole() {
    for (encoding, end) in ENCODINGS {
        let answer = data(&format!("rich.list.{end}"));
        let heap = measure(|| {
            let (mut piece, mut items) = (&*answer, ListItems::new(encoding));
            while items.next_item(&mut piece).expect("a list").is_some() {}
        });
        // The metadata of the list.
        assert!(heap.count_total <= 6, "{heap:?}");
    }
}
