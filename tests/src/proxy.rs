//! A proxy between podwait and an API server, which injects faults.
//!
//! It terminates TLS with its own authority, decodes the API server's responses and writes them again byte by byte, so
//! that a [`Fault`] can affect any place in them. It reads the API server through an ordinary `kube::Client`, which may
//! be of the simulated cluster or of a real one.
//!
//! ```no_run
//! # async fn example(upstream: kube::Client) -> std::io::Result<()> {
//! use podwait_sim::Verb;
//! use podwait_tests::proxy::{Answer, Ending, Fault, Place, Proxy};
//!
//! let proxy = Proxy::start(upstream).await?;
//! proxy.push(Verb::Get, Answer::status(429).retry_after("1"));
//! proxy.rule(|request| (request.verb == Verb::Watch).then_some(Fault::Stop(Place::Middle(0), Ending::Reset)));
//! let outcome = podwait::wait(proxy.client(), "ci", "step-1").await;
//! println!("{outcome:?}, {:?}", proxy.traffic());
//! # Ok(())
//! # }
//! ```
//!
//! It supports only HTTP/1.1, since podwait uses no other protocol ([`Traffic::http2`] shows that): there is no GOAWAY,
//! but [`Fault::Close`]. It serves only GETs, since podwait sends no other requests.

mod connection;
mod door;
mod fault;
mod forward;
mod mixture;
mod plan;
mod tls;

pub use door::Door;
pub use fault::{Answer, Ending, Extra, Fault, Place};
pub use mixture::mixture;
pub use plan::{Request, Traffic};

use door::Order;
use kube::client::Body;
use plan::Plan;
use podwait_sim::Verb;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tls::Authority;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ServerConfig;

/// A running proxy. When it is dropped, its connections end.
pub struct Proxy {
    addr: SocketAddr,
    authority: Authority,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<(Order, oneshot::Sender<()>)>,
    task: JoinHandle<io::Result<()>>,
}

/// Returns the index of the API server for this request.
type Route = Box<dyn Fn(&Request) -> usize + Send + Sync>;

/// The common state of the connections.
struct Shared {
    upstreams: Vec<kube::Client>,
    route: Route,
    identity: Mutex<Arc<ServerConfig>>,
    plan: Mutex<Plan>,
    traffic: watch::Sender<Traffic>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and forwards to the API server of `upstream`.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(upstream: kube::Client) -> io::Result<Self> {
        Self::balance(vec![upstream], |_| 0).await
    }

    /// The same before several API servers. Each request reaches the one whose index `route` returns, or the next one
    /// that responds, as with a load balancer.
    ///
    /// # Errors
    /// There is no port.
    pub async fn balance(
        upstreams: Vec<kube::Client>,
        route: impl Fn(&Request) -> usize + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let authority = Authority::new("podwait proxy");
        let plan = Plan::new();
        let shared = Arc::new(Shared {
            upstreams,
            route: Box::new(route),
            identity: Mutex::new(authority.server()),
            traffic: watch::Sender::new(plan.traffic()),
            plan: Mutex::new(plan),
        });
        let (orders, inbox) = mpsc::unbounded_channel();
        let task = tokio::spawn(door::accept(listener, Arc::clone(&shared), inbox));
        Ok(Self { addr, authority, shared, orders, task })
    }

    /// The configuration of a client that trusts the proxy, without credentials.
    ///
    /// # Panics
    /// Never: the address is a valid URL.
    #[must_use]
    pub fn config(&self) -> kube::Config {
        let url = format!("https://{}", self.addr).parse().expect("an address is a valid URL");
        let mut config = kube::Config::new(url);
        config.root_cert = Some(vec![self.authority.der()]);
        config
    }

    /// A client of the proxy, made by podwait.
    ///
    /// # Panics
    /// Never: the configuration can be used.
    #[must_use]
    pub fn client(&self) -> podwait::Client {
        podwait::Client::from_config(self.config()).expect("a client")
    }

    /// The same as a kubeconfig with its certificate, in a temporary folder: for the command.
    ///
    /// # Panics
    /// The files cannot be written.
    #[must_use]
    pub fn kubeconfig(&self) -> Kubeconfig {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("ca.crt"), self.authority.pem())
            .expect("the certificate is written");
        let cluster = serde_json::json!({
            "server": format!("https://{}", self.addr), "certificate-authority": "ca.crt",
        });
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{ "name": "proxy", "cluster": cluster }],
            "users": [{ "name": "proxy", "user": {} }],
            "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "proxy" } }],
        });
        let path = folder.path().join("config");
        std::fs::write(&path, config.to_string()).expect("the kubeconfig is written");
        Kubeconfig { path, _folder: folder }
    }

    /// Adds a fault for a later request with this verb. Each fault applies to one request, in the order in which the
    /// faults were added.
    pub fn push(&self, verb: Verb, fault: impl Into<Fault>) {
        self.shared.with(|plan| plan.push(verb, fault.into()));
    }

    /// Sets a rule for all requests without a pushed fault, in place of the last rule.
    pub fn rule(&self, rule: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        self.shared.with(|plan| plan.rule(Box::new(rule)));
    }

    /// Removes the pushed faults and the rule. A fault that has begun continues.
    pub fn clear(&self) {
        self.shared.with(Plan::clear);
    }

    /// The traffic so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        *self.shared.traffic.borrow()
    }

    /// Returns as soon as `is_so` is true for the traffic.
    pub async fn until(&self, is_so: impl FnMut(&Traffic) -> bool) -> Traffic {
        let mut traffic = self.shared.traffic.subscribe();
        // The sender lives as long as this proxy.
        traffic.wait_for(is_so).await.map_or_else(|_| self.traffic(), |traffic| *traffic)
    }

    /// Sets how new connections are treated. Open connections are not affected; see [`sever`](Self::sever).
    pub async fn door(&self, door: Door) {
        self.order(Order::Door(door)).await;
    }

    /// Breaks all open connections, as the crash of a process does.
    pub async fn sever(&self) {
        self.order(Order::Sever).await;
    }

    /// Uses a new certificate of the same authority from now on, and breaks all connections.
    pub async fn renew(&self) {
        self.show(self.authority.server()).await;
    }

    /// Uses a certificate of an authority that is not trusted, and breaks all connections. [`renew`](Self::renew) ends
    /// that.
    pub async fn pose(&self) {
        self.show(Authority::new("untrusted").server()).await;
    }

    async fn show(&self, identity: Arc<ServerConfig>) {
        *self.shared.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
        self.sever().await;
    }

    async fn order(&self, order: Order) {
        let (done, is_done) = oneshot::channel();
        if self.orders.send((order, done)).is_ok() {
            // An error means that the proxy and its connections have ended.
            drop(is_done.await);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Every request and its fault, for the message of a test that fails.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner).fmt(f)
    }
}

/// A kubeconfig in a temporary folder.
#[derive(Debug)]
pub struct Kubeconfig {
    path: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Kubeconfig {
    /// The path, which is valid as long as this value exists.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

impl Shared {
    /// The response of the API server for this request, or the last error if none responds.
    async fn ask(&self, request: &Request) -> Result<http::Response<Body>, String> {
        let due = (self.route)(request);
        let mut failed = String::from("there is no server");
        for upstream in self.upstreams.iter().cycle().skip(due).take(self.upstreams.len()) {
            let asked = http::Request::get(&request.uri).body(Body::empty());
            match upstream.send(asked.map_err(|error| error.to_string())?).await {
                Ok(response) => return Ok(response),
                Err(error) => failed = error.to_string(),
            }
        }
        Err(failed)
    }

    fn identity(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.identity.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `f` on the plan, and wakes all that wait for traffic.
    fn with<R>(&self, f: impl FnOnce(&mut Plan) -> R) -> R {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut plan);
        let now = plan.traffic();
        self.traffic.send_if_modified(|traffic| std::mem::replace(traffic, now) != now);
        result
    }
}
