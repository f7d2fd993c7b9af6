//! Authentication: a bearer token, nothing more.

use crate::provider::credentials::CredentialSet;

use super::config::TOKEN;

/// The value of the `authorization` header.
pub(super) fn authorization(credentials: &CredentialSet) -> String {
    let token = credentials.get(TOKEN).unwrap_or_default();
    format!("Bearer {token}")
}
