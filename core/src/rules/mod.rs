//! The rules: one file per question, each a pure function of what was observed.
//!
//! Rules 7 and 9 to 13 are about time and order: `machine/wait.rs` and `machine/wake.rs` hold them.

pub(crate) mod api;
pub(crate) mod cause;
pub(crate) mod exit;
pub(crate) mod identity;
pub(crate) mod pull;
pub(crate) mod restart;
pub(crate) mod statuses;
pub(crate) mod target;
pub(crate) mod waiting;
pub(crate) mod words;
