//! A replica that the test plays itself, to stop it where no replica could be stopped.

use std::{sync::Arc, time::Duration};

use cardproof::cache::{
    Digests, KeyRing, QuestionTag, Scope, Tags,
    shared::{Board, Boarded, Family, GuardLimits, Seat, Shared, Slot, Stake, Staked, token},
};

use crate::{
    house::{CARD, Plan, question_about},
    server::Redis,
};

/// Another replica, of which the test moves every step by hand.
pub struct ByHand {
    pub store: Box<dyn Shared>,
    pub keys: Arc<KeyRing>,
}

impl ByHand {
    pub async fn new(redis: &Redis) -> Self {
        let store = redis.store(Duration::from_secs(1), Arc::new(|| 0));
        store.start(Duration::from_secs(5)).await;
        Self {
            store: Box::new(store),
            keys: Arc::new(KeyRing {
                current: Digests::new(Plan::default().key.as_bytes()),
                previous: None,
            }),
        }
    }

    pub fn question(&self, name: &str) -> Tags<QuestionTag> {
        let question = question_about(CARD, name);
        self.keys
            .each(|key| key.question(&question, Scope::All, None))
    }

    pub fn board_as(&self, name: &str, lease: Duration) -> Board {
        Board {
            keys: Arc::clone(&self.keys),
            question: self.question(name),
            owner: token(),
            following: None,
            answers: true,
            holds: true,
            lease,
        }
    }

    pub async fn seat(&self, name: &str, lease: Duration) -> Seat {
        let board = self.board_as(name, lease);
        assert_eq!(self.store.board(&board).await, Ok(Boarded::Seat));
        Seat {
            keys: board.keys,
            question: board.question,
            owner: board.owner,
        }
    }

    pub fn stake(&self, seat: &Seat, lasts: Duration, hold: Duration) -> Stake {
        Stake {
            seat: seat.clone(),
            call_lasts: lasts,
            hold,
            held: b"by hand".to_vec(),
            slot: Slot {
                token: token(),
                card: self.keys.each(|key| key.guard_card(CARD)),
                family: Family::Verification,
                caller: Arc::from("anonymous"),
            },
            limits: GuardLimits {
                calls: 10,
                mismatches: Some(2),
                caller_calls: 10,
                caller_mismatches: Some(2),
            },
            pace: None,
            prices: Vec::new(),
            ids: Vec::new(),
        }
    }

    pub async fn send(&self, seat: &Seat, lasts: Duration, hold: Duration) -> Staked {
        let stake = self.stake(seat, lasts, hold);
        self.store.stake(&stake).await.unwrap()
    }
}
