//! A request that runs under a caller's id: here, and in the store that replicas share.
//!
//! However a run ends, it is told in both places. One that is dropped without a word left nothing
//! to remember: nothing was sent under it, or the call it waited for is told by somebody else.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::Instant};
use uuid::Uuid;

use super::{
    Conclusion, Inner, Remembered,
    ask::{Ask, Reply},
    denial::{Denial, Refusal, Stage},
    flight::Outcome,
    idempotency::{Begin, Token},
    packed,
};
use crate::{
    cache::{
        KeyRing, Tags,
        key::{CardTag, Content},
        shared::{self, Begun, EndedId, RequestId, Shared},
    },
    domain::{Field, InvalidInput, Reason, Violation},
};

/// A run is looked at as under way for this long after its caller has given up.
const LEASE_BEYOND_DEADLINE: Duration = Duration::from_secs(2);
/// Pauses between two looks at a run of another replica: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A request that runs under an id.
pub struct Run {
    token: Option<Token<Remembered>>,
    /// Boxed: most runs have none, and every waiting call has room for a run.
    shared: Option<Box<SharedRun>>,
}

/// Its part in the shared store.
pub struct SharedRun {
    /// The store.
    pub store: Arc<dyn Shared>,
    /// Where it is told how the run ended, when nobody can wait for that.
    pub outside: Handle,
    /// The keys that the tags were made with.
    pub keys: Arc<KeyRing>,
    /// The id.
    pub id: RequestId,
    /// What it stands for.
    pub content: Tags<Content>,
    /// The card, by its cache tags.
    pub card: Tags<CardTag>,
    /// How long it is remembered.
    pub window: Duration,
}

impl SharedRun {
    fn ended(&self, remembered: Option<&Remembered>) -> EndedId {
        // what came from the service itself stays here: the sandbox's answers never leave, and the
        // table's are the same everywhere
        let remembered = remembered.filter(|it| it.is_from_a_vendor());
        EndedId {
            keys: Arc::clone(&self.keys),
            id: self.id.clone(),
            content: self.content,
            card: self.card,
            remembered: remembered.map(packed::remembered),
            is_answer: matches!(remembered, Some(Remembered::Answer(..))),
            window: self.window,
        }
    }
}

impl Run {
    /// A run that has begun here.
    pub fn new(token: Token<Remembered>) -> Self {
        Self {
            token: Some(token),
            shared: None,
        }
    }

    /// It has begun in the shared store too.
    pub fn share(&mut self, shared: SharedRun) {
        self.shared = Some(Box::new(shared));
    }

    /// What it is in the shared store.
    pub fn shared_id(&self) -> Option<RequestId> {
        self.shared.as_ref().map(|shared| shared.id.clone())
    }

    /// Ends it, in the shared store without waiting.
    pub fn end(mut self, remembered: Option<Remembered>) {
        if let Some(shared) = self.shared.take() {
            let ended = shared.ended(remembered.as_ref());
            shared.tell(ended);
        }
        self.end_here(remembered);
    }

    /// What is to be told to the shared store, by somebody who waits for it; then
    /// [`Self::end_here`].
    pub fn end_there(&mut self, remembered: Option<&Remembered>) -> Option<EndedId> {
        Some(self.shared.take()?.ended(remembered))
    }

    /// Ends it in this process.
    pub fn end_here(mut self, remembered: Option<Remembered>) {
        if let Some(token) = self.token.take() {
            match remembered {
                Some(remembered) => token.remember(remembered),
                None => token.forget(),
            }
        }
    }

    /// Takes it back: another replica knows better what the id stands for.
    pub fn take_back(mut self) {
        if let Some(token) = self.token.take() {
            token.take_back();
        }
    }
}

impl SharedRun {
    fn tell(self, ended: EndedId) {
        let store = self.store;
        // the task ends with the operation, which ends with its time-out
        let _telling = self
            .outside
            .spawn(async move { store.end_ids(vec![ended]).await });
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            let ended = shared.ended(None);
            shared.tell(ended);
        }
    }
}

/// Remembers an answer that needed no vendor under its request id, if it has one.
pub fn answered(
    run: Option<Run>,
    card: impl FnOnce() -> Tags<CardTag>,
    conclusion: Conclusion,
) -> Reply {
    let reply = conclusion.reply_to_follower();
    if let Some(run) = run {
        run.end(Some(Remembered::Answer(Arc::new(conclusion), card())));
    }
    reply
}

/// What became of a request id.
pub enum Started {
    /// It is to be run.
    Run(Run),
    /// It has ended so before.
    Earlier(Remembered),
}

impl Inner {
    /// Begins a request under its id, in this process and in the store that replicas share.
    pub(super) async fn begin(&self, ask: &Ask, id: Uuid) -> Result<Started, Denial> {
        let keys = self.keys.load_full();
        let content = keys.each(|key| key.content(&ask.question));
        loop {
            let caller = &ask.caller.name;
            let begun = self.request_ids.begin(caller, id, content, Instant::now());
            match begun {
                Begin::New(token) => {
                    let run = Run::new(token);
                    return if self.may_share(ask) {
                        self.begin_there(ask, id, keys, content, run).await
                    } else {
                        Ok(Started::Run(run))
                    };
                }
                Begin::Earlier(remembered) => return Ok(Started::Earlier(remembered)),
                Begin::Running(waiting) => {
                    let ended = tokio::time::timeout_at(ask.deadline, waiting.ended());
                    match ended.await {
                        Ok(Some(remembered)) => return Ok(Started::Earlier(remembered)),
                        // it left nothing to remember: now it is this one's turn
                        Ok(None) => {}
                        Err(_) => return Err(Denial::deadline(Stage::Waiting)),
                    }
                }
                Begin::Reused => return Err(reused()),
                Begin::Exhausted(after) => return Err(exhausted(ask, after)),
            }
        }
    }

    /// Begins it in the shared store, or waits for another replica that runs it.
    async fn begin_there(
        &self,
        ask: &Ask,
        id: Uuid,
        keys: Arc<KeyRing>,
        content: Tags<Content>,
        mut run: Run,
    ) -> Result<Started, Denial> {
        let Some(sharing) = &self.sharing else {
            return Ok(Started::Run(run));
        };
        let card = keys.each(|key| key.cache_card(ask.question.expose_card()));
        let begin = shared::Begin {
            keys,
            id: RequestId {
                caller: Arc::clone(&ask.caller.name),
                id,
                owner: shared::token(),
            },
            content,
            card,
            lease: ask.deadline.duration_since(Instant::now()) + LEASE_BEYOND_DEADLINE,
            window: self.window,
            most: self.most_ids,
        };
        let mut pause = FIRST_PAUSE;
        loop {
            // a store that is lost says nothing against it
            let begun = sharing.store.begin(&begin).await.unwrap_or(Begun::New);
            let remembered = match begun {
                Begun::New => {
                    run.share(SharedRun {
                        store: Arc::clone(&sharing.store),
                        outside: self.outside.clone(),
                        keys: begin.keys,
                        id: begin.id,
                        content,
                        card,
                        window: self.window,
                    });
                    return Ok(Started::Run(run));
                }
                Begun::Running => {
                    if Instant::now() + pause >= ask.deadline {
                        tokio::time::sleep_until(ask.deadline).await;
                        return Err(Denial::deadline(Stage::Waiting));
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Begun::Earlier(bytes) => packed::read_remembered(&bytes, card),
                Begun::Unknown => {
                    let denial = Denial::because(Reason::OutcomeUnknown);
                    Remembered::Unknown(Arc::new(denial))
                }
                Begun::Reused => {
                    run.take_back();
                    return Err(reused());
                }
                Begun::Exhausted(after) => {
                    run.take_back();
                    return Err(exhausted(ask, after));
                }
            };
            run.end_here(Some(remembered.clone()));
            return Ok(Started::Earlier(remembered));
        }
    }
}

fn reused() -> Denial {
    Denial::Invalid(vec![Violation::new(
        Field::RequestId,
        InvalidInput::RequestIdReused,
        "was used before for another question",
    )])
}

fn exhausted(ask: &Ask, after: Duration) -> Denial {
    let mut refusal = Refusal::new(Reason::RequestIdsExhausted);
    refusal.retry_after = Some(after);
    refusal.caller = Some(Arc::clone(&ask.caller.name));
    Denial::Refused(Box::new(refusal))
}

/// Ends all runs of a call: those in the shared store are returned, to be told with the rest.
pub fn end_there(runs: &mut [Run], outcome: &Outcome, card: Tags<CardTag>) -> Vec<EndedId> {
    let remembered = Remembered::of(outcome, card);
    let ended = runs.iter_mut();
    ended
        .filter_map(|run| run.end_there(remembered.as_ref()))
        .collect()
}
