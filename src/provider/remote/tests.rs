//! The client against servers of every temper.

mod tls;

use std::sync::Mutex as StdMutex;

use jiff::civil::date;
use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Request;

use super::*;
use crate::{
    config::providers::Endpoint as Configured,
    domain::{
        CardNetwork, CardNumber, CardType, Charge, Finding, PersonName, ResultCode, question::Proof,
    },
    proto::bankcard::{
        provider::v1::{
            self as wire, CardInformation, DescribeProviderResponse, Failure, FailureKind,
            QueryCardInfoResponse, VendorReference, VerifyBankCardResponse,
            provider_service_server::{ProviderService, ProviderServiceServer},
        },
        v1,
    },
    provider::testing::{CARD, CONTEXT, vendor_settings},
};

type Scripted<T> = Result<T, Status>;

/// A server that says what it was told to say, and remembers what it was asked.
struct Server {
    description: Scripted<DescribeProviderResponse>,
    verification: Scripted<VerifyBankCardResponse>,
    card_info: Scripted<QueryCardInfoResponse>,
    hangs: bool,
    asked: Arc<StdMutex<Vec<VerifyBankCardRequest>>>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            description: Err(Status::unimplemented("")),
            verification: Err(Status::unknown("not scripted")),
            card_info: Err(Status::unknown("not scripted")),
            hangs: false,
            asked: Arc::default(),
        }
    }
}

#[async_trait]
impl ProviderService for Server {
    async fn describe_provider(
        &self,
        _: Request<DescribeProviderRequest>,
    ) -> Result<Response<DescribeProviderResponse>, Status> {
        self.description.clone().map(Response::new)
    }

    async fn verify_bank_card(
        &self,
        request: Request<VerifyBankCardRequest>,
    ) -> Result<Response<VerifyBankCardResponse>, Status> {
        self.asked.lock().unwrap().push(request.into_inner());
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.verification.clone().map(Response::new)
    }

    async fn query_card_info(
        &self,
        _: Request<QueryCardInfoRequest>,
    ) -> Result<Response<QueryCardInfoResponse>, Status> {
        self.card_info.clone().map(Response::new)
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    (listener, base)
}

async fn remote_of(server: Server) -> Remote {
    let (listener, base) = listen().await;
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(ProviderServiceServer::new(server))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    remote(&base)
}

fn vendor() -> VendorSettings {
    vendor_settings(&[(IdentityType::Passport, "P7")])
}

fn remote(base: &str) -> Remote {
    let settings = GrpcSettings {
        endpoint: Configured::parse(base, false).unwrap(),
    };
    let name = ProviderName::new("mine").unwrap();
    Remote::new(name, &settings, &vendor()).unwrap()
}

fn verification(proof: Proof) -> Verification {
    Verification {
        card: CardNumber::parse(CARD).unwrap(),
        name: PersonName::parse("韦小宝").unwrap(),
        proof,
    }
}

async fn verify(remote: &Remote) -> Result<Answer, ProviderError> {
    remote
        .verify(&verification(Proof::NameOnly), &CONTEXT)
        .await
}

async fn kind_from(server: Server) -> ProviderErrorKind {
    verify(&remote_of(server).await).await.unwrap_err().kind
}

fn answered(result: v1::ResultCode, reference: VendorReference) -> VerifyBankCardResponse {
    VerifyBankCardResponse {
        outcome: Some(verify_bank_card_response::Outcome::Answer(
            wire::Verification {
                result: result.into(),
                charge: v1::Charge::Charged.into(),
                reference: Some(reference),
            },
        )),
    }
}

#[tokio::test]
async fn an_answer_arrives_with_the_vendors_own_words() {
    let reference = VendorReference {
        code: "101".to_owned(),
        message: "all is well".to_owned(),
        request_id: "r-1".to_owned(),
    };
    let remote = remote_of(Server {
        verification: Ok(answered(v1::ResultCode::Match, reference)),
        ..Server::default()
    })
    .await;
    let answer = verify(&remote).await.unwrap();
    assert_eq!(answer.finding, Finding::verified(ResultCode::Match));
    assert_eq!(answer.charge, Charge::Charged);
    assert_eq!(answer.provider_code.as_str(), "101");
    assert_eq!(answer.provider_message.as_str(), "all is well");
    assert_eq!(answer.provider_request_id.as_str(), "r-1");
}

#[tokio::test]
async fn an_echo_of_the_question_is_dropped() {
    let reference = VendorReference {
        code: "6222020000000".to_owned(),
        message: format!("{CARD} belongs to nobody"),
        request_id: CARD.to_owned(),
    };
    let remote = remote_of(Server {
        verification: Ok(answered(v1::ResultCode::Mismatch, reference)),
        ..Server::default()
    })
    .await;
    let answer = verify(&remote).await.unwrap();
    assert_eq!(answer.provider_code.as_str(), "");
    assert_eq!(answer.provider_message.as_str(), "");
    assert_eq!(answer.provider_request_id.as_str(), "");
}

#[tokio::test]
async fn the_server_is_asked_with_every_field_and_the_operators_code() {
    let server = Server::default();
    let asked = Arc::clone(&server.asked);
    let remote = remote_of(server).await;
    let passport = Identity::parse(IdentityType::Passport, "E12345678", date(2026, 6, 1)).unwrap();
    let proof = Proof::IdentityAndPhone(passport, Phone::parse("13800138000").unwrap());
    let _ = remote.verify(&verification(proof), &CONTEXT).await;
    let expected = VerifyBankCardRequest {
        bank_card: CARD.to_owned(),
        name: "韦小宝".to_owned(),
        id_number: "E12345678".to_owned(),
        phone: "13800138000".to_owned(),
        identity_type: v1::IdentityType::Passport.into(),
        identity_type_code: "P7".to_owned(),
    };
    assert!(*asked.lock().unwrap() == [expected]);
}

#[tokio::test]
async fn card_information_arrives() {
    let information = CardInformation {
        result: v1::CardInfoResult::Found.into(),
        charge: v1::Charge::NotCharged.into(),
        bank_name: "中国工商银行".to_owned(),
        bank_name_en: format!("Bank of {CARD}"),
        bank_code: "ICBC".to_owned(),
        card_type: v1::CardType::Debit.into(),
        network: v1::CardNetwork::Unionpay.into(),
        reference: None,
    };
    let remote = remote_of(Server {
        card_info: Ok(QueryCardInfoResponse {
            outcome: Some(query_card_info_response::Outcome::Answer(information)),
        }),
        ..Server::default()
    })
    .await;
    let inquiry = CardInquiry {
        card: CardRef::parse(CARD).unwrap(),
    };
    let answer = remote.card_info(&inquiry, &CONTEXT).await.unwrap();
    assert_eq!(answer.charge, Charge::NotCharged);
    let Finding::CardInfo { facts, .. } = answer.finding else {
        panic!("not card information");
    };
    assert_eq!(facts.bank_name, "中国工商银行");
    assert_eq!(facts.bank_name_en, "");
    assert_eq!(facts.bank_code, "ICBC");
    assert_eq!(facts.card_type, Some(CardType::Debit));
    assert_eq!(facts.network, Some(CardNetwork::UnionPay));
}

#[tokio::test]
async fn it_can_do_everything_until_the_server_says_what() {
    let remote = remote_of(Server {
        description: Ok(DescribeProviderResponse {
            factors: vec![v1::Factors::Two.into(), 99],
            identity_types: Vec::new(),
            card_info: false,
        }),
        verification: Ok(answered(v1::ResultCode::Match, VendorReference::default())),
        ..Server::default()
    })
    .await;
    assert!(remote.capabilities().can(Operation::CardInfo));
    // the first call asks what the server can do
    assert!(verify(&remote).await.is_ok());
    let capabilities = remote.capabilities();
    assert!(capabilities.can(Operation::VerifyTwo));
    assert!(!capabilities.can(Operation::VerifyThree) && !capabilities.can(Operation::CardInfo));
    assert!(capabilities.accepts(IdentityType::ResidentId));
    assert!(!capabilities.accepts(IdentityType::Passport));
    assert!(!capabilities.embedded);
}

#[rstest]
#[case(FailureKind::NotSent, ProviderErrorKind::NotSent)]
#[case(FailureKind::Throttled, ProviderErrorKind::Throttled)]
#[case(FailureKind::Misconfigured, ProviderErrorKind::Misconfigured)]
#[case(FailureKind::OutOfCredit, ProviderErrorKind::OutOfCredit)]
#[case(FailureKind::Refused, ProviderErrorKind::Refused)]
#[case(FailureKind::OutcomeUnknown, ProviderErrorKind::OutcomeUnknown)]
#[case(FailureKind::Unspecified, ProviderErrorKind::OutcomeUnknown)]
#[tokio::test]
async fn a_failure_is_what_the_server_says_it_is(
    #[case] said: FailureKind,
    #[case] kind: ProviderErrorKind,
) {
    let failure = Failure {
        kind: said.into(),
        retry_after: Some(prost_types::Duration {
            seconds: 3,
            nanos: 0,
        }),
        request_id: "r-2".to_owned(),
    };
    let remote = remote_of(Server {
        verification: Ok(VerifyBankCardResponse {
            outcome: Some(verify_bank_card_response::Outcome::Failure(failure)),
        }),
        ..Server::default()
    })
    .await;
    let error = verify(&remote).await.unwrap_err();
    assert_eq!(error.kind, kind);
    assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
    assert_eq!(error.provider_request_id.as_str(), "r-2");
}

#[rstest]
#[case(Code::Unauthenticated, ProviderErrorKind::Misconfigured)]
#[case(Code::PermissionDenied, ProviderErrorKind::Misconfigured)]
#[case(Code::Unimplemented, ProviderErrorKind::Misconfigured)]
#[case(Code::ResourceExhausted, ProviderErrorKind::Throttled)]
#[case(Code::InvalidArgument, ProviderErrorKind::Refused)]
#[case(Code::Cancelled, ProviderErrorKind::OutcomeUnknown)]
#[case(Code::Unknown, ProviderErrorKind::OutcomeUnknown)]
#[case(Code::DeadlineExceeded, ProviderErrorKind::OutcomeUnknown)]
#[case(Code::NotFound, ProviderErrorKind::OutcomeUnknown)]
#[case(Code::AlreadyExists, ProviderErrorKind::OutcomeUnknown)]
#[case(Code::FailedPrecondition, ProviderErrorKind::OutcomeUnknown)]
#[case(Code::Aborted, ProviderErrorKind::OutcomeUnknown)]
#[case(Code::OutOfRange, ProviderErrorKind::OutcomeUnknown)]
#[case(Code::Internal, ProviderErrorKind::OutcomeUnknown)]
#[case(Code::Unavailable, ProviderErrorKind::OutcomeUnknown)]
#[case(Code::DataLoss, ProviderErrorKind::OutcomeUnknown)]
#[tokio::test]
async fn a_status_is_read_as_the_contract_says(
    #[case] code: Code,
    #[case] kind: ProviderErrorKind,
) {
    let server = Server {
        verification: Err(Status::new(code, format!("about {CARD}"))),
        ..Server::default()
    };
    let error = verify(&remote_of(server).await).await.unwrap_err();
    assert_eq!(error.kind, kind);
    assert!(!format!("{error} {error:?}").contains(CARD));
}

#[tokio::test]
async fn a_reply_that_says_nothing_leaves_the_outcome_open() {
    let server = Server {
        verification: Ok(VerifyBankCardResponse::default()),
        ..Server::default()
    };
    assert_eq!(kind_from(server).await, ProviderErrorKind::OutcomeUnknown);
}

#[tokio::test]
async fn a_server_that_hangs_is_waited_for_as_long_as_the_settings_say() {
    let remote = remote_of(Server {
        hangs: true,
        ..Server::default()
    })
    .await;
    let context = CallContext {
        timeout: Duration::from_millis(300),
        attempt: 1,
    };
    let started = Instant::now();
    let error = remote
        .verify(&verification(Proof::NameOnly), &context)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::OutcomeUnknown);
    assert!(started.elapsed() >= context.timeout && started.elapsed() < CONTEXT.timeout);
}

#[tokio::test]
async fn where_nobody_listens_nothing_is_sent() {
    let (listener, base) = listen().await;
    drop(listener);
    let remote = remote(&base);
    let calls = (0..20).map(|_| verify(&remote));
    for outcome in futures_util::future::join_all(calls).await {
        assert_eq!(outcome.unwrap_err().kind, ProviderErrorKind::NotSent);
    }
}

/// A peer that takes connections, reads what comes for a moment, and says these bytes.
async fn peer_that_says(bytes: &'static [u8]) -> Remote {
    let (listener, base) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = vec![0; 4096];
                let moment = Duration::from_millis(100);
                while let Ok(Ok(1..)) = tokio::time::timeout(moment, stream.read(&mut buffer)).await
                {
                }
                let _ = stream.write_all(bytes).await;
            });
        }
    });
    remote(&base)
}

// HTTP/2 frames: an empty SETTINGS, then what each case is about, for stream 1
#[rstest]
#[case::cut(b"")]
#[case::not_http2(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")]
#[case::go_away_enhance_your_calm(
    b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\x0b"
)]
#[case::reset_enhance_your_calm(b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x03\0\0\0\0\x01\0\0\0\x0b")]
#[case::reset_inadequate_security(b"\0\0\0\x04\0\0\0\0\0\0\0\x04\x03\0\0\0\0\x01\0\0\0\x0c")]
#[tokio::test]
async fn a_connection_that_breaks_after_the_message_left_leaves_the_outcome_open(
    #[case] bytes: &'static [u8],
) {
    let remote = peer_that_says(bytes).await;
    // known, so that the very first stream carries the question
    *remote.described.write() = Some(convert::all_capabilities());
    let error = verify(&remote).await.unwrap_err();
    assert_eq!(error.kind, ProviderErrorKind::OutcomeUnknown);
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_told_by_key() {
    let settings = GrpcSettings {
        endpoint: Configured::parse("https://127.0.0.1:1", false).unwrap(),
    };
    let key_of = |vendor: &VendorSettings| {
        let name = ProviderName::new("mine").unwrap();
        let problem = Remote::new(name, &settings, vendor).err().unwrap();
        problem.problems()[0].0
    };
    let mut vendor = vendor();
    vendor.ca_file = Some("/does/not/exist.pem".into());
    assert_eq!(key_of(&vendor), "ca_file");
    vendor.proxy = Some(crate::config::providers::ProxyUrl::parse("http://127.0.0.1:1").unwrap());
    assert_eq!(key_of(&vendor), "proxy");
}
