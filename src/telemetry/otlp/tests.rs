//! What the variables come to, and ids.

use std::collections::HashMap;

use proptest::prelude::*;
use rstest::rstest;

use super::{
    settings::Settings,
    transport::{Named, Protocol},
    *,
};

fn settings(variables: &[(&str, &str)]) -> Settings {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Settings::of(&|name| variables.get(name).map(|value| (*value).to_owned()))
}

#[rstest]
#[case::nothing(&[], (false, false))]
#[case::endpoint(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")], (true, true))]
#[case::empty(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], (false, false))]
#[case::one_signal(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c")], (true, false))]
#[case::said(&[("OTEL_TRACES_EXPORTER", "otlp")], (true, false))]
#[case::none(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_TRACES_EXPORTER", "none")], (false, true))]
#[case::scraped(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_METRICS_EXPORTER", "prometheus")], (true, false))]
#[case::both(&[("OTEL_METRICS_EXPORTER", "otlp, prometheus")], (false, true))]
#[case::disabled(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_SDK_DISABLED", "TRUE")], (false, false))]
fn what_is_sent(#[case] variables: &[(&str, &str)], #[case] sent: (bool, bool)) {
    let settings = settings(variables);
    let found = (settings.traces.is_some(), settings.metrics.is_some());
    assert_eq!(found, sent);
    assert!(settings.complaints.is_empty());
}

#[rstest]
#[case("OTEL_TRACES_EXPORTER", "zipkin")]
#[case("OTEL_TRACES_EXPORTER", "prometheus")]
#[case("OTEL_TRACES_SAMPLER", "xray")]
#[case("OTEL_PROPAGATORS", "tracecontext,b3")]
fn what_cannot_be_used_is_told_by_name(#[case] name: &'static str, #[case] value: &str) {
    let settings = settings(&[(name, value), ("OTEL_METRICS_EXPORTER", "otlp")]);
    let told: Vec<_> = settings.complaints.iter().map(|it| it.variable).collect();
    assert_eq!(told, [name]);
    assert!(settings.metrics.is_some() && settings.propagates);
    assert!(!settings.complaints[0].to_string().contains(value));
}

#[rstest]
#[case::json("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "grpc or http/protobuf")]
#[case::of_one(
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "http/json",
    "grpc or http/protobuf"
)]
#[case::half(
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "/key.pem",
    "PEM file of certificates"
)]
fn a_way_that_cannot_be_gone_sends_nothing(
    #[case] name: &'static str,
    #[case] value: &str,
    #[case] takes: &str,
) {
    let settings = settings(&[(name, value), ("OTEL_TRACES_EXPORTER", "otlp")]);
    assert_eq!(settings.traces, None);
    // the same variable of both signals is told once
    assert_eq!(settings.complaints.len(), 1);
    let told = settings.complaints[0].to_string();
    assert!(told.contains(takes) && !told.contains(value), "{told}");
}

#[rstest]
#[case(None, true)]
#[case(Some(" "), true)]
#[case(Some("tracecontext"), true)]
#[case(Some("baggage, tracecontext"), true)]
#[case(Some("baggage"), false)]
#[case(Some("none"), false)]
fn trace_context_is_taken_up_unless_it_is_left_out(
    #[case] value: Option<&str>,
    #[case] propagates: bool,
) {
    let variables: Vec<_> = value
        .map(|it| ("OTEL_PROPAGATORS", it))
        .into_iter()
        .collect();
    let settings = settings(&variables);
    assert_eq!(settings.propagates, propagates);
    assert!(settings.complaints.is_empty());
}

#[test]
fn a_signals_own_variable_wins() {
    let settings = settings(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem"),
    ]);
    let (traces, metrics) = (settings.traces.unwrap(), settings.metrics.unwrap());
    assert_eq!(
        (traces.protocol, metrics.protocol),
        (Protocol::Grpc, Protocol::HttpProtobuf)
    );
    let named = |variable, path: &str| {
        let path = path.into();
        Some(Named { variable, path })
    };
    assert_eq!(
        traces.authorities,
        named("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem")
    );
    assert_eq!(
        metrics.authorities,
        named("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem")
    );
    assert_eq!(traces.identity, None);
}

#[rstest]
#[case("16", 16)]
#[case("0", 2048)]
#[case("many", 2048)]
fn the_queue_is_as_long_as_the_variable_says(#[case] value: &str, #[case] room: usize) {
    assert_eq!(settings(&[("OTEL_BSP_MAX_QUEUE_SIZE", value)]).queue, room);
}

proptest! {
    #[test]
    fn span_ids_cannot_be_taken_for_card_numbers(id in "[0-9]{16}") {
        let id = with_a_letter(u64::from_str_radix(&id, 16).unwrap());
        let shown = SpanId::from(id).to_string();
        prop_assert!(shown.bytes().any(|digit| digit.is_ascii_lowercase()), "{}", shown);
    }

    #[test]
    fn other_span_ids_stay_as_they_are(id in "[0-9a-f]{0,15}[a-f]") {
        let id = u64::from_str_radix(&id, 16).unwrap();
        prop_assert_eq!(with_a_letter(id), id);
    }
}
