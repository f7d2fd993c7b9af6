//! The program itself, serving with settings of a test, and certificates for it.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use cardproof::proto::bankcard::v1::{
    CacheMode, CachePolicy, QueryCardInfoRequest, QueryCardInfoResponse, VerifyBankCardRequest,
    VerifyBankCardResponse, bank_card_service_client::BankCardServiceClient,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};
use tonic_types::StatusExt as _;

/// A sandbox card that matches at once.
pub const GOOD_CARD: &str = "6200000100000012";
/// A sandbox card whose answer takes three seconds.
pub const SLOW_CARD: &str = "6200000300000010";

/// The program, ended when dropped.
pub struct ServiceProcess {
    pub address: SocketAddr,
    pub folder: TempDir,
    child: Child,
}

impl Drop for ServiceProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port that was given, as the line says that tells of serving.
fn served_address(printed: &str) -> Option<SocketAddr> {
    let mut lines = printed.lines().filter(|line| line.contains("\"serving\""));
    let (_, rest) = lines.next()?.split_once("\"grpc\":\"")?;
    rest.split('"').next()?.parse().ok()
}

impl ServiceProcess {
    /// Serves; `settings` are the sections after `[server]`, and may name files in the folder.
    pub fn start(folder: TempDir, settings: &str) -> Self {
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nworkers = 1\n\
             drain_delay_ms = 0\n{settings}\n[telemetry]\nlog_level = \"trace\"\n\
             log_format = \"json\"\n"
        );
        let config = folder.path().join("cardproof.toml");
        fs::write(&config, text).unwrap();
        let log = |name: &str| fs::File::create(folder.path().join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cardproof"))
            .arg("serve")
            .arg("--config")
            .arg(config)
            .env("RUST_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .spawn()
            .unwrap();
        let mut process = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            folder,
            child,
        };
        process.wait_until_it_serves();
        process
    }

    fn wait_until_it_serves(&mut self) {
        let begun = Instant::now();
        loop {
            let printed = self.printed();
            if let Some(address) = served_address(&printed) {
                self.address = address;
                return;
            }
            if let Some(ended) = self.child.try_wait().unwrap() {
                panic!("{ended}: {printed}");
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{printed}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything that it has printed.
    pub fn printed(&self) -> String {
        let mut all = String::new();
        for name in ["stdout", "stderr"] {
            let text = fs::read_to_string(self.folder.path().join(name)).unwrap();
            writeln!(all, "{text}").unwrap();
        }
        all
    }

    /// Waits until it has printed something that many times.
    pub async fn says(&self, text: &str, times: usize) {
        let begun = Instant::now();
        while self.printed().matches(text).count() < times {
            assert!(begun.elapsed() < Duration::from_secs(20), "never: {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn plaintext(&self) -> Client {
        let channel = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        Client::new(channel.connect().await.unwrap(), None)
    }

    pub async fn connect(&self, tls: ClientTlsConfig) -> Result<Client, tonic::transport::Error> {
        let channel = Channel::from_shared(format!("https://{}", self.address)).unwrap();
        let channel = channel.tls_config(tls.domain_name("localhost"))?;
        Ok(Client::new(channel.connect().await?, None))
    }

    /// A client that trusts the authority and has no certificate.
    pub async fn trusting(&self, authority: &Authority) -> Client {
        self.connect(authority.trusted()).await.unwrap()
    }
}

/// A client of one connection.
#[derive(Clone)]
pub struct Client {
    pub channel: Channel,
    authorization: Option<String>,
}

impl Client {
    fn new(channel: Channel, authorization: Option<String>) -> Self {
        Self {
            channel,
            authorization,
        }
    }

    /// The same over the same connection with a value of `authorization`.
    pub fn authorized(&self, value: &str) -> Self {
        Self::new(self.channel.clone(), Some(value.to_owned()))
    }

    pub fn token(&self, token: &str) -> Self {
        self.authorized(&format!("Bearer {token}"))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(value) = &self.authorization {
            let value = MetadataValue::try_from(value).unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        request
    }

    pub async fn verify_with(
        &self,
        message: VerifyBankCardRequest,
    ) -> Result<VerifyBankCardResponse, Status> {
        let mut client = BankCardServiceClient::new(self.channel.clone());
        let reply = client.verify_bank_card(self.request(message)).await?;
        Ok(reply.into_inner())
    }

    pub async fn verify(&self) -> Result<VerifyBankCardResponse, Status> {
        self.verify_with(question(GOOD_CARD)).await
    }

    pub async fn card_info(&self) -> Result<QueryCardInfoResponse, Status> {
        let mut client = BankCardServiceClient::new(self.channel.clone());
        let message = QueryCardInfoRequest {
            bank_card: "622202".to_owned(),
            ..QueryCardInfoRequest::default()
        };
        let reply = client.query_card_info(self.request(message)).await?;
        Ok(reply.into_inner())
    }
}

/// A verification by two factors.
pub fn question(card: &str) -> VerifyBankCardRequest {
    VerifyBankCardRequest {
        bank_card: card.to_owned(),
        name: "张三".to_owned(),
        ..VerifyBankCardRequest::default()
    }
}

/// The same whatever the cache knows.
pub fn bypassing(card: &str) -> VerifyBankCardRequest {
    VerifyBankCardRequest {
        cache: Some(CachePolicy {
            mode: CacheMode::Bypass.into(),
            ..CachePolicy::default()
        }),
        ..question(card)
    }
}

/// Code and reason of an error.
pub fn told<T: std::fmt::Debug>(answer: Result<T, Status>) -> (tonic::Code, String) {
    let status = answer.unwrap_err();
    let info = status
        .get_details_error_info()
        .unwrap_or_else(|| panic!("{status:?}"));
    assert_eq!(info.domain, "cardproof");
    (status.code(), info.reason)
}

/// The digest of a token as the configuration has it.
pub fn digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(2095, 1, 1);
        let issued = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap());
        Self(issued.unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate with those names, a colon making one a URI, and its key.
    pub fn issue(&self, names: &[&str]) -> Pair {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_after = date_time_ymd(2090, 1, 1);
        params.subject_alt_names = names
            .iter()
            .map(|name| {
                let text = (*name).try_into().unwrap();
                if name.contains(':') {
                    SanType::URI(text)
                } else {
                    SanType::DnsName(text)
                }
            })
            .collect();
        let key = KeyPair::generate().unwrap();
        Pair {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub fn trusted(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.pem()))
    }

    /// Trusts this authority and shows a certificate.
    pub fn trusted_by(&self, pair: &Pair) -> ClientTlsConfig {
        self.trusted()
            .identity(Identity::from_pem(&pair.certificate, &pair.key))
    }
}

/// A certificate and its key.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Pair {
    pub fn write(&self, folder: &TempDir) {
        fs::write(folder.path().join("tls.crt"), &self.certificate).unwrap();
        fs::write(folder.path().join("tls.key"), &self.key).unwrap();
    }
}

/// `[server.tls]` for the files in a folder.
pub fn tls_section(folder: &TempDir, client_ca: Option<&Authority>, more: &str) -> String {
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let mut section = format!(
        "[server.tls]\ncert_file = {:?}\nkey_file = {:?}\n{more}\n",
        path("tls.crt"),
        path("tls.key")
    );
    if let Some(authority) = client_ca {
        fs::write(path("client-ca.crt"), authority.pem()).unwrap();
        writeln!(section, "client_ca_file = {:?}", path("client-ca.crt")).unwrap();
    }
    section
}
