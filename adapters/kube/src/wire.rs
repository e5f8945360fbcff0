//! What the API server sends, read from its bytes: lines of a watch, items of a LIST, whom they are about, and pods.

pub(crate) mod decode;
pub(crate) mod envelope;
pub(crate) mod json;
pub(crate) mod lines;
pub(crate) mod list;
