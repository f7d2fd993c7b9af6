//! A message may come in any pieces; what is answered does not depend on them.

use std::time::Duration;

use bytes::Bytes;
use cardproof::proto::bankcard::v1::{Verdict, VerifyBankCardRequest, VerifyBankCardResponse};
use http::{HeaderMap, HeaderValue, Request};
use prost::Message;
use rstest::rstest;

use super::fixture::{Answer, Raw, grpc_frame};
use crate::support::server::Server;

/// Matches in the sandbox, which is the provider of the embedded default.
const MATCHING: &str = "6200000100000012";

fn message() -> Bytes {
    let request = VerifyBankCardRequest {
        bank_card: MATCHING.to_owned(),
        name: "张三".to_owned(),
        ..VerifyBankCardRequest::default()
    };
    grpc_frame(&request.encode_to_vec())
}

/// How the body ends after its last piece.
#[derive(Clone, Copy)]
enum End {
    Mark,
    EmptyPiece,
    Trailers,
}

async fn sent(server: &Server, pieces: Vec<Bytes>, end: End, encoding: Option<&str>) -> Answer {
    sent_with(Duration::from_millis(5), server, pieces, end, encoding).await
}

/// The same with a pause after each piece.
async fn sent_with(
    pause: Duration,
    server: &Server,
    pieces: Vec<Bytes>,
    end: End,
    encoding: Option<&str>,
) -> Answer {
    let path = "http://test/bankcard.v1.BankCardService/VerifyBankCard";
    let mut request = Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let raw = Raw::connect(server.grpc).await;
    let request = request.body(()).unwrap();
    raw.exchange(request, async |stream| {
        let last = pieces.len() - 1;
        for (place, piece) in pieces.into_iter().enumerate() {
            let ends = place == last && matches!(end, End::Mark);
            stream.send_data(piece, ends).unwrap();
            // each is a frame of its own, and comes by itself
            tokio::time::sleep(pause).await;
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("1"));
        match end {
            End::Mark => {}
            End::EmptyPiece => stream.send_data(Bytes::new(), true).unwrap(),
            End::Trailers => stream.send_trailers(trailers).unwrap(),
        }
    })
    .await
    .unwrap()
}

fn is_the_answer(answer: &Answer) {
    assert_eq!(answer.http, 200);
    let headers: Vec<_> = answer.headers.iter().collect();
    assert_eq!(headers.len(), 1, "{headers:?}");
    assert_eq!(answer.headers["content-type"], "application/grpc");
    let trailers: Vec<_> = answer.trailers.iter().collect();
    assert_eq!(trailers.len(), 1, "{trailers:?}");
    assert_eq!(answer.trailers["grpc-status"], "0");
    let (prefix, message) = answer.body.split_at(5);
    assert_eq!(prefix[0], 0);
    let length = u32::from_be_bytes(prefix[1..].try_into().unwrap());
    assert_eq!(length as usize, message.len());
    let message = VerifyBankCardResponse::decode(message).unwrap();
    assert_eq!(message.verdict(), Verdict::Match);
}

#[rstest]
#[case::with_it(End::Mark)]
#[case::with_an_empty_piece(End::EmptyPiece)]
#[case::with_trailers(End::Trailers)]
#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_any_pieces_is_answered(#[case] end: End) {
    let server = Server::start("");
    let whole = message();
    let mut ways = vec![
        vec![whole.clone()],
        vec![Bytes::new(), whole.clone()],
        (0..whole.len()).map(|at| whole.slice(at..=at)).collect(),
    ];
    for at in [1, 5, 6, whole.len() - 1] {
        ways.push(vec![whole.slice(..at), whole.slice(at..)]);
    }
    for pieces in ways {
        is_the_answer(&sent(&server, pieces, end, None).await);
    }
    is_the_answer(&sent(&server, vec![whole], end, Some("identity")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_slow_for_its_pieces_is_logged_all_the_same() {
    let mut server = Server::start("[server]\ndrain_delay_ms = 0\n");
    let whole = message();
    let quick = sent(&server, vec![whole.clone()], End::Mark, None).await;
    is_the_answer(&quick);
    let pause = Duration::from_millis(1100);
    let pieces = vec![whole.slice(..9), whole.slice(9..)];
    for (pieces, end) in [(pieces, End::Mark), (vec![whole], End::EmptyPiece)] {
        let slow = sent_with(pause, &server, pieces, end, None).await;
        is_the_answer(&slow);
    }
    server.signal("TERM");
    server.wait();
    assert_eq!(server.count_logged("answered"), 2);
}

#[rstest]
#[case::nothing(|_: Bytes| Bytes::new())]
#[case::half_a_prefix(|whole: Bytes| whole.slice(..3))]
#[case::half_a_message(|whole: Bytes| whole.slice(..whole.len() - 1))]
#[case::a_flag_of_compression(|whole: Bytes| [&[1], &whole[1..]].concat().into())]
#[case::a_flag_that_is_none(|whole: Bytes| [&[7], &whole[1..]].concat().into())]
#[case::more_than_it_says(|whole: Bytes| [&whole[..], &[0, 0]].concat().into())]
#[case::a_length_beyond_all(|_: Bytes| Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 1]))]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_message_is_refused(#[case] broken: fn(Bytes) -> Bytes) {
    let server = Server::start("");
    let broken = broken(message());
    for end in [End::Mark, End::EmptyPiece] {
        let answer = sent(&server, vec![broken.clone()], end, None).await;
        assert_ne!(answer.code(), 0);
        assert_eq!(answer.reason(), "FACTORS_INVALID");
        assert!(answer.body.is_empty());
    }
}
