//! The way to a collector: the protocol, and the certificates of both sides.
//!
//! The exporters read most variables by themselves, but none of those that name certificates.

use std::{fs, path::PathBuf};

use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, SpanExporter, WithHttpConfig, WithTonicConfig,
    tonic_types::transport::{Certificate, ClientTlsConfig, Identity},
};
use reqwest::redirect;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::super::trace::sampler::Unusable;

/// What the variables of certificates take.
pub(super) const CERTIFICATES: &str = "the path of a PEM file of certificates";
pub(super) const KEY: &str = "the path of a PEM file of a private key";
/// What comes of a signal whose variables cannot be used.
pub(super) const NOT_SENT: &str = "what it is for is not sent";

/// How a signal travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    HttpProtobuf,
}

/// A file, and the variable that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) variable: &'static str,
    pub(super) path: PathBuf,
}

/// The way to the collector of one signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) protocol: Protocol,
    /// Who is trusted; the system's authorities where it says nothing.
    pub(super) authorities: Option<Named>,
    /// What this program shows of itself: certificates and key.
    pub(super) identity: Option<(Named, Named)>,
}

/// Why an exporter cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Obstacle {
    /// A file that a variable names.
    #[error(transparent)]
    File(#[from] Unusable),
    /// Something else. Its text may hold an address with a password in it, and is not kept.
    #[error(
        "an OTEL_EXPORTER_OTLP_… variable cannot be used, or there are no certificate authorities"
    )]
    Other,
}

impl From<ExporterBuildError> for Obstacle {
    fn from(_: ExporterBuildError) -> Self {
        Self::Other
    }
}

impl From<reqwest::Error> for Obstacle {
    fn from(_: reqwest::Error) -> Self {
        Self::Other
    }
}

/// What sends spans.
pub(super) fn spans(way: &Way) -> Result<SpanExporter, Obstacle> {
    let exporter = match way.secured()? {
        None => SpanExporter::builder().build(),
        Some(Secured::Grpc(tls)) => {
            let exporter = SpanExporter::builder().with_tonic();
            exporter.with_tls_config(*tls).build()
        }
        Some(Secured::Http(client)) => {
            let exporter = SpanExporter::builder().with_http();
            exporter.with_http_client(client).build()
        }
    };
    Ok(exporter?)
}

/// What sends metrics.
pub(super) fn metrics(way: &Way) -> Result<MetricExporter, Obstacle> {
    let exporter = match way.secured()? {
        None => MetricExporter::builder().build(),
        Some(Secured::Grpc(tls)) => {
            let exporter = MetricExporter::builder().with_tonic();
            exporter.with_tls_config(*tls).build()
        }
        Some(Secured::Http(client)) => {
            let exporter = MetricExporter::builder().with_http();
            exporter.with_http_client(client).build()
        }
    };
    Ok(exporter?)
}

/// A transport with certificates of the operator's choice.
enum Secured {
    Grpc(Box<ClientTlsConfig>),
    Http(reqwest::Client),
}

impl Way {
    /// `None` where the exporter's own transport will do.
    fn secured(&self) -> Result<Option<Secured>, Obstacle> {
        if self.authorities.is_none() && self.identity.is_none() {
            return Ok(None);
        }
        let authorities = self.authorities.as_ref().map(certificates).transpose()?;
        let identity = self.identity.as_ref();
        let identity = identity
            .map(|(chain, key)| Ok::<_, Unusable>((certificates(chain)?, private_key(key)?)))
            .transpose()?;
        Ok(Some(match self.protocol {
            Protocol::Grpc => {
                let tls = match authorities {
                    Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                    None => ClientTlsConfig::new().with_enabled_roots(),
                };
                Secured::Grpc(Box::new(match identity {
                    Some((chain, key)) => tls.identity(Identity::from_pem(chain, key)),
                    None => tls,
                }))
            }
            Protocol::HttpProtobuf => {
                let mut client = reqwest::Client::builder().redirect(redirect::Policy::none());
                if let Some(pem) = authorities {
                    client = client.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?);
                }
                if let Some((chain, key)) = identity {
                    let pem = [chain, b"\n".to_vec(), key].concat();
                    client = client.identity(reqwest::Identity::from_pem(&pem)?);
                }
                Secured::Http(client.build()?)
            }
        }))
    }
}

/// The file as it is, once it is known to hold certificates.
fn certificates(file: &Named) -> Result<Vec<u8>, Unusable> {
    let pem = contents(file, CERTIFICATES)?;
    let mut found = CertificateDer::pem_slice_iter(&pem).peekable();
    if found.peek().is_none() || !found.all(|it| it.is_ok()) {
        return Err(unusable(file, CERTIFICATES));
    }
    Ok(pem)
}

fn private_key(file: &Named) -> Result<Vec<u8>, Unusable> {
    let pem = contents(file, KEY)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => Ok(pem),
        Err(_) => Err(unusable(file, KEY)),
    }
}

fn contents(file: &Named, takes: &'static str) -> Result<Vec<u8>, Unusable> {
    fs::read(&file.path).map_err(|_| unusable(file, takes))
}

const fn unusable(file: &Named, takes: &'static str) -> Unusable {
    Unusable {
        variable: file.variable,
        takes,
        instead: NOT_SENT,
    }
}
