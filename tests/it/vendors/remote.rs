//! A provider of our own over gRPC: every result, charge and failure that it may send.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cardproof::proto::bankcard::{
    provider::v1::{
        CardInformation, DescribeProviderRequest, DescribeProviderResponse, Failure, FailureKind,
        QueryCardInfoRequest, QueryCardInfoResponse, VendorReference, Verification,
        VerifyBankCardRequest, VerifyBankCardResponse,
        provider_service_server::{ProviderService, ProviderServiceServer},
        query_card_info_response, verify_bank_card_response,
    },
    v1::{
        CardInfoResult, CardNetwork, CardType, Charge, Factors, IdentityType, ResultCode, Verdict,
    },
};
use cardproof_emulator::Operation;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};

use super::{
    house::{Asked, House, reason, section},
    published::verdict,
};

type Outcome = verify_bank_card_response::Outcome;

/// The server.
pub struct Mine {
    pub url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    /// By card; any other card matches.
    outcomes: Mutex<HashMap<String, Option<Outcome>>>,
    calls: AtomicUsize,
}

struct Service(Arc<Shared>);

impl Drop for Mine {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Mine {
    pub async fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = ProviderServiceServer::new(Service(Arc::clone(&shared)));
        let serving = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        Self {
            url,
            shared,
            serving,
        }
    }

    pub fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::SeqCst)
    }

    fn script(&self, card: &str, outcome: Option<Outcome>) {
        self.shared.outcomes.lock().insert(card.to_owned(), outcome);
    }
}

fn reference() -> VendorReference {
    VendorReference {
        code: "R-7".to_owned(),
        message: "as the server of our own says".to_owned(),
        request_id: "own-42".to_owned(),
    }
}

#[tonic::async_trait]
impl ProviderService for Service {
    async fn describe_provider(
        &self,
        _: Request<DescribeProviderRequest>,
    ) -> Result<Response<DescribeProviderResponse>, Status> {
        Ok(Response::new(DescribeProviderResponse {
            factors: [Factors::Two, Factors::Three, Factors::Four]
                .map(i32::from)
                .to_vec(),
            identity_types: vec![
                IdentityType::ResidentId.into(),
                IdentityType::Passport.into(),
            ],
            card_info: true,
        }))
    }

    async fn verify_bank_card(
        &self,
        request: Request<VerifyBankCardRequest>,
    ) -> Result<Response<VerifyBankCardResponse>, Status> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let card = &request.get_ref().bank_card;
        let scripted = self.0.outcomes.lock().get(card).cloned();
        let outcome = scripted.unwrap_or_else(|| {
            Some(Outcome::Answer(Verification {
                result: ResultCode::Match.into(),
                charge: Charge::Charged.into(),
                reference: Some(reference()),
            }))
        });
        Ok(Response::new(VerifyBankCardResponse { outcome }))
    }

    async fn query_card_info(
        &self,
        _: Request<QueryCardInfoRequest>,
    ) -> Result<Response<QueryCardInfoResponse>, Status> {
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(QueryCardInfoResponse {
            outcome: Some(query_card_info_response::Outcome::Answer(CardInformation {
                result: CardInfoResult::Found.into(),
                charge: Charge::NotCharged.into(),
                bank_name: "中国农业银行".to_owned(),
                bank_name_en: "Agricultural Bank of China".to_owned(),
                bank_code: "ABC".to_owned(),
                card_type: CardType::Debit.into(),
                network: CardNetwork::Unionpay.into(),
                reference: Some(reference()),
            })),
        }))
    }
}

async fn open(mine: &Mine) -> House {
    House::open(&["mine"], &section("mine", &mine.url, "grpc", "")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_result_of_a_provider_of_our_own_arrives() {
    let mine = Mine::start().await;
    let house = open(&mine).await;
    let mut count = 0;
    for result in (1..100).map_while(|number| ResultCode::try_from(number).ok()) {
        for charge in [Charge::Charged, Charge::NotCharged, Charge::Unknown] {
            let asked = Asked::new(Operation::Four);
            let answer = Verification {
                result: result.into(),
                charge: charge.into(),
                reference: Some(reference()),
            };
            mine.script(&asked.card, Some(Outcome::Answer(answer)));
            let answer = house.verify(asked.request("mine")).await.unwrap();
            let name = result.as_str_name().strip_prefix("RESULT_CODE_").unwrap();
            let wanted = format!("VERDICT_{}", verdict(name));
            assert_eq!(answer.result(), result);
            assert_eq!(answer.verdict().as_str_name(), wanted, "{name}");
            assert_eq!(answer.charge(), charge, "{name}");
            assert_eq!(answer.provider_code, "R-7");
            assert_eq!(answer.provider_message, "as the server of our own says");
            assert_eq!(answer.provider_request_id, "own-42");
            count += 1;
        }
    }
    assert_eq!((count, mine.calls()), (90, 90), "30 results, 3 charges");
    let answer = house
        .card_info(Asked::new(Operation::CardInfo).inquiry("mine"))
        .await
        .unwrap();
    assert_eq!(
        (
            answer.bank_code.as_str(),
            answer.card_type(),
            answer.network()
        ),
        ("ABC", CardType::Debit, CardNetwork::Unionpay)
    );
    println!("provider of our own end to end: {} cases", count + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_failure_of_a_provider_of_our_own_is_believed() {
    let mine = Mine::start().await;
    let providers: Vec<String> = (0..10).map(|number| format!("mine_{number}")).collect();
    let config: String = providers
        .iter()
        .map(|name| section(name, &mine.url, "grpc", ""))
        .collect();
    let house = House::open(&["mine_0"], &config).await;
    let failure = |kind: FailureKind| {
        Some(Outcome::Failure(Failure {
            kind: kind.into(),
            retry_after: None,
            request_id: "own-43".to_owned(),
        }))
    };
    let garbled = |result: i32, charge: i32| {
        Some(Outcome::Answer(Verification {
            result,
            charge,
            reference: None,
        }))
    };
    let unavailable = (Code::Unavailable, "PROVIDERS_UNAVAILABLE");
    let misconfigured = (Code::FailedPrecondition, "PROVIDER_MISCONFIGURED");
    let unknown = (Code::Unknown, "OUTCOME_UNKNOWN");
    let cases = [
        (failure(FailureKind::NotSent), unavailable),
        (failure(FailureKind::Throttled), unavailable),
        (failure(FailureKind::Misconfigured), misconfigured),
        (failure(FailureKind::OutOfCredit), misconfigured),
        (
            failure(FailureKind::Refused),
            (Code::FailedPrecondition, "PROVIDER_REFUSED"),
        ),
        (failure(FailureKind::OutcomeUnknown), unknown),
        (failure(FailureKind::Unspecified), unknown),
        // an answer that is none
        (None, unknown),
    ];
    for (provider, (outcome, wanted)) in providers.iter().zip(cases) {
        let asked = Asked::new(Operation::Three);
        mine.script(&asked.card, outcome);
        let before = mine.calls();
        let status = house.verify(asked.request(provider)).await.unwrap_err();
        let (reason, _) = reason(&status, provider);
        assert_eq!((status.code(), reason.as_str()), wanted, "{provider}");
        assert_eq!(mine.calls(), before + 1);
    }
    // a result that this version does not know is an answer, and never a match
    for result in [0, 4711] {
        let asked = Asked::new(Operation::Two);
        mine.script(&asked.card, garbled(result, Charge::Charged.into()));
        let answer = house.verify(asked.request("mine_9")).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Inconclusive);
        assert_eq!(answer.result(), ResultCode::UnknownProviderCode);
    }
}
