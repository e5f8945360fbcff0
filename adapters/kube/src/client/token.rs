//! Bearer tokens, from a configuration or from a file, such as the one that every pod of a cluster has.

use crate::client::error::ConfigError;
use http::HeaderValue;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Longest token file that is read, in bytes: an HTTP server takes much less.
const LONGEST: u64 = 1 << 20;

/// The header for a token. White space around the token is removed: `token: |` in YAML, `echo` and editors leave a
/// newline. The error says what is wrong, without quoting the token.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, &'static str> {
    let token = token.trim();
    if token.is_empty() {
        return Err("is empty");
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| "has a line break or another control character in it")?;
    header.set_sensitive(true);
    Ok(header)
}

/// The token file of a configuration, read again for each request.
///
/// kube keeps a token for most of a minute, even after a refusal, so after a rotation the old token is refused for
/// longer than a short budget allows.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: Arc<Path>,
    /// A pipe can be read only once.
    is_read_once: bool,
    /// The last header, for use while the file is being replaced.
    last: Mutex<HeaderValue>,
}

impl TokenFile {
    /// Reads the file. If it cannot be used, this is an error unless there is another token.
    pub(crate) fn open(path: &str, otherwise: Option<HeaderValue>) -> Result<Self, ConfigError> {
        let path = Path::new(path);
        let wrong = |what: &str| ConfigError::new(format!("the token file {} {what}", path.display()));
        let last = match (read(path), otherwise) {
            (Ok(token), otherwise) => match (bearer(&token), otherwise) {
                (Ok(header), _) | (Err(_), Some(header)) => header,
                (Err(what), None) => return Err(wrong(what)),
            },
            (Err(_), Some(otherwise)) => otherwise,
            (Err(error), None) => {
                return Err(ConfigError::because(
                    &format!("the token file {} cannot be read", path.display()),
                    error,
                ));
            }
        };
        let is_read_once = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        Ok(Self { path: path.into(), is_read_once, last: Mutex::new(last) })
    }

    /// The header for the file's present token. Blocks.
    pub(crate) fn header(&self) -> HeaderValue {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_read_once
            && let Ok(token) = read(&self.path)
            && let Ok(header) = bearer(&token)
        {
            *last = header;
        }
        last.clone()
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut token = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut token)?;
    if token.len() as u64 > LONGEST {
        return Err(io::Error::other("it is too long for a token"));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_token_is_none_of_it() {
        for token in ["abc", "abc\n", " abc\r\n", "\tabc\n\n"] {
            assert_eq!(bearer(token).expect("a header"), "Bearer abc", "{token:?}");
        }
        assert_eq!(bearer(" \n"), Err("is empty"));
        assert_eq!(bearer(""), Err("is empty"));
        for token in ["a\nb", "a\0b", "a\rb", "a\u{1b}b", "a\u{7f}"] {
            assert!(bearer(token).is_err(), "{token:?}");
        }
    }

    #[test]
    fn a_file_that_holds_no_token_is_an_error_that_shows_nothing() {
        let folder = std::env::temp_dir().join(format!("podwait-token-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = |name: &str| folder.join(name).to_str().expect("a readable path").to_owned();
        let write = |name: &str, text: &[u8]| std::fs::write(folder.join(name), text).expect("it is written");
        write("empty", b"\n");
        write("split", b"sec\nret");
        write("binary", b"\xff\xfe");
        write("long", &vec![b'a'; (1 << 20) + 1]);
        let open =
            |name: &str| TokenFile::open(&path(name), None).map(drop).map_err(|error| error.to_string());
        for (name, words) in [
            ("empty", "is empty"),
            ("split", "has a line break"),
            ("binary", "cannot be read"),
            ("long", "too long"),
            ("absent", "cannot be read: No such file"),
            (".", "cannot be read"),
        ] {
            let error = open(name).expect_err(name);
            assert!(error.contains(words) && !error.contains("sec"), "{name}: {error}");
        }
        let header = bearer("fixed").ok();
        let file = TokenFile::open(&path("later"), header).expect("the other token");
        assert_eq!(file.header(), "Bearer fixed");
        write("later", b"new\n");
        assert_eq!(file.header(), "Bearer new");
        write("later", b"");
        assert_eq!(file.header(), "Bearer new", "a file that is being replaced");
        std::fs::remove_dir_all(&folder).expect("it is removed");
    }
}
