//! What the operator sees.

pub mod events;
