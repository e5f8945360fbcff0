//! The source that GETs.

use crate::client::PodClient;
use crate::reader::Reader;
use crate::source::{Observed, PodSource};
use std::time::Duration;

/// Observes a pod by GETs only: for those who may `get` the pod but not `watch` it.
///
/// A pod that changes is read again after 500 ms; one that does not is read less and less often, at least every 5 s,
/// and sooner if the machine asks. After an error the machine's word, `Retry-After` included, is the only one.
pub struct PollSource {
    reader: Reader,
}

impl PollSource {
    /// A source for one pod.
    #[must_use]
    pub fn new(client: kube::Client, namespace: &str, name: &str) -> Self {
        Self { reader: Reader::new(PodClient::new(client, namespace, name)) }
    }
}

impl PodSource for PollSource {
    async fn next(&mut self, after: Duration) -> Observed {
        self.reader.read_paced(after).await
    }
}
