//! An API server with any behaviour, also such as no real one has.

use podwait_tests::cli::kubeconfig;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A received request.
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// `Null` if there is none.
    pub(super) body: Value,
}

pub(super) enum Reply {
    Json(u16, Value),
    /// Success, and a body without an end.
    Endless,
    Never,
    /// The connection breaks.
    Break,
}

impl Reply {
    /// A `Status` about the pod.
    pub(super) fn status(code: u16, reason: &str, pod: &str) -> Self {
        let details = json!({ "kind": "pods", "name": pod });
        let message = format!("pods {pod:?}: {reason}");
        let status = json!({ "kind": "Status", "code": code, "reason": reason, "message": message, "details": details });
        Self::Json(code, status)
    }
}

type Answer = Box<dyn FnMut(&Request) -> Reply + Send>;

/// The server. It ends with the test's runtime.
pub(super) struct Fake {
    kubeconfig: NamedTempFile,
    requests: Arc<Mutex<Vec<String>>>,
    sent: Arc<AtomicUsize>,
}

impl Fake {
    pub(super) async fn start(answer: impl FnMut(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (requests, sent) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(answer)));
        let (seen, bytes) = (Arc::clone(&requests), Arc::clone(&sent));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen, bytes) = (Arc::clone(&answer), Arc::clone(&seen), Arc::clone(&bytes));
                tokio::spawn(async move {
                    // A client may disconnect at any time.
                    let _ = serve(stream, &answer, &seen, &bytes).await;
                });
            }
        });
        Self { kubeconfig: kubeconfig(&url), requests, sent }
    }

    pub(super) fn kubeconfig(&self) -> &str {
        self.kubeconfig.path().to_str().expect("a readable path")
    }

    /// Method and target of all requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }

    /// How many requests have this method.
    pub(super) fn count(&self, method: &str) -> usize {
        self.requests().iter().filter(|request| request.starts_with(method)).count()
    }

    /// How many bytes of endless bodies were sent.
    pub(super) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: &Mutex<Answer>,
    seen: &Mutex<Vec<String>>,
    sent: &AtomicUsize,
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut words = text.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut lengths = text
        .lines()
        .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let length: usize = lengths.next().unwrap_or(0);
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    let body = serde_json::from_slice(&bytes[head..]).unwrap_or(Value::Null);
    let request = Request { method: method.to_owned(), target: target.to_owned(), body };
    seen.lock().expect("no panic").push(format!("{method} {target}"));
    let reply = (answer.lock().expect("no panic"))(&request);
    let begin =
        |code: u16| format!("HTTP/1.1 {code} x\r\nContent-Type: application/json\r\nConnection: close\r\n");
    match reply {
        Reply::Json(code, value) => {
            let body = value.to_string();
            let head = format!("{}Content-Length: {}\r\n\r\n", begin(code), body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await
        }
        Reply::Endless => {
            stream.write_all(format!("{}\r\n{{\"kind\":\"", begin(200)).as_bytes()).await?;
            loop {
                stream.write_all(&[b'x'; 1 << 16]).await?;
                sent.fetch_add(1 << 16, Ordering::Relaxed);
            }
        }
        Reply::Never => {
            // Until the client disconnects.
            stream.read_buf(&mut bytes).await.map(|_| ())
        }
        Reply::Break => Ok(()),
    }
}
