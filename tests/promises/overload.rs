//! More calls than can be answered: what waits takes little memory, what cannot be had in time is
//! told so, and what is let in is answered nearly as fast as ever.

use std::time::Duration;

use cardproof_emulator::Script;
use tokio::{
    task::JoinSet,
    time::{Instant, interval},
};
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use crate::{
    crowd::{Told, ask, ask_within},
    house::{House, VENDOR, asking, card, name, replicas},
    replica::Client,
};

/// The default of `server.max_in_flight`.
const WAITING: usize = 50_000;
/// Streams that one connection may have, by default.
const STREAMS: usize = 256;

fn script(delay_ms: u64, hold: Option<&str>) -> Script {
    let script = serde_json::json!({ "vendor": VENDOR, "delay_ms": delay_ms, "hold": hold });
    serde_json::from_value(script).unwrap()
}

fn is_overloaded(status: &Status) -> bool {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.as_str());
    let retry = details.retry_info().and_then(|info| info.retry_delay);
    status.code() == Code::Unavailable && reason == Some("OVERLOADED") && retry.is_some()
}

/// Health over the port that is busy, and the pages of the other one.
async fn probes_are_answered(house: &House) {
    let replica = &house.replicas[0];
    let begun = Instant::now();
    for path in ["/livez", "/readyz", "/status", "/metrics", "/"] {
        let page = replica.page(path).expect("an answer of the admin port");
        assert!(page.0.contains(" 200 "), "{path}");
    }
    let endpoint = format!("http://{}", replica.address());
    let channel = tonic::transport::Endpoint::from_shared(endpoint).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let answer = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    println!("probes while it is busy: {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_calls_wait_in_less_than_500_mb() {
    let house = replicas(1)
        .with("PROVIDERS__ACE__CONCURRENT", 64)
        .with("SERVER__MAX_QUEUE_MS", 60_000)
        .open()
        .await;
    house.emulator.script(script(0, Some("door")));
    let clients = house.clients(WAITING.div_ceil(STREAMS));
    let mut calls = JoinSet::new();
    for number in 0..WAITING {
        let client: Client = clients[number / STREAMS].clone();
        calls.spawn(async move { ask(&client, asking(&card(number), &name(number))).await });
    }
    house
        .until("all of them are inside", |house| {
            house.replicas[0].status()["calls"]["in_flight"] == WAITING
        })
        .await;
    let megabytes = house.replicas[0].resident_bytes() / 1_000_000;
    println!("{WAITING} waiting calls about {WAITING} cards: {megabytes} MB resident");
    probes_are_answered(&house).await;
    let one_more = ask(&house.clients(1)[0], asking(&card(WAITING), &name(WAITING))).await;
    assert!(is_overloaded(&one_more.unwrap_err()));
    house.emulator.release("door");
    let answered = calls.join_all().await;
    let refused: Vec<_> = answered
        .iter()
        .filter_map(|told| told.as_ref().err())
        .collect();
    assert!(
        refused.is_empty(),
        "{} of them: {:?}",
        refused.len(),
        refused[0]
    );
    assert_eq!(house.emulator.ledger().len(), WAITING);
    assert!(megabytes < 500, "{megabytes} MB");
}

/// Calls at a steady rate, whatever becomes of those before; each with how long it took.
async fn steadily(
    clients: &[Client],
    per_second: usize,
    lasts: Duration,
    first_card: usize,
) -> Vec<(Duration, Told)> {
    const TICKS_PER_SECOND: usize = 50;
    let mut ticks = interval(Duration::from_secs(1) / 50);
    let (begun, mut sent) = (Instant::now(), 0);
    let mut calls = JoinSet::new();
    while begun.elapsed() < lasts {
        ticks.tick().await;
        for _ in 0..per_second / TICKS_PER_SECOND {
            let client = clients[sent % clients.len()].clone();
            let number = first_card + sent;
            sent += 1;
            calls.spawn(async move {
                let begun = Instant::now();
                let told = ask(&client, asking(&card(number), &name(number))).await;
                (begun.elapsed(), told)
            });
        }
    }
    calls.join_all().await
}

fn percentile_99(mut latencies: Vec<Duration>) -> Duration {
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_too_many_leave_the_accepted_ones_in_time() {
    const AT_ONCE: usize = 60;
    const VENDOR_TAKES_MS: usize = 400;
    const PER_SECOND: usize = AT_ONCE * 1000 / VENDOR_TAKES_MS;
    const LASTS: Duration = Duration::from_secs(6);
    let house = replicas(1)
        .with("PROVIDERS__ACE__CONCURRENT", AT_ONCE)
        .open()
        .await;
    house.emulator.script(script(VENDOR_TAKES_MS as u64, None));
    let clients = house.clients(8);
    let calm = steadily(&clients, PER_SECOND / 3, Duration::from_secs(2), 0).await;
    assert!(calm.iter().all(|(_, told)| told.is_ok()));
    let calm = percentile_99(calm.into_iter().map(|(took, _)| took).collect());
    house.emulator.reset_ledger();

    let busy = steadily(&clients, PER_SECOND * 3, LASTS, 100_000);
    let meanwhile = async {
        tokio::time::sleep(LASTS / 2).await;
        probes_are_answered(&house).await;
        // too little is left of these for a call of a vendor, once they have waited for a place
        let hasty = (0..50).map(|number| asking(&card(200_000 + number), &name(number)));
        let mut calls = JoinSet::new();
        for asked in hasty.clone() {
            let client = clients[0].clone();
            calls
                .spawn(async move { ask_within(&client, asked, Duration::from_millis(250)).await });
        }
        assert!(calls.join_all().await.iter().all(Result::is_err));
        hasty.collect::<Vec<_>>()
    };
    let (told, hasty) = tokio::join!(busy, meanwhile);
    let accepted: Vec<_> = told.iter().filter(|(_, told)| told.is_ok()).collect();
    let turned_away = told.iter().filter_map(|(_, told)| told.as_ref().err());
    assert!(turned_away.clone().all(is_overloaded));
    // what was turned away cost nothing, and what was let in was asked once
    assert_eq!(house.emulator.ledger().len(), accepted.len());
    assert!(hasty.iter().all(|asked| house.calls(asked).is_empty()));
    let loaded = percentile_99(accepted.iter().map(|(took, _)| *took).collect());
    println!(
        "{} of {} calls accepted in {LASTS:?} at three times what fits; 99 % of them within \
         {loaded:?}, unloaded {calm:?}; {} turned away",
        accepted.len(),
        told.len(),
        turned_away.count()
    );
    let fits = PER_SECOND * 6;
    assert!(
        accepted.len() > fits * 8 / 10,
        "{} of {fits}",
        accepted.len()
    );
    assert!(loaded < calm * 2 + Duration::from_millis(50));
}
