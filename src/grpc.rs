//! What callers see: the only room that names tonic, apart from the provider that speaks gRPC.

pub mod api;
pub mod client;
pub mod convert;
pub mod deadline;
pub mod status;
