//! What an API server sends, read by the crate as its users read it. The bytes are those of `tests/vectors`.

mod allocations;
mod cuts;
mod damage;
mod data;
mod jobs;
mod made;
#[cfg(feature = "k8s-openapi")]
mod typed;
mod vectors;
mod writer;
