//! The committed corpora of the fuzz targets, replayed on whatever toolchain runs the tests.

use podwait_tests::fuzz::TARGETS;
use std::path::Path;

#[test]
fn every_committed_input_passes() {
    let corpora = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus"));
    for (name, target) in TARGETS {
        let inputs: Vec<_> =
            std::fs::read_dir(corpora.join(name)).expect("every target has a corpus").collect();
        assert!(!inputs.is_empty(), "the corpus of {name} is empty");
        for input in inputs {
            let path = input.expect("a readable folder").path();
            let bytes = std::fs::read(&path).expect("a readable input");
            // The test's own output names the input that breaks it.
            println!("{}", path.display());
            target(&bytes);
        }
    }
}
