//! Looks after the store: finds it back, notices that it was emptied, hears what is said to all
//! replicas.
//!
//! A store has an *epoch*: a random name under a key of its own, made by the first replica that
//! finds none. Every script compares it first, so nobody counts in a store that was emptied under
//! their hands. A replica that finds another epoch than it knew, or fewer beats than it counted
//! (the store came back with older data), puts back what it knows: counts, holds, request ids,
//! money spent. Then the epoch is *settling* for [`SETTLING`], long enough for every replica that
//! lives to notice and to put back its part; until then the store counts as lost for all of them.
//! What nobody alive knows is gone.
//!
//! A replica that starts fresh has nothing to put back and joins at once.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use redis::Value;
use serde_json::json;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use super::{
    Local, Notice,
    backlog::Backlog,
    forms::Forms,
    link::{ADDRESS_KEY, Fault, Link},
    names::{bytes, text},
    scripts::{Arguments, as_text},
    store::token,
};
use crate::{cache::key::CardTag, telemetry::events};

/// How often the store is looked at.
const BEAT: Duration = Duration::from_millis(250);
/// How long an epoch settles after the store was emptied.
const SETTLING: Duration = Duration::from_secs(2);
/// Where the store's times begin, in milliseconds since 1970; see `scripts/prelude.lua`.
const YEAR_2020_MS: i64 = 1_577_836_800_000;
/// The policy under which a full store refuses instead of forgetting.
const KEEPS_EVERYTHING: &str = "noeviction";

/// Looks after one store.
pub(super) struct Keeper {
    link: Arc<Link>,
    forms: Forms,
    backlog: Arc<Backlog>,
    local: OnceLock<Weak<dyn Local>>,
    known: Mutex<Known>,
}

/// What this process knows of the store's life.
#[derive(Default)]
struct Known {
    /// The epoch that it has been part of.
    epoch: Option<String>,
    beats: i64,
    /// The last notice that it has heard.
    heard: Option<i64>,
    policy: Option<String>,
    /// Why it is not there, as it was told last.
    reason: Option<&'static str>,
}

/// What the store says of itself.
struct Pulse {
    beats: i64,
    /// `NAME:UNTIL`, or empty.
    epoch: String,
    now: i64,
    last_notice: i64,
    complete: bool,
    words: Vec<String>,
}

impl Pulse {
    fn epoch_name(&self) -> &str {
        self.epoch.split(':').next().unwrap_or_default()
    }

    fn is_settling(&self) -> bool {
        let until = self.epoch.split(':').nth(1);
        until.and_then(|it| it.parse().ok()).unwrap_or(0) > self.now
    }
}

impl Keeper {
    pub(super) fn new(link: Arc<Link>, forms: Forms, backlog: Arc<Backlog>) -> Self {
        Self {
            link,
            forms,
            backlog,
            local: OnceLock::new(),
            known: Mutex::default(),
        }
    }

    pub(super) fn attach(&self, local: Weak<dyn Local>) {
        // a second memory would be a defect of the wiring; the first one stays
        let _ = self.local.set(local);
    }

    /// Looks for the store for as long as `patience`, then goes on doing so by itself, on the
    /// runtime that this is called on.
    pub(super) async fn start(self: &Arc<Self>, patience: Duration) {
        let until = Instant::now() + patience;
        while let Ok(false) = timeout_at(until, self.look_after()).await {
            tokio::time::sleep(BEAT).await;
            if Instant::now() >= until {
                break;
            }
        }
        if !self.link.is_up() {
            events::shared_store_up(false);
            events::shared_store_lost("it cannot be reached", ADDRESS_KEY);
        }
        tokio::spawn(Self::watch(Arc::downgrade(self)));
    }

    async fn watch(keeper: Weak<Self>) {
        loop {
            let Some(keeper) = keeper.upgrade() else {
                return;
            };
            let _up = keeper.look_after().await;
            let lost = keeper.link.lost.notified();
            let _ = tokio::time::timeout(BEAT, lost).await;
        }
    }

    /// One look; says whether the store is up after it.
    async fn look_after(&self) -> bool {
        let mut known = self.known.lock().await;
        let was_up = self.link.is_up();
        let looked = if was_up {
            self.listen(&mut known).await
        } else {
            self.rejoin(&mut known).await
        };
        match looked {
            Ok(true) if !was_up => {
                known.reason = None;
                events::shared_store_found();
            }
            Ok(_) => {}
            Err(fault) if was_up => self.link.trip(fault.reason(), fault.key()),
            // told again when it is for another reason
            Err(fault) if known.reason != Some(fault.reason()) => {
                known.reason = Some(fault.reason());
                events::shared_store_missing(fault.reason(), fault.key());
            }
            Err(_) => {}
        }
        self.link.is_up()
    }

    /// A beat while the store is up: notices, and whatever could not be told in the last moment
    /// that it was down.
    async fn listen(&self, known: &mut Known) -> Result<bool, Fault> {
        let pulse = self.pulse(known.heard, None, Duration::ZERO).await?;
        if known.epoch.as_deref() != Some(pulse.epoch_name()) || pulse.beats < known.beats {
            return Err(Fault::OtherEpoch);
        }
        if pulse.is_settling() {
            return Err(Fault::OtherEpoch);
        }
        known.beats = pulse.beats;
        self.heed(known, &pulse).await;
        self.tell_backlog(&pulse.epoch).await?;
        self.tell_alone(&pulse.epoch, false).await?;
        Ok(true)
    }

    /// Connects, and trusts the store again once everybody has told it what they know.
    async fn rejoin(&self, known: &mut Known) -> Result<bool, Fault> {
        self.link.connect().await?;
        self.look_at_policy(known).await;
        let mut pulse = self.pulse(known.heard, None, Duration::ZERO).await?;
        let older = pulse.beats < known.beats;
        let other = known.epoch.as_deref() != Some(pulse.epoch_name());
        let emptied = known.epoch.is_some() && (other || older);
        if emptied || pulse.epoch.is_empty() {
            // an epoch that another replica has made goes on, and settles from now
            let joins_another = other && !pulse.epoch.is_empty();
            let name = if joins_another {
                pulse.epoch_name().to_owned()
            } else {
                text(&token())
            };
            let settling = if emptied { SETTLING } else { Duration::ZERO };
            let from = pulse.epoch.clone();
            let renewed = self.pulse(known.heard, Some((&from, &name)), settling);
            pulse = renewed.await?;
        }
        if emptied {
            events::shared_store_emptied();
            self.seed(&pulse.epoch).await?;
            known.heard = Some(pulse.last_notice);
        }
        known.epoch = Some(pulse.epoch_name().to_owned());
        known.beats = pulse.beats;
        if known.heard.is_none() {
            known.heard = Some(pulse.last_notice);
        }
        self.heed(known, &pulse).await;
        if pulse.is_settling() {
            return Ok(false);
        }
        self.tell_backlog(&pulse.epoch).await?;
        self.tell_alone(&pulse.epoch, true).await?;
        self.link.close(pulse.epoch);
        Ok(true)
    }

    async fn pulse(
        &self,
        heard: Option<i64>,
        renew: Option<(&str, &str)>,
        settling: Duration,
    ) -> Result<Pulse, Fault> {
        let arguments = Arguments::new(json!({
            "beats_key": self.forms.names.beats(),
            "number_key": self.forms.names.notice_number(),
            "notices_key": self.forms.names.notices(),
            "heard": heard,
            "renew_from": renew.map(|(from, _)| from),
            "renew_to": renew.map(|(_, to)| to),
            "settling_ms": u64::try_from(settling.as_millis()).unwrap_or_default(),
        }));
        let script = &self.link.scripts.beat;
        let mut said = self.link.run_anyway(script, &arguments, None).await?;
        let mut read = || {
            Some(Pulse {
                beats: said.number()?,
                epoch: said.text()?,
                now: said.number()?,
                last_notice: said.number()?,
                complete: said.number()? == 1,
                words: said.list()?.into_iter().filter_map(as_text).collect(),
            })
        };
        let pulse = read().ok_or(Fault::Nonsense)?;
        self.forms.learn_time(pulse.now + YEAR_2020_MS);
        Ok(pulse)
    }

    async fn heed(&self, known: &mut Known, pulse: &Pulse) {
        if known.heard == Some(pulse.last_notice) {
            return;
        }
        known.heard = Some(pulse.last_notice);
        let Some(local) = self.local.get().and_then(Weak::upgrade) else {
            return;
        };
        if !pulse.complete {
            local.heed(&Notice::EraseAll).await;
        }
        for notice in pulse.words.iter().filter_map(|word| notice(word)) {
            local.heed(&notice).await;
        }
    }

    /// Tells what could not be told. What fails now stays for the next time.
    async fn tell_backlog(&self, epoch: &str) -> Result<(), Fault> {
        while let Some(operation) = self.backlog.first() {
            let script = operation.script(&self.link.scripts);
            let told = self
                .link
                .run_anyway(script, operation.arguments(), Some(epoch));
            let _said: Value = told.await.map(|_| Value::Nil)?;
            self.backlog.told();
        }
        Ok(())
    }

    /// Tells of attempts that began without the store and are under way: from here on their slots
    /// count for all replicas.
    async fn tell_alone(&self, epoch: &str, all: bool) -> Result<(), Fault> {
        let Some(local) = self.local.get().and_then(Weak::upgrade) else {
            return Ok(());
        };
        self.put_back(self.forms.seed_calls(&local.alone(all)), epoch)
            .await
    }

    async fn put_back(&self, parts: Vec<Arguments>, epoch: &str) -> Result<(), Fault> {
        let script = &self.link.scripts.seed;
        for arguments in parts {
            self.link
                .run_anyway(script, &arguments, Some(epoch))
                .await?;
        }
        Ok(())
    }

    /// Puts back what this process knows into a store that was emptied.
    async fn seed(&self, epoch: &str) -> Result<(), Fault> {
        let Some(local) = self.local.get().and_then(Weak::upgrade) else {
            return Ok(());
        };
        let seed = local.seed().await;
        self.put_back(self.forms.seeds(&seed.keys, &seed), epoch)
            .await?;
        self.backlog.seeded(seed.number);
        Ok(())
    }

    /// A store that forgets what it was given breaks promises without a word.
    async fn look_at_policy(&self, known: &mut Known) {
        // managed stores often do not let anybody ask
        let Some(policy) = self.link.setting("maxmemory-policy").await else {
            return;
        };
        if known.policy.as_deref() != Some(&policy) {
            events::shared_store_policy(&policy, policy == KEEPS_EVERYTHING);
            known.policy = Some(policy);
        }
    }
}

/// Reads a word to all replicas: its number, its kind, its tags.
fn notice(word: &str) -> Option<Notice> {
    let mut parts = word.split(' ').skip(1);
    let kind = parts.next()?;
    let tags = parts
        .filter_map(|tag| Some(CardTag::from_bytes(bytes(tag)?)))
        .collect();
    match kind {
        "erase" => Some(Notice::Erase(tags)),
        "reset" => Some(Notice::ResetGuard(tags)),
        _ => None,
    }
}
