//! The bytes of a Kubernetes API server, read into the [`PodSnapshot`](podwait_core::PodSnapshot) and the
//! [`JobSnapshot`](podwait_core::JobSnapshot) of `podwait-core`.
//!
//! Both encodings that the API server has for them, [protobuf](Encoding::Protobuf) and [JSON](Encoding::Json), give the same
//! objects. The crate does no I/O and knows no HTTP library: bytes go in, values come out.
//!
//! | answer | reader |
//! |---|---|
//! | a pod (GET) | [`pod`] |
//! | a Job (GET) | [`job`] |
//! | a watch | [`Frames`] cuts the stream into frames, [`Event`] reads one |
//! | a LIST | [`ListItems`] gives the items while they arrive |
//! | anything but success | [`Refusal`] |
//!
//! ```
//! use podwait_wire::{Encoding, Event, EventKind, Frames};
//!
//! let mut frames = Frames::new(Encoding::Json);
//! let mut piece: &[u8] = br#"{"type":"ADDED","object":{"metadata":{"namespace":"ci","name":"p","uid":"u"}}}
//! "#;
//! while let Some(frame) = frames.next_frame(&mut piece)? {
//!     let event = Event::read(Encoding::Json, frame)?;
//!     assert_eq!((event.kind, &*event.head.name), (EventKind::Added, "p"));
//!     assert_eq!(event.pod()?.snapshot.uid, "u");
//! }
//! assert!(!frames.is_torn());
//! # Ok::<(), podwait_wire::DecodeError>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod encoding;
mod error;
mod event;
mod failure;
mod frames;
mod head;
mod held;
mod job;
mod json;
#[cfg(feature = "k8s-openapi")]
mod k8s_openapi;
mod kind;
mod list;
mod pod;
mod protobuf;
mod reduce;
mod refusal;
mod retry_after;
mod selector;
mod status;
mod time;

pub use encoding::{ACCEPT, Encoding};
pub use error::{DecodeError, FieldError};
pub use event::{Event, EventKind};
pub use failure::{ApiFailure, Via};
pub use frames::{Frames, LONGEST_OBJECT};
pub use head::Head;
pub use job::{Job, job};
pub use list::{Item, ListItems, ListMeta};
pub use pod::{Owner, Pod, pod};
pub use reduce::reduce;
pub use refusal::{Answer, Refusal, Subject};
