//! What a failed call means for later ones.

pub use podwait_wire::{ApiFailure, Via};

/// Whether the server works but refuses the request.
pub(crate) const fn is_refusal(failure: &ApiFailure) -> bool {
    matches!(failure.code, 400 | 403 | 404 | 405 | 406 | 415 | 422)
}
