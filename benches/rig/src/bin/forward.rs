//! A server that does nothing but ask the vendor: tonic, tuned as the service is, and a plain HTTP
//! client on the same thread. Whatever a service of this kind does, it costs no less.

use std::{error::Error, net::SocketAddr, sync::Arc};

use cardproof::proto::bankcard::v1::{
    QueryCardInfoRequest, QueryCardInfoResponse, Source, VerifyBankCardRequest,
    VerifyBankCardResponse,
    bank_card_service_server::{BankCardService, BankCardServiceServer},
};
use cardproof_rig::{sockets::serve, vendor::Vendor};
use clap::Parser;
use hyper_util::service::TowerToHyperService;
use tonic::{Request, Response, Status};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves until it is killed.
#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// The vendor.
    #[arg(long)]
    url: String,
}

#[derive(Clone)]
struct Forward {
    vendor: Arc<Vendor>,
}

#[tonic::async_trait]
impl BankCardService for Forward {
    async fn verify_bank_card(
        &self,
        request: Request<VerifyBankCardRequest>,
    ) -> Result<Response<VerifyBankCardResponse>, Status> {
        let asked = self.vendor.verify(&request.get_ref().bank_card).await;
        asked.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(VerifyBankCardResponse {
            source: Source::Provider.into(),
            ..VerifyBankCardResponse::default()
        }))
    }

    async fn query_card_info(
        &self,
        _: Request<QueryCardInfoRequest>,
    ) -> Result<Response<QueryCardInfoResponse>, Status> {
        Err(Status::unimplemented("it verifies, and nothing else"))
    }
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments = Arguments::parse();
    let listener = std::net::TcpListener::bind(arguments.listen)?;
    let vendor = Arc::new(Vendor::at(arguments.url, 64)?);
    let service = BankCardServiceServer::new(Forward { vendor });
    serve(&listener, TowerToHyperService::new(service))
}
