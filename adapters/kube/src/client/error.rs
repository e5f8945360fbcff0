//! Errors of a configuration, or of the way to its API server.

use crate::client::root_cause;
use podwait_core::one_line;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use tower::BoxError;

/// Longest sentence, in bytes.
const LONGEST: usize = 400;

/// Why a configuration cannot be used: one sentence that says what is wrong, where, and what to do.
///
/// It holds no secret: no userinfo of a URL, no token, and no input or output of a credential plugin. Its `source` is the
/// error of the system, of TLS or of kube behind it, if there is one that holds no secret either; the sentence already
/// quotes what matters of that.
#[derive(Clone)]
pub struct ConfigError {
    sentence: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ConfigError {
    pub(crate) fn new(sentence: impl AsRef<str>) -> Self {
        Self { sentence: one_line(sentence.as_ref(), LONGEST).into_owned(), source: None }
    }

    /// An error with the root cause of another one; kube's outer errors only name types.
    pub(crate) fn because(what: &str, error: impl Into<BoxError>) -> Self {
        let error = error.into();
        Self::new(format!("{what}: {}", root_cause(&*error))).with_source(error)
    }

    /// The same with an error behind it, which its sentence quotes as far as it matters.
    pub(crate) fn with_source(self, error: impl Into<BoxError>) -> Self {
        Self { source: Some(error.into().into()), ..self }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConfigError").field(&self.sentence).finish()
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
