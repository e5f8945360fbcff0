//! Traces are read, written and read again.

use podwait::trace::{Pods, Recorder, Replay, TraceReader, replay};

/// Any bytes are a trace or an error. A trace that was read and written is read as the same trace.
///
/// # Panics
/// A finding.
pub fn trace(data: &[u8]) {
    let Ok((first, printed)) = print(data) else { return };
    let (second, again) =
        print(&printed).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&printed)));
    assert_eq!(
        second.difference,
        None,
        "a recording reproduces itself: {}",
        String::from_utf8_lossy(&printed)
    );
    assert_eq!((first.decision, first.decided_at), (second.decision, second.decided_at));
    assert_eq!(String::from_utf8_lossy(&printed), String::from_utf8_lossy(&again));
}

/// Replays a trace and records the replay.
fn print(data: &[u8]) -> Result<(Replay, Vec<u8>), podwait::trace::TraceError> {
    let reader = TraceReader::new(data)?;
    let mut printed = Vec::new();
    let mut recorder = Recorder::new(&mut printed, reader.header(), Pods::Full).expect("memory");
    let replayed = replay(reader, |turn| recorder.on_turn(turn));
    recorder.finish().expect("memory");
    Ok((replayed?, printed))
}
