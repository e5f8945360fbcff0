//! Damaged bytes are an error, or they are read as another valid object; nothing panics.

use crate::cuts::Lot;
use crate::data::{ENCODINGS, data, events, list};
use podwait_core::ContainerState;
use podwait_wire::{Answer, DecodeError, Encoding, Event, Frames, Refusal, Subject, Via, pod};

#[test]
fn what_is_cut_off_anywhere_is_no_pod() {
    for (encoding, end) in ENCODINGS {
        let bytes = data(&format!("full.{end}"));
        let whole = pod(encoding, &bytes).expect("a pod");
        for cut in 0..bytes.len() {
            match pod(encoding, &bytes[..cut]) {
                Err(_) => {}
                // The empty fields at the end of the envelope.
                Ok(read) => assert!(cut + 4 >= bytes.len() && read == whole, "cut at {cut}"),
            }
        }
    }
}

#[test]
fn an_event_that_is_cut_off_is_none() {
    for (encoding, end) in ENCODINGS {
        let stream = data(&format!("rich.watch.{end}"));
        let mut piece = &*stream;
        let mut frames = Frames::new(encoding);
        while let Some(frame) = frames.next_frame(&mut piece).expect("a frame") {
            let Ok(event) = Event::read(encoding, frame) else { panic!("an event") };
            let whole = event.pod().ok();
            for cut in (0..frame.len()).step_by(frame.len() / 100 + 1) {
                // JSON is read only up to the head; in protobuf the lengths at the start must be right.
                let Ok(event) = Event::read(encoding, &frame[..cut]) else { continue };
                assert!(encoding == Encoding::Json, "cut at {cut}");
                assert!(event.pod().is_err() || whole.is_none(), "cut at {cut}");
            }
        }
    }
}

/// Changes, adds or takes away some bytes.
fn damage(bytes: &mut Vec<u8>, lot: &mut Lot) {
    for _ in 0..=lot.below(3) {
        let at = lot.below(bytes.len().max(1));
        let end = (at + lot.below(9)).min(bytes.len());
        match lot.below(5) {
            0 => bytes[at] = lot.below(256) as u8,
            1 => bytes[at] ^= 1 << lot.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            _ => bytes.insert(at, [0, 0x7f, 0x80, 0xff, b'"', b'{', b'}', b','][lot.below(8)]),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
}

#[test]
fn damaged_bytes_never_panic_and_are_read_the_same_however_they_are_cut() {
    let mut lot = Lot(7);
    let mut read = 0;
    for (encoding, end) in ENCODINGS {
        let whole = pod(encoding, &data(&format!("full.{end}"))).expect("a pod");
        // Only the start of the long answers.
        let answers = ["full", "rich.list", "rich.watch", "not-found.status"].map(|name| {
            let bytes = data(&format!("{name}.{end}"));
            bytes[..bytes.len().min(if name == "full" { usize::MAX } else { 3000 })].to_vec()
        });
        for round in 0..50_000 {
            let which = [0, 0, 1, 2, 3][round % 5];
            let mut bytes = answers[which].clone();
            damage(&mut bytes, &mut lot);
            let cut = lot.below(bytes.len());
            let cut = [&bytes[..cut], &bytes[cut..]];
            match which {
                0 => match pod(encoding, &bytes) {
                    // The changed bytes may be another valid object, of the same pod or of one with another name.
                    Ok(found) => read += usize::from(found != whole),
                    Err(error) => {
                        let text = error.to_string();
                        assert!(text.len() < 450 && !text.contains(char::is_control), "{text}");
                    }
                },
                1 => assert_eq!(list(encoding, [&*bytes]).map_err(text), list(encoding, cut).map_err(text)),
                2 => {
                    assert_eq!(events(encoding, [&*bytes]).map_err(text), events(encoding, cut).map_err(text))
                }
                _ => {
                    let answer = Answer { code: 404, body: &bytes, ..Answer::default() };
                    let refusal = Refusal::read(Via::Get, &Subject::default(), &answer);
                    assert!(!refusal.failure.message.contains(char::is_control));
                }
            }
        }
    }
    assert!(read > 0, "some values are changed");
}

fn text(error: DecodeError) -> String {
    error.to_string()
}

/// A damaged length, tag or bracket must not silently turn one exit into another. If one bit of a record changes, there
/// are three possible results: the code stays the same, the bit was part of the code, or reading fails.
#[test]
fn one_bit_never_turns_one_exit_code_into_another_elsewhere() {
    for (encoding, end) in ENCODINGS {
        let bytes = data(&format!("full.{end}"));
        let code = |bytes: &[u8]| match pod(encoding, bytes)
            .ok()?
            .snapshot
            .container_statuses
            .get(1)?
            .state
            .as_ref()?
        {
            ContainerState::Terminated(record) => Some(record.exit_code),
            ContainerState::Running | ContainerState::Waiting { .. } => None,
        };
        assert_eq!(code(&bytes), Some(137));
        let mut changed = 0;
        // JSON is longer, and takes longer to read.
        let step = if encoding == Encoding::Json { 29 } else { 3 };
        for at in (0..bytes.len()).step_by(step) {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                changed += usize::from(code(&bytes).is_some_and(|code| code != 137));
            }
        }
        // Protobuf: 16 bits of the varint, less those that make it too long. JSON: those that leave a digit.
        assert!(changed <= 16, "{changed}");
    }
}
