//! Vendors that do what chance says, and the ledger of all that they were asked: the judge's book.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use cardproof::{
    domain::{
        Answer, CardInquiry, Charge, Factors, Finding, IdentityType, Operation, ProviderMessage,
        ProviderName, ResultCode, VendorToken, Verification,
    },
    provider::{CallContext, Capabilities, Provider, ProviderError, ProviderErrorKind as Kind},
};
use jiff::Timestamp;
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use super::link::Process;

/// What a vendor did with a call that reached it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// It answered.
    Answered(ResultCode),
    /// It had no room.
    Throttled,
    /// It ran the call, and the answer was lost on its way.
    RanInVain,
}

/// One call that reached a vendor.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which life of which replica sent it.
    pub life: usize,
    pub vendor: usize,
    pub card: String,
    pub name: String,
    pub at: Instant,
    pub clock: Timestamp,
    /// When its end was seen by the replica that sent it, if ever.
    pub seen: Option<Instant>,
    pub did: Did,
}

impl Call {
    /// Whether it may stand on the vendor's bill, or in the bank's books.
    pub fn ran(&self) -> bool {
        match self.did {
            Did::Throttled | Did::Answered(ResultCode::ServiceBusy) => false,
            Did::Answered(_) | Did::RanInVain => true,
        }
    }
}

impl Call {
    /// Whether it may stand on the vendor's bill; a call of unknown outcome counts as if it did.
    pub fn is_charged(&self) -> bool {
        match self.did {
            Did::Throttled => false,
            Did::RanInVain => true,
            Did::Answered(result) => charge(result) != Charge::NotCharged,
        }
    }
}

/// All calls, in the order in which they came.
#[derive(Default)]
pub struct Ledger(pub Mutex<Vec<Call>>);

/// One replica's client of a vendor.
pub struct Vendor {
    pub name: ProviderName,
    pub number: usize,
    pub life: usize,
    pub process: Process,
    pub ledger: Arc<Ledger>,
    pub clock: cardproof::service::clock::Clock,
    pub random: Mutex<StdRng>,
}

/// How long a call of the simulation's vendors may take.
pub const TIMEOUT: Duration = Duration::from_secs(3);
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

const ANSWERS: [(ResultCode, u32); 10] = [
    (ResultCode::Match, 30),
    (ResultCode::Mismatch, 25),
    (ResultCode::CardExpired, 8),
    (ResultCode::NameInvalid, 6),
    (ResultCode::UnknownProviderCode, 4),
    (ResultCode::BankRefused, 4),
    (ResultCode::IssuerUnsupported, 6),
    (ResultCode::CardUnsupported, 4),
    (ResultCode::ServiceBusy, 8),
    (ResultCode::AttemptsExceeded, 1),
];

impl Vendor {
    pub fn new(
        (number, life): (usize, usize),
        process: &Process,
        ledger: &Arc<Ledger>,
        clock: &cardproof::service::clock::Clock,
        seed: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: ProviderName::new(&format!("vendor{number}")).unwrap(),
            number,
            life,
            process: process.clone(),
            ledger: Arc::clone(ledger),
            clock: clock.clone(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        })
    }

    fn decide(&self) -> (Did, Duration) {
        let mut random = self.random.lock();
        let takes = Duration::from_millis(match random.random_range(0..10) {
            0 => random.random_range(1000..2800),
            _ => random.random_range(5..300),
        });
        let did = match random.random_range(0..100) {
            0..6 => Did::Throttled,
            6..12 => Did::RanInVain,
            _ => {
                let mut roll = random.random_range(0..ANSWERS.iter().map(|it| it.1).sum());
                let found = ANSWERS.iter().find(|(_, weight)| {
                    let hit = roll < *weight;
                    roll = roll.saturating_sub(*weight);
                    hit
                });
                Did::Answered(found.unwrap().0)
            }
        };
        (did, takes)
    }

    async fn ask(&self, card: &str, name: &str) -> Result<Answer, ProviderError> {
        self.process.pass().await;
        if self.random.lock().random_range(0..100) < 5 {
            return Err(ProviderError::new(Kind::NotSent, "no connection"));
        }
        let (did, takes) = self.decide();
        let at = {
            let mut ledger = self.ledger.0.lock();
            ledger.push(Call {
                life: self.life,
                vendor: self.number,
                card: card.to_owned(),
                name: name.to_owned(),
                at: Instant::now(),
                clock: self.clock.now(),
                seen: None,
                did,
            });
            ledger.len() - 1
        };
        tokio::time::sleep(takes).await;
        self.process.pass().await;
        self.ledger.0.lock()[at].seen = Some(Instant::now());
        match did {
            Did::Answered(result) => Ok(answer(result, self.clock.now())),
            Did::Throttled => Err(ProviderError::new(Kind::Throttled, "no room")),
            Did::RanInVain => Err(ProviderError::new(Kind::OutcomeUnknown, "cut off")),
        }
    }
}

/// What a vendor charges for, as the public table of results has it.
fn charge(result: ResultCode) -> Charge {
    match result {
        ResultCode::NameInvalid
        | ResultCode::ServiceBusy
        | ResultCode::AttemptsExceeded
        | ResultCode::BankRefused
        | ResultCode::CardUnsupported => Charge::NotCharged,
        ResultCode::UnknownProviderCode => Charge::Unknown,
        _ => Charge::Charged,
    }
}

fn answer(result: ResultCode, at: Timestamp) -> Answer {
    Answer {
        finding: Finding::verified(result),
        charge: charge(result),
        provider_code: VendorToken::trusted("0"),
        provider_message: ProviderMessage::None,
        provider_request_id: VendorToken::trusted("id-1"),
        answered_at: at,
    }
}

#[async_trait]
impl Provider for Vendor {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        let identity = IdentityType::ResidentId;
        let any = Capabilities::none()
            .with(Operation::CardInfo)
            .with_identity(identity);
        Factors::ALL
            .iter()
            .fold(any, |any, factors| any.with_factors(*factors))
    }

    async fn verify(&self, it: &Verification, _: &CallContext) -> Result<Answer, ProviderError> {
        self.ask(it.card.expose(), it.name.expose()).await
    }

    async fn card_info(&self, it: &CardInquiry, _: &CallContext) -> Result<Answer, ProviderError> {
        self.ask(it.card.expose(), "").await
    }
}
