//! Encryption of the personal fields of a request, where the operator turned it on.
//!
//! Every request gets a key and an initialisation vector of its own; the key travels with it,
//! wrapped for the vendor's public key. Both are drawn from ASCII letters and digits: the vendor's
//! own clients take key texts (Java, Go) or raw bytes (Node), and such a key is the same in each.

use std::borrow::Cow;

use aes_gcm::{AeadInOut, AesGcm, aes::cipher::consts::U12};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use cbc::cipher::{BlockModeEncrypt, KeyInit, KeyIvInit, block_padding::Pkcs7};
use rand::{CryptoRng, RngExt, distr::Alphanumeric};
use rsa::{Pkcs1v15Encrypt, pkcs1::DecodeRsaPublicKey, pkcs8::DecodePublicKey};
use serde::Serialize;
use sm2::pke::{EncryptingKey, Mode};
use zeroize::Zeroizing;

use crate::config::providers::FieldCipher;

/// SM4 in Galois/counter mode with the nonce length that the vendor asks for.
type Sm4Gcm = AesGcm<sm4::Sm4, U12>;

const AES_KEY_BYTES: usize = 32;
const AES_IV_BYTES: usize = 16;
const SM4_KEY_BYTES: usize = 16;
const SM4_IV_BYTES: usize = 12;

/// A personal field: its name, and its value as the question holds it or encrypted.
pub type PersonalField<'a> = (&'static str, Cow<'a, str>);

/// The parameter `Encryption` of a request.
#[derive(Serialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct Encryption {
    /// Names of the encrypted fields.
    pub encrypt_list: Vec<&'static str>,
    /// The wrapped key, base64.
    pub ciphertext_blob: String,
    /// The initialisation vector, base64.
    pub iv: String,
    /// How the fields are encrypted.
    pub algorithm: &'static str,
    /// One authentication tag per field, base64, in the order of the list; empty without tags.
    pub tag_list: Vec<String>,
}

/// Why fields could not be encrypted, or the public key not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncryptionError {
    /// The file holds no public key that fits the algorithm.
    #[error("is not a public key for this algorithm in PEM form")]
    NotAPublicKey,
    /// A cipher refused to work.
    #[error("field encryption failed")]
    Failed,
}

/// Encrypts the personal fields of requests for one account.
pub struct FieldEncryptor {
    vendor_key: VendorKey,
}

enum VendorKey {
    Rsa(rsa::PublicKey),
    Sm2(EncryptingKey),
}

/// A key and an initialisation vector for one request.
struct OneTime {
    key: Zeroizing<Vec<u8>>,
    iv: Vec<u8>,
}

impl OneTime {
    fn draw(rng: &mut impl CryptoRng, key_bytes: usize, iv_bytes: usize) -> Self {
        let mut draw = |count| rng.sample_iter(Alphanumeric).take(count).collect();
        Self {
            key: Zeroizing::new(draw(key_bytes)),
            iv: draw(iv_bytes),
        }
    }
}

impl FieldEncryptor {
    /// Reads the vendor's public key: a `PUBLIC KEY` of either kind, or an `RSA PUBLIC KEY`.
    ///
    /// # Errors
    /// When it is no such key, or one of the other algorithm.
    pub fn from_pem(cipher: FieldCipher, pem: &str) -> Result<Self, EncryptionError> {
        let not_a_key = EncryptionError::NotAPublicKey;
        let vendor_key = match cipher {
            FieldCipher::Aes256Cbc => rsa::PublicKey::from_public_key_pem(pem)
                .or_else(|_| rsa::PublicKey::from_pkcs1_pem(pem))
                .map(VendorKey::Rsa)
                .map_err(|_| not_a_key)?,
            FieldCipher::Sm4Gcm => sm2::PublicKey::from_public_key_pem(pem)
                .map(|key| VendorKey::Sm2(EncryptingKey::new_with_mode(key, Mode::C1C3C2)))
                .map_err(|_| not_a_key)?,
        };
        Ok(Self { vendor_key })
    }

    /// Encrypts fields, given by name and value, in place: the values become base64 ciphertexts.
    ///
    /// # Errors
    /// [`EncryptionError::Failed`] when a cipher refuses to work.
    pub fn encrypt(&self, fields: &mut [PersonalField<'_>]) -> Result<Encryption, EncryptionError> {
        let rng = &mut rand::rng();
        let (algorithm, one_time, wrapped, tag_list) = match &self.vendor_key {
            VendorKey::Rsa(vendor_key) => {
                let one_time = OneTime::draw(rng, AES_KEY_BYTES, AES_IV_BYTES);
                let wrapped = vendor_key
                    .encrypt(rng, Pkcs1v15Encrypt, &one_time.key)
                    .map_err(|_| EncryptionError::Failed)?;
                aes_256_cbc(&one_time, fields)?;
                ("AES-256-CBC", one_time, wrapped, Vec::new())
            }
            VendorKey::Sm2(vendor_key) => {
                let one_time = OneTime::draw(rng, SM4_KEY_BYTES, SM4_IV_BYTES);
                let wrapped = vendor_key
                    .encrypt(rng, &one_time.key)
                    .map_err(|_| EncryptionError::Failed)?;
                let tags = sm4_gcm(&one_time, fields)?;
                ("SM4-GCM", one_time, wrapped, tags)
            }
        };
        Ok(Encryption {
            encrypt_list: fields.iter().map(|(name, _)| *name).collect(),
            ciphertext_blob: BASE64.encode(wrapped),
            iv: BASE64.encode(&one_time.iv),
            algorithm,
            tag_list,
        })
    }
}

fn aes_256_cbc(
    one_time: &OneTime,
    fields: &mut [PersonalField<'_>],
) -> Result<(), EncryptionError> {
    for (_, value) in fields {
        let cipher = cbc::Encryptor::<aes::Aes256>::new_from_slices(&one_time.key, &one_time.iv)
            .map_err(|_| EncryptionError::Failed)?;
        let encrypted = cipher.encrypt_padded_vec::<Pkcs7>(value.as_bytes());
        *value = BASE64.encode(encrypted).into();
    }
    Ok(())
}

/// Returns the tags, in the order of the fields.
fn sm4_gcm(
    one_time: &OneTime,
    fields: &mut [PersonalField<'_>],
) -> Result<Vec<String>, EncryptionError> {
    let cipher = Sm4Gcm::new_from_slice(&one_time.key).map_err(|_| EncryptionError::Failed)?;
    let nonce = one_time
        .iv
        .as_slice()
        .try_into()
        .map_err(|_| EncryptionError::Failed)?;
    fields
        .iter_mut()
        .map(|(_, value)| {
            let mut buffer = Zeroizing::new(value.as_bytes().to_vec());
            let tag = cipher
                .encrypt_inout_detached(nonce, b"", buffer.as_mut_slice().into())
                .map_err(|_| EncryptionError::Failed)?;
            *value = BASE64.encode(&*buffer).into();
            Ok(BASE64.encode(tag))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use aes_gcm::Tag;
    use cbc::cipher::BlockModeDecrypt;
    use rsa::pkcs8::{EncodePublicKey, LineEnding};
    use sm2::{elliptic_curve::Generate, pke::DecryptingKey};

    use super::*;

    #[derive(serde::Deserialize)]
    struct Vectors {
        vectors: Vec<Vector>,
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        algorithm: String,
        field: String,
        plaintext: String,
        key_ascii: String,
        iv_hex: String,
        ciphertext_b64: String,
        tag_b64: Option<String>,
    }

    #[test]
    fn encrypts_as_the_vendors_own_software_does() {
        let file = include_str!("../../../tests/vectors/tencent_field_encryption.json");
        let vectors = serde_json::from_str::<Vectors>(file).unwrap().vectors;
        assert_eq!(vectors.len(), 4);
        for vector in vectors {
            let one_time = OneTime {
                key: Zeroizing::new(vector.key_ascii.into_bytes()),
                iv: hex::decode(vector.iv_hex).unwrap(),
            };
            let mut fields = [("Field", vector.plaintext.into())];
            let tags = match vector.algorithm.as_str() {
                "AES-256-CBC" => aes_256_cbc(&one_time, &mut fields).map(|()| Vec::new()),
                "SM4-GCM" => sm4_gcm(&one_time, &mut fields),
                other => panic!("unknown algorithm {other}"),
            };
            let case = format!("{} {}", vector.algorithm, vector.field);
            assert_eq!(*fields[0].1, vector.ciphertext_b64, "{case}");
            assert_eq!(tags.unwrap(), Vec::from_iter(vector.tag_b64), "{case}");
        }
    }

    const PLAIN: [(&str, &str); 4] = [
        ("Name", "韦小宝"),
        ("IdCard", "11010519491231002X"),
        ("Phone", "13800138000"),
        ("BankCard", "6222020000000000000"),
    ];

    fn plain_fields() -> Vec<PersonalField<'static>> {
        PLAIN
            .iter()
            .map(|(name, value)| (*name, (*value).into()))
            .collect()
    }

    fn decoded(text: &str) -> Vec<u8> {
        BASE64.decode(text).unwrap()
    }

    fn assert_alphanumeric(bytes: &[u8], len: usize) {
        assert_eq!(bytes.len(), len);
        assert!(bytes.iter().all(u8::is_ascii_alphanumeric));
    }

    #[test]
    fn the_holder_of_the_rsa_key_can_read_the_fields() {
        let private = rsa::PrivateKey::new(&mut rand::rng(), 1024).unwrap();
        let pem = rsa::PublicKey::from(&private)
            .to_public_key_pem(LineEnding::LF)
            .unwrap();
        let encryptor = FieldEncryptor::from_pem(FieldCipher::Aes256Cbc, &pem).unwrap();
        let mut fields = plain_fields();
        let parameter = encryptor.encrypt(&mut fields).unwrap();

        let blob = decoded(&parameter.ciphertext_blob);
        assert_eq!(blob.len(), 128);
        let key = private.decrypt(Pkcs1v15Encrypt, &blob).unwrap();
        let iv = decoded(&parameter.iv);
        assert_alphanumeric(&key, 32);
        assert_alphanumeric(&iv, 16);
        for ((_, value), (_, plain)) in fields.iter().zip(PLAIN) {
            let read = cbc::Decryptor::<aes::Aes256>::new_from_slices(&key, &iv)
                .unwrap()
                .decrypt_padded_vec::<Pkcs7>(&decoded(value))
                .unwrap();
            assert_eq!(read, plain.as_bytes());
        }
        assert_eq!(
            parameter.encrypt_list,
            ["Name", "IdCard", "Phone", "BankCard"]
        );
        assert!(parameter.tag_list.is_empty() && parameter.algorithm == "AES-256-CBC");
    }

    #[test]
    fn the_holder_of_the_sm2_key_can_read_the_fields() {
        let private = sm2::SecretKey::generate();
        let pem = private
            .public_key()
            .to_public_key_pem(LineEnding::LF)
            .unwrap();
        let encryptor = FieldEncryptor::from_pem(FieldCipher::Sm4Gcm, &pem).unwrap();
        let mut fields = plain_fields();
        let parameter = encryptor.encrypt(&mut fields).unwrap();

        let blob = decoded(&parameter.ciphertext_blob);
        assert_eq!((blob.len(), blob[0]), (113, 4));
        let key = DecryptingKey::new_with_mode(private.to_nonzero_scalar(), Mode::C1C3C2)
            .decrypt(&blob)
            .unwrap();
        let iv = decoded(&parameter.iv);
        assert_alphanumeric(&key, 16);
        assert_alphanumeric(&iv, 12);
        assert_eq!(parameter.tag_list.len(), PLAIN.len());
        for (((_, value), tag), (_, plain)) in fields.iter().zip(&parameter.tag_list).zip(PLAIN) {
            let mut read = decoded(value);
            let tag = Tag::try_from(decoded(tag).as_slice()).unwrap();
            Sm4Gcm::new_from_slice(&key)
                .unwrap()
                .decrypt_inout_detached(
                    iv.as_slice().try_into().unwrap(),
                    b"",
                    read.as_mut_slice().into(),
                    &tag,
                )
                .unwrap();
            assert_eq!(read, plain.as_bytes());
        }
        assert_eq!(parameter.algorithm, "SM4-GCM");
    }

    #[test]
    fn no_two_requests_share_a_key_or_a_vector() {
        let private = sm2::SecretKey::generate();
        let pem = private
            .public_key()
            .to_public_key_pem(LineEnding::LF)
            .unwrap();
        let encryptor = FieldEncryptor::from_pem(FieldCipher::Sm4Gcm, &pem).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let parameter = encryptor.encrypt(&mut plain_fields()).unwrap();
            let key = DecryptingKey::new_with_mode(private.to_nonzero_scalar(), Mode::C1C3C2)
                .decrypt(&decoded(&parameter.ciphertext_blob))
                .unwrap();
            assert!(seen.insert(key) && seen.insert(decoded(&parameter.iv)));
        }
    }

    #[test]
    fn a_key_of_the_other_algorithm_is_refused() {
        let pem = sm2::SecretKey::generate()
            .public_key()
            .to_public_key_pem(LineEnding::LF)
            .unwrap();
        assert!(FieldEncryptor::from_pem(FieldCipher::Aes256Cbc, &pem).is_err());
        assert!(FieldEncryptor::from_pem(FieldCipher::Sm4Gcm, "no key").is_err());
    }
}
