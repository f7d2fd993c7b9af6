//! TC3-HMAC-SHA256, the vendor's signature, version 3.
//!
//! Only the content type, the host and the body are signed, as the vendor's own software does; the
//! headers that go out must equal the signed ones byte for byte.

use hmac::{Hmac, KeyInit, Mac};
use jiff::{Timestamp, tz::Offset};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The name of the algorithm, as it stands in the header and in the text that is signed.
const ALGORITHM: &str = "TC3-HMAC-SHA256";
/// The last part of every credential scope.
const TERMINATOR: &str = "tc3_request";
/// Longer keys are hashed first (RFC 2104); shorter ones are filled up with zeros.
const HMAC_BLOCK_BYTES: usize = 64;

/// What a signature of one attempt is made from, apart from the body.
pub struct Tc3<'a> {
    /// The secret id, shown in the header.
    pub secret_id: &'a str,
    /// The secret key.
    pub secret_key: &'a str,
    /// The product, as the scope names it.
    pub service: &'a str,
    /// The `Host` header, with a port where it is not the scheme's own.
    pub host: &'a str,
    /// The `Content-Type` header.
    pub content_type: &'a str,
    /// The moment of `X-TC-Timestamp`; more than 5 minutes off is refused.
    pub at: Timestamp,
}

impl Tc3<'_> {
    /// The `Authorization` header for a `POST` to `/` with exactly these bytes as its body.
    #[must_use]
    pub fn authorization(&self, body: &[u8]) -> String {
        // the scope's date is that of the timestamp in UTC, not of any local clock
        let date = Offset::UTC.to_datetime(self.at).date().to_string();
        let scope = format!("{date}/{}/{TERMINATOR}", self.service);
        let canonical_request = format!(
            "POST\n/\n\ncontent-type:{}\nhost:{}\n\ncontent-type;host\n{}",
            self.content_type,
            self.host,
            hex::encode(Sha256::digest(body)),
        );
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{scope}\n{}",
            self.at.as_second(),
            hex::encode(Sha256::digest(canonical_request.as_bytes())),
        );
        let signature = hex::encode(hmac(self.signing_key(&date).as_slice(), to_sign.as_bytes()));
        format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders=content-type;host, \
             Signature={signature}",
            self.secret_id,
        )
    }

    fn signing_key(&self, date: &str) -> Zeroizing<[u8; 32]> {
        let secret = Zeroizing::new(format!("TC3{}", self.secret_key));
        let of_date = Zeroizing::new(hmac(secret.as_bytes(), date.as_bytes()));
        let of_service = Zeroizing::new(hmac(of_date.as_slice(), self.service.as_bytes()));
        Zeroizing::new(hmac(of_service.as_slice(), TERMINATOR.as_bytes()))
    }
}

/// HMAC-SHA-256 with a key of any length, which the crate's own constructor offers only as an
/// operation that may fail.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = Zeroizing::new([0; HMAC_BLOCK_BYTES]);
    let hashed;
    let key = if key.len() > HMAC_BLOCK_BYTES {
        hashed = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(key)));
        hashed.as_slice()
    } else {
        key
    };
    for (slot, byte) in block.iter_mut().zip(key) {
        *slot = *byte;
    }
    Hmac::<Sha256>::new((&*block).into())
        .chain_update(message)
        .finalize()
        .into_bytes()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Vectors {
        vectors: Vec<Vector>,
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        secret_id: String,
        secret_key: String,
        timestamp: i64,
        service: String,
        host: String,
        content_type: String,
        payload_hex: String,
        authorization: String,
    }

    #[test]
    fn signs_as_the_vendors_own_software_does() {
        let file = include_str!("../../../tests/vectors/tencent_tc3.json");
        let vectors = serde_json::from_str::<Vectors>(file).unwrap().vectors;
        assert!(!vectors.is_empty());
        for vector in vectors {
            let signed = Tc3 {
                secret_id: &vector.secret_id,
                secret_key: &vector.secret_key,
                service: &vector.service,
                host: &vector.host,
                content_type: &vector.content_type,
                at: Timestamp::from_second(vector.timestamp).unwrap(),
            }
            .authorization(&hex::decode(vector.payload_hex).unwrap());
            assert_eq!(signed, vector.authorization, "{}", vector.name);
        }
    }

    // RFC 4231, test cases 1 (20-byte key), 2 (4-byte key) and 6 (131-byte key)
    #[test]
    fn hmac_takes_keys_of_any_length() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, message, mac) in cases {
            assert_eq!(hex::encode(hmac(key, message)), mac);
        }
    }
}
