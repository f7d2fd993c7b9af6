//! Tencent Cloud FaceID.

pub mod client;
pub mod codes;
pub mod config;
pub mod encryption;
pub mod errors;
pub mod sign;
pub mod wire;

pub use client::Tencent;

#[cfg(test)]
mod tests;
