//! The code of the fuzz targets. `cargo test` replays the committed corpora through the same functions.
//!
//! Bytes are decoded position by position, so that a small change of the input is a small change of the wait.

mod hub;
mod job;
mod pod;
mod policy;
mod script;
mod trace;

pub use hub::hub;
pub use pod::{pod_bytes, pod_shape};
pub use policy::policy;
pub use script::machine;
pub use trace::trace;

/// A fuzz target: it must accept any bytes.
pub type Target = fn(&[u8]);

/// The fuzz targets, by the names of their corpora.
pub const TARGETS: [(&str, Target); 6] = [
    ("machine", machine),
    ("pod_bytes", pod_bytes),
    ("pod_shape", pod_shape),
    ("trace", trace),
    ("policy", policy),
    ("hub", hub),
];
