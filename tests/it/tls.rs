//! TLS on the port that callers meet.

mod hello;
mod reload;
mod versions;
