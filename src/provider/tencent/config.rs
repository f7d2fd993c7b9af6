//! The settings of this vendor, ready for use.

use std::{collections::BTreeMap, fs};

use zeroize::Zeroizing;

use super::encryption::FieldEncryptor;
use crate::{
    config::providers::{FieldEncryption, TencentSettings, VendorSettings},
    domain::IdentityType,
    provider::setup::SetupError,
};

/// What of the settings shapes a request.
pub struct TencentConfig {
    /// Host and port, as they are signed and sent.
    pub authority: String,
    /// `CertType` by kind of document. A kind that is missing here is not sent: the only value
    /// whose meaning the vendor publishes is 0, the resident identity card, which is also what the
    /// vendor takes where none is given.
    pub cert_types: BTreeMap<IdentityType, i64>,
    /// Encryption of the personal fields, where it is turned on.
    pub encryptor: Option<FieldEncryptor>,
}

impl TencentConfig {
    /// Checks the settings and reads the public key.
    ///
    /// # Errors
    /// When a code for a kind of document is no whole number, or the public key cannot be used.
    pub fn new(settings: &TencentSettings, vendor: &VendorSettings) -> Result<Self, SetupError> {
        Ok(Self {
            authority: settings.endpoint.authority(),
            cert_types: cert_types(vendor)?,
            encryptor: settings
                .field_encryption
                .as_ref()
                .map(encryptor)
                .transpose()?,
        })
    }

    /// Whether a kind of document can be verified.
    #[must_use]
    pub fn accepts(&self, kind: IdentityType) -> bool {
        kind == IdentityType::ResidentId || self.cert_types.contains_key(&kind)
    }
}

fn cert_types(vendor: &VendorSettings) -> Result<BTreeMap<IdentityType, i64>, SetupError> {
    let codes = vendor.identity_types.iter();
    codes
        .map(|(kind, code)| code.parse().map(|code| (*kind, code)))
        .collect::<Result<_, _>>()
        .map_err(|_| SetupError::Setting("identity_types", "must be whole numbers for tencent"))
}

fn encryptor(settings: &FieldEncryption) -> Result<FieldEncryptor, SetupError> {
    const KEY: &str = "field_encryption.public_key_file";
    let pem = fs::read_to_string(&settings.public_key_file)
        .map(Zeroizing::new)
        .map_err(|_| SetupError::Setting(KEY, "cannot be read"))?;
    FieldEncryptor::from_pem(settings.algorithm, &pem)
        .map_err(|_| SetupError::Setting(KEY, "is not a public key for this algorithm in PEM form"))
}
