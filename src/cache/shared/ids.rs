//! What is said of a request id: its first use, later ones, its end.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::Token;
use crate::cache::key::{CardTag, Content, KeyRing, Tags};

/// A caller's id of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId {
    /// Whose.
    pub caller: Arc<str>,
    /// The id.
    pub id: Uuid,
    /// Who runs it.
    pub owner: Token,
}

/// The first use of a request id, or a later one.
#[derive(Debug, Clone)]
pub struct Begin {
    /// The keys that the tags were made with.
    pub keys: Arc<KeyRing>,
    /// The id.
    pub id: RequestId,
    /// What it stands for.
    pub content: Tags<Content>,
    /// The card, by its cache tags: with it, what is remembered can be erased.
    pub card: Tags<CardTag>,
    /// How long it counts as under way if nobody ends it.
    pub lease: Duration,
    /// How long it is remembered.
    pub window: Duration,
    /// How many of one caller are remembered.
    pub most: usize,
}

/// What became of a request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is new, or its last run left nothing to remember: run it.
    New,
    /// Somebody else is running it.
    Running,
    /// It has ended so.
    Earlier(Vec<u8>),
    /// Its run was never ended, and may have been sent.
    Unknown,
    /// It stands for something else.
    Reused,
    /// The caller has used as many ids as are kept; there is room again after this long.
    Exhausted(Duration),
}

/// How a request id ended.
#[derive(Debug, Clone)]
pub struct EndedId {
    /// The keys that the tags were made with.
    pub keys: Arc<KeyRing>,
    /// The id.
    pub id: RequestId,
    /// What it stands for.
    pub content: Tags<Content>,
    /// The card, by its cache tags.
    pub card: Tags<CardTag>,
    /// What is remembered; `None`: nothing, it may run anew.
    pub remembered: Option<Vec<u8>>,
    /// Whether that is an answer, which can be erased, or an outcome that is not known.
    pub is_answer: bool,
    /// How long it is remembered.
    pub window: Duration,
}
