//! What the service talks about: cards, people, questions, answers and money.
//!
//! Everything here is pure: no I/O, no clock of its own, no knowledge of any other room. Values
//! that identify a person are newtypes from the moment they are parsed; they show themselves
//! masked, cannot be printed or serialised, and are overwritten in memory when dropped.

pub mod answer;
pub mod card;
pub mod card_kind;
pub mod charge;
pub mod input;
pub mod name;
pub mod person;
pub mod provider_name;
pub mod question;
pub mod reason;
pub mod result_code;
pub mod vendor_text;

pub use answer::{Answer, Attempt, AttemptOutcome, CardFacts, Finding, Source};
pub use card::{CardNumber, CardPrefix, CardRef};
pub use card_kind::{CardNetwork, CardType};
pub use charge::Charge;
pub use input::{Field, Violation};
pub use name::PersonName;
pub use person::{Identity, IdentityType, Phone};
pub use provider_name::ProviderName;
pub use question::{CardInquiry, Factors, Operation, Question, Verification};
pub use reason::{InvalidInput, Reason};
pub use result_code::{CardInfoResult, Certainty, FailOver, GuardEffect, ResultCode, Verdict};
pub use vendor_text::{ProviderMessage, VendorToken};
