//! The test kit of the tests and of the fuzz targets.
#![forbid(unsafe_code)]

pub mod case;
pub mod cli;
pub mod cluster;
pub mod duel;
pub mod explore;
pub mod fuzz;
pub mod gateway;
pub mod model;
pub mod protobuf;
pub mod proxy;
pub mod reference;
pub mod sentence;
pub mod storm;

/// A client of the simulated cluster, made as podwait's users make it. Call this in a tokio runtime.
#[must_use]
pub fn client_of(cluster: &podwait_sim::Cluster) -> podwait::Client {
    podwait::Client::from_service(cluster.clone(), "default")
}
