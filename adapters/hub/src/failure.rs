//! What a failed call says of the next ones.

pub use podwait_wire::{ApiFailure, Via};

/// Whether the server has not failed, but will not do what was asked for.
pub(crate) const fn is_refusal(failure: &ApiFailure) -> bool {
    matches!(failure.code, 400 | 403 | 404 | 405 | 406 | 415 | 422)
}
