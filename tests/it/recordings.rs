//! Waits on a real cluster, recorded once and decided for ever: `tests/recordings`.

use podwait::trace::{TraceReader, replay};
use podwait_core::Decision;
use std::path::PathBuf;

#[test]
fn every_recording_is_decided_as_it_was() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/recordings"));
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the recordings are there") {
        let path = entry.expect("a file").path();
        let name = path.display();
        let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let trace = TraceReader::new(&text[..]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let replay = replay(trace, |_| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(replay.difference, None, "{name}");
        let is_over = replay.decision.as_ref().is_some_and(Decision::is_final);
        assert!(is_over, "{name} ends with {:?}", replay.decision);
        count += 1;
    }
    assert!(count >= 45, "only {count} recordings");
}
