//! What is wrong with a configuration, or with the way to the API server that it names.

use podwait_core::one_line;

/// Longest sentence, in bytes.
const LONGEST: usize = 400;

/// A configuration that cannot be used, in one sentence that says what is wrong, where, and what to do.
///
/// It holds no secret: no userinfo of a URL, no token, and nothing of what a credential plugin is given or prints.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct ConfigError {
    sentence: String,
}

impl ConfigError {
    pub(crate) fn new(sentence: impl AsRef<str>) -> Self {
        Self { sentence: one_line(sentence.as_ref(), LONGEST).into_owned() }
    }

    /// The deepest cause of an error of kube; what is around it names types and not things.
    pub(crate) fn because(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(format!("{what}: {}", crate::client::root_cause(error)))
    }
}
