//! What happens to a call before its handler.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use rstest::rstest;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt;

use super::fixture::{House, SECRET, call, eventually, limits, path, unframe};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_reaches_the_hot_service_and_its_answer_comes_back() {
    let house = House::open(limits()).await;
    let channel = house.channel().await;
    assert_eq!(call(&channel, "Echo").await.unwrap(), "hello");
    let unknown = call(&channel, "Nonsense").await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passed_deadline_is_deadline_exceeded_and_drops_the_handler() {
    let house = House::open(limits()).await;
    let raw = house.raw().await;
    let begun = Instant::now();
    let answer = raw
        .call(&path("Forever"), &[("grpc-timeout", "200m")])
        .await
        .unwrap();
    let took = begun.elapsed();
    assert_eq!(answer.code(), i32::from(Code::DeadlineExceeded));
    let details = answer.status().get_details_error_info().unwrap();
    assert_eq!(details.reason, "DEADLINE_EXCEEDED");
    assert_eq!(details.metadata["stage"], "waiting");
    assert!((200..1000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(house.hot.started.load(Ordering::SeqCst), 1);
    assert_eq!(house.hot.running.load(Ordering::SeqCst), 0);
    assert_eq!(house.gauges.in_flight.inside(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_deadline_have_the_longest_one() {
    let mut limits = limits();
    limits.max_deadline = Duration::from_millis(200);
    let house = House::open(limits).await;
    let raw = house.raw().await;
    for timeout in [None, Some("1H"), Some("nonsense")] {
        let headers: Vec<_> = timeout
            .iter()
            .map(|value| ("grpc-timeout", *value))
            .collect();
        let answer = raw.call(&path("Forever"), &headers).await.unwrap();
        assert_eq!(
            answer.code(),
            i32::from(Code::DeadlineExceeded),
            "{timeout:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_comes_too_late_is_not_started() {
    let house = House::open(limits()).await;
    let raw = house.raw().await;
    let answer = raw
        .call(&path("Echo"), &[("grpc-timeout", "0m")])
        .await
        .unwrap();
    assert_eq!(answer.code(), i32::from(Code::DeadlineExceeded));
    let details = answer.status().get_details_error_info().unwrap();
    assert_eq!(details.metadata["stage"], "receiving");
    assert_eq!(house.hot.started.load(Ordering::SeqCst), 0);
}

#[rstest]
#[case(Some("900m"), 1..=900)]
#[case(Some("2S"), 901..=2000)]
#[case(Some("1H"), 2001..=5000)]
#[case(None, 2001..=5000)]
#[case(Some("2 S"), 2001..=5000)]
#[tokio::test(flavor = "multi_thread")]
async fn the_handler_knows_its_deadline(
    #[case] timeout: Option<&str>,
    #[case] expected_ms: std::ops::RangeInclusive<u64>,
) {
    let house = House::open(limits()).await;
    let raw = house.raw().await;
    let headers: Vec<_> = timeout
        .iter()
        .map(|value| ("grpc-timeout", *value))
        .collect();
    let answer = raw.call(&path("Left"), &headers).await.unwrap();
    assert_eq!(answer.code(), 0);
    let left: u64 = unframe(answer.body).parse().unwrap();
    assert!(expected_ms.contains(&left), "{left} ms");
}

#[rstest]
#[case::in_the_future("Panic")]
#[case::before_there_is_one("PanicAtOnce")]
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_call_and_tells_nothing(#[case] method: &str) {
    let house = House::open(limits()).await;
    let raw = house.raw().await;
    for _ in 0..3 {
        let answer = raw.call(&path(method), &[]).await.unwrap();
        assert_eq!(answer.code(), i32::from(Code::Internal));
        assert_eq!(answer.reason(), "INTERNAL");
        assert!(!format!("{:?}", answer.status()).contains(SECRET));
    }
    let answer = raw.call(&path("Echo"), &[]).await.unwrap();
    assert_eq!(unframe(answer.body), "hello");
    assert_eq!(house.open_connections(), 1);
    assert_eq!(house.gauges.in_flight.inside(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_calls_are_answered_at_once_and_health_is_not_counted() {
    let mut limits = limits();
    limits.max_in_flight = 2;
    let house = House::open(limits).await;
    // on different connections, and so on different workers: the limit is one for all
    let raws = [house.raw().await, house.raw().await];
    let channel = house.channel().await;
    let sleep = path("Sleep");
    let slow = async {
        let (one, two) = tokio::join!(raws[0].call(&sleep, &[]), raws[1].call(&sleep, &[]));
        [one.unwrap().code(), two.unwrap().code()]
    };
    let refused = async {
        let in_flight = || house.hot.running.load(Ordering::SeqCst) == 2;
        eventually("two calls run", in_flight).await;
        let begun = Instant::now();
        let status = call(&channel, "Echo").await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_millis(300));
        let health = HealthClient::new(channel.clone())
            .check(HealthCheckRequest::default())
            .await;
        assert_eq!(health.unwrap().into_inner().status, 1);
        status
    };
    let (codes, status) = tokio::join!(slow, refused);
    assert_eq!(codes, [0, 0]);
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(
        status.get_details_error_info().unwrap().reason,
        "OVERLOADED"
    );
    assert!(status.get_details_retry_info().is_some());
    assert_eq!(house.gauges.in_flight.turned_away(), 1);
    assert_eq!(call(&channel, "Echo").await.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_frees_its_place() {
    let house = House::open(limits()).await;
    let raw = house.raw().await;
    let forever = path("Forever");
    let hung_up = tokio::time::timeout(Duration::from_millis(200), raw.call(&forever, &[]));
    assert!(hung_up.await.is_err());
    eventually("the handler is dropped", || {
        house.hot.started.load(Ordering::SeqCst) == 1
            && house.hot.running.load(Ordering::SeqCst) == 0
            && house.gauges.in_flight.inside() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_grpc_is_told_so() {
    let house = House::open(limits()).await;
    let raw = house.raw().await;
    let get = Request::get("http://test/").body(()).unwrap();
    assert_eq!(raw.send(get, None).await.unwrap().http, 415);
    let json = Request::post(format!("http://test{}", path("Echo")))
        .header("content-type", "application/json")
        .body(())
        .unwrap();
    let answer = raw.send(json, Some(Bytes::from_static(b"{}"))).await;
    assert_eq!(answer.unwrap().http, 415);
    let elsewhere = raw.call("/other.Service/Method", &[]).await.unwrap();
    assert_eq!(elsewhere.code(), i32::from(Code::Unimplemented));
    assert_eq!(house.hot.started.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_of_either_age_names_what_is_served_here() {
    use tonic_reflection::pb::{v1, v1alpha};

    let house = House::open(limits()).await;
    let expected = [
        "bankcard.v1.BankCardService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    macro_rules! listed {
        ($version:ident) => {{
            use $version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };
            let question = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let mut answers = ServerReflectionClient::new(house.channel().await)
                .server_reflection_info(tokio_stream::once(question))
                .await
                .unwrap()
                .into_inner();
            let answer = answers.message().await.unwrap().unwrap();
            let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
                panic!("no list of services");
            };
            let mut names: Vec<_> = list.service.into_iter().map(|one| one.name).collect();
            names.sort();
            names
        }};
    }
    assert_eq!(listed!(v1), expected);
    assert_eq!(listed!(v1alpha), expected);
}
