//! What the service says about itself.

pub mod events;
