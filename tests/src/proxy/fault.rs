//! What can go wrong on the way, and how the client sees it.

use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// What goes wrong with one request.
///
/// An answer is a stream of lines: a watch has one for each event, and the answer to a GET is a stream of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The proxy answers itself, and the API server never hears of it.
    Answer(Answer),
    /// The answer comes to that place, and then this happens.
    Stop(Place, Ending),
    /// The answer's body comes this many bytes at a time, with this pause after each.
    Slow {
        /// Bytes at a time.
        bytes: usize,
        /// The pause after them.
        pause: Duration,
    },
    /// Something is added to a watch: when this many lines have passed, and again after each further one.
    Add {
        /// Lines that pass unharmed, 0 for none.
        after: usize,
        /// What is added.
        extra: Extra,
    },
    /// A GET is answered with the first pod that the proxy has ever forwarded, as by a cache that is left behind.
    Old,
    /// A GET is answered with a pod of another name that has ended with exit code 42, as by a cache that mixes them up.
    Stranger,
    /// These bytes instead of an answer, and then this happens.
    Bytes(&'static str, Ending),
    /// The answer is whole, and then the server closes the connection, which the client would use again.
    Close {
        /// Whether `Connection: close` says so before.
        announced: bool,
    },
}

/// How far an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The request arrives, and nothing comes back. The API server never hears of it.
    Request,
    /// The status and the headers come, nothing of the body.
    Headers,
    /// So many bytes of the body.
    Byte(usize),
    /// So many whole lines.
    Line(usize),
    /// Half of the line after so many whole ones.
    Middle(usize),
}

/// How an answer ends that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A TCP reset.
    Reset,
    /// TLS and TCP are closed in good order, the chunked body has no end.
    Shut,
    /// TCP is closed, TLS is not: what the kernel does for a process that has crashed.
    Crash,
    /// The body was to last until the connection ends, which now ends in good order.
    Undelimited,
    /// The body ends in good order, and the connection lives on.
    Clean,
    /// Nothing, for as long as the client likes: a half-open connection.
    Silence,
}

/// What a watch may hold beside the events that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// The newest pod that was forwarded, again.
    Again,
    /// The first pod that was forwarded, as MODIFIED: another API server with an older cache.
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
    /// A line that is no JSON.
    Garbage,
}

impl Extra {
    /// Longer than what podwait reads of one line, in bytes.
    const HUGE: usize = 9 << 20;

    /// Whether nothing comes after it.
    pub(super) const fn is_last(self) -> bool {
        matches!(self, Self::Error(_))
    }

    /// The line, given the first and the newest pod that were forwarded.
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

/// Somebody else's pod, whose end must not be taken for ours.
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

/// An answer that the proxy gives itself.
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

    /// Plain text, as a proxy or an API server that sheds load sends it.
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

    /// A 404 `Status` about this object, which may be another than the one asked for.
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

    /// The same with `Retry-After` as given.
    #[must_use]
    pub fn retry_after(self, value: &str) -> Self {
        self.header("retry-after", value)
    }

    fn new(code: u16, content_type: &str, body: String) -> Self {
        Self { code, headers: vec![("content-type", content_type.to_owned())], body }
    }
}

/// Short, as a line of a log.
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
