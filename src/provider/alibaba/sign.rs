//! The signature `ACS3-HMAC-SHA256`.
//!
//! Nothing here allocates but the result: the canonical request goes into the digest piece by
//! piece, which also leaves no copy of the personal data in it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// SHA-256 of nothing: these requests have no body.
pub const EMPTY_BODY_SHA256: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What is signed of a request to `/` without a body.
pub struct Signed<'a> {
    /// Names and values, sorted by name, RFC 3986 encoded, as they stand in the URL.
    pub canonical_query: &'a str,
    /// Lower-case names and values, sorted by name.
    pub headers: &'a [(&'a str, &'a str)],
}

impl Signed<'_> {
    /// The value of the `authorization` header of a POST.
    #[must_use]
    pub fn authorization(&self, access_key_id: &str, access_key_secret: &str) -> String {
        let mut hashed_request = [0; 64];
        hex_of(&self.canonical_request_digest(), &mut hashed_request);
        let mut header = String::with_capacity(512);
        header.push_str(ALGORITHM);
        header.push_str(" Credential=");
        header.push_str(access_key_id);
        header.push_str(",SignedHeaders=");
        for (position, (name, _)) in self.headers.iter().enumerate() {
            if position > 0 {
                header.push(';');
            }
            header.push_str(name);
        }
        header.push_str(",Signature=");
        let mut signature = [0; 64];
        // a key of any length will do, so there is always one
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(access_key_secret.as_bytes()) {
            mac.update(ALGORITHM.as_bytes());
            mac.update(b"\n");
            mac.update(&hashed_request);
            hex_of(&mac.finalize().into_bytes().into(), &mut signature);
        }
        header.extend(signature.iter().map(|byte| char::from(*byte)));
        header
    }

    fn canonical_request_digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(b"POST\n/\n");
        digest.update(self.canonical_query);
        digest.update(b"\n");
        for (name, value) in self.headers {
            digest.update(name);
            digest.update(b":");
            digest.update(value.trim());
            digest.update(b"\n");
        }
        digest.update(b"\n");
        for (position, (name, _)) in self.headers.iter().enumerate() {
            if position > 0 {
                digest.update(b";");
            }
            digest.update(name);
        }
        digest.update(b"\n");
        digest.update(EMPTY_BODY_SHA256);
        digest.finalize().into()
    }
}

fn hex_of(bytes: &[u8; 32], text: &mut [u8; 64]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        if let [high, low] = pair {
            *high = DIGITS[usize::from(byte >> 4)];
            *low = DIGITS[usize::from(byte & 15)];
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct File {
        vectors: Vec<Vector>,
    }

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        access_key_id: String,
        access_key_secret: String,
        query: BTreeMap<String, String>,
        hashed_payload: String,
        #[serde(flatten)]
        whole: Form,
        minimal: Option<Form>,
    }

    #[derive(Deserialize)]
    struct Form {
        headers_before_authorization: BTreeMap<String, String>,
        hashed_canonical_request: String,
        authorization: String,
    }

    /// Signatures of the vendor's own SDK, and the one in the vendor's documentation.
    #[test]
    fn signs_as_the_vendors_sdk_does() {
        let file: File =
            serde_json::from_str(include_str!("../../../tests/vectors/alibaba_acs3.json")).unwrap();
        let mut count = 0;
        for vector in &file.vectors {
            assert_eq!(vector.hashed_payload, EMPTY_BODY_SHA256);
            let parameters: Vec<_> = vector
                .query
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let query = super::super::wire::canonical_query(&parameters);
            for form in [Some(&vector.whole), vector.minimal.as_ref()]
                .into_iter()
                .flatten()
            {
                let headers: Vec<_> = form
                    .headers_before_authorization
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                let signed = Signed {
                    canonical_query: &query,
                    headers: &headers,
                };
                assert_eq!(
                    hex::encode(signed.canonical_request_digest()),
                    form.hashed_canonical_request,
                    "{}",
                    vector.name
                );
                assert_eq!(
                    signed.authorization(&vector.access_key_id, &vector.access_key_secret),
                    form.authorization,
                    "{}",
                    vector.name
                );
                count += 1;
            }
        }
        assert_eq!(count, 3);
    }
}
