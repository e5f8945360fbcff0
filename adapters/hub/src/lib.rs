//! Any number of waits for Kubernetes pods over one LIST and one watch, without I/O.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod call;
mod failure;
mod feed;
mod hash;
mod lane;
mod link;
mod lister;
mod name;
mod observed;
mod own;
mod pace;
mod probe;
mod rate;
mod reads;
mod reflector;
mod registry;
mod shared;
mod table;
mod waits;

pub use call::{Command, Request, RequestId, Resource, is_dns_subdomain};
pub use failure::{ApiFailure, Via};
pub use feed::{Action, ResponseHead};
pub use link::From;
pub use lister::PageLimits;
pub use name::{PodName, Scope, Selection};
pub use observed::{Collected, Object, Observed};
pub use reflector::{Event, Head, Reflector};
pub use registry::{Confirms, WaitId};
pub use waits::{ObservedPod, Observer, Turn, Waits};
