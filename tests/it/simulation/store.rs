//! The shared store as a model in memory: its rules written anew from what `cache::shared` says of
//! each operation, with nothing of the store that speaks Redis. One key at a time.
//!
//! Times are milliseconds since 1970 by the clock of the simulation.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use cardproof::{
    cache::{
        QuestionTag,
        key::{CardTag, Content, Tags},
        shared::{
            Begin, Begun, Board, Boarded, EndedId, Family, Landing, Notice, Purse, RequestId, Seat,
            SeedCall, SeedCard, Settle, Stake, Staked, Token,
        },
    },
    domain::{Operation, ProviderName},
    service::clock::Clock,
};
use uuid::Uuid;

use super::card::Card;

/// How long the end of a call is told to those who followed it.
const ENDED_LASTS: i64 = 5000;
/// A slot outlives its call by this much, so that a call which ends in time finds it.
const SLOT_GRACE: i64 = 2000;

/// Everything that the store holds.
#[derive(Default)]
pub struct State {
    flights: HashMap<QuestionTag, Flight>,
    answers: HashMap<QuestionTag, (Vec<u8>, i64)>,
    cards: HashMap<(CardTag, Family), Card>,
    taken: HashMap<Purse, (i64, u64)>,
    pace: HashMap<(ProviderName, Operation), VecDeque<i64>>,
    ids: HashMap<(Arc<str>, Uuid), Id>,
    /// Every word to all replicas, since the store was last emptied.
    pub notices: Vec<Notice>,
    /// Goes up whenever it is emptied.
    pub epoch: u64,
    /// Until when replicas may put back what they know, after it was emptied.
    pub settling_until: i64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Boarded,
    Sent,
    Ended,
}

/// The one seat of a question, and its hold.
#[derive(Clone, Default)]
struct Flight {
    seat: Option<(Token, Stage, i64)>,
    told: Vec<u8>,
    hold_lasts: i64,
    held: Option<(Vec<u8>, i64)>,
}

impl Flight {
    /// A seat that was sent and never landed has become a hold.
    fn at(mut self, now: i64) -> Self {
        if let Some((_, Stage::Sent, until)) = self.seat {
            let ends = until + self.hold_lasts;
            let earlier = self.held.as_ref().map_or(0, |held| held.1);
            if until <= now && ends > now && ends > earlier {
                self.held = Some((self.told.clone(), ends));
            }
        }
        self.held = self.held.filter(|held| held.1 > now);
        self
    }
}

#[derive(Clone, PartialEq, Eq)]
enum IdState {
    Running,
    Sent,
    Remembered(Vec<u8>),
    Unknown(Vec<u8>),
    Forgotten,
}

struct Id {
    content: Content,
    state: IdState,
    under_way_until: i64,
    owner: Token,
    ends: i64,
    card: CardTag,
}

fn millis(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

/// The keys are not exchanged in this simulation.
fn only<T: Copy>(tags: &Tags<T>) -> T {
    assert!(tags.previous.is_none(), "one key at a time");
    tags.current
}

/// The time as the store has it.
pub fn now(clock: &Clock) -> i64 {
    clock.now().as_millisecond()
}

impl State {
    /// Forgets everything.
    pub fn empty(&mut self, now: i64, settling: i64) {
        *self = Self {
            epoch: self.epoch + 1,
            settling_until: now + settling,
            ..Self::default()
        };
    }

    pub fn look(&self, question: QuestionTag, now: i64) -> Option<Vec<u8>> {
        let (value, until) = self.answers.get(&question)?;
        (*until > now).then(|| value.clone())
    }

    fn flight(&self, question: QuestionTag, now: i64) -> Flight {
        let found = self.flights.get(&question).cloned();
        found.unwrap_or_default().at(now)
    }

    pub fn board(&mut self, board: &Board, now: i64) -> Boarded {
        let question = only(&board.question);
        if board.answers
            && let Some(value) = self.look(question, now)
        {
            return Boarded::Answer(value);
        }
        let mut flight = self.flight(question, now);
        if board.holds
            && let Some((value, _)) = flight.held
        {
            return Boarded::Held(value);
        }
        if let Some((owner, stage, until)) = flight.seat {
            if stage == Stage::Ended && until > now && board.following == Some(owner) {
                return Boarded::Ended(flight.told);
            }
            if stage != Stage::Ended && until > now && owner != board.owner {
                return Boarded::UnderWay(owner);
            }
        }
        flight.seat = Some((board.owner, Stage::Boarded, now + millis(board.lease)));
        self.flights.insert(question, flight);
        Boarded::Seat
    }

    pub fn stay(&mut self, seat: &Seat, lease: i64, now: i64) -> bool {
        let mut flight = self.flight(only(&seat.question), now);
        let ours = matches!(flight.seat, Some((owner, Stage::Boarded, _)) if owner == seat.owner);
        if ours {
            flight.seat = Some((seat.owner, Stage::Boarded, now + lease));
            self.flights.insert(only(&seat.question), flight);
        }
        ours
    }

    pub fn stake(&mut self, stake: &Stake, now: i64) -> Staked {
        let question = only(&stake.seat.question);
        let mut flight = self.flight(question, now);
        let owner = stake.seat.owner;
        if !matches!(flight.seat, Some((by, Stage::Boarded, _)) if by == owner) {
            return Staked::SeatLost;
        }
        if let Some(pace) = &stake.pace {
            let places = self.pace.entry((pace.provider.clone(), pace.operation));
            let places = places.or_default();
            places.retain(|at| at + millis(pace.window) > now);
            if places.len() >= pace.limit as usize {
                let first = places.front().map_or(now, |at| *at);
                let wait = u64::try_from(first + millis(pace.window) - now).unwrap_or_default();
                return Staked::Busy(std::time::Duration::from_millis(wait));
            }
        }
        let key = (only(&stake.slot.card), stake.slot.family);
        let card = self.cards.entry(key).or_default();
        if let Some((cause, opens_in)) = card.closed(&stake.slot.caller, &stake.limits, now) {
            return Staked::Closed {
                cause: cause.to_owned(),
                opens_in,
            };
        }
        let today = super::card::day(now);
        let mut spent_micros = Vec::new();
        for (at, price) in stake.prices.iter().enumerate() {
            let taken = self.taken.get(&price.purse);
            let taken = taken.map_or(0, |(day, taken)| if *day < today { 0 } else { *taken });
            if taken + price.micros > price.limit_micros {
                return Staked::Spent(at);
            }
            spent_micros.push(taken + price.micros);
        }
        // nothing stands in the way: all of it is taken
        if let Some(pace) = &stake.pace {
            let places = self.pace.entry((pace.provider.clone(), pace.operation));
            places.or_default().push_back(now);
        }
        let slot_ends = now + millis(stake.call_lasts) + SLOT_GRACE;
        let card = self.cards.entry(key).or_default();
        card.take(stake.slot.token, &stake.slot.caller, slot_ends);
        for (price, spent) in stake.prices.iter().zip(&spent_micros) {
            self.taken.insert(price.purse.clone(), (today, *spent));
        }
        flight.seat = Some((owner, Stage::Sent, now + millis(stake.call_lasts)));
        flight.told.clone_from(&stake.held);
        flight.hold_lasts = millis(stake.hold);
        self.flights.insert(question, flight);
        self.ids_sent(&stake.ids, millis(stake.call_lasts), now);
        Staked::Taken {
            day: today,
            spent_micros,
        }
    }

    fn count(&mut self, settle: &Settle, now: i64) {
        let today = super::card::day(now);
        let key = (only(&settle.slot.card), settle.slot.family);
        let card = self.cards.entry(key).or_default();
        card.expire(settle.slot.family, now);
        let taken = card.give_back(settle.slot.token);
        let ours = taken.is_some();
        if ours || !settle.was_staked {
            card.count(&settle.slot.caller, taken, settle.effect, now);
        }
        for price in &settle.refunds {
            if ours
                && settle.day == today
                && let Some((_, taken)) = self.taken.get_mut(&price.purse)
            {
                *taken = taken.saturating_sub(price.micros);
            }
        }
        for price in settle.spent.iter().filter(|_| !ours) {
            let taken = self.taken.entry(price.purse.clone()).or_insert((today, 0));
            if taken.0 < today {
                *taken = (today, 0);
            }
            taken.1 += price.micros;
        }
    }

    pub fn settle(&mut self, seat: &Seat, settle: &Settle, lease: i64, now: i64) {
        self.count(settle, now);
        let question = only(&seat.question);
        let mut flight = self.flight(question, now);
        if let Some((owner, Stage::Sent, _)) = flight.seat
            && owner == seat.owner
        {
            flight.forget_own_hold();
            flight.seat = Some((owner, Stage::Boarded, now + lease));
            self.flights.insert(question, flight);
        }
    }

    pub fn land(&mut self, landing: &Landing, now: i64) {
        if let Some(settle) = &landing.settle {
            self.count(settle, now);
        }
        let question = only(&landing.seat.question);
        let mut flight = self.flight(question, now);
        let ours = landing.was_seated
            && flight
                .seat
                .is_some_and(|(owner, ..)| owner == landing.seat.owner);
        if ours {
            flight.forget_own_hold();
            flight.seat = None;
            if let Some(ending) = &landing.ending {
                let ended = (landing.seat.owner, Stage::Ended, now + ENDED_LASTS);
                flight.seat = Some(ended);
                flight.told.clone_from(ending);
            }
        }
        if let Some(hold) = &landing.hold {
            let ends = now + millis(hold.lasts);
            if flight.held.as_ref().is_none_or(|held| held.1 < ends) {
                flight.held = Some((hold.value.clone(), ends));
            }
        } else if landing.answer.is_some() {
            flight.held = None;
        }
        self.flights.insert(question, flight);
        if let Some(answer) = &landing.answer {
            let kept = (answer.value.clone(), now + millis(answer.lasts));
            self.answers.insert(question, kept);
        }
        self.end_ids(&landing.ids, now);
    }

    pub fn begin(&mut self, begin: &Begin, now: i64) -> Begun {
        let key = (Arc::clone(&begin.id.caller), begin.id.id);
        self.ids.retain(|_, id| id.ends > now);
        if let Some(id) = self.ids.get(&key) {
            if id.content != only(&begin.content) {
                return Begun::Reused;
            }
            let anothers = id.owner != begin.id.owner;
            match &id.state {
                IdState::Running | IdState::Sent if anothers && id.under_way_until > now => {
                    return Begun::Running;
                }
                IdState::Sent if anothers => return Begun::Unknown,
                IdState::Remembered(value) | IdState::Unknown(value) => {
                    return Begun::Earlier(value.clone());
                }
                IdState::Running | IdState::Sent | IdState::Forgotten => {}
            }
        }
        assert!(self.ids.len() < begin.most, "the simulation uses fewer ids");
        let id = Id {
            content: only(&begin.content),
            state: IdState::Running,
            under_way_until: now + millis(begin.lease),
            owner: begin.id.owner,
            ends: now + millis(begin.window),
            card: only(&begin.card),
        };
        self.ids.insert(key, id);
        Begun::New
    }

    pub fn ids_sent(&mut self, ids: &[RequestId], lasts: i64, now: i64) {
        for sent in ids {
            let key = (Arc::clone(&sent.caller), sent.id);
            let Some(id) = self.ids.get_mut(&key) else {
                continue;
            };
            if id.state == IdState::Running && id.owner == sent.owner {
                id.state = IdState::Sent;
                id.under_way_until = now + lasts;
            }
        }
    }

    pub fn end_ids(&mut self, ids: &[EndedId], now: i64) {
        for ended in ids {
            let key = (Arc::clone(&ended.id.caller), ended.id.id);
            let known = self.ids.get(&key);
            if known.is_some_and(|id| id.owner != ended.id.owner) {
                continue;
            }
            let state = match &ended.remembered {
                None => IdState::Forgotten,
                Some(value) if ended.is_answer => IdState::Remembered(value.clone()),
                Some(value) => IdState::Unknown(value.clone()),
            };
            let id = Id {
                content: only(&ended.content),
                state,
                under_way_until: 0,
                owner: ended.id.owner,
                ends: known.map_or(now + millis(ended.window), |id| id.ends),
                card: only(&ended.card),
            };
            self.ids.insert(key, id);
        }
    }

    pub fn erase(&mut self, card: CardTag) -> u64 {
        let before = self.answers.len() + self.ids.len();
        self.answers.retain(|question, _| question.card() != card);
        let of_card = |id: &Id| id.card == card && matches!(id.state, IdState::Remembered(_));
        self.ids.retain(|_, id| !of_card(id));
        self.notices.push(Notice::Erase(vec![card]));
        (before - self.answers.len() - self.ids.len()) as u64
    }

    pub fn reset(&mut self, card: CardTag) -> bool {
        let mut known = false;
        for family in [Family::Verification, Family::CardInformation] {
            if let Some(card) = self.cards.get_mut(&(card, family)) {
                known |= card.reset();
            }
        }
        self.notices.push(Notice::ResetGuard(vec![card]));
        known
    }

    /// What one replica knows is laid over what is there: nothing that it counted is less after it.
    pub fn put_back_card(&mut self, seed: &SeedCard, now: i64) {
        let card = self.cards.entry((seed.card, seed.family)).or_default();
        card.put_back(seed, now);
    }

    /// An attempt under way goes on where it was.
    pub fn put_back_call(&mut self, call: &SeedCall, now: i64) {
        let slot = &call.slot;
        let ends = now + millis(call.lasts);
        let card = self.cards.entry((only(&slot.card), slot.family));
        let card = card.or_default();
        card.give_back(slot.token);
        card.take(slot.token, &slot.caller, ends + SLOT_GRACE);
        let Some(sent) = &call.sent else { return };
        let question = only(&sent.seat.question);
        let mut flight = self.flight(question, now);
        let taken = matches!(
            flight.seat,
            Some((owner, Stage::Boarded | Stage::Sent, until))
                if until > now && owner != sent.seat.owner
        );
        if !taken {
            flight.seat = Some((sent.seat.owner, Stage::Sent, ends));
            flight.told.clone_from(&sent.held);
            flight.hold_lasts = millis(sent.hold);
            self.flights.insert(question, flight);
        }
    }

    pub fn put_back_hold(&mut self, question: QuestionTag, value: Vec<u8>, ends: i64, now: i64) {
        let mut flight = self.flight(question, now);
        if flight.held.as_ref().is_none_or(|held| held.1 < ends) {
            flight.held = Some((value, ends));
            self.flights.insert(question, flight);
        }
    }

    pub fn put_back_spent(&mut self, purse: &Purse, micros: u64, now: i64) {
        let today = super::card::day(now);
        let taken = self.taken.entry(purse.clone()).or_insert((today, 0));
        taken.1 += micros;
    }
}

impl Flight {
    /// Its owner has come back: a hold that began only because nobody had landed it is none.
    fn forget_own_hold(&mut self) {
        let by_itself = matches!(self.seat, Some((_, Stage::Sent, _)));
        if by_itself && self.held.as_ref().is_some_and(|held| held.0 == self.told) {
            self.held = None;
        }
    }
}
