//! What of the settings concerns this vendor alone.

use std::collections::BTreeMap;

use crate::{
    config::{
        providers::{AceSettings, VendorSettings},
        secret::SecretRef,
    },
    domain::IdentityType,
    provider::setup::SetupError,
};

/// Configuration key of the bearer token.
pub(super) const TOKEN: &str = "token";

pub(super) fn secrets(settings: &AceSettings) -> Vec<(&'static str, SecretRef)> {
    vec![(TOKEN, settings.token.clone())]
}

/// The vendor's `cert_type` for kinds of identity documents beyond the resident identity card,
/// which is its default.
pub(super) struct CertTypes(BTreeMap<IdentityType, u32>);

impl CertTypes {
    pub(super) fn new(settings: &VendorSettings) -> Result<Self, SetupError> {
        let mut types = BTreeMap::new();
        for (kind, code) in &settings.identity_types {
            let number = code.parse().map_err(|_| {
                SetupError::Setting("identity_types", "must hold numbers for this vendor")
            })?;
            types.insert(*kind, number);
        }
        types.remove(&IdentityType::ResidentId);
        Ok(Self(types))
    }

    /// The code to send: none for the default.
    ///
    /// `Err` where the operator mapped none.
    pub(super) fn code(&self, kind: IdentityType) -> Result<Option<u32>, Unmapped> {
        if kind == IdentityType::ResidentId {
            return Ok(None);
        }
        self.0.get(&kind).copied().map(Some).ok_or(Unmapped)
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = IdentityType> {
        [IdentityType::ResidentId]
            .into_iter()
            .chain(self.0.keys().copied())
    }
}

/// The operator mapped no code of the vendor to this kind of document.
#[derive(Debug)]
pub(super) struct Unmapped;
