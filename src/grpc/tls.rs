//! The certificates of the gRPC port: read, checked, used, and read again when their files change.
//!
//! What changes is a whole set of files. A set is taken up once two looks in a row saw the same
//! contents, so that files which are replaced one after the other are not mistaken for a bad set.
//! The contents are compared and not the times, as Kubernetes swaps a symbolic link above them.
//! Connections that are open keep what they began with.

mod files;
mod peer;

use std::{fmt, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::ServerConfig;

use self::files::{Files, Fingerprint};
pub use self::{files::TlsError, peer::PeerNames};
use crate::config::TlsSettings;

/// What a client must show before it is spoken with at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// With client authorities configured, a certificate of one of them.
    Required,
    /// The same, or none: its calls are judged one by one, so that health stays open.
    Optional,
}

/// Until when a file's certificates are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The file.
    pub file: PathBuf,
    /// When the first of its certificates ends.
    pub not_after: Timestamp,
}

/// The certificates in use.
pub struct Tls {
    settings: ArcSwap<TlsSettings>,
    clients: ClientCertificates,
    set: ArcSwap<CertificateSet>,
    looks: Mutex<Looks>,
}

/// Certificates of other files than before, made ready and not yet in use.
pub struct Prepared {
    settings: TlsSettings,
    set: CertificateSet,
    print: Fingerprint,
}

/// One set of files, made ready.
struct CertificateSet {
    config: Arc<ServerConfig>,
    expiries: Vec<Expiry>,
}

/// What the files were like.
struct Looks {
    used: Fingerprint,
    last: Fingerprint,
    refused: Option<Fingerprint>,
}

/// What came of a look at the files.
#[derive(Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// Nothing is new, or it is too early to tell.
    Unchanged,
    /// A new set is in use for connections from now on.
    Replaced,
    /// The new set cannot be used, and the old one stays; told once for each set.
    Refused(TlsError),
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// The key of the configuration that names a file which cannot be used, and why.
    pub fn load(settings: &TlsSettings, clients: ClientCertificates) -> Result<Self, TlsError> {
        let Prepared {
            settings,
            set,
            print,
        } = Self::read(settings, clients)?;
        Ok(Self {
            settings: ArcSwap::from_pointee(settings),
            clients,
            set: ArcSwap::from_pointee(set),
            looks: Mutex::new(Looks {
                used: print,
                last: print,
                refused: None,
            }),
        })
    }

    fn read(settings: &TlsSettings, clients: ClientCertificates) -> Result<Prepared, TlsError> {
        let files = Files::read(settings);
        let print = files.fingerprint();
        let set = files.make_ready(settings, clients)?;
        Ok(Prepared {
            settings: settings.clone(),
            set,
            print,
        })
    }

    /// Reads other files, for [`Self::adopt`]; `None` where they are the same as before.
    ///
    /// # Errors
    /// The first of them that cannot be used, and why.
    pub fn prepare(&self, settings: &TlsSettings) -> Result<Option<Prepared>, TlsError> {
        if **self.settings.load() == *settings {
            return Ok(None);
        }
        let prepared = Self::read(settings, self.clients)?;
        let set = prepared.set.still_good()?;
        Ok(Some(Prepared { set, ..prepared }))
    }

    /// Uses other files from now on, for connections to come.
    pub fn adopt(&self, prepared: Prepared) {
        let mut looks = self.looks.lock();
        self.settings.store(Arc::new(prepared.settings));
        self.set.store(Arc::new(prepared.set));
        *looks = Looks {
            used: prepared.print,
            last: prepared.print,
            refused: None,
        };
    }

    /// Until when the certificates in use are good, file by file.
    #[must_use]
    pub fn expiries(&self) -> Vec<Expiry> {
        self.set.load().expiries.clone()
    }

    /// What a connection that comes now is served with.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.set.load().config)
    }

    /// Looks at the files again. Blocks; to be called every few seconds.
    pub fn refresh(&self) -> Refreshed {
        let mut looks = self.looks.lock();
        let settings = self.settings.load();
        let files = Files::read(&settings);
        let print = files.fingerprint();
        let settled = std::mem::replace(&mut looks.last, print) == print;
        if print == looks.used {
            // whatever was refused is gone; should it come again, that is news
            looks.refused = None;
            return Refreshed::Unchanged;
        }
        if !settled || looks.refused == Some(print) {
            return Refreshed::Unchanged;
        }
        let made = files
            .make_ready(&settings, self.clients)
            .and_then(CertificateSet::still_good);
        match made {
            Ok(set) => {
                self.set.store(Arc::new(set));
                looks.used = print;
                looks.refused = None;
                Refreshed::Replaced
            }
            Err(error) => {
                looks.refused = Some(print);
                Refreshed::Refused(error)
            }
        }
    }
}

impl CertificateSet {
    /// A set that has ended is no better than the one in use.
    fn still_good(self) -> Result<Self, TlsError> {
        let now = Timestamp::now();
        if self.expiries.first().is_some_and(|it| it.not_after < now) {
            return Err(TlsError::new("cert_file", "has expired"));
        }
        Ok(self)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("settings", &self.settings.load())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
