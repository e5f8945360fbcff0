//! Errors of a configuration, or of the way to its API server.

use podwait_core::one_line;

/// Longest sentence, in bytes.
const LONGEST: usize = 400;

/// Why a configuration cannot be used: one sentence that says what is wrong, where, and what to do.
///
/// It holds no secret: no userinfo of a URL, no token, and no input or output of a credential plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct ConfigError {
    sentence: String,
}

impl ConfigError {
    pub(crate) fn new(sentence: impl AsRef<str>) -> Self {
        Self { sentence: one_line(sentence.as_ref(), LONGEST).into_owned() }
    }

    /// An error with the root cause of kube's error; the outer errors only name types.
    pub(crate) fn because(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(format!("{what}: {}", crate::client::root_cause(error)))
    }
}
