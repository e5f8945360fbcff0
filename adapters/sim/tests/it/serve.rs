//! The cluster over HTTP on loopback. The sockets are real, so no test here waits for a clock.

use std::net::TcpListener;

use kube::{Client, Config};
use podwait_sim::{Cluster, Fault, Server, Verb, pod};

use crate::wire::{Stream, get};

async fn served(cluster: &Cluster) -> (Server, Client) {
    let server = cluster.serve().await.unwrap();
    let mut config = Config::new(server.url().parse().unwrap());
    config.default_retry = false;
    (server, Client::try_from(config).unwrap())
}

#[tokio::test]
async fn gets_and_watches_over_a_real_connection() {
    let cluster = Cluster::new();
    let (_server, client) = served(&cluster).await;
    assert_eq!(get(&client, "/api/v1/namespaces/ci/pods/a").await.code, 404);
    let uri = "/api/v1/namespaces/ci/pods?&watch=true&fieldSelector=metadata.name%3Da&resourceVersion=1";
    let mut watch = Stream::open(&client, uri).await;
    cluster.create(pod("ci", "a", &["step"])).unwrap();
    assert_eq!(watch.brief().await, "ADDED a 2");
    cluster.remove("ci", "a").unwrap();
    assert_eq!(watch.brief().await, "MODIFIED a 3");
    assert_eq!(watch.brief().await, "DELETED a 4");
    assert_eq!(cluster.requests().watch, 1);
}

#[tokio::test]
async fn faults_break_real_connections() {
    let cluster = Cluster::new();
    cluster.create(pod("ci", "a", &["step"])).unwrap();
    let (_server, client) = served(&cluster).await;
    let uri = "/api/v1/namespaces/ci/pods/a";
    cluster.faults().push(Verb::Get, Fault::status(503).retry_after(1));
    assert_eq!(get(&client, uri).await.headers["retry-after"], "1");

    cluster.faults().push(Verb::Get, Fault::Reset);
    let request = http::Request::get(uri).body(kube::client::Body::empty()).unwrap();
    assert!(matches!(client.send(request).await, Err(kube::Error::Service(_))));

    cluster.faults().push(Verb::Watch, Fault::ResetAfter { events: 1 });
    let mut watch = Stream::open(&client, "/api/v1/pods?&watch=true").await;
    assert_eq!(watch.brief().await, "ADDED a 2");
    assert!(watch.frame().await.unwrap().is_err());

    assert_eq!(get(&client, uri).await.code, 200);
}

#[tokio::test]
async fn a_stopped_server_frees_its_port_and_ends_its_connections() {
    let cluster = Cluster::new();
    let (server, client) = served(&cluster).await;
    let mut watch = Stream::open(&client, "/api/v1/pods?&watch=true").await;
    let addr = server.addr();
    server.stop().await;
    assert!(!matches!(watch.frame().await, Some(Ok(_))));
    assert!(std::net::TcpStream::connect(addr).is_err());
    drop(TcpListener::bind(addr));
}
