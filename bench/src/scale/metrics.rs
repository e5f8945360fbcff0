//! What the API server says it has done.
//!
//! Bytes are those of the bodies about pods that it sent in answer to reads, compressed where the client asked for that,
//! before TLS. So nothing has to sit between a waiter and the API server to count them. The writer only writes, so it is not
//! in these figures.

use http::Request;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the API server may take to count what it has done.
pub(super) const SETTLED: Duration = Duration::from_millis(500);

/// Reads of pods, and what they sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Served {
    /// GETs of one pod.
    pub get: u64,
    /// LISTs.
    pub list: u64,
    /// Watches, those that are open included.
    pub watch: u64,
    /// Bytes that they sent.
    pub bytes: u64,
    /// Watches that are open.
    #[serde(skip)]
    pub open: u64,
}

impl Served {
    /// Asks the API server.
    ///
    /// # Panics
    /// It does not say.
    pub async fn read(client: &kube::Client) -> Self {
        let request = Request::get("/metrics").body(Vec::new()).expect("a request");
        let text = client.request_text(request).await.expect("the API server tells its metrics");
        Self::parse(&text)
    }

    /// The same when no more watches are open than before, since only the end of a watch counts it.
    ///
    /// # Panics
    /// The API server does not say.
    pub async fn read_when_over(client: &kube::Client, before: &Self) -> Self {
        for _ in 0..15 {
            if Self::read(client).await.open <= before.open {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // It counts as over a moment before it counts as done.
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

    /// What was done since then.
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
    fn what_is_not_there_is_none() {
        assert_eq!(Served::parse("# nothing\n\nfoo 1\n"), Served::default());
    }
}
