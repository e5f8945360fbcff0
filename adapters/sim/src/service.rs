//! The cluster as a tower service, for a client without a network.

use std::io;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use kube::client::Body;
use tower::Service;

use crate::reply::SimBody;
use crate::store::Cluster;

/// What a client of podwait or of kube is made from. It has none of the layers that kube adds to a client made from a
/// `Config`: no retries, no timeouts.
impl Service<Request<Body>> for Cluster {
    type Response = Response<SimBody>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Response<SimBody>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let cluster = self.clone();
        async move { cluster.handle(request).await }.boxed()
    }
}

impl Cluster {
    /// A client of kube for this cluster, with the default namespace "default".
    ///
    /// Must be called in a tokio runtime. A client of podwait is made from the cluster itself, which is a tower service.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }
}
