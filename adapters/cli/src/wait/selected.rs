//! Lists the pods that a label selector matches.

use crate::connect::Connection;
use crate::status::{Complaint, Status};
use podwait::core::one_line;
use podwait::{ApiFailure, Scope, Via, pods};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long the first pod that a selector matches may take to appear.
const APPEAR: Duration = Duration::from_secs(10);

/// How long all pages of one LIST may take.
const LIST: Duration = Duration::from_secs(60);

/// The pause before a retry, with or without `Retry-After`.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Returns names and uids of the pods that the selector matches, once there is one.
pub(super) async fn matching(
    connection: &Connection,
    selector: &str,
) -> Result<BTreeMap<String, String>, Complaint> {
    let begin = Instant::now();
    loop {
        let scope = Scope::namespace(&*connection.namespace).labels(selector);
        let listed = timeout(LIST, pods(&connection.client, &scope)).await;
        let listed = listed.unwrap_or_else(|_| {
            Err(ApiFailure::new(Via::List, 0, &format!("the LIST has no end within {LIST:?}")))
        });
        let pause = match listed {
            Ok(found) if !found.is_empty() => {
                return Ok(found.into_iter().map(|pod| (pod.name, pod.uid)).collect());
            }
            Ok(_) => Duration::from_millis(500),
            // Temporary errors are retried for a time. A LIST whose continue token has expired (410) begins again.
            Err(failure) if matches!(failure.code, 410 | 429 | 500..=599) && begin.elapsed() < APPEAR => {
                failure.retry_after.unwrap_or_default().clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
            }
            Err(failure) => {
                // With code 200 the response came and cannot be used.
                let code = if failure.code == 200 { 0 } else { failure.code };
                return Err(connection.api_complaint(code, &failure.message));
            }
        };
        if begin.elapsed() > APPEAR {
            let selector = one_line(selector, 300);
            let sentence = format!("no pod in {} matches {selector:?}", connection.namespace);
            return Err(Complaint::new(Status::Infrastructure, sentence));
        }
        sleep(pause).await;
    }
}
