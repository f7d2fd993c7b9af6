//! The two ports, over real sockets.

pub(crate) mod admin;
mod calls;
mod connections;
mod descriptors;
mod drain;
pub(crate) mod fixture;
mod health;
mod panics;
mod pieces;
