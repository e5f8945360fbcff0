//! Reads the manifest of `podwait run -f`, within a limit.

use super::manifest::usage;
use crate::status::Complaint;
use podwait::core::one_line;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use tokio::sync::oneshot;

/// Longest manifest that is read, in bytes: the longest request that an API server takes (`MaxRequestBodyBytes` of
/// k8s.io/apiserver; etcd stores half of that at most).
pub(super) const LONGEST: usize = 3 << 20;

/// Longest part of a parser's error message that is quoted, in bytes.
const LONGEST_COMPLAINT: usize = 200;

/// Reads the pod in the file, `-` for standard input.
///
/// A separate thread reads: the other end of a FIFO may never write, and this must delay neither a signal nor the end of the
/// process.
pub(super) async fn read(file: PathBuf) -> Result<Value, Complaint> {
    let (answer, answered) = oneshot::channel();
    thread::spawn(move || {
        // An error means that the command has ended meanwhile.
        let _ = answer.send(parse(&file));
    });
    answered.await.unwrap_or_else(|_| Err(usage("the manifest cannot be read")))
}

fn parse(file: &Path) -> Result<Value, Complaint> {
    let name = file.display();
    let bytes = bytes(file).map_err(|error| usage(format!("cannot read {name}: {error}")))?;
    if bytes.len() > LONGEST {
        return Err(usage(format!(
            "{name} is longer than {} MiB, the limit of an API server",
            LONGEST >> 20
        )));
    }
    let text = String::from_utf8(bytes).map_err(|_| usage(format!("{name} is not UTF-8")))?;
    let pod: Value = serde_saphyr::from_str(&text).map_err(|error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        usage(format!("{name} cannot be read: {}", one_line(line, LONGEST_COMPLAINT)))
    })?;
    let word = |field: &str| one_line(pod[field].as_str().unwrap_or("?"), LONGEST_COMPLAINT);
    if (pod["apiVersion"].as_str(), pod["kind"].as_str()) != (Some("v1"), Some("Pod")) {
        return Err(usage(format!("{name} is a {} {}, and not a v1 Pod", word("apiVersion"), word("kind"))));
    }
    for (field, is_needed) in [("metadata", false), ("spec", true)] {
        match &pod[field] {
            Value::Object(_) => {}
            Value::Null if is_needed => return Err(usage(format!("{name} has no {field}"))),
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(usage(format!("{field} in {name} is not a mapping")));
            }
        }
    }
    Ok(pod)
}

/// The content; if it is longer than the limit, one byte more than the limit.
fn bytes(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = LONGEST as u64 + 1;
    if file == Path::new("-") {
        io::stdin().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
