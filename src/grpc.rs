//! What callers see: the only room that names tonic, apart from the provider that speaks gRPC.

mod acceptor;
pub mod api;
pub mod arrived;
mod at_once;
pub mod auth;
mod call;
mod call_watch;
pub mod client;
pub mod connection;
pub mod convert;
pub mod deadline;
pub mod errors_page;
mod explain;
mod frames;
pub mod handshake;
pub mod health;
pub mod hot;
mod inlet;
pub mod limits;
pub mod path_switch;
pub mod reply;
pub mod routes;
pub mod server;
pub mod status;
pub mod tls;
mod unsent;
pub mod workers;
