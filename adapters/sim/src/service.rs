//! The cluster as a tower service, for a `kube::Client` without a network.

use http::Request;
use kube::client::Body;

use crate::store::Cluster;

impl Cluster {
    /// A client of this cluster, with the default namespace "default".
    ///
    /// The client has no retries and no timeouts, which kube adds only to a client made from a `Config`. Must be called
    /// in a tokio runtime.
    pub fn client(&self) -> kube::Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move { cluster.handle(request).await }
        });
        kube::Client::new(service, "default")
    }
}
