//! Experiments: what waiting costs, and what kubelets publish when. The programs in `bin/` are their commands.
#![forbid(unsafe_code)]

pub mod scale;
pub mod settle;
