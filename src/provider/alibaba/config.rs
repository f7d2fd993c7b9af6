//! What of the settings concerns this vendor alone.

use std::collections::BTreeMap;

use crate::{
    config::{
        providers::{AlibabaProduct, AlibabaSettings, VendorSettings},
        secret::SecretRef,
    },
    domain::IdentityType,
    provider::setup::SetupError,
};

/// Configuration key of the access key's id.
pub(super) const ACCESS_KEY_ID: &str = "access_key_id";
/// Configuration key of the access key's secret.
pub(super) const ACCESS_KEY_SECRET: &str = "access_key_secret";
/// Configuration key of the token of temporary credentials.
pub(super) const SECURITY_TOKEN: &str = "security_token";

pub(super) fn secrets(settings: &AlibabaSettings) -> Vec<(&'static str, SecretRef)> {
    let mut secrets = vec![
        (ACCESS_KEY_ID, settings.access_key_id.clone()),
        (ACCESS_KEY_SECRET, settings.access_key_secret.clone()),
    ];
    if let Some(token) = &settings.security_token {
        secrets.push((SECURITY_TOKEN, token.clone()));
    }
    secrets
}

/// Name and version of the operation of a product.
pub(super) const fn action(product: AlibabaProduct) -> (&'static str, &'static str) {
    match product {
        AlibabaProduct::Intl => ("BankMetaVerifyIntl", "2022-08-09"),
        AlibabaProduct::Mainland => ("BankMetaVerify", "2019-03-07"),
    }
}

/// Name and version of the free call that checks endpoint and credentials; the mainland product
/// has none.
pub(super) const fn probe_action(product: AlibabaProduct) -> Option<(&'static str, &'static str)> {
    match product {
        AlibabaProduct::Intl => Some(("KeepaliveIntl", "2022-08-09")),
        AlibabaProduct::Mainland => None,
    }
}

/// The vendor's `IdentityType` for kinds of identity documents. The resident identity card is its
/// default, so none is sent for it unless the operator wants one.
pub(super) struct IdentityTypes(BTreeMap<IdentityType, String>);

impl IdentityTypes {
    pub(super) fn new(settings: &VendorSettings) -> Result<Self, SetupError> {
        let usable =
            |code: &String| !code.is_empty() && code.bytes().all(|it| it.is_ascii_graphic());
        if settings.identity_types.values().all(usable) {
            Ok(Self(settings.identity_types.clone()))
        } else {
            Err(SetupError::Setting(
                "identity_types",
                "must hold codes of letters and digits",
            ))
        }
    }

    /// The code to send, none for the default; `Err` where the operator mapped none.
    pub(super) fn code(&self, kind: IdentityType) -> Result<Option<&str>, Unmapped> {
        match (self.0.get(&kind), kind) {
            (Some(code), _) => Ok(Some(code)),
            (None, IdentityType::ResidentId) => Ok(None),
            (None, _) => Err(Unmapped),
        }
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
