//! The faults between client and API server, as the client observes them.

use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// The fault of one request.
///
/// A response is a stream of lines: a watch has one line for each event, and the response to a GET is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The proxy responds itself, and does not forward the request.
    Answer(Answer),
    /// The response is sent up to this place, and then ends in this way.
    Stop(Place, Ending),
    /// The body of the response is sent in pieces of this size, with this pause after each.
    Slow {
        /// Bytes in each piece.
        bytes: usize,
        /// The pause after each piece.
        pause: Duration,
    },
    /// Something is added to a watch: after this many lines, and again after each further line.
    Add {
        /// The number of lines before it, which may be 0.
        after: usize,
        /// The added line.
        extra: Extra,
    },
    /// The response to a GET is the first pod that the proxy has forwarded, as from a cache that is far behind.
    Old,
    /// The response to a GET is a pod of another name that has ended with exit code 42, as from a faulty cache.
    Stranger,
    /// These bytes are sent in place of a response, which then ends in this way.
    Bytes(&'static str, Ending),
    /// The response is complete, and then the server closes the connection, which the client wants to reuse.
    Close {
        /// Whether the header `Connection: close` announces that.
        announced: bool,
    },
}

/// A place in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before the status: the request arrives, but is not forwarded.
    Request,
    /// After the headers, before the body.
    Headers,
    /// After this many bytes of the body.
    Byte(usize),
    /// After this many whole lines.
    Line(usize),
    /// In the middle of the line after this many whole lines.
    Middle(usize),
}

/// How an incomplete response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A TCP reset.
    Reset,
    /// TLS and TCP are closed properly, but the chunked body has no end.
    Shut,
    /// TCP is closed, but not TLS, as after the crash of a process.
    Crash,
    /// The body has no length and lasts until the connection ends, which now ends properly.
    Undelimited,
    /// The body ends properly, and the connection stays open.
    Clean,
    /// Silence until the client closes the connection: a half-open connection.
    Silence,
}

/// A line that a watch may have in addition to its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// The newest forwarded pod, again.
    Again,
    /// The first forwarded pod, as MODIFIED, as from another API server with an older cache.
    Stale,
    /// A pod of another name that has ended with exit code 42.
    Stranger,
    /// A deletion of that pod.
    StrangerDeleted,
    /// A type of event that does not exist.
    UnknownType,
    /// A BOOKMARK far ahead of everything.
    Bookmark,
    /// An ERROR event with the `Status` of this code, and the end of the watch.
    Error(u16),
    /// A line that is longer than any object can be.
    Huge,
    /// An empty line.
    Blank,
    /// A line that is not JSON.
    Garbage,
}

impl Extra {
    /// Longer than the longest line that podwait reads, in bytes.
    const HUGE: usize = 9 << 20;

    /// Whether the watch ends after it.
    pub(super) const fn is_last(self) -> bool {
        matches!(self, Self::Error(_))
    }

    /// The line, from the first and the newest forwarded pod.
    pub(super) fn line(self, first: &Value, newest: &Value) -> String {
        let event = |kind: &str, object: &Value| format!("{}\n", json!({ "type": kind, "object": object }));
        match self {
            Self::Again => event("MODIFIED", newest),
            Self::Stale => event("MODIFIED", first),
            Self::Stranger => event("MODIFIED", &stranger(newest)),
            Self::StrangerDeleted => event("DELETED", &stranger(newest)),
            Self::UnknownType => event("RENAMED", newest),
            Self::Bookmark => {
                let metadata = json!({ "resourceVersion": "999999999", "creationTimestamp": null });
                event("BOOKMARK", &json!({ "kind": "Pod", "apiVersion": "v1", "metadata": metadata }))
            }
            Self::Error(code) => event("ERROR", &status(code)),
            Self::Huge => format!(r#"{{"type":"MODIFIED","object":"{}"}}{}"#, "x".repeat(Self::HUGE), '\n'),
            Self::Blank => String::from("\n"),
            Self::Garbage => String::from("upstream connect error or disconnect/reset before headers\n"),
        }
    }
}

/// A pod of another name, whose end must not count for ours.
pub(super) fn stranger(pod: &Value) -> Value {
    let mut stranger = pod.clone();
    stranger["metadata"]["name"] = json!("stranger");
    stranger["metadata"]["uid"] = json!("00000000-0000-4000-8000-ffffffffffff");
    stranger["status"]["phase"] = json!("Failed");
    for status in stranger["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
        status["state"] = json!({ "terminated": { "exitCode": 42, "reason": "Error" } });
    }
    stranger
}

/// A response that the proxy sends itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    pub(super) code: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Answer {
    /// The HTTP status with the `Status` object that Kubernetes has for it.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::json(code, &status(code))
    }

    /// Any JSON.
    #[must_use]
    pub fn json(code: u16, body: &Value) -> Self {
        Self::new(code, "application/json", body.to_string())
    }

    /// Plain text, as a proxy or an overloaded API server sends it.
    #[must_use]
    pub fn text(code: u16, body: &str) -> Self {
        Self::new(code, "text/plain; charset=utf-8", body.to_owned())
    }

    /// An HTML page, as a load balancer sends it.
    #[must_use]
    pub fn html(code: u16) -> Self {
        let page =
            format!("<html>\r\n<head><title>{code}</title></head>\r\n<body>nginx</body>\r\n</html>\r\n");
        Self::new(code, "text/html", page)
    }

    /// A 404 `Status` about this object, which need not be the requested one.
    #[must_use]
    pub fn not_found(kind: &str, name: &str) -> Self {
        let mut body = status(404);
        body["message"] = json!(format!("{kind} {name:?} not found"));
        body["details"] = json!({ "name": name, "kind": kind });
        Self::json(404, &body)
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with this value of `Retry-After`.
    #[must_use]
    pub fn retry_after(self, value: &str) -> Self {
        self.header("retry-after", value)
    }

    fn new(code: u16, content_type: &str, body: String) -> Self {
        Self { code, headers: vec![("content-type", content_type.to_owned())], body }
    }
}

/// In short, for a list of requests.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        for (name, value) in &self.headers {
            write!(f, " {name}: {value:.60}")?;
        }
        write!(f, " {:.60}", self.body.escape_debug().to_string())
    }
}

impl From<Answer> for Fault {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// The `Status` object that Kubernetes sends with this code.
fn status(code: u16) -> Value {
    let (reason, message) = match code {
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", "pods is forbidden"),
        404 => ("NotFound", "the server could not find the requested resource"),
        410 => ("Expired", "The resourceVersion for the provided watch is too old."),
        429 => ("TooManyRequests", "Too many requests, please try again later."),
        500 => ("InternalError", "Internal error occurred"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("", "an error on the server has prevented the request from succeeding"),
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "message": message, "reason": reason, "code": code,
    })
}
