//! Lists the pods that a label selector matches.

use crate::call::{CALL_TIMEOUT, Call, Trouble, pods_path};
use crate::connect::Connection;
use crate::status::{Complaint, Status};
use http::Method;
use podwait::core::one_line;
use podwait_hub::is_dns_subdomain;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the first pod that a selector matches may take to appear.
const APPEAR: Duration = Duration::from_secs(10);

/// How long all pages of one LIST may take.
const LIST: Duration = Duration::from_secs(60);

/// How many pods one page has, and how many bytes: only metadata, of which 256 KiB may be annotations.
const PAGE: u32 = 100;
const LONGEST_PAGE: usize = 32 << 20;

/// Most pods in one command, and most pages of their LIST.
const MOST: usize = 50_000;
const MOST_PAGES: usize = 2 * MOST / PAGE as usize;

/// The metadata only: neither specs nor statuses are read here.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    metadata: ListMeta,
    items: Option<Vec<Item>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item {
    metadata: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    name: String,
    namespace: String,
    uid: String,
}

/// Returns names and uids of the pods that the selector matches, once there is one.
pub(super) async fn matching(
    connection: &Connection,
    selector: &str,
) -> Result<BTreeMap<String, String>, Complaint> {
    let begin = Instant::now();
    loop {
        let pause = match list(connection, selector).await {
            Ok(found) if !found.is_empty() => return Ok(found),
            Ok(_) => Duration::from_millis(500),
            // Temporary errors are retried for a time. A LIST whose continue token has expired (410) begins again.
            Err(trouble) if matches!(trouble.code, 410 | 429 | 500..=599) && begin.elapsed() < APPEAR => {
                trouble.retry_after.max(Duration::from_secs(1))
            }
            Err(trouble) => return Err(connection.api_complaint(trouble.code, &trouble.message)),
        };
        if begin.elapsed() > APPEAR {
            let selector = one_line(selector, 300);
            let sentence = format!("no pod in {} matches {selector:?}", connection.namespace);
            return Err(Complaint::new(Status::Infrastructure, sentence));
        }
        sleep(pause).await;
    }
}

/// All pages of one LIST, within limits.
async fn list(connection: &Connection, selector: &str) -> Result<BTreeMap<String, String>, Trouble> {
    let begin = Instant::now();
    let (mut found, mut tokens, mut next) = (BTreeMap::new(), BTreeSet::new(), None::<String>);
    loop {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("labelSelector", selector).append_pair("limit", &PAGE.to_string());
        if let Some(token) = &next {
            query.append_pair("continue", token);
        }
        let path = format!("{}?{}", pods_path(&connection.namespace, None)?, query.finish());
        let call = Call {
            method: Method::GET,
            path,
            body: None,
            accept: METADATA,
            limit: CALL_TIMEOUT,
            longest: LONGEST_PAGE,
        };
        let json = call.send(&connection.client).await?;
        let page: Page = serde_json::from_slice(&json)
            .map_err(|error| Trouble::unreadable(&format!("unreadable list: {error}")))?;
        for Item { metadata: Meta { name, namespace, uid } } in page.items.unwrap_or_default() {
            if !is_dns_subdomain(&name) || namespace != connection.namespace || uid.is_empty() {
                return Err(Trouble::unreadable(&format!(
                    "the list has an item that is not valid: {namespace:?}/{name:?}"
                )));
            }
            found.insert(name, uid);
        }
        next = page.metadata.next.filter(|token| !token.is_empty());
        let Some(token) = &next else { return Ok(found) };
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        if !tokens.insert(hasher.finish()) {
            return Err(Trouble::unreadable("the list does not end: a continue token was repeated"));
        }
        if found.len() > MOST {
            return Err(Trouble::unreadable(&format!(
                "more than {MOST} pods match; use a narrower selector"
            )));
        }
        if begin.elapsed() > LIST || tokens.len() > MOST_PAGES {
            return Err(Trouble::unreadable(&format!(
                "the list does not end within {LIST:?} and {MOST_PAGES} pages"
            )));
        }
    }
}
