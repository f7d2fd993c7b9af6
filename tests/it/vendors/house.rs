//! The binary as a process, its configuration, a client for it and the emulator behind it.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use cardproof::proto::bankcard::v1::{
    QueryCardInfoRequest, QueryCardInfoResponse, VerifyBankCardRequest, VerifyBankCardResponse,
    bank_card_service_client::BankCardServiceClient,
};
use cardproof_emulator::{Emulator, Entry, Operation, Options, Question};
use tempfile::TempDir;
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt;

use crate::support::server::program;

pub const ID_NUMBER: &str = "11010519491231002X";
pub const PHONE: &str = "13800138000";
/// Every card of these tests begins so; nothing that is logged may contain it.
const CARD_BEGINS: &str = "6228480000";
/// Every name of these tests ends so.
const NAME_ENDS: &str = "Ouyangzhuge";
const GIVE_UP: Duration = Duration::from_secs(20);

/// Names and values of the variables that the secrets of these tests are in: the emulator's.
const SECRETS: [(&str, &str); 9] = [
    ("T_ACE", "emulator-ace-token"),
    ("T_TENCENT_ID", "AKIDEMULATOR"),
    ("T_TENCENT_KEY", "emulator-tencent-secret"),
    ("T_TENCENT_STS_ID", "AKIDEMULATORTEMPORARY"),
    ("T_TENCENT_STS_KEY", "emulator-tencent-temporary-secret"),
    ("T_TENCENT_STS_TOKEN", "emulator-tencent-session-token"),
    ("T_ALIBABA_ID", "LTAIEMULATOR"),
    ("T_ALIBABA_SECRET", "emulator-alibaba-secret"),
    ("T_WRONG", "never-the-right-one"),
];
const STS: [(&str, &str); 3] = [
    ("T_ALIBABA_STS_ID", "STS.EMULATOR"),
    ("T_ALIBABA_STS_SECRET", "emulator-alibaba-temporary-secret"),
    ("T_ALIBABA_STS_TOKEN", "emulator-alibaba-security-token"),
];

/// Settings of an Ace provider, beside its name.
pub fn ace(name: &str, url: &str, more: &str) -> String {
    section(
        name,
        url,
        "ace",
        &format!("token = {{ env = \"T_ACE\" }}\n{more}"),
    )
}

/// Settings of a Tencent provider.
pub fn tencent(name: &str, url: &str, more: &str) -> String {
    let keys = "secret_id = { env = \"T_TENCENT_ID\" }\nsecret_key = { env = \"T_TENCENT_KEY\" }\n";
    section(name, url, "tencent", &format!("{keys}{more}"))
}

/// Settings of an Alibaba provider.
pub fn alibaba(name: &str, url: &str, product: &str, more: &str) -> String {
    let keys = format!(
        "product = \"{product}\"\naccess_key_id = {{ env = \"T_ALIBABA_ID\" }}\n\
         access_key_secret = {{ env = \"T_ALIBABA_SECRET\" }}\n"
    );
    section(name, url, "alibaba", &format!("{keys}{more}"))
}

/// Settings of any vendor, without its published rate limit, which is no subject here.
pub fn section(name: &str, url: &str, kind: &str, more: &str) -> String {
    format!(
        "[providers.{name}]\nkind = \"{kind}\"\nendpoint = \"{url}\"\n\
         requests_per_second = 1000000\n{more}\n"
    )
}

pub async fn emulator() -> Emulator {
    Emulator::start(Options::default()).await.unwrap()
}

/// A running binary.
pub struct House {
    child: Child,
    client: BankCardServiceClient<Channel>,
    folder: TempDir,
    pub admin: SocketAddr,
}

impl House {
    /// Starts it with these providers; `routed` are asked for every question that names none.
    pub async fn open(routed: &[&str], providers: &str) -> Self {
        let card_info: Vec<_> = routed
            .iter()
            .copied()
            .filter(|name| !name.starts_with("alibaba"))
            .collect();
        Self::open_with(
            &format!("verify = {routed:?}\ncard_info = {card_info:?}\n"),
            providers,
        )
        .await
    }

    /// The same with the lines of `[routes]` spelled out.
    pub async fn open_with(routes: &str, providers: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [grpc, admin] = free_addresses();
        let config = format!(
            "[server]\nlisten = \"{grpc}\"\nadmin_listen = \"{admin}\"\ndrain_delay_ms = 0\n\
             [breaker]\nenabled = false\n[routes]\nretries_per_second = 0\n{routes}\n\
             [telemetry]\nlog_format = \"json\"\n{providers}"
        );
        fs::write(folder.path().join("cardproof.toml"), config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = command(&["serve", "--config"])
            .arg(folder.path().join("cardproof.toml"))
            .env("RUST_LOG", "trace")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let channel = Channel::from_shared(format!("http://{grpc}"))
            .unwrap()
            .connect_lazy();
        let house = Self {
            child,
            client: BankCardServiceClient::new(channel),
            folder,
            admin,
        };
        house.wait_until_ready().await;
        house
    }

    async fn wait_until_ready(&self) {
        let begun = Instant::now();
        while http_get(self.admin, "/readyz").is_none_or(|answer| !answer.contains(" 200 ")) {
            assert!(begun.elapsed() < GIVE_UP, "not ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything that was logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits up to some seconds for a line of the log that contains all of this.
    pub async fn logged(&self, parts: &[&str]) -> String {
        let begun = Instant::now();
        loop {
            let log = self.log();
            let found = log
                .lines()
                .find(|line| parts.iter().all(|part| line.contains(part)));
            if let Some(line) = found {
                return line.to_owned();
            }
            assert!(begun.elapsed() < GIVE_UP, "no {parts:?} in\n{log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn verify(
        &self,
        request: VerifyBankCardRequest,
    ) -> Result<VerifyBankCardResponse, Status> {
        self.verify_with(tonic::Request::new(request)).await
    }

    /// The same with headers of the caller's own.
    pub async fn verify_with(
        &self,
        request: tonic::Request<VerifyBankCardRequest>,
    ) -> Result<VerifyBankCardResponse, Status> {
        let answer = self.client.clone().verify_bank_card(request).await;
        answer.map(tonic::Response::into_inner)
    }

    pub async fn card_info(
        &self,
        request: QueryCardInfoRequest,
    ) -> Result<QueryCardInfoResponse, Status> {
        let answer = self.client.clone().query_card_info(request).await;
        answer.map(tonic::Response::into_inner)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            return;
        }
        let log = self.log();
        let secrets = SECRETS.iter().chain(&STS).map(|(_, secret)| *secret);
        // ids of keys are no secrets, but nobody needs them in a log either
        for private in secrets.chain([CARD_BEGINS, NAME_ENDS, ID_NUMBER, PHONE, "/?BankCard"]) {
            assert!(!log.contains(private), "{private} was logged");
        }
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// Addresses that nobody listens on at this moment.
fn free_addresses() -> [SocketAddr; 2] {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap())
}

/// The program with the secrets of these tests in its environment.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = program(arguments);
    command.envs(SECRETS).envs(STS);
    command
}

/// An address that refuses connections.
pub fn closed_port() -> SocketAddr {
    free_addresses()[0]
}

pub fn http_get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A person and a card that no other question has.
#[derive(Clone)]
pub struct Asked {
    pub card: String,
    pub name: String,
    pub operation: Operation,
}

impl Asked {
    pub fn new(operation: Operation) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let letters: String = number
            .to_string()
            .bytes()
            .map(|digit| char::from(digit - b'0' + b'a'))
            .collect();
        Self {
            card: format!("{CARD_BEGINS}{number:06}"),
            name: format!("{letters} {NAME_ENDS}"),
            operation,
        }
    }

    pub fn request(&self, provider: &str) -> VerifyBankCardRequest {
        let mut request = VerifyBankCardRequest {
            bank_card: self.card.clone(),
            name: self.name.clone(),
            provider: provider.to_owned(),
            ..VerifyBankCardRequest::default()
        };
        if self.operation != Operation::Two {
            request.id_number = ID_NUMBER.to_owned();
        }
        if self.operation == Operation::Four {
            request.phone = PHONE.to_owned();
        }
        request
    }

    pub fn inquiry(&self, provider: &str) -> QueryCardInfoRequest {
        QueryCardInfoRequest {
            bank_card: self.card.clone(),
            provider: provider.to_owned(),
            ..QueryCardInfoRequest::default()
        }
    }

    /// The question as the emulator digests it.
    pub fn question(&self) -> Question {
        let question = match self.operation {
            Operation::CardInfo => return Question::card_info(&self.card),
            _ => Question::new(&self.card, &self.name),
        };
        match self.operation {
            Operation::Three => question.id_number(ID_NUMBER),
            Operation::Four => question.id_number(ID_NUMBER).phone(PHONE),
            _ => question,
        }
    }

    /// What the emulator's ledger holds about it, in plain or masked form.
    pub fn entries(&self, emulator: &Emulator) -> Vec<Entry> {
        let digests = [self.question().digest(), self.question().masked().digest()];
        let mut entries = emulator.ledger();
        entries.retain(|entry| {
            entry
                .question
                .is_some_and(|digest| digests.contains(&digest))
        });
        entries
    }
}

/// The reason of an error, and what it says of this provider.
pub fn reason(status: &Status, provider: &str) -> (String, String) {
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "cardproof");
    let of_provider = match info.metadata.get("provider") {
        Some(named) => {
            assert_eq!(named, provider);
            String::new()
        }
        None => info.metadata.get(provider).cloned().unwrap_or_default(),
    };
    (info.reason, of_provider)
}
