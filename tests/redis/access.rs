//! The way to the store: TLS with an authority of the operator's own, passwords, rights. What goes
//! wrong is told with the setting to look at, and never with the address.

use std::{
    io::Write,
    net::TcpListener,
    sync::{Arc, OnceLock},
    time::Duration,
};

use cardproof::{
    cache::shared::{Address, RedisStore, Settings},
    config::{OnLoss, secret::Secret},
    domain::{ResultCode, Source},
    provider::ProviderErrorKind,
    service::{Service, ask::CacheMode},
};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    house::{
        Act, Plan, Vendor, ask, ask_about, ask_with, card, refusal, replica, replica_with, until,
    },
    server::Redis,
};

const PASSWORD: &str = "a-password-of-the-tests-5b1e";
const SOON: Duration = Duration::from_secs(10);

/// The command that makes a user, as docs/SCALING.md has it.
fn rights() -> Vec<String> {
    let page = include_str!("../../docs/SCALING.md");
    let (_, rest) = page
        .split_once("ACL SETUSER")
        .expect("the page names the rights");
    let (rest, _) = rest.split_once("```").expect("the command ends");
    let words = ["ACL", "SETUSER"]
        .into_iter()
        .chain(rest.split_whitespace());
    words
        .map(|word| word.replace("PASSWORD", PASSWORD))
        .collect()
}

/// Everything that is logged by this program of tests.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let begun = LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            tracing_subscriber::fmt()
                .json()
                .with_max_level(tracing::Level::TRACE)
                .with_writer(move || writer.clone())
                .init();
            log
        });
        begun.clone()
    }

    /// Whether an event of ours tells this reason and this setting.
    fn tells(&self, reason: &str, key: &str) -> bool {
        let log = self.0.lock();
        let text = String::from_utf8_lossy(&log);
        text.lines().any(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["fields"]["reason"] == reason && line["fields"]["key"] == key
        })
    }

    /// Whether a policy was named as one that forgets.
    fn names_policy(&self, policy: &str) -> bool {
        let log = self.0.lock();
        let text = String::from_utf8_lossy(&log);
        text.lines().any(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["fields"]["policy"] == policy
        })
    }

    /// Fails when our own events say anything of an address.
    fn is_silent_about(&self, secrets: &[&str]) {
        let log = self.0.lock();
        let text = String::from_utf8_lossy(&log);
        for line in text
            .lines()
            .filter(|line| line.contains("\"target\":\"cardproof"))
        {
            for secret in secrets {
                assert!(!line.contains(secret), "{secret} in {line}");
            }
        }
    }
}

/// An authority, and a server whose certificate it signed.
struct Tls {
    redis: Redis,
    port: u16,
    authority: String,
    _folder: TempDir,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let common = rcgen::DnType::CommonName;
    params.distinguished_name.push(common, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Tls {
    fn start() -> Self {
        let issuer = authority("authority of the operator");
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, pem: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let certificate = file("server.crt", certificate.pem());
        let key = file("server.key", key.serialize_pem());
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let redis = Redis::start_with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-auth-clients",
            "no",
        ]);
        Self {
            redis,
            port,
            authority: issuer.pem(),
            _folder: folder,
        }
    }

    fn url(&self, user: &str, password: &str) -> String {
        format!("rediss://{user}:{password}@127.0.0.1:{}", self.port)
    }
}

/// A replica with that way to its store, which it may not find.
async fn replica_at(url: &str, authority: Option<&str>, vendor: &Arc<Vendor>) -> Service {
    let settings = Settings {
        address: Address {
            url: Secret::new(url.to_owned()),
            authorities: authority.map(|pem| pem.as_bytes().to_vec()),
        },
        timeout: Duration::from_millis(500),
        prefix: "cardproof".to_owned(),
        offset_ms: Arc::new(|| 0),
    };
    let store = RedisStore::new(settings).unwrap();
    let plan = Plan {
        on_loss: OnLoss::Refuse,
        ..Plan::default()
    };
    let service = replica_with(Arc::new(store), std::slice::from_ref(vendor), plan);
    service.find_shared_store(Duration::from_secs(3)).await;
    service
}

/// It has no store, tells why, and asks no vendor.
async fn is_refused(service: &Service, vendor: &Vendor, reason: &str, key: &str, log: &Log) {
    assert_eq!(service.shared_store_is_up(), Some(false));
    assert_eq!(
        refusal(service, ask("张三")).await,
        "SHARED_STATE_UNAVAILABLE"
    );
    assert_eq!(vendor.calls(), 0);
    assert!(log.tells(reason, key), "{reason} of {key}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_an_authority_of_the_operators_own_is_reached_over_tls() {
    let tls = Tls::start();
    let _: String = tls
        .redis
        .command(&["CONFIG", "SET", "requirepass", PASSWORD]);
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let url = tls.url("", PASSWORD);
    let one = replica_at(&url, Some(&tls.authority), &vendor).await;
    let two = replica_at(&url, Some(&tls.authority), &vendor).await;
    assert_eq!(one.shared_store_is_up(), Some(true));
    one.ask(ask("张三")).await.unwrap();
    let again = two.ask(ask("张三")).await.unwrap();
    assert_eq!((again.source, vendor.calls()), (Source::SharedCache, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_somebody_else_is_refused_and_the_setting_is_named() {
    let log = Log::begin();
    let tls = Tls::start();
    let (reason, key) = (
        "its certificate is not to be trusted",
        "cache.redis.ca_file",
    );
    let url = tls.url("", PASSWORD);
    let stranger = authority("authority of a stranger").pem();
    // another authority, and those that the system trusts
    for authority in [Some(stranger.as_str()), None] {
        let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
        let service = replica_at(&url, authority, &vendor).await;
        is_refused(&service, &vendor, reason, key, &log).await;
    }
    let port = tls.port.to_string();
    log.is_silent_about(&[PASSWORD, "rediss:", &format!("127.0.0.1:{port}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_as_one() {
    let log = Log::begin();
    let tls = Tls::start();
    let _: String = tls
        .redis
        .command(&["CONFIG", "SET", "requirepass", PASSWORD]);
    let (reason, key) = ("it does not accept the credentials", "cache.redis.url");
    let wrong = "not-the-password-9d20";
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let with_wrong = replica_at(&tls.url("", wrong), Some(&tls.authority), &vendor).await;
    is_refused(&with_wrong, &vendor, reason, key, &log).await;
    let url = format!("rediss://127.0.0.1:{}", tls.port);
    let with_none = replica_at(&url, Some(&tls.authority), &vendor).await;
    is_refused(&with_none, &vendor, reason, key, &log).await;
    let port = tls.port.to_string();
    log.is_silent_about(&[PASSWORD, wrong, "rediss:", &format!("127.0.0.1:{port}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_needs_no_more_rights_than_the_page_names() {
    let log = Log::begin();
    let tls = Tls::start();
    let rights = rights();
    let rights: Vec<&str> = rights.iter().map(String::as_str).collect();
    let _: String = tls.redis.command(&rights);
    let vendor = Vendor::new(&[
        Act::Answer(ResultCode::Match),
        Act::Answer(ResultCode::Mismatch),
        Act::Answer(ResultCode::NameInvalid),
        Act::Fail(ProviderErrorKind::OutcomeUnknown),
        Act::Answer(ResultCode::Match),
    ]);
    let service = replica_at(
        &tls.url("cardproof", PASSWORD),
        Some(&tls.authority),
        &vendor,
    )
    .await;
    assert_eq!(service.shared_store_is_up(), Some(true));
    let id = Uuid::from_u128(7);
    service.ask(ask_with("张三", id)).await.unwrap();
    service.ask(ask_with("张三", id)).await.unwrap();
    service.ask(ask("李四")).await.unwrap();
    service.ask(ask("王五")).await.unwrap();
    assert_eq!(refusal(&service, ask("赵六")).await, "OUTCOME_UNKNOWN");
    assert_eq!(
        refusal(&service, ask("钱七")).await,
        "CARD_ATTEMPTS_EXCEEDED"
    );
    // more fields than a card's hash keeps without clearing up, and more ids than a caller may have
    for number in 0..40u32 {
        let name = format!("张{}", char::from_u32(0x4e00 + number).unwrap());
        let mut asked = ask_about(&format!("62000000001000{number:02}"), &name);
        asked.request_id = Some(Uuid::from_u128(100 + u128::from(number)));
        asked.mode = CacheMode::Bypass;
        service.ask(asked).await.unwrap();
    }
    assert!(service.guard_show(&card()).await.is_some());
    assert!(service.guard_reset(&card()).await.unwrap());
    assert!(service.erase(&card()).await.everywhere);
    // put back into an emptied store
    let _: String = tls.redis.command(&["FLUSHALL"]);
    until("the store is lost", SOON, async || {
        service.shared_store_is_up() == Some(false)
    })
    .await;
    until("the store is found", SOON, async || {
        service.shared_store_is_up() == Some(true)
    })
    .await;
    assert!(!log.tells("it does not permit what is needed", "cache.redis.url"));
    // a user who may do less is told apart
    let less = ["ACL", "SETUSER", "cardproof", "-evalsha"];
    let _: String = tls.redis.command(&less);
    until("the loss is noticed", SOON, async || {
        service.shared_store_is_up() == Some(false)
    })
    .await;
    assert!(log.tells("it does not permit what is needed", "cache.redis.url"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_forgets_what_it_was_given_is_reported() {
    let log = Log::begin();
    let vendor = Vendor::new(&[Act::Answer(ResultCode::Match)]);
    let keeping = Redis::start_with(&["--maxmemory-policy", "noeviction"]);
    drop(replica(&keeping, &vendor).await);
    // no other test has this policy
    assert!(!log.names_policy("volatile-random"));
    let forgetting = Redis::start_with(&["--maxmemory-policy", "volatile-random"]);
    drop(replica(&forgetting, &vendor).await);
    assert!(log.names_policy("volatile-random"));
    assert!(!log.names_policy("noeviction"));
}
