//! From PEM files to what rustls serves with.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{CertificateSet, ClientCertificates, Expiry};
use crate::config::TlsSettings;

/// Longer files are not certificates.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Why a set of files cannot be used. Names a key and a rule, never what is in a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("server.tls.{key}: {message}")]
pub struct TlsError {
    /// The key below `server.tls` that names the file.
    pub key: &'static str,
    /// What is wrong with the file.
    pub message: String,
}

impl TlsError {
    pub(super) fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self {
            key,
            message: message.into(),
        }
    }
}

/// Stands for the contents of a set of files.
pub(super) type Fingerprint = [u8; 32];

type Contents = Result<Zeroizing<Vec<u8>>, io::ErrorKind>;

/// The contents of a set of files at one time.
pub(super) struct Files {
    certificates: Contents,
    key: Contents,
    client_ca: Option<Contents>,
}

impl Files {
    pub(super) fn read(settings: &TlsSettings) -> Self {
        Self {
            certificates: read(&settings.cert_file),
            key: read(&settings.key_file),
            client_ca: settings.client_ca_file.as_deref().map(read),
        }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut digest = Sha256::new();
        for contents in [&self.certificates, &self.key]
            .into_iter()
            .chain(&self.client_ca)
        {
            match contents {
                Ok(bytes) => {
                    digest.update((bytes.len() as u64).to_be_bytes());
                    digest.update(bytes.as_slice());
                }
                // no file is that long
                Err(kind) => {
                    digest.update(u64::MAX.to_be_bytes());
                    digest.update(format!("{kind:?};"));
                }
            }
        }
        digest.finalize().into()
    }

    /// Checks everything that can be checked without a peer.
    pub(super) fn make_ready(
        &self,
        settings: &TlsSettings,
        clients: ClientCertificates,
    ) -> Result<CertificateSet, TlsError> {
        let crypto = Arc::new(aws_lc_rs::default_provider());
        let chain = certificates("cert_file", &self.certificates)?;
        let mut expiries = vec![Expiry {
            file: settings.cert_file.clone(),
            not_after: earliest_end("cert_file", &chain)?,
        }];
        let verifier = match (&self.client_ca, &settings.client_ca_file) {
            (Some(contents), Some(file)) => {
                let authorities = certificates("client_ca_file", contents)?;
                expiries.push(Expiry {
                    file: file.clone(),
                    not_after: earliest_end("client_ca_file", &authorities)?,
                });
                verifier(authorities, clients, &crypto)?
            }
            _ => WebPkiClientVerifier::no_client_auth(),
        };
        let versions: &[_] = if settings.tls13_only {
            &[&TLS13]
        } else {
            &[&TLS13, &TLS12]
        };
        let mut config = ServerConfig::builder_with_provider(crypto)
            .with_protocol_versions(versions)
            .map_err(|_| TlsError::new("min_version", "cannot be had"))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, private_key(&self.key)?)
            .map_err(|error| refused_pair(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // connections live for minutes, so resuming would save little; and whoever resumes is not
        // asked for a certificate again
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(CertificateSet {
            config: Arc::new(config),
            expiries,
        })
    }
}

fn read(path: &Path) -> Contents {
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(|error| error.kind())?;
    let length = file.metadata().map_err(|error| error.kind())?.len();
    // room for all of it at once: a vector that grows leaves copies behind
    bytes.reserve_exact(usize::try_from(length.min(MAX_FILE_BYTES)).unwrap_or_default() + 1);
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.kind())?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::ErrorKind::FileTooLarge);
    }
    Ok(bytes)
}

fn contents<'c>(key: &'static str, contents: &'c Contents) -> Result<&'c [u8], TlsError> {
    match contents {
        Ok(bytes) => Ok(bytes),
        Err(kind) => Err(TlsError::new(key, format!("cannot be read: {kind}"))),
    }
}

fn certificates(
    key: &'static str,
    pem: &Contents,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(contents(key, pem)?)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::new(key, "is not PEM"))?;
    if chain.is_empty() {
        return Err(TlsError::new(key, "holds no certificate"));
    }
    Ok(chain)
}

fn private_key(pem: &Contents) -> Result<PrivateKeyDer<'static>, TlsError> {
    const KEY: &str = "key_file";
    PrivateKeyDer::from_pem_slice(contents(KEY, pem)?)
        .map_err(|_| TlsError::new(KEY, "holds no private key in PEM"))
}

fn earliest_end(key: &'static str, chain: &[CertificateDer<'_>]) -> Result<Timestamp, TlsError> {
    let unreadable = || TlsError::new(key, "holds a certificate that cannot be read");
    let mut earliest = Timestamp::MAX;
    for certificate in chain {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|_| unreadable())?;
        let end = parsed.validity().not_after.timestamp();
        earliest = earliest.min(Timestamp::from_second(end).unwrap_or(Timestamp::MAX));
    }
    Ok(earliest)
}

fn verifier(
    authorities: Vec<CertificateDer<'static>>,
    clients: ClientCertificates,
    crypto: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let unusable = || TlsError::new("client_ca_file", "holds a certificate that cannot be used");
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|_| unusable())?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(crypto));
    let builder = match clients {
        ClientCertificates::Required => builder,
        ClientCertificates::Optional => builder.allow_unauthenticated(),
    };
    let built = builder.build().map_err(|_| unusable())?;
    Ok(built)
}

fn refused_pair(error: &rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::new("key_file", "is not the key of the certificate")
        }
        rustls::Error::InvalidCertificate(_) => {
            TlsError::new("cert_file", "holds a certificate that cannot be used")
        }
        _ => TlsError::new("key_file", "holds a key that cannot be used"),
    }
}
