//! [`Shared`] over Redis or Valkey: one server, one multiplexed connection, one script for each
//! operation.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;

use super::{
    Begin, Begun, Board, Boarded, EndedId, Family, GuardCounts, Landing, Lasting, Local, Lost,
    RequestId, Seat, Settle, Shared, Stake, Staked, Token,
    backlog::{Backlog, Operation},
    forms::{Forms, Offset, SLOT_GRACE, contents, millis, place_of},
    keeper::Keeper,
    link::{Address, BadAddress, Link},
    names::{Names, bytes, text},
    scripts::{Arguments, Said, as_number},
};
use crate::cache::key::{CardTag, KeyRing, QuestionTag, Tags};

/// Ids that one script handles.
const IDS_AT_ONCE: usize = 200;
/// The end in front of a stored value, which scripts read.
const END_BYTES: usize = 8;

/// What the store is made of.
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// The longest that a request may wait for it.
    pub timeout: Duration,
    /// What its keys begin with.
    pub prefix: String,
    /// How far the service's clock is ahead of the host's.
    pub offset_ms: Offset,
}

/// The store. It looks after its connection by itself.
pub struct RedisStore {
    link: Arc<Link>,
    forms: Forms,
    backlog: Arc<Backlog>,
    keeper: Arc<Keeper>,
}

impl RedisStore {
    /// A store that is not connected yet; see [`Shared::start`].
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn new(settings: Settings) -> Result<Self, BadAddress> {
        let names = Names::new(&settings.prefix);
        let epoch_key = names.epoch();
        let forms = Forms::new(names, Arc::clone(&settings.offset_ms));
        let address = &settings.address;
        let link = Link::new(address, settings.timeout, epoch_key, settings.offset_ms)?;
        let link = Arc::new(link);
        let backlog = Arc::new(Backlog::default());
        let keeper = Keeper::new(Arc::clone(&link), forms.clone(), Arc::clone(&backlog));
        Ok(Self {
            link,
            forms,
            backlog,
            keeper: Arc::new(keeper),
        })
    }

    /// Goes to another address.
    ///
    /// # Errors
    /// When it cannot be used; then nothing changes.
    pub fn move_to(&self, address: &Address) -> Result<(), BadAddress> {
        self.link.move_to(address)
    }

    /// Runs an operation that must not be forgotten: what cannot be told now is told later.
    async fn tell(&self, operation: Operation) {
        let Some(operation) = self.backlog.left_of(operation) else {
            return;
        };
        let told = self
            .link
            .run(operation.script(&self.link.scripts), operation.arguments());
        if told.await.is_err() {
            self.backlog.keep(operation);
        }
    }

    fn boarded(&self, board: &Board, mut said: Said) -> Option<Boarded> {
        match said.word.as_str() {
            "seat" => return Some(Boarded::Seat),
            "under_way" => return Some(Boarded::UnderWay(bytes(&said.text()?)?)),
            _ => {}
        }
        let at = usize::try_from(said.number()?).ok()?;
        let value = said.bytes()?;
        let value = if said.word == "answer" {
            let (hash, field) = self.forms.places(&board.question).into_iter().nth(at)?;
            let sealed = value.get(END_BYTES..)?;
            self.forms
                .open(&board.keys, at, &place_of(&hash, &field), sealed)
        } else {
            let place = self.forms.names.flight(board.question.iter().nth(at)?);
            self.forms.open(&board.keys, at, &place, &value)
        };
        match said.word.as_str() {
            "answer" => value.map(Boarded::Answer),
            // a hold holds even when nobody can tell what it says
            "held" => Some(Boarded::Held(value.unwrap_or_default())),
            "ended" => Some(Boarded::Ended(value.unwrap_or_default())),
            _ => None,
        }
    }
}

#[async_trait]
impl Shared for RedisStore {
    fn is_up(&self) -> bool {
        self.link.is_up()
    }

    fn ahead_ms(&self) -> i64 {
        self.forms.ahead_ms()
    }

    fn attach(&self, local: Weak<dyn Local>) {
        self.keeper.attach(local);
    }

    async fn start(&self, patience: Duration) {
        self.keeper.start(patience).await;
    }

    async fn look(
        &self,
        keys: &KeyRing,
        question: &Tags<QuestionTag>,
    ) -> Result<Option<Vec<u8>>, Lost> {
        for (at, (hash, field)) in self.forms.places(question).into_iter().enumerate() {
            let mut command = redis::cmd("HGET");
            command.arg(&hash).arg(&field);
            if let redis::Value::BulkString(value) = self.link.command(&command).await? {
                let sealed = value.get(END_BYTES..).unwrap_or_default();
                let opened = self.forms.open(keys, at, &place_of(&hash, &field), sealed);
                if opened.is_some() {
                    return Ok(opened);
                }
            }
        }
        Ok(None)
    }

    async fn board(&self, board: &Board) -> Result<Boarded, Lost> {
        let answers = board.answers.then(|| self.forms.places(&board.question));
        let answers: Vec<_> = answers
            .into_iter()
            .flatten()
            .map(|(key, field)| json!({ "key": key, "field": field }))
            .collect();
        let mut arguments = Arguments::new(json!({
            "flights": self.forms.flights(&board.question),
            "answers": answers,
            "owner": text(&board.owner),
            "following": board.following.map(|owner| text(&owner)),
            "holds": board.holds,
            "lease_ms": millis(board.lease),
        }));
        let said = self.link.run(&self.link.scripts.board, &arguments).await?;
        if let Some(boarded) = self.boarded(board, said) {
            return Ok(boarded);
        }
        // an answer that does not open is none: it was not ours, or its key is gone
        arguments.set("answers", json!([]));
        let said = self.link.run(&self.link.scripts.board, &arguments).await?;
        self.boarded(board, said).ok_or(Lost)
    }

    async fn stay(&self, seat: &Seat, lease: Duration) -> Result<bool, Lost> {
        let arguments = Arguments::new(json!({
            "flights": self.forms.flights(&seat.question),
            "owner": text(&seat.owner),
            "lease_ms": millis(lease),
        }));
        let said = self.link.run(&self.link.scripts.stay, &arguments).await?;
        Ok(said.word == "ours")
    }

    async fn stake(&self, stake: &Stake) -> Result<Staked, Lost> {
        let seat = &stake.seat;
        let mut arguments = Arguments::new(json!({
            "flights": self.forms.flights(&seat.question),
            "owner": text(&seat.owner),
            "call_ms": millis(stake.call_lasts),
            "hold_ms": millis(stake.hold),
            "slot": text(&stake.slot.token),
            "slot_ms": millis(stake.call_lasts + SLOT_GRACE),
            "cards": self.forms.guard_keys(&stake.slot.card, stake.slot.family),
            "caller": &*stake.slot.caller,
            "limits": {
                "calls": stake.limits.calls,
                "mismatches": stake.limits.mismatches,
                "caller_calls": stake.limits.caller_calls,
                "caller_mismatches": stake.limits.caller_mismatches,
            },
            "pace": stake.pace.as_ref().map(|pace| json!({
                "key": self.forms.names.pace(pace),
                "limit": pace.limit,
                "window_ms": millis(pace.window),
            })),
            "prices": stake.prices.iter().map(|price| self.forms.price(price)).collect::<Vec<_>>(),
            "ids": stake.ids.iter().map(|id| self.forms.id(id)).collect::<Vec<_>>(),
        }));
        let lasts = stake.call_lasts + stake.hold;
        let held = self
            .forms
            .seal_flights(&seat.keys, &seat.question, &stake.held, lasts);
        let held = arguments.values(held);
        arguments.set("held", held);
        let said = self.link.run(&self.link.scripts.stake, &arguments).await?;
        staked(said).ok_or(Lost)
    }

    async fn settle(&self, seat: &Seat, settle: Settle, lease: Duration) {
        let arguments = Arguments::new(json!({
            "flights": self.forms.flights(&seat.question),
            "owner": text(&seat.owner),
            "lease_ms": millis(lease),
            "settle": self.forms.settlement(&settle),
        }));
        self.tell(Operation::Settle(arguments)).await;
    }

    async fn land(&self, landing: Landing) {
        let seat = &landing.seat;
        let first = landing.ids.len().min(IDS_AT_ONCE);
        let (first, rest) = landing.ids.split_at(first);
        let mut arguments = self.forms.ended_ids(first);
        arguments.set("flights", self.forms.flights(&seat.question));
        arguments.set("owner", text(&seat.owner).into());
        arguments.set("was_seated", landing.was_seated.into());
        let settle = landing.settle.as_ref().map(|it| self.forms.settlement(it));
        arguments.set("settle", settle.into());
        if let Some(ending) = &landing.ending {
            let lasts = Duration::from_secs(60);
            let sealed = self
                .forms
                .seal_flights(&seat.keys, &seat.question, ending, lasts);
            let at = arguments.values(sealed);
            arguments.set("ending", at);
        }
        if let Some(Lasting { value, lasts }) = &landing.hold {
            let sealed = self
                .forms
                .seal_flights(&seat.keys, &seat.question, value, *lasts);
            let at = arguments.values(sealed);
            arguments.set("hold", json!({ "values": at, "lasts_ms": millis(*lasts) }));
        }
        if let Some(Lasting { value, lasts }) = &landing.answer {
            let places = self.forms.places(&seat.question);
            let named = places.iter().map(|(hash, field)| place_of(hash, field));
            let sealed = self.forms.seal(&seat.keys, named, value, *lasts);
            let at = arguments.values(sealed);
            arguments.set(
                "answer",
                json!({ "values": at, "lasts_ms": millis(*lasts) }),
            );
            let places = places
                .iter()
                .map(|(key, field)| json!({ "key": key, "field": field }));
            arguments.set("answers", places.collect::<Vec<_>>().into());
        }
        self.tell(Operation::Land(arguments)).await;
        for ids in rest.chunks(IDS_AT_ONCE) {
            let ended = Operation::EndIds(self.forms.ended_ids(ids));
            self.tell(ended).await;
        }
    }

    async fn begin(&self, begin: &Begin) -> Result<Begun, Lost> {
        let id = &begin.id;
        let hashes: Vec<_> = begin
            .card
            .iter()
            .map(|it| self.forms.names.remembered(*it))
            .collect();
        let field = text(id.id.as_bytes());
        let record = self.forms.names.request_id(&id.caller, id.id);
        let arguments = Arguments::new(json!({
            "key": record,
            "owner": text(&id.owner),
            "field": field,
            "content": contents(&begin.content),
            "contents": begin.content.iter().map(|it| text(it)).collect::<Vec<_>>(),
            "cards": hashes,
            "living": self.forms.names.living_ids(&id.caller),
            "forgotten": self.forms.names.forgotten_ids(&id.caller),
            "lease_ms": millis(begin.lease),
            "window_ms": millis(begin.window),
            "most": begin.most,
        }));
        let mut said = self.link.run(&self.link.scripts.begin, &arguments).await?;
        let earlier = |said: &mut Said| {
            let at = said.number()?;
            let value = said.bytes()?;
            match usize::try_from(at) {
                Ok(at) => {
                    let place = place_of(hashes.get(at)?, &field);
                    self.forms
                        .open(&begin.keys, at, &place, value.get(END_BYTES..)?)
                }
                // an outcome that is not known is sealed under one key, whichever that was
                Err(_) => (0..2).find_map(|at| self.forms.open(&begin.keys, at, &record, &value)),
            }
        };
        Ok(match said.word.as_str() {
            "new" => Begun::New,
            "running" => Begun::Running,
            "unknown" => Begun::Unknown,
            "reused" => Begun::Reused,
            "exhausted" => {
                let wait = said.number().and_then(|wait| u64::try_from(wait).ok());
                Begun::Exhausted(Duration::from_millis(wait.unwrap_or_default()))
            }
            // what cannot be read any more may have cost money
            _ => earlier(&mut said).map_or(Begun::Unknown, Begun::Earlier),
        })
    }

    async fn ids_sent(&self, ids: &[RequestId], lease: Duration) -> Result<(), Lost> {
        for ids in ids.chunks(IDS_AT_ONCE) {
            let arguments = Arguments::new(json!({
                "ids": ids.iter().map(|id| self.forms.id(id)).collect::<Vec<_>>(),
                "lease_ms": millis(lease),
            }));
            let script = &self.link.scripts.ids_sent;
            let _done = self.link.run(script, &arguments).await?;
        }
        Ok(())
    }

    async fn end_ids(&self, ids: Vec<EndedId>) {
        for ids in ids.chunks(IDS_AT_ONCE) {
            let ended = Operation::EndIds(self.forms.ended_ids(ids));
            self.tell(ended).await;
        }
    }

    async fn erase(&self, card: &Tags<CardTag>) -> Result<u64, Lost> {
        let mut arguments = Arguments::new(self.forms.notice("erase", card));
        let pairs = card.iter().map(|tag| {
            json!([
                self.forms.names.answers(*tag),
                self.forms.names.remembered(*tag)
            ])
        });
        arguments.set("keys", pairs.collect::<Vec<_>>().into());
        let script = &self.link.scripts.notice;
        match self.link.run(script, &arguments).await {
            Ok(mut said) => Ok(said
                .number()
                .and_then(|it| u64::try_from(it).ok())
                .unwrap_or(0)),
            Err(lost) => {
                self.backlog.keep(Operation::Notice(arguments));
                Err(lost)
            }
        }
    }

    async fn guard_show(
        &self,
        card: &Tags<CardTag>,
        family: Family,
    ) -> Result<Option<GuardCounts>, Lost> {
        let arguments = Arguments::new(json!({
            "cards": self.forms.guard_keys(card, family),
            "counts_mismatches": family == Family::Verification,
        }));
        let mut said = self.link.run(&self.link.scripts.show, &arguments).await?;
        let mut next = || {
            said.number()
                .and_then(|it| u32::try_from(it).ok())
                .unwrap_or(0)
        };
        let counts = GuardCounts {
            calls: next(),
            mismatches: next(),
            in_flight: next(),
            calls_end: next(),
            mismatches_end: next(),
            closed_end: next(),
        };
        Ok((counts != GuardCounts::default()).then_some(counts))
    }

    async fn guard_reset(&self, card: &Tags<CardTag>) -> Result<bool, Lost> {
        let mut arguments = Arguments::new(self.forms.notice("reset", card));
        let mut cards = Vec::new();
        let mut counts_mismatches = Vec::new();
        for family in Family::ALL {
            for tag in card.iter() {
                cards.push(self.forms.names.guard(*tag, *family));
                counts_mismatches.push(*family == Family::Verification);
            }
        }
        arguments.set("cards", cards.into());
        arguments.set("counts_mismatches", counts_mismatches.into());
        let said = self.link.run(&self.link.scripts.notice, &arguments).await;
        Ok(said?.number() == Some(1))
    }
}

fn staked(mut said: Said) -> Option<Staked> {
    Some(match said.word.as_str() {
        "taken" => Staked::Taken {
            day: said.number()?,
            spent_micros: said
                .list()?
                .iter()
                .filter_map(as_number)
                .map(|micros| u64::try_from(micros).unwrap_or_default())
                .collect(),
        },
        "seat_lost" => Staked::SeatLost,
        "busy" => Staked::Busy(milliseconds(said.number()?)),
        "closed" => Staked::Closed {
            cause: said.text()?,
            opens_in: Some(said.number()?).filter(|it| *it >= 0).map(milliseconds),
        },
        "spent" => Staked::Spent(usize::try_from(said.number()?).ok()?),
        _ => return None,
    })
}

fn milliseconds(number: i64) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or_default())
}

/// A token that nobody else has.
#[must_use]
pub fn token() -> Token {
    rand::random()
}
