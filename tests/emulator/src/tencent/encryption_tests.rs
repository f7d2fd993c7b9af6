//! The published ciphertexts, with their keys wrapped for the emulator's public keys.

use rsa::pkcs8::DecodePublicKey as _;
use serde::Deserialize;
use serde_json::json;
use sm2::pke::EncryptingKey;

use super::*;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    algorithm: String,
    plaintext: String,
    key_ascii: String,
    iv_b64: String,
    ciphertext_b64: String,
    tag_b64: Option<String>,
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("../../../vectors/tencent_field_encryption.json");
    serde_json::from_str::<File>(text).unwrap().vectors
}

/// The `Encryption` object and the fields of a request that carries this vector as its name.
fn request(vector: &Vector) -> (Value, Map<String, Value>) {
    let blob = if vector.algorithm == "SM4-GCM" {
        let pem = include_str!("../../keys/sm2_public.pem");
        let public =
            <sm2::PublicKey as sm2::pkcs8::DecodePublicKey>::from_public_key_pem(pem).unwrap();
        let key = EncryptingKey::new_with_mode(public, Mode::C1C3C2);
        key.encrypt(&mut getrandom::SysRng, vector.key_ascii.as_bytes())
            .unwrap()
    } else {
        let pem = include_str!("../../keys/rsa_public.pem");
        let key = rsa::PublicKey::from_public_key_pem(pem).unwrap();
        let mut rng = getrandom::SysRng;
        key.encrypt(&mut rng, Pkcs1v15Encrypt, vector.key_ascii.as_bytes())
            .unwrap()
    };
    let encryption = json!({
        "EncryptList": ["Name"],
        "CiphertextBlob": STANDARD.encode(blob),
        "Iv": vector.iv_b64,
        "Algorithm": vector.algorithm,
        "TagList": vector.tag_b64.iter().collect::<Vec<_>>(),
    });
    let fields = json!({ "Name": vector.ciphertext_b64, "BankCard": "6222" });
    (encryption, fields.as_object().unwrap().clone())
}

fn code(encryption: &Value, mut fields: Map<String, Value>) -> String {
    let keys = KeyPairs::read().unwrap();
    let opened = open(&keys, encryption, &["Name", "BankCard"], &mut fields);
    opened.map_or_else(|refusal| refusal.code, str::to_owned)
}

#[test]
fn every_vector_is_decrypted() {
    let keys = KeyPairs::read().unwrap();
    let vectors = vectors();
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let (encryption, mut fields) = request(&vector);
        let algorithm = open(&keys, &encryption, &["Name", "BankCard"], &mut fields).unwrap();
        assert_eq!(algorithm, vector.algorithm);
        assert_eq!(fields["Name"], json!(vector.plaintext));
        assert_eq!(
            fields["BankCard"],
            json!("6222"),
            "a field that is not listed stays"
        );
    }
}

#[test]
fn broken_ciphertexts_are_refused() {
    for vector in vectors() {
        let (good, fields) = request(&vector);
        assert_eq!(code(&good, fields.clone()), vector.algorithm);
        let zeros = |bytes| STANDARD.encode(vec![0_u8; bytes]);
        let blob_bytes = if vector.algorithm == "SM4-GCM" {
            113
        } else {
            128
        };
        for (name, value) in [
            ("CiphertextBlob", json!(zeros(blob_bytes))),
            ("CiphertextBlob", json!(zeros(blob_bytes - 1))),
            ("CiphertextBlob", json!("no base64!")),
            ("Iv", json!(zeros(5))),
        ] {
            let mut broken = good.clone();
            broken[name] = value;
            let refused = code(&broken, fields.clone());
            assert_eq!(refused, "FailedOperation.DecryptSystemError", "{name}");
        }
        let mut cut = fields.clone();
        cut.insert("Name".to_owned(), json!(zeros(5)));
        assert_eq!(code(&good, cut), "FailedOperation.DecryptSystemError");
    }
}

#[test]
fn a_wrong_tag_is_refused() {
    let vectors = vectors();
    let vector = vectors
        .iter()
        .find(|vector| vector.tag_b64.is_some())
        .unwrap();
    let (mut encryption, fields) = request(vector);
    encryption["TagList"] = json!([STANDARD.encode([1_u8; 16])]);
    assert_eq!(
        code(&encryption, fields.clone()),
        "FailedOperation.DecryptSystemError"
    );
    encryption["TagList"] = json!([]);
    assert_eq!(
        code(&encryption, fields),
        "FailedOperation.DecryptSystemError"
    );
}

#[test]
fn what_cannot_be_encrypted_is_named_so() {
    let (good, fields) = request(&vectors()[0]);
    let mut other = good.clone();
    other["EncryptList"] = json!(["Phone"]);
    assert_eq!(
        code(&other, fields.clone()),
        "InvalidParameter.UnsupportEncryptField"
    );
    let mut other = good.clone();
    other["Algorithm"] = json!("ROT13");
    assert_eq!(code(&other, fields.clone()), "InvalidParameterValue");
    let mut other = good.clone();
    other["Salt"] = json!("x");
    assert_eq!(code(&other, fields.clone()), "UnknownParameter");
    let mut unnamed = good;
    unnamed.as_object_mut().unwrap().remove("Algorithm");
    assert_eq!(code(&unnamed, fields), "AES-256-CBC", "the default");
}
