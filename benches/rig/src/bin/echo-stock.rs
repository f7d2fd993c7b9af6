//! A server that does nothing, built as tonic's own examples build theirs: one runtime of several
//! threads, the router in front, the system's allocator.

use std::{net::SocketAddr, path::PathBuf};

use cardproof::proto::bankcard::v1::bank_card_service_server::BankCardServiceServer;
use cardproof_rig::answers::Echo;
use clap::Parser;
use tonic::transport::{Server, server::TcpIncoming};

/// Serves until it is killed.
#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// The folder with the answers.
    #[arg(long)]
    answers: PathBuf,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    // without this, Nagle's algorithm would make it twelve times slower, which no user would keep
    let incoming = TcpIncoming::bind(arguments.listen)?.with_nodelay(Some(true));
    Server::builder()
        .add_service(BankCardServiceServer::new(Echo::of(&arguments.answers)?))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
