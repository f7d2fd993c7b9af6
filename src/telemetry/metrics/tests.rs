//! What the instruments promise.

use rstest::rstest;

use super::{super::events::RpcMethod, labels::status_index, *};
use crate::domain::{Attempt, AttemptOutcome, Charge};

fn metrics(providers: &[&str]) -> Metrics {
    let identity = Identity {
        version: "9.8.7",
        bin_data_version: "2026-01",
        providers: providers
            .iter()
            .map(|name| ProviderName::new(name).unwrap())
            .collect(),
        operations: vec![(ProviderName::new("one").unwrap(), Operation::VerifyTwo)],
        currencies: vec![(ProviderName::new("one").unwrap(), "CNY".to_owned())],
    };
    let observed = Observed {
        cache_entries: Box::new(|| 3),
        cache_weight_bytes: Box::new(|| 1500),
        ..Observed::default()
    };
    Metrics::new(identity, observed, None).unwrap()
}

#[rstest]
#[case(None, "none")]
#[case(Some(200), "200")]
#[case(Some(504), "504")]
#[case(Some(101), "1xx")]
#[case(Some(299), "2xx")]
#[case(Some(418), "4xx")]
#[case(Some(599), "5xx")]
#[case(Some(0), "other")]
#[case(Some(700), "other")]
#[case(Some(u16::MAX), "other")]
fn statuses_are_a_closed_set(#[case] status: Option<u16>, #[case] value: &str) {
    let [.., values] = Labels::new(&[]).vendor_calls();
    assert_eq!(values[status_index(status)], value);
}

#[test]
fn every_series_that_can_be_fits_and_no_other_is_made() {
    let metrics = metrics(&["one", "two"]);
    let known = ProviderName::new("two").unwrap();
    let unknown = ProviderName::new("nobody").unwrap();
    let all_statuses = (0..=999).map(Some).chain([None]);
    for (status, provider) in all_statuses.flat_map(|it| [(it, &known), (it, &unknown)]) {
        for operation in Operation::ALL.iter().copied().map(Some).chain([None]) {
            let time = Duration::from_millis(30);
            metrics
                .instruments
                .vendor_call(provider, operation, status, time);
        }
    }
    for code in 0..100 {
        for method in RpcMethod::ALL {
            metrics.instruments.call(*method, code, Duration::ZERO);
        }
    }
    let text = metrics.text();
    let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!(count("http_client_request_duration_seconds_count{"), 5 * 32);
    assert_eq!(count("rpc_server_call_duration_seconds_count{"), 4 * 17);
    assert!(!text.contains("nobody") && !text.contains("overflow"));
}

#[test]
fn nothing_is_added_to_names_and_labels() {
    let text = metrics(&["one"]).text();
    assert!(
        !text.contains("otel_scope") && !text.contains("target_info"),
        "{text}"
    );
    let line = r#"cardproof_build_info{bin_data_version="2026-01",version="9.8.7"} 1"#;
    assert!(text.lines().any(|it| it == line), "{text}");
    assert!(text.lines().any(|it| it == "cardproof_cache_entries 3"));
    assert!(
        text.lines()
            .any(|it| it == "cardproof_cache_weight_bytes 1500")
    );
}

#[test]
fn a_counter_without_labels_stands_at_zero_from_the_start() {
    let metrics = metrics(&["one"]);
    let shown = |line: &str| metrics.text().lines().any(|it| it == line);
    assert!(shown("cardproof_redis_degraded_total 0"));
    metrics.instruments.degraded();
    assert!(shown("cardproof_redis_degraded_total 1"));
}

#[test]
fn misconfigured_lasts_until_the_vendor_accepts_us_again() {
    let metrics = metrics(&["one"]);
    let gauge = || {
        let text = metrics.text();
        let line = text
            .lines()
            .find_map(|it| it.strip_prefix(r#"cardproof_provider_misconfigured{provider="one"} "#));
        line.unwrap().to_owned()
    };
    assert_eq!(gauge(), "0");
    for (outcome, expected) in [
        (AttemptOutcome::OutOfCredit, "1"),
        (AttemptOutcome::NotSent, "1"),
        (AttemptOutcome::Answered, "0"),
        (AttemptOutcome::OutcomeUnknown, "0"),
        (AttemptOutcome::Misconfigured, "1"),
        (AttemptOutcome::Refused, "0"),
    ] {
        let attempt = Attempt {
            provider: ProviderName::new("one").unwrap(),
            outcome,
            charge: Charge::NotCharged,
            latency: Duration::ZERO,
            error_reason: "",
        };
        metrics.instruments.attempt(Operation::VerifyTwo, &attempt);
        assert_eq!(gauge(), expected, "{outcome:?}");
    }
}
