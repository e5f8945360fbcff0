//! Bearer tokens in files, as every pod of a cluster has one.

use http::{HeaderValue, Request, header};
use kube::config::AuthInfo;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The token file of a configuration, read anew for each request.
///
/// kube keeps a token for most of a minute and a refusal does not make it read again, so a token that was replaced is
/// refused for longer than a short budget allows; and it takes a newline at the file's end for a part of the token, as
/// client-go does not.
#[derive(Clone)]
pub(crate) struct TokenFile {
    path: Arc<Path>,
    /// What was read last, for a file that is being replaced.
    last: Arc<Mutex<HeaderValue>>,
}

impl TokenFile {
    /// Takes the file over from kube, unless something else comes before it there, or it cannot be read: then kube says
    /// what is wrong.
    pub(crate) fn take_from(user: &mut AuthInfo) -> Option<Self> {
        let is_first = user.auth_provider.is_none()
            && user.exec.is_none()
            && user.token.is_none()
            && user.username.as_ref().zip(user.password.as_ref()).is_none();
        let path = PathBuf::from(user.token_file.as_ref().filter(|_| is_first)?);
        let last = Arc::new(Mutex::new(read(&path)?));
        user.token_file = None;
        Some(Self { path: path.into(), last })
    }

    pub(crate) fn authorize<B>(&self, mut request: Request<B>) -> Request<B> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(header) = read(&self.path) {
            *last = header;
        }
        request.headers_mut().insert(header::AUTHORIZATION, last.clone());
        request
    }
}

fn read(path: &Path) -> Option<HeaderValue> {
    let token = std::fs::read_to_string(path).ok()?;
    let mut header = HeaderValue::try_from(format!("Bearer {}", token.trim())).ok()?;
    header.set_sensitive(true);
    Some(header)
}
