//! Plays the vendors on loopback.

fn main() {}
