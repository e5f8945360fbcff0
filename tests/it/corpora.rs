//! The committed corpora of the fuzz targets, replayed on the toolchain of the tests.

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
            // The output of the test contains the name of the failing input.
            println!("{}", path.display());
            target(&bytes);
        }
    }
}
