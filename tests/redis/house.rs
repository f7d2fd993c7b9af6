//! Replicas over vendors that do what the test says.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use cardproof::{
    cache::{Digests, shared::Shared},
    config::{
        BreakerSettings, CacheSettings, GuardSettings, IdempotencySettings, OnLoss, RedisSettings,
        Share, TtlSettings, providers::VendorSettings, secret::SecretRef,
    },
    domain::{
        Answer, CardInquiry, CardNumber, Charge, Factors, Finding, IdentityType, Operation,
        PersonName, ProviderMessage, ProviderName, Question, ResultCode, VendorToken, Verification,
        question::Proof,
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
use tokio::{runtime::Handle, time::Instant};
use uuid::Uuid;

use crate::server::Redis;

pub const CARD: &str = "6200000000000005";

/// What a vendor does with one call.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    Answer(ResultCode),
    Fail(ProviderErrorKind),
}

/// A vendor that several replicas ask: does what its script says, in order, and repeats the last.
pub struct Vendor {
    name: ProviderName,
    script: Mutex<VecDeque<Act>>,
    calls: AtomicUsize,
    lasts: Duration,
    embedded: bool,
}

impl Vendor {
    pub fn new(script: &[Act]) -> Arc<Self> {
        Self::made("vendor", script, Duration::ZERO, false)
    }

    pub fn slow(script: &[Act], lasts: Duration) -> Arc<Self> {
        Self::made("vendor", script, lasts, false)
    }

    pub fn embedded(script: &[Act]) -> Arc<Self> {
        Self::made("table", script, Duration::ZERO, true)
    }

    fn made(name: &str, script: &[Act], lasts: Duration, embedded: bool) -> Arc<Self> {
        Arc::new(Self {
            name: ProviderName::new(name).unwrap(),
            script: Mutex::new(script.iter().copied().collect()),
            calls: AtomicUsize::new(0),
            lasts,
            embedded,
        })
    }

    pub fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

#[async_trait]
impl Provider for Vendor {
    fn name(&self) -> &ProviderName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none()
            .with(Operation::CardInfo)
            .with_identity(IdentityType::ResidentId);
        for factors in Factors::ALL {
            capabilities = capabilities.with_factors(*factors);
        }
        capabilities.embedded = self.embedded;
        capabilities
    }

    async fn verify(&self, _: &Verification, _: &CallContext) -> Result<Answer, ProviderError> {
        self.calls.fetch_add(1, SeqCst);
        tokio::time::sleep(self.lasts).await;
        let act = {
            let mut script = self.script.lock();
            if script.len() > 1 {
                script.pop_front()
            } else {
                script.front().copied()
            }
        };
        match act.unwrap() {
            Act::Answer(result) => Ok(Answer {
                finding: Finding::verified(result),
                charge: Charge::Charged,
                provider_code: VendorToken::trusted("0"),
                provider_message: ProviderMessage::None,
                provider_request_id: VendorToken::trusted("request-of-the-vendor"),
                answered_at: jiff::Timestamp::now(),
            }),
            Act::Fail(kind) => Err(ProviderError::new(kind, "as the script says")),
        }
    }

    async fn card_info(&self, _: &CardInquiry, _: &CallContext) -> Result<Answer, ProviderError> {
        unreachable!("no test asks for card information")
    }
}

/// How a replica is made.
pub struct Plan {
    pub key: &'static str,
    pub previous_key: Option<&'static str>,
    pub on_loss: OnLoss,
    pub replicas: u32,
    pub timeout: Duration,
    pub vendor: VendorSettings,
    pub max_calls: u32,
    pub max_mismatches: u32,
    pub caller_share: f64,
    pub most_ids: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            key: "the key of the operator",
            previous_key: None,
            on_loss: OnLoss::Degrade,
            replicas: 1,
            // the machine may be busy with other tests
            timeout: Duration::from_millis(500),
            vendor: VendorSettings {
                requests_per_second: None,
                concurrent: 64,
                connect_timeout: Duration::from_millis(500),
                timeout: Duration::from_secs(2),
                ca_file: None,
                proxy: None,
                identity_types: BTreeMap::new(),
                maintenance: false,
                misconfigured_skip: Duration::from_secs(60),
                daily_budget: None,
                price: None,
            },
            max_calls: 10,
            max_mismatches: 2,
            caller_share: 1.0,
            most_ids: 100,
        }
    }
}

/// A replica that has found the store.
pub async fn replica(redis: &Redis, vendor: &Arc<Vendor>) -> Service {
    replica_as(redis, vendor, Plan::default()).await
}

pub async fn replica_as(redis: &Redis, vendor: &Arc<Vendor>, plan: Plan) -> Service {
    replica_of(redis, std::slice::from_ref(vendor), plan).await
}

/// A replica with several providers, asked in this order.
pub async fn replica_of(redis: &Redis, vendors: &[Arc<Vendor>], plan: Plan) -> Service {
    let store = redis.store(plan.timeout, Arc::new(|| 0));
    let service = replica_with(Arc::new(store), vendors, plan);
    service.find_shared_store(Duration::from_secs(5)).await;
    assert_eq!(service.shared_store_is_up(), Some(true));
    service
}

pub fn replica_with(store: Arc<dyn Shared>, vendors: &[Arc<Vendor>], plan: Plan) -> Service {
    let breaker = BreakerSettings {
        enabled: false,
        window: Duration::from_secs(30),
        min_calls: 20,
        failure_ratio: 0.5,
        open: Duration::from_secs(15),
    };
    let lanes = vendors.iter().map(|vendor| {
        let provider: Arc<dyn Provider> = Arc::<Vendor>::clone(vendor);
        let lane = Lane::new(provider, &plan.vendor, &breaker, plan.replicas);
        (vendor.name.clone(), Arc::new(lane))
    });
    let names: Vec<_> = vendors.iter().map(|vendor| vendor.name.clone()).collect();
    let guard = GuardSettings {
        max_calls: plan.max_calls,
        max_mismatches: plan.max_mismatches,
        caller_share: plan.caller_share,
    };
    let guard = Guard::new(guard, Clock::System);
    guard.divide(plan.replicas);
    Service::new(Parts {
        digests: Digests::new(plan.key.as_bytes()),
        previous_digests: plan.previous_key.map(|key| Digests::new(key.as_bytes())),
        shared: Some(store),
        lanes: lanes.collect(),
        routes: Operation::ALL
            .iter()
            .map(|operation| (*operation, names.clone()))
            .collect(),
        policy: Policy {
            failover_on_unsupported: true,
            min_attempt: Duration::from_millis(100),
            max_queue: Duration::from_millis(200),
            retries: Limiter::exact(Some(5)),
        },
        safeguards: Safeguards {
            guard,
            ledger: Ledger::in_log(),
        },
        idempotency: IdempotencySettings {
            window: Duration::from_secs(3600),
            max_entries_per_caller: plan.most_ids,
        },
        cache: CacheSettings {
            capacity_bytes: 1 << 20,
            share: Share::All,
            key: None,
            previous_key: None,
            outcome_unknown_hold: Duration::from_secs(3),
            ttl: TtlSettings {
                matched: Duration::from_secs(3600),
                mismatch: Duration::from_secs(3600),
                card_problem: Duration::from_secs(600),
                input_rejected: Duration::from_secs(3600),
                inconclusive: Duration::from_secs(300),
                card_info: Duration::from_secs(3600),
                card_info_stale: Duration::from_secs(3600),
            },
            redis: Some(RedisSettings {
                url: SecretRef::Env("UNUSED".to_owned()),
                ca_file: None,
                timeout: plan.timeout,
                on_loss: plan.on_loss,
                prefix: "cardproof".to_owned(),
            }),
        },
        outside: Handle::current(),
        clock: Clock::System,
    })
}

pub fn question_about(card: &str, name: &str) -> Question {
    Question::Verify(Verification {
        card: CardNumber::parse(card).unwrap(),
        name: PersonName::parse(name).unwrap(),
        proof: Proof::NameOnly,
    })
}

pub fn ask(name: &str) -> Ask {
    ask_about(CARD, name)
}

pub fn ask_about(card: &str, name: &str) -> Ask {
    Ask {
        caller: Arc::new(Caller::anonymous()),
        question: question_about(card, name),
        mode: CacheMode::Use,
        max_age: None,
        pinned: None,
        request_id: None,
        consent_reference: None,
        deadline: Instant::now() + Duration::from_secs(10),
    }
}

pub fn ask_with(name: &str, id: Uuid) -> Ask {
    Ask {
        request_id: Some(id),
        ..ask(name)
    }
}

pub fn card() -> CardNumber {
    CardNumber::parse(CARD).unwrap()
}

/// Why there is no answer.
pub async fn refusal(service: &Service, ask: Ask) -> &'static str {
    service.ask(ask).await.unwrap_err().reason_name()
}

/// Waits until something holds, or fails.
pub async fn until(what: &str, within: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + within;
    while !holds().await {
        assert!(Instant::now() < end, "{what} within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
