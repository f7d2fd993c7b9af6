//! Who a verified client certificate says that it belongs to.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

/// The subject alternative names of a verified client certificate: DNS names and URIs, as they
/// stand there. Cheap to clone; every call of the connection carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerNames(Arc<[Box<str>]>);

impl PeerNames {
    /// Reads a certificate that was verified. One that cannot be read names nobody.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
            return Self(Arc::default());
        };
        let Ok(Some(names)) = parsed.subject_alternative_name() else {
            return Self(Arc::default());
        };
        let names = names.value.general_names.iter();
        Self(names.filter_map(name).map(Box::from).collect())
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// A colon tells a URI from a DNS name, so that neither can pass for the other where names are
/// compared as texts.
fn name<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::DNSName(dns) if !dns.contains(':') => Some(dns),
        GeneralName::URI(uri) if uri.contains(':') => Some(uri),
        _ => None,
    }
}
