//! Settings of one provider, `[providers.NAME]`, checked.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use url::Url;

use super::secret::SecretRef;
use crate::domain::{IdentityType, Operation, ProviderName};

/// One configured provider.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Its name.
    pub name: ProviderName,
    /// What stands behind it.
    pub kind: ProviderKind,
    /// Settings that every vendor has; those of an embedded provider are the defaults.
    pub vendor: VendorSettings,
}

/// What stands behind a provider, with the settings of that kind.
#[derive(Debug, Clone)]
pub enum ProviderKind {
    /// The embedded test vendor.
    Sandbox,
    /// The embedded table of card numbers.
    Bin {
        /// A CSV file laid over the table.
        override_file: Option<PathBuf>,
    },
    /// Ace Data Cloud.
    Ace(AceSettings),
    /// Tencent Cloud FaceID.
    Tencent(TencentSettings),
    /// Alibaba Cloud ID Verification.
    Alibaba(AlibabaSettings),
    /// A server that implements `bankcard.provider.v1`.
    Grpc(GrpcSettings),
}

impl ProviderKind {
    /// Whether it is part of this process: costs nothing, and no network stands between.
    #[must_use]
    pub const fn is_embedded(&self) -> bool {
        match self {
            Self::Sandbox | Self::Bin { .. } => true,
            Self::Ace(_) | Self::Tencent(_) | Self::Alibaba(_) | Self::Grpc(_) => false,
        }
    }

    /// Where its secrets are, each with its key below the provider's name.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        let secrets = match self {
            Self::Sandbox | Self::Bin { .. } | Self::Grpc(_) => Vec::new(),
            Self::Ace(ace) => vec![("token", Some(&ace.token))],
            Self::Tencent(tencent) => vec![
                ("secret_id", Some(&tencent.secret_id)),
                ("secret_key", Some(&tencent.secret_key)),
                ("session_token", tencent.session_token.as_ref()),
            ],
            Self::Alibaba(alibaba) => vec![
                ("access_key_id", Some(&alibaba.access_key_id)),
                ("access_key_secret", Some(&alibaba.access_key_secret)),
                ("security_token", alibaba.security_token.as_ref()),
            ],
        };
        let given = |(key, secret): (_, Option<_>)| Some((key, secret?));
        secrets.into_iter().filter_map(given).collect()
    }
}

/// Settings that every vendor has.
#[derive(Debug, Clone)]
pub struct VendorSettings {
    /// The vendor's limit for one account and operation; `None`: unlimited.
    pub requests_per_second: Option<u32>,
    /// How many calls may be under way at once.
    pub concurrent: u32,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a call may take in all, once it was sent.
    pub timeout: Duration,
    /// Certificate authorities to trust instead of the system's own (PEM).
    pub ca_file: Option<PathBuf>,
    /// A proxy to go through.
    pub proxy: Option<ProxyUrl>,
    /// The vendor's code for further kinds of identity documents.
    pub identity_types: BTreeMap<IdentityType, String>,
    /// Taken out of every route by the operator.
    pub maintenance: bool,
    /// How long it is passed over after it refused our credentials or credit.
    pub misconfigured_skip: Duration,
    /// The most that may be spent on it in a day (Asia/Shanghai).
    pub daily_budget: Option<Money>,
    /// What a charged call costs.
    pub price: Option<Price>,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// The currency's ISO 4217 code.
    pub currency: String,
    /// Millionths of one unit of the currency.
    pub micros: u64,
}

/// Millionths of a unit as a decimal fraction, without needless zeros.
#[must_use]
pub fn decimal(micros: u64) -> String {
    let fraction = format!("{:06}", micros % 1_000_000);
    let fraction = fraction.trim_end_matches('0');
    let whole = micros / 1_000_000;
    if fraction.is_empty() {
        whole.to_string()
    } else {
        format!("{whole}.{fraction}")
    }
}

/// What a charged call costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The currency's ISO 4217 code.
    pub currency: String,
    /// Millionths of one unit of the currency, by operation.
    pub micros: BTreeMap<Operation, u64>,
}

/// `kind = "ace"`
#[derive(Debug, Clone)]
pub struct AceSettings {
    /// Base URL.
    pub endpoint: Endpoint,
    /// The bearer token.
    pub token: SecretRef,
    /// Which table reads the result codes of 3 and 4 factors.
    pub code_table: AceCodeTable,
}

/// Which table reads Ace's result codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AceCodeTable {
    /// The table that Ace publishes.
    Documented,
    /// The tables of Tencent's operations, for operators who have checked.
    Native,
}

/// `kind = "tencent"`
#[derive(Debug, Clone)]
pub struct TencentSettings {
    /// Base URL; the international or the mainland host.
    pub endpoint: Endpoint,
    /// Secret id.
    pub secret_id: SecretRef,
    /// Secret key.
    pub secret_key: SecretRef,
    /// Session token of temporary credentials.
    pub session_token: Option<SecretRef>,
    /// Encryption of the personal fields.
    pub field_encryption: Option<FieldEncryption>,
}

/// `[providers.NAME.field_encryption]`
#[derive(Debug, Clone)]
pub struct FieldEncryption {
    /// How the fields are encrypted.
    pub algorithm: FieldCipher,
    /// The vendor's public key (PEM).
    pub public_key_file: PathBuf,
}

/// How Tencent's fields are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldCipher {
    /// `AES-256-CBC`, key wrapped with RSA.
    Aes256Cbc,
    /// `SM4-GCM`, key wrapped with SM2.
    Sm4Gcm,
}

/// `kind = "alibaba"`
#[derive(Debug, Clone)]
pub struct AlibabaSettings {
    /// Base URL.
    pub endpoint: Endpoint,
    /// Which of the two products.
    pub product: AlibabaProduct,
    /// Access key id.
    pub access_key_id: SecretRef,
    /// Access key secret.
    pub access_key_secret: SecretRef,
    /// Security token of temporary credentials.
    pub security_token: Option<SecretRef>,
    /// How the parameters are written.
    pub param_type: AlibabaParamType,
}

/// Which of Alibaba's two products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlibabaProduct {
    /// `BankMetaVerifyIntl`
    Intl,
    /// `BankMetaVerify`
    Mainland,
}

/// How Alibaba's parameters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlibabaParamType {
    /// As they are.
    Normal,
    /// Partly replaced by their MD5 digests.
    Md5,
}

/// `kind = "grpc"`
#[derive(Debug, Clone)]
pub struct GrpcSettings {
    /// Base URL; http is allowed only with `allow_plaintext` or to a loopback address.
    pub endpoint: Endpoint,
}

/// A base URL of a vendor: scheme, host and port, no path, no query, no user.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads a base URL.
    ///
    /// # Errors
    /// When it is no such URL, or a plaintext one to a host that is not loopback and
    /// `allow_plaintext` is not set.
    pub fn parse(raw: &str, allow_plaintext: bool) -> Result<Self, &'static str> {
        let url = Url::parse(raw).map_err(|_| "is not a URL")?;
        let bare = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare {
            return Err("must be scheme, host and port only");
        }
        let plaintext_ok = allow_plaintext || is_loopback(&url);
        match (url.scheme(), url.host_str()) {
            ("https", Some(_)) => Ok(Self(url)),
            ("http", Some(_)) if plaintext_ok => Ok(Self(url)),
            ("http", Some(_)) => Err("must be https, unless the host is loopback"),
            _ => Err("must be an https URL"),
        }
    }

    /// Whether calls go over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host, for the `server.address` of spans.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port, for the `server.port` of spans.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// Host and port as they stand in a `Host` header: no port where it is the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.0.port() {
            Some(port) => format!("{}:{port}", self.host()),
            None => self.host().to_owned(),
        }
    }

    /// The URL of the root.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> String {
        format!("{}://{}", self.0.scheme(), self.authority())
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoint(***)")
    }
}

/// The URL of a proxy; may hold a user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl(Url);

impl ProxyUrl {
    /// Reads the URL of a proxy.
    ///
    /// # Errors
    /// When it is no http or https URL.
    pub fn parse(raw: &str) -> Result<Self, &'static str> {
        let url = Url::parse(raw).map_err(|_| "is not a URL")?;
        if matches!(url.scheme(), "http" | "https") && url.has_host() {
            Ok(Self(url))
        } else {
            Err("must be an http or https URL")
        }
    }

    /// The URL itself, for the HTTP client only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyUrl(***)")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://api.example.com", false, true)]
    #[case("https://api.example.com:8443/", false, true)]
    #[case("http://127.0.0.1:9100", false, true)]
    #[case("http://[::1]:9100", false, true)]
    #[case("http://localhost", false, true)]
    #[case("http://api.example.com", false, false)]
    #[case("http://api.example.com", true, true)]
    #[case("https://api.example.com/path", false, false)]
    #[case("https://api.example.com/?a=b", false, false)]
    #[case("https://user:pw@api.example.com", false, false)]
    #[case("ftp://api.example.com", true, false)]
    #[case("api.example.com", true, false)]
    fn endpoints(#[case] raw: &str, #[case] plaintext: bool, #[case] accepted: bool) {
        assert_eq!(Endpoint::parse(raw, plaintext).is_ok(), accepted);
    }

    #[test]
    fn the_authority_names_only_an_unusual_port() {
        let authority = |raw| Endpoint::parse(raw, true).unwrap().authority();
        assert_eq!(authority("https://a.example:443"), "a.example");
        assert_eq!(authority("https://a.example:8443"), "a.example:8443");
        assert_eq!(authority("http://[::1]:80"), "[::1]");
    }
}
