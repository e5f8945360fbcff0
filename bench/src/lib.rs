//! Experiments: the cost of waiting, and the order in which kubelets publish their changes. The programs in `bin/` are
//! their commands.
#![forbid(unsafe_code)]

pub mod scale;
pub mod settle;
