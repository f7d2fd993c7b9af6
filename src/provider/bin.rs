//! The embedded BIN table: who issued a card, what kind it is and whose network carries it, by the number alone.
//!
//! `data/README.md` tells where the data comes from and how it is brought up to date.

#[rustfmt::skip]
mod generated;
mod network;
mod overlay;
mod table;

pub use overlay::{OverlayDefect, OverlayProblem};
pub use table::{BinEntry, BinLookup, BinTable, DATA_VERSION};
