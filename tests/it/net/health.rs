//! `grpc.health.v1`, on both ports and over the whole life.

use std::time::Duration;

use cardproof::{health::HealthSwitch, signals::StopSignal};
use tokio::time::timeout;
use tonic::{Code, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};

use super::{
    admin::AdminPort,
    fixture::{House, channel, limits},
};

const READINESS: [&str; 3] = ["", "bankcard.v1.BankCardService", "readiness"];

async fn check(channel: &Channel, service: &str) -> Result<ServingStatus, Code> {
    HealthClient::new(channel.clone())
        .check(HealthCheckRequest {
            service: service.to_owned(),
        })
        .await
        .map(|reply| reply.into_inner().status())
        .map_err(|status| status.code())
}

async fn watch(channel: &Channel, service: &str) -> Streaming<HealthCheckResponse> {
    HealthClient::new(channel.clone())
        .watch(HealthCheckRequest {
            service: service.to_owned(),
        })
        .await
        .unwrap()
        .into_inner()
}

async fn next(stream: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    timeout(Duration::from_secs(5), stream.message())
        .await
        .expect("no news in time")
        .unwrap()
        .map(|reply| reply.status())
}

#[tokio::test(flavor = "multi_thread")]
async fn not_serving_before_the_start_ends_serving_then_not_serving_again() {
    use ServingStatus::{NotServing, Serving};

    let switch = HealthSwitch::new();
    let admin = AdminPort::open(switch.clone()).await;
    let channel = channel(admin.address).await;
    let mut news = watch(&channel, "").await;
    for (step, expected) in [
        (None, NotServing),
        (Some(HealthSwitch::serving as fn(&HealthSwitch)), Serving),
        (Some(HealthSwitch::draining), NotServing),
    ] {
        if let Some(step) = step {
            step(&switch);
        }
        for name in READINESS {
            assert_eq!(check(&channel, name).await, Ok(expected), "{name}");
        }
        assert_eq!(check(&channel, "liveness").await, Ok(Serving));
        assert_eq!(next(&mut news).await, Some(expected));
    }
    switch.stopping();
    assert_eq!(check(&channel, "").await, Ok(NotServing));
    assert_eq!(next(&mut news).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_are_not_found_and_watched_as_unknown() {
    let house = House::open(limits()).await;
    let channel = house.channel().await;
    assert_eq!(check(&channel, "bankcard.v1").await, Err(Code::NotFound));
    let mut news = watch(&channel, "bankcard.v1").await;
    assert_eq!(next(&mut news).await, Some(ServingStatus::ServiceUnknown));
    let more = timeout(Duration::from_millis(200), news.message()).await;
    assert!(more.is_err(), "the stream stays open and silent");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ports_tell_of_the_drain() {
    let house = House::open(limits()).await;
    let admin = AdminPort::open(house.health.clone()).await;
    let (grpc, probes) = (house.channel().await, channel(admin.address).await);
    let mut on_grpc = watch(&grpc, "").await;
    let mut on_admin = watch(&probes, "readiness").await;
    assert_eq!(next(&mut on_grpc).await, Some(ServingStatus::Serving));
    assert_eq!(next(&mut on_admin).await, Some(ServingStatus::Serving));
    assert_eq!(admin.get("/readyz").await.code, 200);
    house.signal(StopSignal::Terminate);
    assert_eq!(next(&mut on_grpc).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut on_admin).await, Some(ServingStatus::NotServing));
    assert_eq!(admin.get("/readyz").await.code, 503);
    assert_eq!(admin.get("/livez").await.code, 200);
    assert_eq!(check(&grpc, "liveness").await, Ok(ServingStatus::Serving));
    // the delay is not over: it still answers, and says where it is
    assert_eq!(check(&grpc, "").await, Ok(ServingStatus::NotServing));
    house.outcome.await.unwrap();
    assert_eq!(next(&mut on_grpc).await, None);
}
