//! The secrets of one provider: read together, and read again together when a file changes.
//!
//! An access key id of today with the secret of yesterday signs nothing. So a new set is taken up
//! only as a whole, and only once two readings in a row agree on it: a file that is being written,
//! or one of two that was replaced a moment before the other, is waited out.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use memchr::memmem;
use parking_lot::Mutex;

use crate::{
    config::secret::{Secret, SecretError, SecretRef},
    domain::ProviderName,
};

/// What is wrong with which configuration key.
pub type CredentialProblems = Vec<(&'static str, SecretError)>;

/// Bytes of the shortest secret that is looked for in replies.
const SHORTEST_MASKED: usize = 8;

/// The secrets of one provider, at one moment.
#[derive(Clone)]
pub struct CredentialSet {
    secrets: Vec<(&'static str, Secret)>,
}

impl CredentialSet {
    /// The secret of a configuration key, if the operator gave one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.secrets
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, secret)| secret.expose())
    }

    /// Overwrites every secret in a vendor's reply: a vendor that quotes our key in an error or as
    /// the id of a request must not have it shown or logged by us.
    pub fn mask_in(&self, reply: &mut [u8]) {
        let secrets = self.secrets.iter().map(|(_, secret)| secret.expose());
        // anything shorter stands in honest replies, too
        for secret in secrets.filter(|secret| secret.len() >= SHORTEST_MASKED) {
            let places: Vec<usize> = memmem::find_iter(reply, secret).collect();
            for at in places {
                if let Some(found) = reply.get_mut(at..at + secret.len()) {
                    found.fill(b'*');
                }
            }
        }
    }

    fn same_as(&self, other: &Self) -> bool {
        self.secrets.len() == other.secrets.len()
            && self
                .secrets
                .iter()
                .zip(&other.secrets)
                .all(|((_, ours), (_, theirs))| ours.expose() == theirs.expose())
    }
}

impl fmt::Debug for CredentialSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialSet(***)")
    }
}

/// What came of looking at the files again.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// Nothing new.
    Unchanged,
    /// Something new, which the next look has to confirm.
    Settling,
    /// The new secrets are in use.
    Changed,
    /// A file is missing or no secret; the earlier secrets stay in use.
    Failed(CredentialProblems),
}

/// Refreshes the secrets of a provider and tells the operator what came of it.
pub fn refresh(provider: &ProviderName, credentials: &Credentials) {
    match credentials.refresh() {
        RefreshOutcome::Unchanged | RefreshOutcome::Settling => {}
        RefreshOutcome::Changed => {
            tracing::info!(
                provider = provider.as_str(),
                "secrets changed, in use from now on"
            );
        }
        RefreshOutcome::Failed(problems) => {
            for (key, error) in &problems {
                tracing::warn!(
                    provider = provider.as_str(),
                    key,
                    "changed secret cannot be used, the earlier ones stay in use: {error}"
                );
            }
        }
    }
}

/// Where the secrets of one provider are, each under its configuration key.
pub type Sources = Vec<(&'static str, SecretRef)>;

/// Secrets from other places than before, read and not yet in use.
pub struct Prepared {
    sources: Sources,
    set: CredentialSet,
}

/// The secrets of one provider, kept fresh by whoever calls [`Credentials::refresh`].
pub struct Credentials {
    sources: ArcSwap<Sources>,
    current: ArcSwap<CredentialSet>,
    unconfirmed: Mutex<Option<CredentialSet>>,
}

impl Credentials {
    /// Reads the secrets, each under its configuration key. Variables of the environment are looked
    /// up with `env`, once.
    ///
    /// # Errors
    /// Every key whose secret is missing, unreadable or empty.
    pub fn load(
        sources: Sources,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, CredentialProblems> {
        let Prepared { sources, set } = Self::prepare(sources, env)?;
        Ok(Self {
            sources: ArcSwap::from_pointee(sources),
            current: ArcSwap::from_pointee(set),
            unconfirmed: Mutex::new(None),
        })
    }

    /// Reads secrets from other places, for [`Self::adopt`].
    ///
    /// # Errors
    /// Every key whose secret is missing, unreadable or empty.
    pub fn prepare(
        sources: Sources,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Prepared, CredentialProblems> {
        let set = read_all(&sources, |source| source.read(env))?;
        Ok(Prepared { sources, set })
    }

    /// Whether the secrets are looked for in these places.
    #[must_use]
    pub fn are_from(&self, sources: &Sources) -> bool {
        **self.sources.load() == *sources
    }

    /// Uses other secrets from now on, and looks for newer ones where they came from.
    pub fn adopt(&self, prepared: Prepared) {
        let mut unconfirmed = self.unconfirmed.lock();
        *unconfirmed = None;
        self.sources.store(Arc::new(prepared.sources));
        self.current.store(Arc::new(prepared.set));
    }

    /// The secrets as they are now. A call uses one set from beginning to end.
    #[must_use]
    pub fn current(&self) -> Arc<CredentialSet> {
        self.current.load_full()
    }

    /// Looks at the files again; to be called every few seconds. Reads small files and waits for
    /// nothing else.
    pub fn refresh(&self) -> RefreshOutcome {
        let mut unconfirmed = self.unconfirmed.lock();
        let sources = self.sources.load();
        if !sources.iter().any(|(_, source)| is_file(source)) {
            return RefreshOutcome::Unchanged;
        }
        let current = self.current();
        let seen = match read_again(&sources, &current) {
            Ok(seen) => seen,
            Err(problems) => {
                *unconfirmed = None;
                return RefreshOutcome::Failed(problems);
            }
        };
        if seen.same_as(&current) {
            *unconfirmed = None;
            return RefreshOutcome::Unchanged;
        }
        let confirmed = unconfirmed.as_ref().is_some_and(|it| it.same_as(&seen));
        if confirmed {
            *unconfirmed = None;
            self.current.store(Arc::new(seen));
            RefreshOutcome::Changed
        } else {
            *unconfirmed = Some(seen);
            RefreshOutcome::Settling
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

fn read_again(
    sources: &Sources,
    current: &CredentialSet,
) -> Result<CredentialSet, CredentialProblems> {
    let mut known = current.secrets.iter();
    read_all(sources, |source| {
        let earlier = known.next();
        match (source, earlier) {
            // a variable is fixed for the life of the process
            (SecretRef::Env(_), Some((_, secret))) => Ok(secret.clone()),
            _ => source.read(&|_| None),
        }
    })
}

const fn is_file(source: &SecretRef) -> bool {
    matches!(source, SecretRef::File(_))
}

fn read_all(
    sources: &[(&'static str, SecretRef)],
    mut read: impl FnMut(&SecretRef) -> Result<Secret, SecretError>,
) -> Result<CredentialSet, CredentialProblems> {
    let mut secrets = Vec::with_capacity(sources.len());
    let mut problems = Vec::new();
    for (key, source) in sources {
        match read(source) {
            Ok(secret) => secrets.push((*key, secret)),
            Err(error) => problems.push((*key, error)),
        }
    }
    if problems.is_empty() {
        Ok(CredentialSet { secrets })
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use super::*;

    #[test]
    fn other_places_are_looked_at_once_they_are_adopted() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, "old-secret").unwrap();
        let from = |path: &Path| vec![("token", SecretRef::File(path.to_owned()))];
        let credentials = Credentials::load(from(&old), NO_ENV).unwrap();
        assert!(Credentials::prepare(from(&new), NO_ENV).is_err());
        fs::write(&new, "new-secret").unwrap();
        let prepared = Credentials::prepare(from(&new), NO_ENV).unwrap();
        let token = || credentials.current().get("token").unwrap().to_owned();
        assert_eq!(token(), "old-secret");
        assert!(credentials.are_from(&from(&old)) && !credentials.are_from(&from(&new)));
        credentials.adopt(prepared);
        assert_eq!(token(), "new-secret");
        fs::write(&old, "nobody looks here").unwrap();
        fs::write(&new, "newer-secret").unwrap();
        let _settling = credentials.refresh();
        assert!(matches!(credentials.refresh(), RefreshOutcome::Changed));
        assert_eq!(token(), "newer-secret");
    }

    #[test]
    fn secrets_that_a_vendor_quotes_are_overwritten() {
        let sources = ["id", "key", "tiny"].map(|name| (name, SecretRef::Env(name.to_owned())));
        let env = |name: &str| match name {
            "id" => Some("AKID-12345".to_owned()),
            "key" => Some("secret-of-ours".to_owned()),
            _ => Some("ok".to_owned()),
        };
        let credentials = Credentials::load(sources.to_vec(), &env).unwrap();
        let mut reply = b"ok: secret-of-oursAKID-12345 and AKID-12346, secret-of-ours".to_vec();
        credentials.current().mask_in(&mut reply);
        let expected = "ok: ************************ and AKID-12346, **************";
        assert_eq!(String::from_utf8(reply).unwrap(), expected);
    }

    const NO_ENV: &dyn Fn(&str) -> Option<String> = &|_| None;

    fn pair(folder: &Path) -> Vec<(&'static str, SecretRef)> {
        vec![
            ("access_key_id", SecretRef::File(folder.join("id"))),
            ("access_key_secret", SecretRef::File(folder.join("secret"))),
        ]
    }

    fn write_pair(folder: &Path, id: &str, secret: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("id"), id).unwrap();
        fs::write(folder.join("secret"), secret).unwrap();
    }

    fn shown(credentials: &Credentials) -> (String, String) {
        let set = credentials.current();
        let get = |key| set.get(key).unwrap().to_owned();
        (get("access_key_id"), get("access_key_secret"))
    }

    fn text(id: &str, secret: &str) -> (String, String) {
        (id.to_owned(), secret.to_owned())
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "\n").unwrap();
        let mut sources = pair(folder.path());
        sources.push(("security_token", SecretRef::Env("NOT_SET".into())));
        let problems = Credentials::load(sources, NO_ENV).unwrap_err();
        let keys: Vec<_> = problems.iter().map(|(key, _)| *key).collect();
        assert_eq!(
            keys,
            ["access_key_id", "access_key_secret", "security_token"]
        );
    }

    #[test]
    fn a_new_pair_is_taken_up_as_a_whole_once_it_is_confirmed() {
        let folder = tempfile::tempdir().unwrap();
        write_pair(folder.path(), "id-1", "secret-1");
        let credentials = Credentials::load(pair(folder.path()), NO_ENV).unwrap();
        assert!(matches!(credentials.refresh(), RefreshOutcome::Unchanged));

        fs::write(folder.path().join("id"), "id-2").unwrap();
        assert!(matches!(credentials.refresh(), RefreshOutcome::Settling));
        fs::write(folder.path().join("secret"), "secret-2").unwrap();
        assert!(matches!(credentials.refresh(), RefreshOutcome::Settling));
        assert_eq!(shown(&credentials), text("id-1", "secret-1"));

        assert!(matches!(credentials.refresh(), RefreshOutcome::Changed));
        assert_eq!(shown(&credentials), text("id-2", "secret-2"));
        assert!(matches!(credentials.refresh(), RefreshOutcome::Unchanged));
    }

    #[test]
    fn a_missing_or_empty_file_keeps_the_earlier_secrets() {
        let folder = tempfile::tempdir().unwrap();
        write_pair(folder.path(), "id-1", "secret-1");
        let credentials = Credentials::load(pair(folder.path()), NO_ENV).unwrap();
        write_pair(folder.path(), "id-2", "");
        for _ in 0..3 {
            assert!(matches!(credentials.refresh(), RefreshOutcome::Failed(_)));
        }
        fs::remove_file(folder.path().join("secret")).unwrap();
        assert!(matches!(credentials.refresh(), RefreshOutcome::Failed(_)));
        assert_eq!(shown(&credentials), text("id-1", "secret-1"));

        write_pair(folder.path(), "id-2", "secret-2");
        assert!(matches!(credentials.refresh(), RefreshOutcome::Settling));
        assert!(matches!(credentials.refresh(), RefreshOutcome::Changed));
        assert_eq!(shown(&credentials), text("id-2", "secret-2"));
    }

    #[test]
    fn follows_the_link_that_kubernetes_swaps() {
        let mount = tempfile::tempdir().unwrap();
        let path = mount.path();
        write_pair(&path.join("..1"), "id-1", "secret-1");
        write_pair(&path.join("..2"), "id-2", "secret-2");
        symlink("..1", path.join("..data")).unwrap();
        for file in ["id", "secret"] {
            symlink(format!("..data/{file}"), path.join(file)).unwrap();
        }
        let credentials = Credentials::load(pair(path), NO_ENV).unwrap();
        assert_eq!(shown(&credentials), text("id-1", "secret-1"));

        symlink("..2", path.join("..data_tmp")).unwrap();
        fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
        fs::remove_dir_all(path.join("..1")).unwrap();
        assert!(matches!(credentials.refresh(), RefreshOutcome::Settling));
        assert!(matches!(credentials.refresh(), RefreshOutcome::Changed));
        assert_eq!(shown(&credentials), text("id-2", "secret-2"));
    }

    #[test]
    fn variables_are_read_once_and_nothing_is_shown() {
        let env = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("other"), "1").unwrap();
        let sources = vec![
            ("token", SecretRef::Env("TOKEN".into())),
            ("other", SecretRef::File(folder.path().join("other"))),
        ];
        let credentials = Credentials::load(sources, &env).unwrap();
        fs::write(folder.path().join("other"), "2").unwrap();
        credentials.refresh();
        assert!(matches!(credentials.refresh(), RefreshOutcome::Changed));
        let set = credentials.current();
        assert_eq!(
            (set.get("token"), set.get("other"), set.get("none")),
            (Some("s3cret"), Some("2"), None)
        );
        assert!(!format!("{credentials:?} {set:?}").contains("s3cret"));
    }
}
