//! The scripts count to the letter as the guard and the budget in Rust do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use cardproof::{
    cache::{
        Digests, KeyRing, Scope, Tags,
        key::CardTag,
        shared::{
            Board, Family, GuardLimits, Price, Purse, RedisStore, Seat, Settle, Shared, Slot,
            Stake, Staked, token,
        },
    },
    config::{GuardSettings, providers::Money},
    domain::{Charge, GuardEffect},
    service::{
        budget::Budget,
        clock::Clock,
        guard::{Counts, Guard, Refused, Reservation},
    },
};
use jiff::Timestamp;
use proptest::{prelude::*, sample::select, test_runner::TestRunner};

use crate::{house::question_about, server::Redis};

/// Neither slots nor seats are to end by themselves here.
const LONG: Duration = Duration::from_secs(90 * 86_400);
const CALLERS: [&str; 3] = ["a", "b", "c"];

/// What happens to one card.
#[derive(Debug, Clone)]
enum Step {
    Reserve(usize, Family),
    /// The slot at that place, of those that are open.
    Settle(usize, GuardEffect),
    Seconds(i64),
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    let effects = [
        GuardEffect::Match,
        GuardEffect::Mismatch,
        GuardEffect::Mismatch,
        GuardEffect::Call,
        GuardEffect::Nothing,
        GuardEffect::Close,
    ];
    let family = select(vec![
        Family::Verification,
        Family::Verification,
        Family::CardInformation,
    ]);
    prop_oneof![
        6 => (0..CALLERS.len(), family).prop_map(|(caller, family)| Step::Reserve(caller, family)),
        5 => (any::<usize>(), select(effects.to_vec()))
            .prop_map(|(at, effect)| Step::Settle(at, effect)),
        2 => (0i64..60_000).prop_map(Step::Seconds),
        1 => (-90_000i64..0).prop_map(Step::Seconds),
        1 => Just(Step::Reset),
    ]
}

/// A store whose clock the test moves, and what one needs to stake in it.
struct World {
    runtime: tokio::runtime::Runtime,
    store: RedisStore,
    keys: Arc<KeyRing>,
    now_ms: Arc<AtomicI64>,
    _redis: Redis,
}

impl World {
    fn new() -> Self {
        let redis = Redis::start();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let now_ms = Arc::new(AtomicI64::new(at(1_780_000_000).as_millisecond()));
        let target = Arc::clone(&now_ms);
        let offset = move || target.load(SeqCst) - Timestamp::now().as_millisecond();
        let timeout = Duration::from_secs(2);
        let store = redis.store(timeout, Arc::new(offset));
        runtime.block_on(store.start(Duration::from_secs(5)));
        Self {
            runtime,
            store,
            keys: Arc::new(KeyRing {
                current: Digests::random(),
                previous: None,
            }),
            now_ms,
            _redis: redis,
        }
    }

    fn seat(&self) -> Seat {
        let name = format!("张{}", uuid::Uuid::new_v4().simple());
        let name: String = name.chars().filter(|c| c.is_alphabetic()).collect();
        let question = question_about("6200000000000005", &name);
        let board = Board {
            keys: Arc::clone(&self.keys),
            question: self
                .keys
                .each(|key| key.question(&question, Scope::All, None)),
            owner: token(),
            following: None,
            answers: false,
            holds: false,
            lease: LONG,
        };
        let _seated = self.runtime.block_on(self.store.board(&board)).unwrap();
        Seat {
            keys: board.keys,
            question: board.question,
            owner: board.owner,
        }
    }

    fn stake(&self, slot: &Slot, limits: GuardLimits, prices: Vec<Price>) -> Staked {
        let stake = Stake {
            seat: self.seat(),
            call_lasts: LONG,
            hold: LONG,
            held: Vec::new(),
            slot: slot.clone(),
            limits,
            pace: None,
            prices,
            ids: Vec::new(),
        };
        self.runtime.block_on(self.store.stake(&stake)).unwrap()
    }

    fn settle(&self, settle: Settle) {
        let seat = self.seat();
        self.runtime
            .block_on(self.store.settle(&seat, settle, LONG));
    }

    fn counts(&self, card: &Tags<CardTag>, family: Family) -> Option<Counts> {
        let shown = self.runtime.block_on(self.store.guard_show(card, family));
        shown.unwrap().as_ref().map(Counts::from)
    }
}

/// Half a second into a second: what takes a moment stays within it.
fn at(second: i64) -> Timestamp {
    Timestamp::new(second, 500_000_000).unwrap()
}

#[test]
fn the_guard_counts_the_same_in_both() {
    let world = World::new();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(150));
    let strategy = (
        proptest::collection::vec(step(), 1..60),
        select(vec![0.3, 0.5, 1.0]),
        1_780_000_000i64..1_790_000_000,
    );
    runner
        .run(&strategy, |(steps, share, start)| {
            run_steps(&world, &steps, share, start);
            Ok(())
        })
        .unwrap();
}

fn run_steps(world: &World, steps: &[Step], share: f64, start: i64) {
    let settings = GuardSettings {
        max_calls: 10,
        max_mismatches: 3,
        caller_share: share,
    };
    let mut second = start;
    let tags: Tags<CardTag> = CardTag::from_bytes(rand::random()).into();
    let mut slots: Vec<(Slot, Reservation)> = Vec::new();
    let paused = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let guard = paused.block_on(async { Guard::new(settings, Clock::starting_at(at(start))) });
    // the guard's clock cannot be set back, so steps back in time are left to the unit tests of
    // the rules; here the store's clock alone would run away
    for step in steps {
        world.now_ms.store(at(second).as_millisecond(), SeqCst);
        match step {
            Step::Seconds(by) if *by < 0 => continue,
            Step::Seconds(by) => {
                second += by;
                let by = Duration::from_secs(u64::try_from(*by).unwrap());
                paused.block_on(tokio::time::advance(by));
                world.now_ms.store(at(second).as_millisecond(), SeqCst);
            }
            Step::Reserve(caller, family) => {
                reserve(
                    world,
                    &paused,
                    &guard,
                    &tags,
                    CALLERS[*caller],
                    *family,
                    &mut slots,
                );
            }
            Step::Settle(which, effect) => {
                if slots.is_empty() {
                    continue;
                }
                let (slot, reservation) = slots.remove(which % slots.len());
                paused.block_on(async { reservation.settle(*effect) });
                world.settle(Settle {
                    slot,
                    was_staked: true,
                    after_seed: 0,
                    effect: *effect,
                    day: -1,
                    refunds: Vec::new(),
                    spent: Vec::new(),
                });
            }
            Step::Reset => {
                paused.block_on(async { guard.reset(tags.current) });
                let _known = world
                    .runtime
                    .block_on(world.store.guard_reset(&tags))
                    .unwrap();
            }
        }
        let here = paused.block_on(async { guard.show(tags.current) });
        let verification = here.and_then(|it| it.verification);
        let card_information = here.and_then(|it| it.card_information);
        assert_eq!(
            world.counts(&tags, Family::Verification),
            verification,
            "{step:?}"
        );
        assert_eq!(
            world.counts(&tags, Family::CardInformation),
            card_information,
            "{step:?}"
        );
    }
    paused.block_on(async { drop(slots) });
}

fn reserve(
    world: &World,
    paused: &tokio::runtime::Runtime,
    guard: &Guard,
    tags: &Tags<CardTag>,
    caller: &'static str,
    family: Family,
    slots: &mut Vec<(Slot, Reservation)>,
) {
    let slot = Slot {
        token: token(),
        card: *tags,
        family,
        caller: Arc::from(caller),
    };
    let there = world.stake(&slot, guard.whole_limits(family), Vec::new());
    let here = paused.block_on(async { guard.reserve(tags.current, caller, family, LONG) });
    match (here, there) {
        (Ok(reservation), Staked::Taken { .. }) => slots.push((slot, reservation)),
        (
            Err(Refused::Closed { cause, retry_after }),
            Staked::Closed {
                cause: there,
                opens_in,
            },
        ) => {
            assert_eq!(cause.as_str(), there);
            let opens_in = opens_in.unwrap_or(LONG);
            assert!(retry_after.abs_diff(opens_in) < Duration::from_millis(500));
        }
        (Ok(_), there) => panic!("a slot here, and there {there:?}"),
        (Err(refused), there) => panic!("here {refused:?}, there {there:?}"),
    }
}

#[test]
fn a_budget_counts_the_same_in_both() {
    let world = World::new();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(60));
    let step = prop_oneof![
        4 => (1u64..400).prop_map(|micros| (micros, 0)),
        3 => Just((0, 1)),
        1 => (0u64..50_000).prop_map(|seconds| (seconds, 2)),
    ];
    let strategy = (proptest::collection::vec(step, 1..40), any::<u64>());
    runner
        .run(&strategy, |(steps, seed)| {
            spend(&world, &steps, seed);
            Ok(())
        })
        .unwrap();
}

fn spend(world: &World, steps: &[(u64, u8)], seed: u64) {
    const LIMIT: u64 = 1000;
    let money = |micros| Money {
        currency: "CNY".to_owned(),
        micros,
    };
    let budget = Budget::new(Some(money(LIMIT)));
    let purse = Purse::Caller(Arc::from(format!("caller{seed}").as_str()));
    let mut second = 1_785_000_000;
    let mut open = Vec::new();
    for (at_step, (number, kind)) in steps.iter().enumerate() {
        world.now_ms.store(at(second).as_millisecond(), SeqCst);
        let now = at(second);
        match kind {
            0 => {
                let price = Price {
                    purse: purse.clone(),
                    micros: *number,
                    limit_micros: LIMIT,
                };
                let slot = Slot {
                    token: token(),
                    card: CardTag::from_bytes(rand::random()).into(),
                    family: Family::Verification,
                    caller: Arc::from("a"),
                };
                let limits = GuardLimits {
                    calls: 10,
                    mismatches: None,
                    caller_calls: 10,
                    caller_mismatches: None,
                };
                let there = world.stake(&slot, limits, vec![price.clone()]);
                match (budget.reserve(Some(&money(*number)), now), there) {
                    (Ok(hold), Staked::Taken { day, spent_micros }) => {
                        assert_eq!(spent_micros, [budget.taken_micros(now)]);
                        open.push((hold, slot, price, day));
                    }
                    (Err(_), Staked::Spent(0)) => {}
                    (here, there) => panic!("here {here:?}, there {there:?}"),
                }
            }
            1 if !open.is_empty() => {
                let (hold, slot, price, day) = open.remove(at_step % open.len());
                let charge = Charge::ALL[at_step % Charge::ALL.len()];
                hold.settle(charge);
                let refunds = if charge == Charge::NotCharged {
                    vec![price]
                } else {
                    Vec::new()
                };
                world.settle(Settle {
                    slot,
                    was_staked: true,
                    after_seed: 0,
                    effect: GuardEffect::Call,
                    day,
                    refunds,
                    spent: Vec::new(),
                });
            }
            1 => {}
            _ => second += i64::try_from(*number).unwrap(),
        }
    }
}
