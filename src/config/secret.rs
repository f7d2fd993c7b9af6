//! Where secrets come from, and how they are held.

use std::{fmt, fs, io, path::PathBuf};

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroize;

/// Longer files are not secrets.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Where a secret is found: `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// In a variable of the environment; fixed for the life of the process.
    Env(String),
    /// In a file, without its closing line break; read again when it changes.
    File(PathBuf),
}

/// A secret in memory: masked, and overwritten when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value.into())
    }

    /// The secret itself, for signatures and credentials only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Why a secret could not be had. Its text names no value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or not in UTF-8.
    #[error("environment variable {0} is not set")]
    EnvMissing(String),
    /// The file could not be read.
    #[error("file {} cannot be read: {kind}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        kind: io::ErrorKind,
    },
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It is too long, or not in UTF-8.
    #[error("is not a text of at most 64 KiB")]
    Malformed,
}

impl SecretRef {
    /// Reads the secret. `env` looks a variable up, so that tests never touch the process's own.
    ///
    /// # Errors
    /// When it is missing, unreadable, empty or no text.
    pub fn read(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Secret, SecretError> {
        let mut raw = match self {
            Self::Env(name) => env(name).ok_or_else(|| SecretError::EnvMissing(name.clone()))?,
            Self::File(path) => {
                let unreadable = |error: io::Error| SecretError::Unreadable {
                    path: path.clone(),
                    kind: error.kind(),
                };
                if fs::metadata(path).map_err(unreadable)?.len() > MAX_SECRET_BYTES {
                    return Err(SecretError::Malformed);
                }
                let bytes = fs::read(path).map_err(unreadable)?;
                String::from_utf8(bytes).map_err(|_| SecretError::Malformed)?
            }
        };
        let value = raw.trim().to_owned();
        raw.zeroize();
        if value.is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(Secret::new(value))
    }
}

/// Looks a variable up in the environment of this process.
#[must_use]
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_from_the_environment_and_from_files() {
        let env = |name: &str| (name == "TOKEN").then(|| "s3cret\n".to_owned());
        assert_eq!(
            SecretRef::Env("TOKEN".into()).read(&env).unwrap().expose(),
            "s3cret"
        );
        assert!(matches!(
            SecretRef::Env("OTHER".into()).read(&env),
            Err(SecretError::EnvMissing(_))
        ));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(
            SecretRef::File(file.path().into()).read(&env),
            Err(SecretError::Empty)
        ));
        fs::write(file.path(), "from a file\r\n").unwrap();
        let secret = SecretRef::File(file.path().into()).read(&env).unwrap();
        assert_eq!(secret.expose(), "from a file");
        assert_eq!(format!("{secret:?}"), "Secret(***)");
    }
}
