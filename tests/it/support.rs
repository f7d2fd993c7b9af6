//! What several topics need: a vendor that does what a script says, and a service around it.

pub mod server;
pub mod vendor;

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cardproof::{
    cache::Digests,
    config::{
        BreakerSettings, CacheSettings, GuardSettings, IdempotencySettings, Share, TtlSettings,
        providers::VendorSettings,
    },
    domain::{
        Answer, CardFacts, CardInfoResult, CardInquiry, CardNumber, CardRef, Charge, Factors,
        Finding, IdentityType, Operation, PersonName, ProviderMessage, ProviderName, Question,
        ResultCode, VendorToken, Verification, question::Proof,
    },
    provider::{CallContext, Capabilities, Provider, ProviderError, ProviderErrorKind},
    service::{
        Parts, Service,
        ask::{Ask, CacheMode, Caller},
        attempt::Safeguards,
        clock::Clock,
        guard::Guard,
        lane::Lane,
        ledger::Ledger,
        limiter::Limiter,
        routing::Policy,
    },
};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Semaphore, time::Instant};

/// What a scripted vendor does with one call.
#[derive(Debug, Clone)]
pub enum Act {
    Answer(ResultCode),
    Info(CardInfoResult),
    Fail(ProviderErrorKind),
    Panic,
}

/// A vendor that does what its script says, in order, and repeats the last act for ever.
pub struct Scripted {
    name: ProviderName,
    script: Mutex<VecDeque<Act>>,
    calls: AtomicUsize,
    by_card: Mutex<BTreeMap<String, usize>>,
    /// Calls wait here until the test lets them go on.
    gate: Semaphore,
    capabilities: Mutex<Capabilities>,
}

impl Scripted {
    pub fn new(name: &str, script: &[Act]) -> Arc<Self> {
        let mut capabilities = Capabilities::none()
            .with(Operation::CardInfo)
            .with_identity(IdentityType::ResidentId);
        for factors in Factors::ALL {
            capabilities = capabilities.with_factors(*factors);
        }
        Arc::new(Self {
            name: ProviderName::new(name).unwrap(),
            script: Mutex::new(script.iter().cloned().collect()),
            calls: AtomicUsize::new(0),
            by_card: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS >> 1),
            capabilities: Mutex::new(capabilities),
        })
    }

    /// From now on calls wait until [`Self::open`].
    pub fn close(&self) {
        self.gate.forget_permits(usize::MAX);
    }

    pub fn open(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS >> 1);
    }

    pub fn set_capabilities(&self, capabilities: Capabilities) {
        *self.capabilities.lock() = capabilities;
    }

    /// How many calls have reached the vendor.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How many of them were about which card.
    pub fn calls_per_card(&self) -> BTreeMap<String, usize> {
        self.by_card.lock().clone()
    }

    async fn act(&self, card: &str) -> Result<Answer, ProviderError> {
        *self.by_card.lock().entry(card.to_owned()).or_default() += 1;
        self.calls.fetch_add(1, Ordering::SeqCst);
        let act = {
            let mut script = self.script.lock();
            if script.len() > 1 {
                script.pop_front()
            } else {
                script.front().cloned()
            }
        };
        self.gate.acquire().await.unwrap().forget();
        match act.expect("an act in the script") {
            Act::Answer(result) => Ok(answer(Finding::verified(result))),
            Act::Info(result) => Ok(answer(Finding::CardInfo {
                result,
                facts: CardFacts::default(),
            })),
            Act::Fail(kind) => Err(ProviderError::new(kind, "as the script says")),
            Act::Panic => panic!("as the script says"),
        }
    }
}

fn answer(finding: Finding) -> Answer {
    Answer {
        finding,
        charge: Charge::Charged,
        provider_code: VendorToken::trusted("0"),
        provider_message: ProviderMessage::None,
        provider_request_id: VendorToken::trusted("id-1"),
        answered_at: jiff::Timestamp::now(),
    }
}

#[async_trait]
impl Provider for Scripted {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        *self.capabilities.lock()
    }

    async fn verify(&self, it: &Verification, _: &CallContext) -> Result<Answer, ProviderError> {
        self.act(it.card.expose()).await
    }

    async fn card_info(&self, it: &CardInquiry, _: &CallContext) -> Result<Answer, ProviderError> {
        self.act(it.card.expose()).await
    }
}

/// Settings of a vendor as the embedded default has them.
pub fn vendor_settings() -> VendorSettings {
    VendorSettings {
        requests_per_second: None,
        concurrent: 64,
        connect_timeout: Duration::from_millis(1500),
        timeout: Duration::from_secs(8),
        ca_file: None::<PathBuf>,
        proxy: None,
        identity_types: BTreeMap::new(),
        maintenance: false,
        misconfigured_skip: Duration::from_secs(60),
        daily_budget: None,
        price: None,
    }
}

pub fn breaker_settings() -> BreakerSettings {
    BreakerSettings {
        enabled: true,
        window: Duration::from_secs(30),
        min_calls: 20,
        failure_ratio: 0.5,
        open: Duration::from_secs(15),
    }
}

pub fn guard_settings() -> GuardSettings {
    GuardSettings {
        max_calls: 10,
        max_mismatches: 2,
        caller_share: 1.0,
    }
}

pub fn cache_settings() -> CacheSettings {
    CacheSettings {
        capacity_bytes: 1 << 20,
        share: Share::Caller,
        key: None,
        previous_key: None,
        outcome_unknown_hold: Duration::from_secs(120),
        ttl: TtlSettings {
            matched: Duration::from_secs(86_400),
            mismatch: Duration::from_secs(3600),
            card_problem: Duration::from_secs(600),
            input_rejected: Duration::from_secs(3600),
            inconclusive: Duration::from_secs(300),
            card_info: Duration::from_secs(604_800),
            card_info_stale: Duration::from_secs(2_592_000),
        },
        redis: None,
    }
}

/// A service over scripted vendors, all of them on every route, in order.
pub fn service(vendors: &[Arc<Scripted>]) -> Service {
    service_with(vendors, &vendor_settings())
}

/// The same with other settings for all vendors.
pub fn service_with(vendors: &[Arc<Scripted>], settings: &VendorSettings) -> Service {
    service_writing(vendors, settings, Ledger::in_log())
}

/// The same with a ledger of its own.
pub fn service_writing(
    vendors: &[Arc<Scripted>],
    settings: &VendorSettings,
    ledger: Ledger,
) -> Service {
    service_made(vendors, settings, &breaker_settings(), ledger)
}

/// The same with breakers of its own.
pub fn service_made(
    vendors: &[Arc<Scripted>],
    settings: &VendorSettings,
    breaker: &BreakerSettings,
    ledger: Ledger,
) -> Service {
    let clock = Clock::starting_at(jiff::Timestamp::now());
    let lanes = vendors
        .iter()
        .map(|vendor| {
            let provider: Arc<dyn Provider> = Arc::<Scripted>::clone(vendor);
            let lane = Lane::new(provider, settings, breaker, 1);
            (vendor.name.clone(), Arc::new(lane))
        })
        .collect();
    let names: Vec<_> = vendors.iter().map(|vendor| vendor.name.clone()).collect();
    Service::new(Parts {
        digests: Digests::random(),
        previous_digests: None,
        shared: None,
        lanes,
        routes: Operation::ALL
            .iter()
            .map(|operation| (*operation, names.clone()))
            .collect(),
        policy: Policy {
            failover_on_unsupported: true,
            min_attempt: Duration::from_millis(300),
            max_queue: Duration::from_millis(200),
            retries: Limiter::exact(Some(5)),
        },
        cache: cache_settings(),
        outside: Handle::current(),
        safeguards: Safeguards {
            guard: Guard::new(guard_settings(), clock.clone()),
            ledger,
        },
        idempotency: IdempotencySettings {
            window: Duration::from_secs(86_400),
            max_entries_per_caller: 100,
        },
        clock,
    })
}

pub fn verification(name: &str) -> Question {
    Question::Verify(Verification {
        card: CardNumber::parse("6200000000000005").unwrap(),
        name: PersonName::parse(name).unwrap(),
        proof: Proof::NameOnly,
    })
}

pub fn inquiry(card: &str) -> Question {
    Question::CardInfo(CardInquiry {
        card: CardRef::parse(card).unwrap(),
    })
}

pub fn ask(question: Question) -> Ask {
    Ask {
        caller: Arc::new(Caller::anonymous()),
        question,
        mode: CacheMode::Use,
        max_age: None,
        pinned: None,
        request_id: None,
        consent_reference: None,
        deadline: Instant::now() + Duration::from_secs(10),
    }
}
