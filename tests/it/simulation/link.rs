//! One replica's way to the shared store: slow, cut, or answering into the void; and the process
//! around it, which may stand still or be dead.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use cardproof::{
    cache::{
        QuestionTag,
        key::{CardTag, KeyRing, Tags},
        shared::{
            Begin, Begun, Board, Boarded, EndedId, Family, GuardCounts, Landing, Local, Lost,
            RequestId, Seat, Settle, Shared, Stake, Staked,
        },
    },
    service::clock::Clock,
};
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::{sync::watch, time::Instant};

use super::store::{State, now};

const BEAT: Duration = Duration::from_millis(250);
/// How long replicas have to put back what they know.
pub const SETTLING: i64 = 2000;

/// Whether a process runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Running,
    /// Stopped, and may be continued.
    Frozen,
    /// Nothing of it will ever happen again.
    Dead,
}

/// A process as its surroundings see it: whatever goes out or comes in passes here.
#[derive(Clone)]
pub struct Process(Arc<watch::Sender<Life>>);

impl Process {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Life::Running)))
    }

    pub fn is(&self, life: Life) -> bool {
        *self.0.borrow() == life
    }

    pub fn becomes(&self, life: Life) {
        self.0.send_replace(life);
    }

    /// Returns when it is dead.
    pub async fn died(&self) {
        let mut life = self.0.subscribe();
        // the sender lives as long as self
        let _ = life.wait_for(|life| *life == Life::Dead).await;
    }

    /// Goes on when the process runs, which a dead one never does.
    pub async fn pass(&self) {
        let mut life = self.0.subscribe();
        // the sender lives as long as self
        let _ = life.wait_for(|life| *life == Life::Running).await;
    }
}

/// What is told when the store is back.
enum Owed {
    Settle(Seat, Box<Settle>, Duration),
    Land(Box<Landing>),
    EndIds(Vec<EndedId>),
    Erase(CardTag),
}

/// The store and its clock.
pub struct Store {
    pub state: Mutex<State>,
    pub clock: Clock,
    /// When it was lost to a replica, and when that had it back.
    pub losses: Mutex<Vec<(Instant, Option<Instant>)>>,
    /// When it was emptied.
    pub emptyings: Mutex<Vec<Instant>>,
    /// Says that replicas should look after it.
    pub news: watch::Sender<()>,
}

impl Store {
    /// It has forgotten everything: for as long as it takes all to notice, it counts as lost.
    pub fn emptied(&self) {
        let now = Instant::now();
        let settled = now + Duration::from_millis(SETTLING.unsigned_abs());
        self.losses.lock().push((now, Some(settled)));
        self.emptyings.lock().push(now);
        self.news.send_replace(());
    }
}

/// One replica's link.
pub struct Link {
    store: Arc<Store>,
    process: Process,
    up: AtomicBool,
    /// Whether the network between the two is cut.
    cut: AtomicBool,
    /// In a thousand operations so many are done, and their answers lost.
    pub mute: AtomicUsize,
    epoch: AtomicU64,
    /// The number of the last seed that was put back.
    seeds: AtomicU64,
    heard: AtomicUsize,
    owed: Mutex<VecDeque<Owed>>,
    local: OnceLock<Weak<dyn Local>>,
    random: Mutex<StdRng>,
    /// Where its loss stands in the list of all.
    lost: Mutex<Option<usize>>,
}

impl Link {
    pub fn new(store: &Arc<Store>, process: &Process, seed: u64) -> Arc<Self> {
        let state = store.state.lock();
        let link = Arc::new(Self {
            store: Arc::clone(store),
            process: process.clone(),
            // whoever is born while others put back what they know waits for them
            up: AtomicBool::new(state.settling_until <= now(&store.clock)),
            cut: AtomicBool::new(false),
            mute: AtomicUsize::new(0),
            epoch: AtomicU64::new(state.epoch),
            seeds: AtomicU64::new(0),
            heard: AtomicUsize::new(state.notices.len()),
            owed: Mutex::default(),
            local: OnceLock::new(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            lost: Mutex::new(None),
        });
        drop(state);
        tokio::spawn(Self::beat(Arc::downgrade(&link), store.news.subscribe()));
        link
    }

    pub fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
        self.store.news.send_replace(());
    }

    fn trip(&self) {
        if self.up.swap(false, Ordering::SeqCst) {
            let mut losses = self.store.losses.lock();
            *self.lost.lock() = Some(losses.len());
            losses.push((Instant::now(), None));
            self.store.news.send_replace(());
        }
    }

    /// Looks after the store soon after anything has changed, and again and again while it is lost.
    async fn beat(link: Weak<Self>, mut news: watch::Receiver<()>) {
        loop {
            let is_up = link.upgrade().is_none_or(|link| link.is_up());
            // the sender lives as long as the store
            if is_up && news.changed().await.is_err() {
                return;
            }
            news.mark_unchanged();
            tokio::time::sleep(BEAT).await;
            let Some(link) = link.upgrade() else { return };
            link.process.pass().await;
            link.look_after().await;
        }
    }

    fn same_epoch(&self) -> bool {
        self.store.state.lock().epoch == self.epoch.load(Ordering::SeqCst)
    }

    async fn look_after(&self) {
        if self.cut.load(Ordering::SeqCst) {
            self.trip();
            return;
        }
        if self.up.load(Ordering::SeqCst) {
            match self.same_epoch() {
                true => {
                    self.hear().await;
                    self.tell_of_those_alone(false);
                }
                false => self.trip(),
            }
            return;
        }
        if !self.same_epoch() {
            self.put_back().await;
        }
        let settling = {
            let state = self.store.state.lock();
            state.settling_until > now(&self.store.clock)
        };
        if settling {
            return;
        }
        self.hear().await;
        self.tell_what_is_owed();
        self.tell_of_those_alone(true);
        if let Some(at) = self.lost.lock().take() {
            self.store.losses.lock()[at].1 = Some(Instant::now());
        }
        self.up.store(true, Ordering::SeqCst);
        // what was said to all replicas only now, they hear within a beat
        self.store.news.send_replace(());
    }

    fn tell_of_those_alone(&self, all: bool) {
        let Some(local) = self.local.get().and_then(Weak::upgrade) else {
            return;
        };
        let mut state = self.store.state.lock();
        let now = now(&self.store.clock);
        for call in local.alone(all) {
            state.put_back_call(&call, now);
        }
    }

    /// Heeds what was said to all replicas meanwhile.
    async fn hear(&self) {
        let news = {
            let state = self.store.state.lock();
            let from = self.heard.swap(state.notices.len(), Ordering::SeqCst);
            state.notices.get(from..).unwrap_or_default().to_vec()
        };
        if let Some(local) = self.local.get().and_then(Weak::upgrade) {
            for notice in news {
                local.heed(&notice).await;
            }
        }
    }

    /// Puts back what this process knows into a store that was emptied.
    async fn put_back(&self) {
        let Some(local) = self.local.get().and_then(Weak::upgrade) else {
            return;
        };
        let seed = local.seed().await;
        let mut state = self.store.state.lock();
        let now = now(&self.store.clock);
        state.settling_until = state.settling_until.max(now + SETTLING);
        for card in &seed.cards {
            state.put_back_card(card, now);
        }
        for call in &seed.calls {
            state.put_back_call(call, now);
        }
        for (question, hold) in seed.holds {
            let ends = now + i64::try_from(hold.lasts.as_millis()).unwrap();
            state.put_back_hold(question, hold.value, ends, now);
        }
        state.end_ids(&seed.ids, now);
        for (purse, micros) in &seed.spent {
            state.put_back_spent(purse, *micros, now);
        }
        self.epoch.store(state.epoch, Ordering::SeqCst);
        self.heard.store(state.notices.len(), Ordering::SeqCst);
        drop(state);
        self.seeds.store(seed.number, Ordering::SeqCst);
    }

    /// What is still to be told after a seed: what was counted before it stands in there.
    fn left_of(&self, mut owed: Owed) -> Option<Owed> {
        let told = self.seeds.load(Ordering::SeqCst);
        match &mut owed {
            Owed::Settle(_, settle, _) if settle.after_seed < told => return None,
            Owed::Land(landing) => landing.settle.take_if(|it| it.after_seed < told),
            _ => None,
        };
        Some(owed)
    }

    fn tell_what_is_owed(&self) {
        let mut state = self.store.state.lock();
        let now = now(&self.store.clock);
        let owed = std::mem::take(&mut *self.owed.lock());
        for owed in owed.into_iter().filter_map(|owed| self.left_of(owed)) {
            tell(&mut state, &owed, now);
        }
    }

    /// One operation on the store: it takes its time, and may be done without anybody hearing of it.
    async fn operation<T>(&self, what: impl FnOnce(&mut State, i64) -> T) -> Result<T, Lost> {
        if !self.is_up() {
            return Err(Lost);
        }
        self.travel().await;
        if !self.is_up() {
            return Err(Lost);
        }
        if self.cut.load(Ordering::SeqCst) || !self.same_epoch() {
            self.trip();
            return Err(Lost);
        }
        let (done, notices) = {
            let mut state = self.store.state.lock();
            let before = state.notices.len();
            let done = what(&mut state, now(&self.store.clock));
            (done, state.notices.len() > before)
        };
        if notices {
            self.store.news.send_replace(());
        }
        self.travel().await;
        let roll = self.random.lock().random_range(0..1000);
        if roll < self.mute.load(Ordering::SeqCst) {
            self.trip();
            return Err(Lost);
        }
        Ok(done)
    }

    async fn travel(&self) {
        self.process.pass().await;
        let micros = self.random.lock().random_range(0..2000);
        tokio::time::sleep(Duration::from_micros(micros)).await;
        self.process.pass().await;
    }

    /// An operation that must not be forgotten: what cannot be told now is told later. Told twice
    /// it must count once, so one whose answer is lost is told again only where that is so.
    async fn tell(&self, owed: Owed) {
        let Some(owed) = self.left_of(owed) else {
            return;
        };
        let told = self.operation(|state, now| tell(state, &owed, now)).await;
        if told.is_err() {
            self.owed.lock().push_back(owed);
        }
    }
}

fn tell(state: &mut State, owed: &Owed, now: i64) {
    match owed {
        Owed::Settle(seat, settle, lease) => {
            let lease = i64::try_from(lease.as_millis()).unwrap();
            state.settle(seat, settle, lease, now);
        }
        Owed::Land(landing) => state.land(landing, now),
        Owed::EndIds(ids) => state.end_ids(ids, now),
        Owed::Erase(card) => {
            state.erase(*card);
        }
    }
}

#[async_trait]
impl Shared for Link {
    fn is_up(&self) -> bool {
        self.up.load(Ordering::SeqCst)
    }

    fn ahead_ms(&self) -> i64 {
        0
    }

    fn attach(&self, local: Weak<dyn Local>) {
        let _ = self.local.set(local);
    }

    async fn start(&self, _: Duration) {}

    async fn look(
        &self,
        _: &KeyRing,
        question: &Tags<QuestionTag>,
    ) -> Result<Option<Vec<u8>>, Lost> {
        self.operation(|state, now| state.look(question.current, now))
            .await
    }

    async fn board(&self, board: &Board) -> Result<Boarded, Lost> {
        self.operation(|state, now| state.board(board, now)).await
    }

    async fn stay(&self, seat: &Seat, lease: Duration) -> Result<bool, Lost> {
        let lease = i64::try_from(lease.as_millis()).unwrap();
        self.operation(|state, now| state.stay(seat, lease, now))
            .await
    }

    async fn stake(&self, stake: &Stake) -> Result<Staked, Lost> {
        self.operation(|state, now| state.stake(stake, now)).await
    }

    async fn settle(&self, seat: &Seat, settle: Settle, lease: Duration) {
        self.tell(Owed::Settle(seat.clone(), Box::new(settle), lease))
            .await;
    }

    async fn land(&self, landing: Landing) {
        self.tell(Owed::Land(Box::new(landing))).await;
    }

    async fn begin(&self, begin: &Begin) -> Result<Begun, Lost> {
        self.operation(|state, now| state.begin(begin, now)).await
    }

    async fn ids_sent(&self, ids: &[RequestId], lease: Duration) -> Result<(), Lost> {
        let lease = i64::try_from(lease.as_millis()).unwrap();
        self.operation(|state, now| state.ids_sent(ids, lease, now))
            .await
    }

    async fn end_ids(&self, ids: Vec<EndedId>) {
        self.tell(Owed::EndIds(ids)).await;
    }

    async fn erase(&self, card: &Tags<CardTag>) -> Result<u64, Lost> {
        let card = card.current;
        let erased = self.operation(|state, _| state.erase(card)).await;
        if erased.is_err() {
            self.owed.lock().push_back(Owed::Erase(card));
        }
        erased
    }

    async fn guard_show(&self, _: &Tags<CardTag>, _: Family) -> Result<Option<GuardCounts>, Lost> {
        // nobody asks in this simulation
        Err(Lost)
    }

    async fn guard_reset(&self, card: &Tags<CardTag>) -> Result<bool, Lost> {
        self.operation(|state, _| state.reset(card.current)).await
    }
}
