//! Replicas of the program before one emulator, with a configuration that tests vary key by key.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cardproof::proto::bankcard::v1::VerifyBankCardRequest;
use cardproof_emulator::{Emulator, Entry, Options, Question, Vendor};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    proxy::Proxy,
    redis::{PASSWORD, Redis},
    replica::{Client, Launch, Replica, free_address},
};

/// The secrets, by the variables that they are in: the emulator's, and made up ones.
const SECRETS: [(&str, &str); 6] = [
    ("T_ACE", "emulator-ace-token"),
    ("T_TENCENT_ID", "AKIDEMULATOR"),
    ("T_TENCENT_KEY", "emulator-tencent-secret"),
    ("T_ALIBABA_ID", "LTAIEMULATOR"),
    ("T_ALIBABA_SECRET", "emulator-alibaba-secret"),
    ("T_KEY", "a-key-of-the-tests-1f3b9c77"),
];

/// What the program is told, unless a test says otherwise: nothing but the promises under test
/// stands in the way of a call.
fn configuration(emulator: &Emulator) -> String {
    let url = emulator.url();
    let free = "requests_per_second = 1000000\nconcurrent = 100000\ntimeout_ms = 20000\n";
    format!(
        r#"
[server]
max_deadline_ms = 60000
drain_delay_ms = 0
shutdown_timeout_ms = 25000
[routes]
verify = ["ace"]
card_info = ["ace"]
[cache]
share = "all"
key = {{ env = "T_KEY" }}
[breaker]
enabled = false
[telemetry]
log_format = "json"
ledger_file = "/dev/null"
[providers.ace]
kind = "ace"
endpoint = "{url}"
token = {{ env = "T_ACE" }}
{free}
[providers.tencent]
kind = "tencent"
endpoint = "{url}"
secret_id = {{ env = "T_TENCENT_ID" }}
secret_key = {{ env = "T_TENCENT_KEY" }}
{free}
[providers.alibaba]
kind = "alibaba"
endpoint = "{url}"
product = "intl"
access_key_id = {{ env = "T_ALIBABA_ID" }}
access_key_secret = {{ env = "T_ALIBABA_SECRET" }}
{free}
"#
    )
}

/// A house before it is opened.
pub struct Plan {
    replicas: usize,
    variables: BTreeMap<String, String>,
    more: String,
    shares_redis: bool,
    /// Whether the ways to it can be held up; they are slower then.
    through_proxies: bool,
    descriptors: Option<u64>,
}

/// The running parts.
pub struct House {
    pub emulator: Arc<Emulator>,
    pub replicas: Vec<Replica>,
    pub redis: Option<Redis>,
    /// The way of each replica to Redis.
    proxies: Vec<Proxy>,
    _folder: TempDir,
}

/// Replicas that know nothing of each other, or one.
pub fn replicas(count: usize) -> Plan {
    let secrets = SECRETS.iter();
    Plan {
        replicas: count,
        variables: secrets
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        more: String::new(),
        shares_redis: false,
        through_proxies: false,
        descriptors: None,
    }
}

impl Plan {
    /// With a variable of the environment; `SECTION__KEY` stands for a key of the configuration.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        let name = match name.contains("__") {
            true => format!("CARDPROOF__{name}"),
            false => name.to_owned(),
        };
        self.variables.insert(name, value.to_string());
        self
    }

    /// With callers of these names; each one's token is its name.
    pub fn callers(mut self, names: &[&str]) -> Self {
        for name in names {
            let digest = hex::encode(Sha256::digest(name));
            self.more +=
                &format!("[clients.{name}]\ntoken_sha256 = [\"{digest}\"]\nallow_bypass = true\n");
        }
        self.with("AUTH__MODE", "token")
    }

    /// With a Redis that all replicas share.
    pub fn redis(mut self) -> Self {
        self.more += "[cache.redis]\nurl = { env = \"T_REDIS\" }\n";
        self.shares_redis = true;
        self
    }

    /// With ways to Redis that a test can hold up.
    pub fn held_up(mut self) -> Self {
        self.through_proxies = true;
        self
    }

    /// With so few descriptors.
    pub fn descriptors(mut self, most: u64) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// Starts everything, and waits until all replicas serve.
    pub async fn open(self) -> House {
        let redis = self.shares_redis.then(Redis::start);
        let mut proxies = Vec::new();
        for _ in 0..self.replicas {
            if let Some(redis) = redis.as_ref().filter(|_| self.through_proxies) {
                proxies.push(Proxy::start(redis.address).await);
            }
        }
        let emulator = Emulator::start_on_thread(Options::default(), 1).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let toml = configuration(&emulator) + &self.more;
        let mut variables = self.variables;
        variables.insert(
            "CARDPROOF__SERVER__REPLICAS".to_owned(),
            self.replicas.to_string(),
        );
        let launched = (0..self.replicas).map(|number| {
            let mut variables = variables.clone();
            // one asks vendors on its only worker's thread, the next one on a thread of their own
            let workers = variables.entry("CARDPROOF__SERVER__WORKERS".to_owned());
            workers.or_insert_with(|| (1 + number % 2).to_string());
            if let Some(redis) = &redis {
                let address = proxies.get(number).map_or(redis.address, |it| it.address);
                let url = format!("redis://:{PASSWORD}@{address}");
                variables.insert("T_REDIS".to_owned(), url);
            }
            Replica::launch(Launch {
                folder: folder.path().to_owned(),
                name: format!("replica-{number}"),
                toml: toml.clone(),
                variables,
                grpc: free_address(),
                admin: free_address(),
                descriptors: self.descriptors,
            })
        });
        let mut replicas: Vec<_> = launched.collect();
        for replica in &mut replicas {
            replica.ready().await;
        }
        House {
            emulator: Arc::new(emulator),
            replicas,
            redis,
            proxies,
            _folder: folder,
        }
    }
}

impl House {
    /// A connection to each replica in turn, so many in all.
    pub fn clients(&self, count: usize) -> Vec<Client> {
        let replicas = self.replicas.iter().cycle();
        replicas.take(count).map(Replica::client).collect()
    }

    /// A client of one replica.
    pub fn client(&self, replica: usize) -> Client {
        self.replicas[replica].client()
    }

    /// A replica's way to Redis.
    pub fn proxy(&self, replica: usize) -> &Proxy {
        &self.proxies[replica]
    }

    /// The Redis that all replicas share.
    pub fn redis(&mut self) -> &mut Redis {
        self.redis.as_mut().expect("a plan with Redis")
    }

    /// Waits until every replica has, or has lost, its Redis.
    pub async fn until_redis_is(&self, up: bool) {
        let wanted = f64::from(u8::from(up));
        self.until("Redis is as it should be for all", |house| {
            let mut replicas = house.replicas.iter();
            replicas.all(|it| it.metric("cardproof_redis_up", &[]) == wanted)
        })
        .await;
    }

    /// The sum of a metric over all replicas.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let replicas = self.replicas.iter();
        replicas.map(|replica| replica.metric(name, labels)).sum()
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "not in time: {what}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until so many calls wait at a gate of the emulator.
    pub async fn at_the_gate(&self, gate: &str, calls: usize) {
        let patience = Duration::from_secs(30);
        let came = self
            .emulator
            .wait_until_waiting(gate, calls, patience)
            .await;
        assert!(
            came,
            "{calls} calls at {gate}: {:?}",
            self.emulator.gate(gate)
        );
    }

    /// What the vendors have in their ledger about a card, however it was asked about.
    pub fn calls(&self, asked: &VerifyBankCardRequest) -> Vec<Entry> {
        let digest = question(asked).digest();
        let masked = question(asked).masked().digest();
        let mut entries = self.emulator.ledger();
        entries.retain(|entry| {
            entry
                .question
                .is_some_and(|of| of == digest || of == masked)
        });
        entries
    }
}

/// A question about a card and a person of that name.
pub fn asking(card: &str, name: &str) -> VerifyBankCardRequest {
    VerifyBankCardRequest {
        bank_card: card.to_owned(),
        name: name.to_owned(),
        ..VerifyBankCardRequest::default()
    }
}

/// A card that no other number gives.
pub fn card(number: usize) -> String {
    format!("622848{number:010}")
}

/// A name that no other number gives, and that belongs to nobody.
pub fn name(number: usize) -> String {
    let letters = number.to_string();
    let letters = letters.bytes().map(|digit| char::from(digit - b'0' + b'a'));
    format!("Zhuge {}", letters.collect::<String>())
}

/// A question as the emulator digests it.
pub fn question(asked: &VerifyBankCardRequest) -> Question {
    let mut question = Question::new(&asked.bank_card, &asked.name);
    if !asked.id_number.is_empty() {
        question = question.id_number(&asked.id_number);
    }
    if !asked.phone.is_empty() {
        question = question.phone(&asked.phone);
    }
    question
}

/// The vendor that is asked by default.
pub const VENDOR: Vendor = Vendor::Ace;
