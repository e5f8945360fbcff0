//! The API server's metrics about its work.
//!
//! Bytes are those of the bodies in response to reads of pods, before TLS, and compressed if the client requested that.
//! So no proxy between a waiter and the API server has to count them. The writer only writes, so it is not in these
//! figures.

use http::Request;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the API server may take to update its metrics.
pub(super) const SETTLED: Duration = Duration::from_millis(500);

/// Reads of pods, and the bytes of their responses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Served {
    /// GETs of one pod.
    pub get: u64,
    /// LISTs.
    pub list: u64,
    /// Watches, including open ones.
    pub watch: u64,
    /// The bytes of all these responses.
    pub bytes: u64,
    /// Open watches.
    #[serde(skip)]
    pub open: u64,
}

impl Served {
    /// Reads the metrics of the API server.
    ///
    /// # Panics
    /// The API server does not return its metrics.
    pub async fn read(client: &kube::Client) -> Self {
        let request = Request::get("/metrics").body(Vec::new()).expect("a request");
        let text = client.request_text(request).await.expect("the API server returns its metrics");
        Self::parse(&text)
    }

    /// The same, once no more watches are open than before, since the API server counts a watch when it ends.
    ///
    /// # Panics
    /// The API server does not return its metrics.
    pub async fn read_when_over(client: &kube::Client, before: &Self) -> Self {
        for _ in 0..15 {
            if Self::read(client).await.open <= before.open {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // A watch is no longer open a moment before it is counted.
        tokio::time::sleep(SETTLED).await;
        Self::read(client).await
    }

    /// Reads Prometheus' text format.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let pods = ("resource", "pods");
        let requests =
            |verb| sum(text, "apiserver_request_total", &[pods, ("subresource", ""), ("verb", verb)]);
        let sent =
            |verb| sum(text, "apiserver_response_sizes_sum", &[pods, ("subresource", ""), ("verb", verb)]);
        let open = sum(text, "apiserver_longrunning_requests", &[pods, ("verb", "WATCH")]);
        let events = sum(text, "apiserver_watch_events_sizes_sum", &[pods]);
        Self {
            get: requests("GET"),
            list: requests("LIST"),
            watch: requests("WATCH") + open,
            bytes: sent("GET") + sent("LIST") + events,
            open,
        }
    }

    /// The difference since then.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            get: self.get.saturating_sub(before.get),
            list: self.list.saturating_sub(before.list),
            watch: self.watch.saturating_sub(before.watch),
            bytes: self.bytes.saturating_sub(before.bytes),
            open: self.open,
        }
    }
}

/// The sum of a metric's values that have all these labels.
fn sum(text: &str, metric: &str, labels: &[(&str, &str)]) -> u64 {
    let value = |line: &str| -> Option<f64> {
        let (found, value) = line.strip_prefix(metric)?.strip_prefix('{')?.split_once("} ")?;
        let has = |name: &str, value: &str| {
            let found = found.strip_suffix('"').unwrap_or(found);
            found.split("\",").any(|label| label == format!("{name}=\"{value}"))
        };
        labels.iter().all(|(name, value)| has(name, value)).then(|| value.parse().ok())?
    };
    let total: f64 = text.lines().filter_map(value).sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let total = total as u64;
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource="",verb="GET",version="v1"} 7
apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource="",verb="GET",version="v1"} 1
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource="status",verb="PATCH",version="v1"} 9
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="pods",scope="namespace",subresource="",verb="LIST",version="v1"} 2
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="nodes",scope="cluster",subresource="",verb="LIST",version="v1"} 5
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="pods",scope="namespace",subresource="",verb="WATCH",version="v1"} 3
apiserver_longrunning_requests{component="apiserver",group="",resource="pods",scope="namespace",subresource="",verb="WATCH",version="v1"} 4
apiserver_response_sizes_sum{component="apiserver",group="",resource="pods",scope="resource",subresource="",verb="GET",version="v1"} 1.5e+06
apiserver_watch_events_sizes_sum{group="",resource="pods",version="v1"} 250
apiserver_watch_events_sizes_bucket{group="",resource="pods",version="v1",le="1024"} 1
"#;

    #[test]
    fn reads_of_pods_are_counted_by_verb() {
        let served = Served::parse(TEXT);
        assert_eq!(served, Served { get: 8, list: 2, watch: 7, bytes: 1_500_250, open: 4 });
        let before = Served { get: 3, list: 2, watch: 1, bytes: 250, open: 1 };
        assert_eq!(served.since(&before), Served { get: 5, list: 0, watch: 6, bytes: 1_500_000, open: 4 });
    }

    #[test]
    fn a_missing_metric_is_zero() {
        assert_eq!(Served::parse("# nothing\n\nfoo 1\n"), Served::default());
    }
}
