//! What the operator decides.

pub mod providers;
pub mod secret;
