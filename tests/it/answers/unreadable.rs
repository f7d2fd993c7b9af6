//! What no handler can read is refused like everything else: one code, one reason, no value.

use cardproof::proto::bankcard::v1::{
    VerifyBankCardResponse, bank_card_service_client::BankCardServiceClient,
};
use prost::Message;
use rstest::rstest;
use tonic::{
    Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel,
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt;

use super::{MATCHING, Refused, card_info, refused, verify};
use crate::support::server::Server;

const VERIFY: &str = "/bankcard.v1.BankCardService/VerifyBankCard";
const LIMIT: usize = 65_536;
const SMALL: &str = "[server]\nmax_message_bytes = 65536\n";

/// The fields of a request as other types than they have, to be sent in its place.
#[derive(Clone, PartialEq, Message)]
struct Odd {
    #[prost(bytes, tag = "1")]
    bank_card: Vec<u8>,
    #[prost(bytes, tag = "2")]
    name: Vec<u8>,
    #[prost(bytes, tag = "3")]
    id_number: Vec<u8>,
    #[prost(bytes, tag = "4")]
    phone: Vec<u8>,
    #[prost(string, tag = "5")]
    identity_type: String,
    #[prost(uint32, tag = "6")]
    cache: u32,
    #[prost(bytes, tag = "7")]
    provider: Vec<u8>,
    #[prost(bytes, tag = "8")]
    request_id: Vec<u8>,
    #[prost(bytes, tag = "9")]
    consent_reference: Vec<u8>,
}

async fn channel(server: &Server) -> Channel {
    Channel::from_shared(server.url())
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// Sends a message of any kind to any path, by tonic's own client.
async fn send<M>(server: &Server, path: &'static str, request: Request<M>) -> Status
where
    M: Message + Send + Sync + 'static,
{
    let mut client = Grpc::new(channel(server).await);
    client.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<M, VerifyBankCardResponse>::default();
    let path = PathAndQuery::from_static(path);
    client.unary(request, path, codec).await.unwrap_err()
}

fn violation(field: &str, reason: &str) -> Vec<(String, String)> {
    vec![(field.to_owned(), reason.to_owned())]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_long_is_a_wrong_request() {
    let server = Server::start(SMALL);
    let mut client: BankCardServiceClient<Channel> = server.client().await;
    let mut fits = verify(MATCHING);
    fits.name = "a".repeat(LIMIT - 100);
    let refusal = refused(client.verify_bank_card(fits).await);
    assert_eq!(
        refusal.reason, "NAME_INVALID",
        "read, and judged by its content"
    );

    let mut long = verify(MATCHING);
    long.name = "a".repeat(LIMIT + 1);
    let refusal = refused(client.verify_bank_card(long).await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert_eq!(refusal.reason, "FACTORS_INVALID");
    assert_eq!(refusal.violations, violation("", "FACTORS_INVALID"));

    let refusal = refused(client.query_card_info(card_info(&"6".repeat(LIMIT))).await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert_eq!(refusal.reason, "FACTORS_INVALID");
}

#[rstest]
#[case::bank_card(Odd { bank_card: vec![0xff], ..Odd::default() }, "bank_card", "CARD_NUMBER_INVALID")]
#[case::name(Odd { name: vec![0xc0, 0xaf], ..Odd::default() }, "name", "NAME_INVALID")]
#[case::id_number(Odd { id_number: vec![0xfe], ..Odd::default() }, "id_number", "ID_NUMBER_INVALID")]
#[case::phone(Odd { phone: vec![0xed, 0xa0, 0x80], ..Odd::default() }, "phone", "PHONE_INVALID")]
#[case::kind(Odd { identity_type: "1".into(), ..Odd::default() }, "identity_type", "IDENTITY_TYPE_INVALID")]
#[case::cache(Odd { cache: 1, ..Odd::default() }, "cache.mode", "CACHE_POLICY_INVALID")]
#[case::provider(Odd { provider: vec![0x80], ..Odd::default() }, "provider", "PROVIDER_UNKNOWN")]
#[case::request_id(Odd { request_id: vec![0x80], ..Odd::default() }, "request_id", "REQUEST_ID_INVALID")]
#[case::consent(
    Odd { consent_reference: vec![0x80], ..Odd::default() },
    "consent_reference",
    "CONSENT_REFERENCE_INVALID"
)]
#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_cannot_be_read_is_named(
    #[case] odd: Odd,
    #[case] field: &str,
    #[case] reason: &str,
) {
    let server = Server::start(SMALL);
    let refusal = Refused::from(&send(&server, VERIFY, Request::new(odd)).await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert_eq!(refusal.reason, reason);
    assert_eq!(refusal.violations, violation(field, reason));
}

/// A message whose only field has a number that no field can have.
#[derive(Clone, Default, PartialEq, Debug)]
struct Garbage;

impl Message for Garbage {
    fn encode_raw(&self, buffer: &mut impl prost::bytes::BufMut) {
        buffer.put_slice(&[0x00, 0x01]);
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: prost::encoding::WireType,
        _: &mut impl prost::bytes::Buf,
        _: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        2
    }

    fn clear(&mut self) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_none_is_a_wrong_request() {
    let server = Server::start(SMALL);
    let refusal = Refused::from(&send(&server, VERIFY, Request::new(Garbage)).await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert_eq!(refusal.reason, "FACTORS_INVALID");
    assert_eq!(refusal.violations, violation("", "FACTORS_INVALID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compression_that_is_not_understood_is_unimplemented_and_says_what_is() {
    let server = Server::start(SMALL);
    for encoding in ["gzip", "zstd", "br"] {
        let mut request = Request::new(verify(MATCHING));
        let metadata = request.metadata_mut();
        metadata.insert("grpc-encoding", encoding.parse().unwrap());
        let status = send(&server, VERIFY, request).await;
        let refusal = Refused::from(&status);
        assert_eq!(refusal.code, Code::Unimplemented, "{encoding}");
        assert_eq!(refusal.reason, "FACTORS_INVALID");
        let accepted = status.metadata().get("grpc-accept-encoding").unwrap();
        assert_eq!(accepted, "identity");
    }
}

#[rstest]
#[case::method("/bankcard.v1.BankCardService/Nothing")]
#[case::service("/nothing.v1.Such/Method")]
#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_does_not_exist_is_unimplemented(#[case] path: &'static str) {
    let server = Server::start(SMALL);
    let status = send(&server, path, Request::new(verify(MATCHING))).await;
    let refusal = Refused::from(&status);
    assert_eq!(refusal.code, Code::Unimplemented);
    assert_eq!(refusal.reason, "METHOD_NOT_ALLOWED");
}

/// Its protocol says what its errors look like.
#[tokio::test(flavor = "multi_thread")]
async fn health_keeps_its_own_errors() {
    let server = Server::start(SMALL);
    let request = HealthCheckRequest {
        service: "nobody".to_owned(),
    };
    let mut client = HealthClient::new(channel(&server).await);
    let status = client.check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.get_details_error_info().is_none());
}
