//! One schedule: replicas, a store, callers and misfortunes, all of them from one seed.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cardproof::{
    cache::{Digests, shared::Shared},
    config::{
        IdempotencySettings, OnLoss, RedisSettings, Share, providers::VendorSettings,
        secret::SecretRef,
    },
    domain::{
        AttemptOutcome, CardNumber, Finding, Operation, PersonName, Question, ResultCode, Source,
        Verification, question::Proof,
    },
    provider::Provider,
    service::{
        Parts, Service,
        ask::{Ask, CacheMode, Caller},
        attempt::Safeguards,
        clock::Clock,
        guard::Guard,
        lane::Lane,
        ledger::Ledger as Booked,
        limiter::Limiter,
        routing::Policy,
    },
};
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{runtime::Handle, sync::watch, task::JoinSet, time::Instant};
use uuid::Uuid;

use super::{
    link::{Life, Link, Process, SETTLING, Store},
    store::{State, now},
    world::{CONNECT_TIMEOUT, Call, Ledger, TIMEOUT, Vendor},
};
use crate::support;

const CARDS: usize = 3;
const NAMES: [&str; 4] = ["张三", "李四", "王五", "赵六"];
const VENDORS: usize = 2;

/// What a caller was told.
#[derive(Debug, Clone)]
pub enum Told {
    /// It had hung up, or its replica died.
    Nothing,
    Answer(Answered),
    Denial(&'static str),
}

/// As much of an answer as is judged.
#[derive(Debug, Clone)]
pub struct Answered {
    pub result: ResultCode,
    pub source: Source,
    pub attempts: Vec<AttemptOutcome>,
}

/// One call of a caller.
#[derive(Clone)]
pub struct Asked {
    pub life: usize,
    pub card: String,
    pub name: String,
    pub bypass: bool,
    pub id: Option<Uuid>,
    pub at: Instant,
    pub deadline: Instant,
    pub ended: Option<Instant>,
    pub told: Told,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self
            .ended
            .map(|ended| ended.duration_since(self.at).as_millis());
        let bypass = if self.bypass { " BYPASS" } else { "" };
        write!(f, "{}/{}{bypass} id {:?}", self.card, self.name, self.id)?;
        write!(f, " after {took:?} ms: {:?}", self.told)
    }
}

/// Everything that came of a schedule.
pub struct Ran {
    pub begun: Instant,
    pub calls: Vec<Call>,
    pub asked: Vec<Asked>,
    pub looked_up: Vec<Asked>,
    pub erased: Vec<(Instant, String)>,
    pub events: Vec<(Instant, String)>,
    pub shared: bool,
    pub refuses: bool,
    losses: Vec<(Instant, Option<Instant>)>,
    emptyings: Vec<Instant>,
    /// Lives that ended, and when.
    deaths: Vec<(usize, Instant)>,
    /// Lives that stood still, from when and until when at most.
    frozen: Vec<(usize, Instant, Instant)>,
    replicas: usize,
}

impl Ran {
    /// Whether the store was lost to anybody at some time of a period.
    pub fn lost_between(&self, from: Instant, to: Instant) -> bool {
        let overlaps = |loss: &(Instant, Option<Instant>)| {
            loss.0 <= to && loss.1.is_none_or(|ended| ended >= from)
        };
        self.losses.iter().any(overlaps)
    }

    /// Whether the store forgot everything at some time of a period.
    pub fn emptied_between(&self, from: Instant, to: Instant) -> bool {
        self.emptyings.iter().any(|at| (from..=to).contains(at))
    }

    /// Whether a replica died or stood still at some time of a period.
    pub fn struck_between(&self, from: Instant, to: Instant) -> bool {
        let died = self.deaths.iter().any(|(_, at)| (from..=to).contains(at));
        died || self.frozen.iter().any(|it| it.1 <= to && it.2 >= from)
    }

    /// Whether one life stood still at some time of a period.
    pub fn stood_still(&self, life: usize, from: Instant, to: Instant) -> bool {
        let mut frozen = self.frozen.iter().filter(|it| it.0 == life);
        frozen.any(|it| it.1 <= to && it.2 >= from)
    }

    /// When a life ended, if it did.
    pub fn died_at(&self, life: usize) -> Option<Instant> {
        let found = self.deaths.iter().find(|it| it.0 == life);
        found.map(|it| it.1)
    }

    /// Whether every promise holds whatever becomes of the store: nobody asks without it, and
    /// everybody who knew something lives to put it back in time.
    pub fn holds_all(&self) -> bool {
        self.shared && self.refuses && self.deaths.is_empty() && self.frozen.is_empty()
    }

    /// Calls and mismatches in a row that a card may have had by then.
    pub fn bounds(&self, at: Instant) -> (usize, usize) {
        let settings = support::guard_settings();
        let (calls, mismatches) = (
            settings.max_calls as usize,
            settings.max_mismatches as usize,
        );
        let whole = self.shared && !self.lost_between(self.begun, at);
        let alone = self.replicas == 1 && self.deaths.is_empty();
        if whole || alone || self.holds_all() {
            return (calls, mismatches);
        }
        let lives = self.replicas + self.deaths.len();
        let part = |limit: usize| match self.shared {
            true => limit + lives * (limit / self.replicas).max(1),
            false => lives * (limit / self.replicas).max(1),
        };
        (part(calls), part(mismatches))
    }
}

/// One life of a replica.
struct Replica {
    life: usize,
    process: Process,
    link: Option<Arc<Link>>,
    service: Service,
}

/// The surroundings of all replicas.
struct Town {
    random: StdRng,
    clock: Clock,
    ledger: Arc<Ledger>,
    store: Option<Arc<Store>>,
    on_loss: OnLoss,
    digests: Digests,
    replicas: Vec<Replica>,
    lives: usize,
    asked: Arc<Mutex<Vec<Asked>>>,
    erased: Vec<(Instant, String)>,
    ids: Vec<(Uuid, String, &'static str)>,
    events: Vec<(Instant, String)>,
    deaths: Vec<(usize, Instant)>,
    frozen: Vec<(usize, Instant, Instant)>,
    callers: JoinSet<()>,
}

fn settings() -> VendorSettings {
    VendorSettings {
        connect_timeout: CONNECT_TIMEOUT,
        timeout: TIMEOUT,
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

/// Runs a schedule to its end.
pub async fn run(seed: u64) -> Ran {
    let mut random = StdRng::seed_from_u64(seed);
    let start = "2030-05-31T08:00:00Z".parse().unwrap();
    let clock = Clock::starting_at(start);
    let count = random.random_range(1..=3);
    // one in five has no store; then there is one replica, which is never restarted
    let shared = random.random_ratio(4, 5);
    let on_loss = match random.random_ratio(1, 4) {
        true => OnLoss::Refuse,
        false => OnLoss::Degrade,
    };
    let store = shared.then(|| {
        Arc::new(Store {
            state: Mutex::new(State::default()),
            clock: clock.clone(),
            losses: Mutex::default(),
            emptyings: Mutex::default(),
            news: watch::Sender::new(()),
        })
    });
    let mut town = Town {
        random,
        clock,
        ledger: Arc::default(),
        store,
        on_loss,
        digests: Digests::new(b"a key of the simulation"),
        replicas: Vec::new(),
        lives: 0,
        asked: Arc::default(),
        erased: Vec::new(),
        ids: Vec::new(),
        events: Vec::new(),
        deaths: Vec::new(),
        frozen: Vec::new(),
        callers: JoinSet::new(),
    };
    let begun = Instant::now();
    let replicas = if shared { count } else { 1 };
    for _ in 0..replicas {
        let replica = town.born(replicas);
        town.replicas.push(replica);
    }
    // calm schedules are judged by the strictest rules
    let calm = town.random.random_ratio(1, 3);
    for _ in 0..town.random.random_range(20..60) {
        town.something_happens(calm, replicas).await;
    }
    let looked_up = town.calm_down().await;
    let losses = town.store.as_ref().map(|store| store.losses.lock().clone());
    let emptyings = town.store.as_ref();
    let emptyings = emptyings.map(|store| store.emptyings.lock().clone());
    let calls = town.ledger.0.lock().clone();
    let asked = town.asked.lock().clone();
    Ran {
        begun,
        calls,
        asked,
        looked_up,
        erased: town.erased,
        events: town.events,
        shared,
        refuses: matches!(on_loss, OnLoss::Refuse),
        losses: losses.unwrap_or_default(),
        emptyings: emptyings.unwrap_or_default(),
        deaths: town.deaths,
        frozen: town.frozen,
        replicas,
    }
}

impl Town {
    /// A replica begins to live, and knows nothing.
    fn born(&mut self, replicas: usize) -> Replica {
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
            let lane = Lane::new(provider, &settings(), &breaker, divisor);
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
        let guard = Guard::new(support::guard_settings(), self.clock.clone());
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
        Replica {
            life,
            process,
            link,
            service,
        }
    }

    fn note(&mut self, what: String) {
        self.events.push((Instant::now(), what));
    }

    async fn something_happens(&mut self, calm: bool, replicas: usize) {
        let pause = match self.random.random_range(0..20) {
            0 => self.random.random_range(2_000..10_000),
            1 => self.random.random_range(60_000..400_000),
            2..8 => 0,
            _ => self.random.random_range(0..300),
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let which = self.random.random_range(0..self.replicas.len());
        let roll = self.random.random_range(0..100);
        match roll {
            0..3 if !calm => self.freeze(which),
            3..6 if !calm && self.store.is_some() => self.restart(which, replicas),
            6..9 if !calm => self.cut_off(which),
            9..11 if !calm => self.empty_the_store(),
            11..13 if !calm => self.answer_into_the_void(which),
            13 => self.erase(which).await,
            14 => {
                // over a night
                let hours = self.random.random_range(4..14);
                tokio::time::sleep(Duration::from_secs(hours * 3600)).await;
            }
            _ => {
                // several at once, mostly
                for _ in 0..self.random.random_range(1..5) {
                    self.somebody_asks();
                }
            }
        }
    }

    fn freeze(&mut self, which: usize) {
        let lasts = Duration::from_millis(self.random.random_range(100..15_000));
        let process = self.replicas[which].process.clone();
        let begins = Instant::now();
        let life = self.replicas[which].life;
        self.frozen.push((life, begins, begins + lasts));
        self.note(format!("replica {which} stands still for {lasts:?}"));
        process.becomes(Life::Frozen);
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            if process.is(Life::Frozen) {
                process.becomes(Life::Running);
            }
        });
    }

    fn restart(&mut self, which: usize, replicas: usize) {
        let dead = &self.replicas[which];
        dead.process.becomes(Life::Dead);
        self.deaths.push((dead.life, Instant::now()));
        let replica = self.born(replicas);
        self.note(format!(
            "replica {which} is killed, and begins life {}",
            replica.life
        ));
        self.replicas[which] = replica;
    }

    fn cut_off(&mut self, which: usize) {
        let lasts = Duration::from_millis(self.random.random_range(50..20_000));
        let all = self.random.random_bool(0.5);
        let links = self.replicas.iter().enumerate();
        let links = links.filter(|(at, _)| all || *at == which);
        let links: Vec<_> = links.filter_map(|(_, it)| it.link.clone()).collect();
        if links.is_empty() {
            return;
        }
        self.note(format!("{} links are cut for {lasts:?}", links.len()));
        links.iter().for_each(|link| link.set_cut(true));
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            links.iter().for_each(|link| link.set_cut(false));
        });
    }

    fn empty_the_store(&mut self) {
        let Some(store) = self.store.clone() else {
            return;
        };
        self.note("the store is emptied".to_owned());
        let now = now(&self.clock);
        store.state.lock().empty(now, SETTLING);
        store.emptied();
    }

    fn answer_into_the_void(&mut self, which: usize) {
        let Some(link) = self.replicas[which].link.clone() else {
            return;
        };
        self.note(format!("answers of the store to replica {which} are lost"));
        link.mute.store(200, Ordering::SeqCst);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            link.mute.store(0, Ordering::SeqCst);
        });
    }

    async fn erase(&mut self, which: usize) {
        let card = card(self.random.random_range(0..CARDS));
        if !self.replicas[which].process.is(Life::Running) {
            return;
        }
        self.note(format!("{card} is erased through replica {which}"));
        self.erased.push((Instant::now(), card.clone()));
        let service = self.replicas[which].service.clone();
        let card = CardNumber::parse(&card).unwrap();
        service.erase(&card).await;
    }

    /// The id of an earlier question, mostly for the same one, or a new id, or none.
    fn an_id(&mut self, card: &str, name: &'static str) -> Option<Uuid> {
        match self.random.random_range(0..10) {
            0..2 => {
                let mut same = self.ids.iter().filter(|it| (&*it.1, it.2) == (card, name));
                same.next_back().map(|it| it.0)
            }
            2 => self.ids.last().map(|it| it.0),
            3..6 => {
                let id = Uuid::from_u128(self.random.random());
                self.ids.push((id, card.to_owned(), name));
                Some(id)
            }
            _ => None,
        }
    }

    fn somebody_asks(&mut self) {
        let which = self.random.random_range(0..self.replicas.len());
        let card = card(self.random.random_range(0..CARDS));
        let name = NAMES[self.random.random_range(0..NAMES.len())];
        let bypass = self.random.random_ratio(1, 25);
        let patience = Duration::from_millis(match self.random.random_range(0..4) {
            0 => self.random.random_range(50..1500),
            _ => 10_000,
        });
        let hangs_up = self.random.random_ratio(1, 8);
        let hangs_up = hangs_up.then(|| Duration::from_millis(self.random.random_range(0..800)));
        let id = self.an_id(&card, name);
        let asked = Asked {
            life: self.replicas[which].life,
            card,
            name: name.to_owned(),
            bypass,
            id,
            at: Instant::now(),
            deadline: Instant::now() + patience,
            ended: None,
            told: Told::Nothing,
        };
        let mode = if bypass {
            CacheMode::Bypass
        } else {
            CacheMode::Use
        };
        let book = Arc::clone(&self.asked);
        let at = {
            let mut book = book.lock();
            book.push(asked.clone());
            book.len() - 1
        };
        let call = call(&self.replicas[which], &asked, mode);
        self.callers.spawn(async move {
            let told = match hangs_up {
                None => call.await,
                Some(after) => match tokio::time::timeout(after, call).await {
                    Ok(told) => told,
                    Err(_) => return,
                },
            };
            let mut book = book.lock();
            book[at].told = told;
            book[at].ended = Some(Instant::now());
        });
    }

    /// Everything is mended; when all is quiet, every question is looked up at every replica.
    async fn calm_down(&mut self) -> Vec<Asked> {
        for replica in &self.replicas {
            if replica.process.is(Life::Frozen) {
                replica.process.becomes(Life::Running);
            }
            if let Some(link) = &replica.link {
                link.set_cut(false);
                link.mute.store(0, Ordering::SeqCst);
            }
        }
        tokio::time::sleep(Duration::from_secs(40)).await;
        self.note("all is quiet".to_owned());
        let mut looked_up = Vec::new();
        for (replica, number, name) in (0..self.replicas.len())
            .flat_map(|replica| (0..CARDS).map(move |card| (replica, card)))
            .flat_map(|(replica, card)| NAMES.map(|name| (replica, card, name)))
        {
            let replica = &self.replicas[replica];
            let mut asked = Asked {
                life: replica.life,
                card: card(number),
                name: name.to_owned(),
                bypass: false,
                id: None,
                at: Instant::now(),
                deadline: Instant::now() + Duration::from_secs(5),
                ended: None,
                told: Told::Nothing,
            };
            asked.told = call(replica, &asked, CacheMode::OnlyIfCached).await;
            asked.ended = Some(Instant::now());
            looked_up.push(asked);
        }
        looked_up
    }
}

/// One call as its client sees it: a replica that stands still answers later, a dead one never.
fn call(
    replica: &Replica,
    asked: &Asked,
    mode: CacheMode,
) -> impl Future<Output = Told> + Send + use<> {
    let (service, process) = (replica.service.clone(), replica.process.clone());
    let ask = Ask {
        caller: Arc::new(Caller::anonymous()),
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

/// What all schedules together were.
#[derive(Default)]
pub struct Tally {
    schedules: AtomicUsize,
    calls: AtomicUsize,
    asked: AtomicUsize,
    losses: AtomicUsize,
    deaths: AtomicUsize,
    failed: AtomicUsize,
}

impl Tally {
    /// Adds one; says whether it is the first that failed.
    pub fn add(&self, ran: &Ran, failed: bool) -> bool {
        for (counter, count) in [
            (&self.schedules, 1),
            (&self.calls, ran.calls.len()),
            (&self.asked, ran.asked.len()),
            (&self.losses, ran.losses.len()),
            (&self.deaths, ran.deaths.len()),
        ] {
            counter.fetch_add(count, Ordering::Relaxed);
        }
        failed && self.failed.fetch_add(1, Ordering::Relaxed) == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} schedules: {} questions, {} vendor calls, {} losses of the store, {} deaths",
            of(&self.schedules),
            of(&self.asked),
            of(&self.calls),
            of(&self.losses),
            of(&self.deaths)
        )
    }
}
