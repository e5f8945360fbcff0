//! The rules: one file per question, each a pure function of what was observed.
//!
//! The numbers are those of the rule book in `docs/rules.md`.

pub(crate) mod api;
pub(crate) mod cause;
pub(crate) mod exit;
pub(crate) mod identity;
pub(crate) mod restart;
pub(crate) mod target;
pub(crate) mod waiting;
