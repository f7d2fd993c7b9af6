//! The settings that only one kind of provider has.

use toml::Value;

use crate::config::{
    providers::{
        AceCodeTable, AceSettings, AlibabaParamType, AlibabaProduct, AlibabaSettings, Endpoint,
        FieldCipher, FieldEncryption, GrpcSettings, TencentSettings,
    },
    reader::{Section, form},
};

pub(super) fn ace(section: &mut Section<'_>) -> Option<AceSettings> {
    const TABLES: &[(&str, AceCodeTable)] = &[
        ("documented", AceCodeTable::Documented),
        ("native", AceCodeTable::Native),
    ];
    let endpoint = section.required("endpoint", endpoint(false));
    let token = section.required("token", form::secret);
    let documented = AceCodeTable::Documented;
    let code_table = section.or("code_table", form::choice(TABLES), documented);
    Some(AceSettings {
        endpoint: endpoint?,
        token: token?,
        code_table,
    })
}

pub(super) fn tencent(section: &mut Section<'_>) -> Option<TencentSettings> {
    let endpoint = section.required("endpoint", endpoint(false));
    let secret_id = section.required("secret_id", form::secret);
    let secret_key = section.required("secret_key", form::secret);
    let session_token = section.secret("session_token");
    let field_encryption = section
        .optional_section("field_encryption")
        .and_then(field_encryption);
    Some(TencentSettings {
        endpoint: endpoint?,
        secret_id: secret_id?,
        secret_key: secret_key?,
        session_token,
        field_encryption,
    })
}

fn field_encryption(mut section: Section<'_>) -> Option<FieldEncryption> {
    const CIPHERS: &[(&str, FieldCipher)] = &[
        ("AES-256-CBC", FieldCipher::Aes256Cbc),
        ("SM4-GCM", FieldCipher::Sm4Gcm),
    ];
    let algorithm = section.required("algorithm", form::choice(CIPHERS));
    let public_key_file = section.required("public_key_file", form::path);
    section.finish();
    Some(FieldEncryption {
        algorithm: algorithm?,
        public_key_file: public_key_file?,
    })
}

pub(super) fn alibaba(section: &mut Section<'_>) -> Option<AlibabaSettings> {
    const PRODUCTS: &[(&str, AlibabaProduct)] = &[
        ("intl", AlibabaProduct::Intl),
        ("mainland", AlibabaProduct::Mainland),
    ];
    const PARAM_TYPES: &[(&str, AlibabaParamType)] = &[
        ("normal", AlibabaParamType::Normal),
        ("md5", AlibabaParamType::Md5),
    ];
    let endpoint = section.required("endpoint", endpoint(false));
    let product = section.required("product", form::choice(PRODUCTS));
    let access_key_id = section.required("access_key_id", form::secret);
    let access_key_secret = section.required("access_key_secret", form::secret);
    let security_token = section.secret("security_token");
    let normal = AlibabaParamType::Normal;
    let param_type = section.or("param_type", form::choice(PARAM_TYPES), normal);
    Some(AlibabaSettings {
        endpoint: endpoint?,
        product: product?,
        access_key_id: access_key_id?,
        access_key_secret: access_key_secret?,
        security_token,
        param_type,
    })
}

pub(super) fn grpc(section: &mut Section<'_>) -> Option<GrpcSettings> {
    let allow_plaintext = section.flag("allow_plaintext");
    let endpoint = section.required("endpoint", endpoint(allow_plaintext))?;
    Some(GrpcSettings { endpoint })
}

fn endpoint(allow_plaintext: bool) -> impl Fn(&Value) -> Result<Endpoint, String> {
    move |value| {
        let text = form::text(value)?;
        Endpoint::parse(&text, allow_plaintext).map_err(str::to_owned)
    }
}
