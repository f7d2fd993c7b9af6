//! What several keys together must fulfil, and what is allowed but worth a word.
//!
//! A check of several keys is left out where one of them was wrong by itself: the operator has
//! been told, and what stands in for its value says nothing.

use super::{Config, read::Outline, reader::Report};

mod access;
mod at_start;
mod limits;
mod money;
mod sandbox;

pub(super) fn all(config: &Config, outline: &Outline, report: &Report) {
    access::listeners(config, report);
    access::clients(config, report);
    sandbox::check(config, outline, report);
    money::check(config, report);
    limits::times(config, report);
    limits::cache(config, report);
    limits::guard(config, report);
}
