//! Decryption of Tencent's encrypted fields with key pairs of the emulator's own.

use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _, block_padding::Pkcs7};
use aes_gcm::aead::{Aead as _, KeyInit as _, consts::U12};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::{Pkcs1v15Encrypt, PrivateKey};
use serde_json::{Map, Value};
use sm2::pke::{DecryptingKey, Mode};

use crate::exchange::Refusal;

type Sm4Gcm = aes_gcm::AesGcm<sm4::Sm4, U12>;

/// Bytes of an AES key wrapped with a 1024-bit RSA key.
const RSA_BLOB_BYTES: usize = 128;
/// Bytes of an SM4 key wrapped with SM2: an uncompressed point, a digest and the key.
const SM2_BLOB_BYTES: usize = 65 + 32 + 16;

/// The emulator's private keys. They are in the repository, protect nothing and must not be used
/// for anything else.
pub(crate) struct KeyPairs {
    rsa: PrivateKey,
    sm2: DecryptingKey,
}

impl KeyPairs {
    /// Reads the keys that are compiled in; `None` if they cannot be read.
    pub(crate) fn read() -> Option<Self> {
        let rsa = PrivateKey::from_pkcs8_pem(include_str!("../../keys/rsa_private.pem")).ok()?;
        let pem = include_str!("../../keys/sm2_private.pem");
        let secret = <sm2::SecretKey as sm2::pkcs8::DecodePrivateKey>::from_pkcs8_pem(pem).ok()?;
        let sm2 = DecryptingKey::new_with_mode(secret.to_nonzero_scalar(), Mode::C1C3C2);
        Some(Self { rsa, sm2 })
    }
}

fn undecryptable() -> Refusal {
    Refusal::new("FailedOperation.DecryptSystemError", "Decryption failed.")
}

fn invalid(name: &str) -> Refusal {
    let message = format!("The value type of parameter `Encryption.{name}` is not valid.");
    Refusal::new("InvalidParameter", message)
}

/// Replaces the ciphertexts among `fields` by their plain texts; returns the algorithm.
///
/// `encryptable` are the text parameters of the action.
pub(crate) fn open(
    keys: &KeyPairs,
    encryption: &Value,
    encryptable: &[&str],
    fields: &mut Map<String, Value>,
) -> Result<&'static str, Refusal> {
    let known = [
        "EncryptList",
        "CiphertextBlob",
        "Iv",
        "Algorithm",
        "TagList",
    ];
    let members = encryption.as_object().ok_or_else(|| invalid(""))?;
    if let Some(name) = members.keys().find(|name| !known.contains(&name.as_str())) {
        let message = format!("The parameter `Encryption.{name}` is not recognized.");
        return Err(Refusal::new("UnknownParameter", message));
    }
    let list = texts(encryption, "EncryptList")?;
    let tags = texts(encryption, "TagList")?;
    let blob = bytes(encryption, "CiphertextBlob")?;
    let iv = bytes(encryption, "Iv")?;
    let algorithm = match encryption.get("Algorithm").map(Value::as_str) {
        // The SDK's model: AES-256-CBC where nothing is said.
        None | Some(Some("AES-256-CBC")) => "AES-256-CBC",
        Some(Some("SM4-GCM")) => "SM4-GCM",
        Some(Some(_)) => {
            return Err(Refusal::new(
                "InvalidParameterValue",
                "Algorithm is not supported.",
            ));
        }
        Some(None) => return Err(invalid("Algorithm")),
    };
    for (index, name) in list.iter().enumerate() {
        if !encryptable.contains(name) {
            let message = "A field in EncryptList cannot be encrypted in this action.";
            return Err(Refusal::new(
                "InvalidParameter.UnsupportEncryptField",
                message,
            ));
        }
        let field = fields.get_mut(*name).ok_or_else(undecryptable)?;
        let ciphertext = field.as_str().and_then(decode).ok_or_else(undecryptable)?;
        let plain = if algorithm == "SM4-GCM" {
            let tag = tags
                .get(index)
                .copied()
                .and_then(decode)
                .ok_or_else(undecryptable)?;
            let key = unwrap_with_sm2(keys, &blob).ok_or_else(undecryptable)?;
            open_sm4(&key, &iv, &ciphertext, &tag)
        } else {
            let key = unwrap_with_rsa(keys, &blob).ok_or_else(undecryptable)?;
            open_aes(&key, &iv, &ciphertext)
        };
        let plain = plain.and_then(|bytes| String::from_utf8(bytes).ok());
        *field = Value::String(plain.ok_or_else(undecryptable)?);
    }
    Ok(algorithm)
}

fn texts<'a>(encryption: &'a Value, name: &str) -> Result<Vec<&'a str>, Refusal> {
    match encryption.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().ok_or_else(|| invalid(name)))
            .collect(),
        Some(_) => Err(invalid(name)),
    }
}

fn bytes(encryption: &Value, name: &str) -> Result<Vec<u8>, Refusal> {
    let text = encryption
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| invalid(name))?;
    decode(text).ok_or_else(undecryptable)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

fn unwrap_with_rsa(keys: &KeyPairs, blob: &[u8]) -> Option<Vec<u8>> {
    if blob.len() != RSA_BLOB_BYTES {
        return None;
    }
    keys.rsa.decrypt(Pkcs1v15Encrypt, blob).ok()
}

fn unwrap_with_sm2(keys: &KeyPairs, blob: &[u8]) -> Option<Vec<u8>> {
    if blob.len() != SM2_BLOB_BYTES || blob.first() != Some(&0x04) {
        return None;
    }
    keys.sm2.decrypt(blob).ok()
}

/// AES-256-CBC with PKCS#7 padding.
fn open_aes(key: &[u8], iv: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let cipher = cbc::Decryptor::<aes::Aes256>::new_from_slices(key, iv).ok()?;
    cipher.decrypt_padded_vec::<Pkcs7>(ciphertext).ok()
}

/// SM4-GCM without associated data; the tag comes apart from the ciphertext.
fn open_sm4(key: &[u8], iv: &[u8], ciphertext: &[u8], tag: &[u8]) -> Option<Vec<u8>> {
    if iv.len() != 12 || tag.len() != 16 {
        return None;
    }
    let cipher = Sm4Gcm::new_from_slice(key).ok()?;
    let nonce = aes_gcm::Nonce::<U12>::try_from(iv).ok()?;
    cipher
        .decrypt(&nonce, [ciphertext, tag].concat().as_slice())
        .ok()
}

#[cfg(test)]
#[path = "encryption_tests.rs"]
mod tests;
