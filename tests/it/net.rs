//! The two ports, over real sockets.

mod admin;
mod calls;
mod connections;
mod descriptors;
mod drain;
mod fixture;
mod health;
mod panics;
