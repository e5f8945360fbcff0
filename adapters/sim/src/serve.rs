//! The cluster over HTTP on loopback, for programs that need a real address.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::store::Cluster;

/// A running HTTP server. When it is dropped, its connections end.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Cluster {
    /// Serves plain HTTP/1.1 on a free port of 127.0.0.1.
    pub async fn serve(&self) -> io::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, self.clone()));
        Ok(Server { addr, task })
    }
}

impl Server {
    /// The address on which the server listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address as a URL, for a kubeconfig or `kube::Config::new`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops the server, and returns when the port is free again. A drop does not wait for that.
    pub async fn stop(mut self) {
        self.task.abort();
        // The only outcome is "cancelled".
        drop((&mut self.task).await);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The connections are tasks of the set, so that they end with this task.
async fn accept(listener: TcpListener, cluster: Cluster) {
    let mut connections = JoinSet::new();
    loop {
        // An error of `accept` concerns only that client.
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(connection(stream, cluster.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, cluster: Cluster) {
    let service = service_fn(move |request| {
        let cluster = cluster.clone();
        async move { cluster.handle(request).await }
    });
    // A connection that ends with an error was broken by the client or by a fault.
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}
