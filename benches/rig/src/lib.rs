//! What the programs of the benchmarks have in common.

pub mod answers;
pub mod client;
pub mod frames;
pub mod full;
pub mod parts;
pub mod questions;
pub mod sockets;
pub mod vendor;
