//! Texts that must not be shown, and the one Backchannel makes for itself.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The fewest bytes a signing secret may have: the output length of SHA-256, as RFC 7518 asks.
pub(super) const MIN_SECRET_BYTES: usize = 32;

const SECRET_FILE: &str = "jwt_secret";

/// A text that no log, error or debug print may show.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the code that signs or connects, never for a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why the place where Backchannel keeps its own files could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The operating system refused.
    #[error("cannot {action} {}: {cause}", path.display())]
    Io {
        /// What was tried, such as "create the data directory".
        action: &'static str,
        /// The file or directory concerned.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The kept secret was cut short, or somebody wrote another one.
    #[error("{} holds fewer than {MIN_SECRET_BYTES} bytes: delete it to get a new one", path.display())]
    SecretTooShort {
        /// The file that keeps the secret.
        path: PathBuf,
    },
    /// In production nothing is made up: `JWT_SECRET` must be given.
    #[error("JWT_SECRET is not set, and in production no secret is made up")]
    SecretMissing,
    /// Somebody gave the kept secret to older servers.
    #[error("LEGACY_JWT_SECRET is the same as the secret that signs our own access tokens")]
    SecretsAlike,
}

impl PrepareError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io {
            action,
            path: path.to_owned(),
            cause,
        }
    }
}

/// Creates the data directory and its parents, readable only by this user: it holds people's messages.
pub(super) fn create_data_dir(path: &Path) -> Result<(), PrepareError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(PrepareError::io("create the data directory", path))
}

/// The secret kept in `data_dir`; made first if there is none.
pub(super) fn kept_secret(data_dir: &Path) -> Result<Secret, PrepareError> {
    let path = data_dir.join(SECRET_FILE);
    if !path
        .try_exists()
        .map_err(PrepareError::io("look for", &path))?
    {
        make_secret(&path)?;
    }
    let text = fs::read_to_string(&path).map_err(PrepareError::io("read", &path))?;
    let text = text.trim_end();
    if text.len() < MIN_SECRET_BYTES {
        return Err(PrepareError::SecretTooShort { path });
    }
    Ok(Secret::new(text))
}

/// Writes a new secret beside `path`, then links it into place: a link appears whole or not at
/// all and never replaces one that is there, so two processes starting together agree on the first.
fn make_secret(path: &Path) -> Result<(), PrepareError> {
    let secret = random_hex::<32>().map_err(PrepareError::io("make a random secret for", path))?;
    let suffix = random_hex::<8>().map_err(PrepareError::io("make a random name for", path))?;
    let draft = path.with_extension(suffix);
    let linked = create_private(&draft)
        .and_then(|mut file| {
            file.write_all(secret.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    // A draft left behind is harmless; why the link failed is the thing to report.
    let _ = fs::remove_file(&draft);
    linked.map_err(PrepareError::io("keep a secret in", path))
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn random_hex<const BYTES: usize>() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let shown = format!("{:?}", Some(Secret::new("hunter2")));
        assert_eq!(shown, "Some([redacted])");
    }

    #[test]
    fn a_made_secret_is_kept_privately_and_found_again() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data_dir = dir.path().join("deep/data");
        create_data_dir(&data_dir).expect("the data directory");
        let first = kept_secret(&data_dir).expect("a new secret");
        let again = kept_secret(&data_dir).expect("the kept secret");
        assert_eq!(first.expose(), again.expose());
        assert_eq!(first.expose().len(), 64);
        let names: Vec<_> = fs::read_dir(&data_dir)
            .expect("a listing")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, [SECRET_FILE], "no draft may be left behind");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_what_is_kept() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data_dir = dir.path().join("data");
        create_data_dir(&data_dir).expect("the data directory");
        kept_secret(&data_dir).expect("a new secret");
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(&data_dir), 0o700);
        assert_eq!(mode(&data_dir.join(SECRET_FILE)), 0o600);
    }

    #[test]
    fn servers_that_start_together_agree_on_one_secret() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let secrets: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| kept_secret(dir.path())))
                .collect();
            let secrets = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            secrets
                .map(|secret| secret.expect("a secret").expose().to_owned())
                .collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[test]
    fn an_empty_kept_secret_is_refused_with_its_path() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join(SECRET_FILE), "").expect("an empty file");
        let error = kept_secret(dir.path()).expect_err("an empty secret signs nothing");
        assert!(error.to_string().contains(SECRET_FILE), "{error}");
    }

    #[test]
    fn a_data_dir_that_cannot_be_made_is_named_with_the_cause() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("a file in the way");
        let error = create_data_dir(&file.join("data")).expect_err("a file is in the way");
        let text = error.to_string();
        assert!(
            text.starts_with("cannot create the data directory"),
            "{text}"
        );
        assert!(text.contains("file/data: "), "{text}");
    }
}
