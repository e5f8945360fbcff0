//! A stream is read in the same way, however it is cut.

use crate::data::{ENCODINGS, data, events, list};
use podwait_wire::{DecodeError, Encoding, Event, Frames, ListItems};

/// Pseudo-random numbers, the same in each run.
pub(crate) struct Lot(pub(crate) u64);

impl Lot {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Pieces of any length.
fn pieces<'a>(bytes: &'a [u8], longest: usize, lot: &mut Lot) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(lot.below(longest + 1).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[test]
fn any_cut_gives_the_same_events_and_items() {
    let mut lot = Lot(1);
    for (encoding, end) in ENCODINGS {
        let watch = data(&format!("rich.watch.{end}"));
        let answer = data(&format!("rich.list.{end}"));
        let expected = events(encoding, [&*watch]).expect("events");
        let listed = list(encoding, [&*answer]).expect("a list");
        for longest in [1, 2, 3, 7, 64, 1000, 1024, 16_384, 1 << 20] {
            for _ in 0..3 {
                assert_eq!(events(encoding, pieces(&watch, longest, &mut lot)).expect("events"), expected);
                assert_eq!(list(encoding, pieces(&answer, longest, &mut lot)).expect("a list"), listed);
            }
        }
        // Every position, for a stream that is short enough.
        let start = data(&format!("empty.list.{end}"));
        let listed = list(encoding, [&*start]).expect("a list");
        for cut in 0..=start.len() {
            assert_eq!(list(encoding, [&start[..cut], &start[cut..]]).expect("a list"), listed);
        }
    }
}

#[test]
fn what_ends_early_is_noticed() {
    for (encoding, end) in ENCODINGS {
        let watch = data(&format!("rich.watch.{end}"));
        let answer = data(&format!("rich.list.{end}"));
        let (whole, _) = events(encoding, [&*watch]).expect("events");
        for cut in (0..watch.len()).step_by(4999) {
            let (before, is_torn) = events(encoding, [&watch[..cut]]).expect("what came is right");
            assert_eq!(before, whole[..before.len()]);
            assert!(is_torn || before.len() < whole.len());
        }
        // Only two empty fields at the end of the envelope may be missing; the list does not wait for them.
        let without_end = answer.len() - if encoding == Encoding::Protobuf { 4 } else { 1 };
        let (all, _) = list(encoding, [&*answer]).expect("a list");
        for cut in (0..without_end).rev().step_by(1999) {
            let mut items = ListItems::new(encoding);
            let mut piece = &answer[..cut];
            let mut count = 0;
            while let Some(item) = items.next_item(&mut piece).expect("what came is right") {
                assert_eq!(item.pod().expect("a pod"), all[count]);
                count += 1;
            }
            assert!(items.finish().is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn a_list_that_is_cut_holds_one_item() {
    for (encoding, end) in ENCODINGS {
        let answer = data(&format!("rich.list.{end}"));
        let mut items = ListItems::new(encoding);
        for mut piece in answer.chunks(1000) {
            while items.next_item(&mut piece).expect("a list").is_some() {}
            assert!(piece.is_empty());
        }
        items.finish().expect("a list");
    }
}

#[test]
fn an_object_that_is_too_long_ends_the_stream() {
    let filler = vec![b'x'; 1 << 20];
    let mut frames = Frames::new(Encoding::Json);
    let mut items = ListItems::new(Encoding::Json);
    let mut start: &[u8] = br#"{"items":[{"a":""#;
    assert!(items.next_item(&mut start).expect("no end yet").is_none());
    for round in 1..=9 {
        let (mut line, mut item) = (&*filler, &*filler);
        let line = frames.next_frame(&mut line).map(|frame| frame.is_some());
        let item = items.next_item(&mut item).map(|item| item.is_some());
        assert!(
            matches!(line, Ok(false)) == (round < 9) && matches!(item, Ok(false)) == (round < 8),
            "{round}"
        );
        if round == 9 {
            assert!(matches!((line, item), (Err(DecodeError::TooLong), Err(DecodeError::TooLong))));
        }
    }
    let long = data("empty.list.pb");
    // The list's length, then an item of 9 MiB.
    let head = long.windows(7).position(|bytes| bytes == b"PodList").expect("the kind") + 7;
    let mut items = ListItems::new(Encoding::Protobuf);
    let mut answer = [&long[..head], &[0x12, 0x80, 0x80, 0x80, 0x05, 0x12, 0x80, 0x80, 0xc0, 0x04]].concat();
    answer.extend(b"item");
    let mut piece = &*answer;
    assert!(matches!(items.next_item(&mut piece), Err(DecodeError::TooLong)));
}

#[test]
fn an_empty_frame_is_no_event() {
    for (encoding, _) in ENCODINGS {
        assert!(Event::read(encoding, b"").is_err());
    }
}
