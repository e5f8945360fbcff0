//! Traces: read, print, read again.

use podwait::trace::{Pods, Recorder, Replay, TraceReader, replay};

/// Reading is total, and what was read and printed reads the same.
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
