//! Storage only: keyed digests, and what is kept under them.
//!
//! Nothing here decides whether a vendor may be asked; nothing here holds a value of a request.

pub mod key;
pub mod local;
pub mod seal;
pub mod shared;

pub use key::{Digests, KeyRing, QuestionTag, Scope, Tags};
pub use local::{LocalCache, Stored};
