//! What both signature schemes need. Deliberately apart from the service's own signing code.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::request::Parts;
use sha2::Sha256;

/// A header's value, if it is text.
pub(crate) fn header<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}

/// `:authority` of HTTP/2, else the `Host` header.
pub(crate) fn host(parts: &Parts) -> Option<&str> {
    match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => header(parts, "host"),
    }
}

/// HMAC-SHA256.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // A key of any length is taken; the empty result could match no signature.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Whether a signature's hexadecimal text, in small letters, says these bytes.
pub(crate) fn same(signature: &[u8; 32], text: &str) -> bool {
    hex::encode(signature) == text
}
