//! One life of a replica: how it is made, and how it is called.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cardproof::{
    cache::shared::Shared,
    config::{
        IdempotencySettings, RedisSettings, Share,
        providers::{Money, Price, VendorSettings},
        secret::SecretRef,
    },
    domain::{CardNumber, Finding, Operation, PersonName, Question, Verification, question::Proof},
    provider::Provider,
    service::{
        Parts, Service,
        ask::{Ask, CacheMode, Caller},
        attempt::Safeguards,
        budget::Budget,
        guard::Guard,
        lane::Lane,
        ledger::Ledger as Booked,
        limiter::Limiter,
        routing::Policy,
    },
};
use rand::RngExt as _;
use tokio::runtime::Handle;

use super::{
    super::{
        link::{Link, Process},
        world::{CONNECT_TIMEOUT, TIMEOUT, Vendor},
    },
    Answered, Asked, CALLER_BUDGET, CALLERS, Limits, SHARE, Told, Town, VENDOR_BUDGET, caller_of,
};
use crate::support;

/// Vendors of every route.
const VENDORS: usize = 2;

/// One life of a replica.
pub struct Replica {
    pub life: usize,
    pub process: Process,
    pub link: Option<Arc<Link>>,
    pub service: Service,
    pub callers: Vec<Arc<Caller>>,
}

fn money(micros: u64) -> Money {
    Money {
        currency: "CNY".to_owned(),
        micros,
    }
}

fn settings(limits: Limits) -> VendorSettings {
    let prices = Operation::ALL.iter().map(|operation| (*operation, 1));
    VendorSettings {
        connect_timeout: CONNECT_TIMEOUT,
        timeout: TIMEOUT,
        daily_budget: limits.budgets.then(|| money(VENDOR_BUDGET)),
        price: limits.budgets.then(|| Price {
            currency: "CNY".to_owned(),
            micros: prices.collect(),
        }),
        ..support::vendor_settings()
    }
}

pub fn card(number: usize) -> String {
    format!("622848000000{number:04}")
}

fn question(card: &str, name: &str) -> Question {
    Question::Verify(Verification {
        card: CardNumber::parse(card).unwrap(),
        name: PersonName::parse(name).unwrap(),
        proof: Proof::NameOnly,
    })
}

impl Town {
    /// A replica begins to live, and knows nothing.
    pub fn born(&mut self, replicas: usize) -> Replica {
        let life = self.lives;
        self.lives += 1;
        let process = Process::new();
        let seed = self.random.random();
        let link = self
            .store
            .as_ref()
            .map(|store| Link::new(store, &process, seed));
        let mut lanes = BTreeMap::new();
        for number in 0..VENDORS {
            let place = (number, life);
            let seed = self.random.random();
            let vendor = Vendor::new(place, &process, &self.ledger, &self.clock, seed);
            let name = vendor.name.clone();
            let provider: Arc<dyn Provider> = vendor;
            let breaker = support::breaker_settings();
            let divisor = u32::try_from(replicas).unwrap();
            let lane = Lane::new(provider, &settings(self.limits), &breaker, divisor);
            lanes.insert(name, Arc::new(lane));
        }
        let names: Vec<_> = lanes.keys().cloned().collect();
        let mut cache = support::cache_settings();
        cache.share = Share::All;
        cache.redis = link.as_ref().map(|_| RedisSettings {
            url: SecretRef::Env("NOBODY_CONNECTS".to_owned()),
            ca_file: None,
            timeout: Duration::from_millis(20),
            on_loss: self.on_loss,
            prefix: String::new(),
        });
        let mut guarded = support::guard_settings();
        if self.limits.shares {
            guarded.caller_share = SHARE;
        }
        let guard = Guard::new(guarded, self.clock.clone());
        guard.divide(u32::try_from(replicas).unwrap());
        let routes = Operation::ALL.iter().map(|it| (*it, names.clone()));
        let service = Service::new(Parts {
            digests: self.digests.clone(),
            previous_digests: None,
            shared: link.clone().map(|link| link as Arc<dyn Shared>),
            lanes,
            routes: routes.collect(),
            policy: Policy {
                failover_on_unsupported: true,
                min_attempt: Duration::from_millis(300),
                max_queue: Duration::from_millis(200),
                retries: Limiter::exact(Some(5)),
            },
            cache,
            outside: Handle::current(),
            safeguards: Safeguards {
                guard,
                ledger: Booked::in_log(),
            },
            idempotency: IdempotencySettings {
                window: Duration::from_secs(86_400),
                max_entries_per_caller: 10_000,
            },
            clock: self.clock.clone(),
        });
        let limit = self.limits.budgets.then(|| money(CALLER_BUDGET));
        let caller = |name: &str| {
            let budget = Budget::new(limit.clone());
            budget.divide(u32::try_from(replicas).unwrap());
            Arc::new(Caller {
                name: Arc::from(name),
                budget,
                ..Caller::anonymous()
            })
        };
        Replica {
            life,
            process,
            link,
            service,
            callers: CALLERS.map(caller).into(),
        }
    }
}

/// One call as its client sees it: a replica that stands still answers later, a dead one never.
pub fn call(
    replica: &Replica,
    asked: &Asked,
    mode: CacheMode,
) -> impl Future<Output = Told> + Send + use<> {
    let (service, process) = (replica.service.clone(), replica.process.clone());
    let name = caller_of(&asked.name);
    let mut callers = replica.callers.iter();
    let caller = callers.find(|caller| &*caller.name == name).unwrap();
    let ask = Ask {
        caller: Arc::clone(caller),
        question: question(&asked.card, &asked.name),
        mode,
        max_age: None,
        pinned: None,
        request_id: asked.id,
        consent_reference: None,
        deadline: asked.deadline,
    };
    async move {
        let served = async {
            process.pass().await;
            let told = service.ask(ask).await;
            process.pass().await;
            told
        };
        let told = tokio::select! {
            told = served => told,
            () = process.died() => return Told::Nothing,
        };
        match told {
            Err(denial) => Told::Denial(denial.reason_name()),
            Ok(reply) => {
                let Finding::Verification { result, .. } = reply.answer.finding else {
                    panic!("a verification was asked for");
                };
                Told::Answer(Answered {
                    result,
                    source: reply.source,
                    attempts: reply.attempts.iter().map(|it| it.outcome).collect(),
                })
            }
        }
    }
}
