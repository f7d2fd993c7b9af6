//! A provider that speaks gRPC and says back what it was asked.

use cardproof::proto::bankcard::provider::v1::{
    DescribeProviderRequest, DescribeProviderResponse, Failure, FailureKind, QueryCardInfoRequest,
    QueryCardInfoResponse, VendorReference, Verification, VerifyBankCardRequest,
    VerifyBankCardResponse,
    provider_service_server::{ProviderService, ProviderServiceServer},
    verify_bank_card_response::Outcome,
};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request, Response, Status, metadata::MetadataMap, transport::Server as Transport,
};

use super::{MANNERS_AT_ONCE, PATIENT, babble, closed_port, informed, verified};
use crate::canary::{CARD, HASTY, Watch, finish, inquiry, start, verification};
use crate::support::server::Server;

/// What the provider says, and how.
#[derive(Clone)]
enum Manner {
    Status(Code, String),
    Answer(String),
    Failure(FailureKind, String),
}

#[derive(Clone)]
struct Parrot(Arc<Mutex<Manner>>);

fn status(code: Code, said: &str) -> Status {
    let mut trailers = MetadataMap::new();
    if let Ok(value) = said.parse() {
        trailers.insert("x-said", value);
    }
    Status::with_details_and_metadata(code, said, said.to_owned().into(), trailers)
}

fn reference(said: &str) -> Option<VendorReference> {
    Some(VendorReference {
        code: said.to_owned(),
        message: said.to_owned(),
        request_id: said.to_owned(),
    })
}

#[tonic::async_trait]
impl ProviderService for Parrot {
    async fn describe_provider(
        &self,
        _: Request<DescribeProviderRequest>,
    ) -> Result<Response<DescribeProviderResponse>, Status> {
        Ok(Response::new(DescribeProviderResponse {
            factors: vec![1, 2, 3],
            identity_types: Vec::new(),
            card_info: true,
        }))
    }

    async fn verify_bank_card(
        &self,
        _: Request<VerifyBankCardRequest>,
    ) -> Result<Response<VerifyBankCardResponse>, Status> {
        let outcome = match self.0.lock().clone() {
            Manner::Status(code, said) => return Err(status(code, &said)),
            Manner::Answer(said) => Outcome::Answer(Verification {
                result: 2,
                charge: 1,
                reference: reference(&said),
            }),
            Manner::Failure(kind, said) => Outcome::Failure(Failure {
                kind: kind.into(),
                retry_after: None,
                request_id: said,
            }),
        };
        Ok(Response::new(VerifyBankCardResponse {
            outcome: Some(outcome),
        }))
    }

    async fn query_card_info(
        &self,
        _: Request<QueryCardInfoRequest>,
    ) -> Result<Response<QueryCardInfoResponse>, Status> {
        use cardproof::proto::bankcard::provider::v1::{
            CardInformation, query_card_info_response::Outcome,
        };
        let outcome = match self.0.lock().clone() {
            Manner::Status(code, said) => return Err(status(code, &said)),
            Manner::Answer(said) => Outcome::Answer(CardInformation {
                result: 1,
                charge: 1,
                bank_name: said.clone(),
                bank_name_en: said.clone(),
                bank_code: said.clone(),
                reference: reference(&said),
                ..CardInformation::default()
            }),
            Manner::Failure(kind, said) => Outcome::Failure(Failure {
                kind: kind.into(),
                retry_after: None,
                request_id: said,
            }),
        };
        Ok(Response::new(QueryCardInfoResponse {
            outcome: Some(outcome),
        }))
    }
}

/// Every manner with every value that a card's question has.
fn manners() -> Vec<(String, usize, Manner)> {
    let mut manners = Vec::new();
    for (what, said) in babble::values() {
        let fewest = babble::fewest_factors(what);
        manners.push((
            format!("{what} as an answer"),
            fewest,
            Manner::Answer(said.clone()),
        ));
        for code in [
            Code::Unknown,
            Code::Unavailable,
            Code::InvalidArgument,
            Code::Internal,
        ] {
            let manner = Manner::Status(code, said.clone());
            manners.push((format!("{what} in a status {code:?}"), fewest, manner));
        }
        for kind in [
            FailureKind::Refused,
            FailureKind::OutcomeUnknown,
            FailureKind::NotSent,
        ] {
            let manner = Manner::Failure(kind, said.clone());
            manners.push((format!("{what} in a failure {kind:?}"), fewest, manner));
        }
    }
    manners
}

fn settings(port: u16) -> String {
    format!(
        "{HASTY}{PATIENT}[providers.mine]\nkind = \"grpc\"\nendpoint = \"http://127.0.0.1:{port}\"\n"
    )
}

pub async fn all(watch: &mut Watch) {
    let parrot = Parrot(Arc::new(Mutex::new(Manner::Answer(String::new()))));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = ProviderServiceServer::new(parrot.clone());
    let serving = Transport::builder()
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    let serving = tokio::spawn(serving);
    for (number, some) in manners().chunks(2 * MANNERS_AT_ONCE).enumerate() {
        let server = start(&settings(port));
        for (how, fewest, manner) in some {
            *parrot.0.lock() = manner.clone();
            ask(watch, &server, how, *fewest).await;
        }
        finish(watch, &format!("server {number} with a parrot"), server);
    }
    serving.abort();

    let server = start(&settings(closed_port().port()));
    ask(watch, &server, "that is not there", 1).await;
    finish(watch, "server without its provider", server);
}

async fn ask(watch: &mut Watch, server: &Server, how: &str, fewest: usize) {
    let mut client = server.client().await;
    for factors in [2, 4].into_iter().filter(|it| *it >= fewest) {
        let mut request = verification(CARD, factors);
        request.provider = "mine".to_owned();
        let outcome = client.verify_bank_card(request).await;
        verified(watch, &format!("remote {how}, {factors} factors"), outcome);
    }
    if fewest > 1 {
        return;
    }
    let mut request = inquiry(CARD);
    request.provider = "mine".to_owned();
    let outcome = client.query_card_info(request).await;
    informed(watch, &format!("remote {how}, card information"), outcome);
}
