//! One schedule: replicas, a store, callers and misfortunes, all of them from one seed.

mod happenings;
mod ran;
mod replica;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use cardproof::{
    cache::Digests,
    config::OnLoss,
    service::{ask::CacheMode, clock::Clock},
};
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use uuid::Uuid;

pub use self::ran::{
    Answered, Asked, CALLER_BUDGET, CALLERS, Limits, NAMES, Ran, SHARE, Tally, Told, VENDOR_BUDGET,
    caller_of,
};
use self::replica::{Replica, call, card};
use super::{
    link::{Life, Store},
    store::State,
    world::Ledger,
};

const CARDS: usize = 3;

/// The surroundings of all replicas.
struct Town {
    random: StdRng,
    clock: Clock,
    ledger: Arc<Ledger>,
    store: Option<Arc<Store>>,
    on_loss: OnLoss,
    digests: Digests,
    limits: Limits,
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
        limits: Limits {
            budgets: seed.is_multiple_of(3),
            shares: seed.is_multiple_of(4),
        },
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
        limits: town.limits,
    }
}

impl Town {
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
