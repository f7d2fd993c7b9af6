//! The vendors end to end: the binary itself between a gRPC client and the emulator, which shares no
//! code with it.

mod codes;
mod codes_ace;
mod codes_alibaba;
mod conformance;
mod errors;
mod garbage;
mod house;
mod providers;
mod published;
mod remote;
mod settings;
mod wire;
