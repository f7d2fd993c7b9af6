//! Storage only: keyed digests, and what is kept under them.
//!
//! Nothing here decides whether a vendor may be asked; nothing here holds a value of a request.

pub mod key;
pub mod local;

pub use key::{Digests, QuestionTag, Scope};
pub use local::{LocalCache, Stored};
