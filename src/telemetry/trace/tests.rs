//! Contexts, samplers, and what is current when.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use rstest::rstest;

use super::{sampler::Sampler, *};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn context(parent: &str) -> Option<Context> {
    let mut headers = HeaderMap::new();
    headers.insert(
        &context::TRACEPARENT,
        HeaderValue::from_str(parent).unwrap(),
    );
    Context::of(&headers)
}

#[test]
fn a_context_is_read_and_written_again() {
    let read = context(PARENT).unwrap();
    assert_eq!(read.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(read.span_id(), "00f067aa0ba902b7");
    assert!(read.sampled);
    assert_eq!(read.traceparent(), PARENT);
    assert_eq!(read.tracestate(), None);
}

#[rstest]
#[case::usual(
    "vendor=abc,other=00f067aa0ba902b7",
    Some("vendor=abc,other=00f067aa0ba902b7")
)]
#[case::a_card("vendor=4111111111111111", None)]
#[case::an_id_number("a=1,b=11010519491231002X", None)]
fn a_state_goes_on_unless_it_looks_personal(
    #[case] state: &'static str,
    #[case] kept: Option<&str>,
) {
    let mut headers = HeaderMap::new();
    headers.insert(&context::TRACEPARENT, HeaderValue::from_static(PARENT));
    headers.insert(&context::TRACESTATE, HeaderValue::from_static(state));
    assert_eq!(Context::of(&headers).unwrap().tracestate(), kept);
}

// the recommendation's own rules, section 3.2
#[rstest]
#[case::not_sampled("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", Some(false))]
#[case::other_flags("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02", Some(false))]
#[case::more_flags("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", Some(true))]
#[case::later_version("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some(true))]
#[case::later_and_longer(
    "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
    Some(true)
)]
#[case::later_and_odd("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more", None)]
#[case::version_ff("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None)]
#[case::longer("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-", None)]
#[case::shorter("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1", None)]
#[case::capitals("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None)]
#[case::no_trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None)]
#[case::no_span("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None)]
#[case::other_dashes("00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None)]
#[case::empty("", None)]
fn only_what_the_recommendation_allows_is_read(
    #[case] parent: &str,
    #[case] sampled: Option<bool>,
) {
    assert_eq!(context(parent).map(|it| it.sampled), sampled);
}

#[test]
fn two_parents_are_none() {
    let mut two = HeaderMap::new();
    two.append(&context::TRACEPARENT, HeaderValue::from_static(PARENT));
    assert!(Context::of(&two).is_some());
    two.append(&context::TRACEPARENT, HeaderValue::from_static(PARENT));
    assert!(Context::of(&two).is_none());
}

#[rstest]
#[case::default(None, None, true, true, false)]
#[case::on(Some("always_on"), None, true, true, true)]
#[case::off(Some("always_off"), None, false, false, false)]
#[case::parent_on(Some("parentbased_always_on"), None, true, true, false)]
#[case::parent_off(Some("parentbased_always_off"), None, false, true, false)]
#[case::all(Some("traceidratio"), Some("1"), true, true, true)]
#[case::none(Some("traceidratio"), Some("0"), false, false, false)]
#[case::parent_ratio(Some("parentbased_traceidratio"), Some("0.0"), false, true, false)]
#[case::no_ratio(Some("traceidratio"), None, true, true, true)]
fn samplers_do_what_their_names_say(
    #[case] name: Option<&str>,
    #[case] argument: Option<&str>,
    #[case] alone: bool,
    #[case] with_sampled_parent: bool,
    #[case] with_other_parent: bool,
) {
    let sampler = Sampler::of(name, argument).unwrap();
    let sampled = context(PARENT).unwrap();
    let mut other = sampled.clone();
    other.sampled = false;
    let id = sampled.trace_id;
    assert_eq!(sampler.records(None, id), alone);
    assert_eq!(sampler.records(Some(&sampled), id), with_sampled_parent);
    assert_eq!(sampler.records(Some(&other), id), with_other_parent);
}

#[rstest]
#[case("jaeger_remote", None)]
#[case("traceidratio", Some("half"))]
#[case("traceidratio", Some("1.5"))]
#[case("traceidratio", Some("NaN"))]
fn other_samplers_are_refused(#[case] name: &str, #[case] argument: Option<&str>) {
    assert!(Sampler::of(Some(name), argument).is_err());
}

proptest! {
    #[test]
    fn a_ratio_picks_the_traces_that_others_pick(id in any::<u128>()) {
        // the rule of the SDKs: the lower 8 bytes, without the lowest bit
        let sampler = Sampler::of(Some("traceidratio"), Some("0.25")).unwrap();
        let low = id as u64 >> 1;
        let expected = low < (1 << 63) / 4;
        prop_assert_eq!(sampler.records(None, id.into()), expected);
    }

    #[test]
    fn reading_never_panics(parent in "[ -~]{0,70}") {
        let _ = context(&parent);
    }
}

fn unrecorded() -> Span {
    let mut headers = HeaderMap::new();
    headers.insert(&context::TRACEPARENT, HeaderValue::from_static(PARENT));
    // no exporter was started in this process, so nothing is recorded
    Span::server(None, &headers)
}

#[tokio::test]
async fn a_context_goes_with_its_future_and_no_other() {
    let span = unrecorded();
    assert!(!span.is_recorded());
    assert!(current().is_none());
    let (inside, part) = span
        .within(async {
            tokio::task::yield_now().await;
            (current(), Span::part("part").context())
        })
        .await;
    assert_eq!(inside.unwrap().traceparent(), PARENT);
    assert_eq!(part.unwrap().traceparent(), PARENT);
    assert!(current().is_none());
}

#[tokio::test]
async fn a_panic_leaves_no_context_behind() {
    let span = unrecorded();
    let fails = std::panic::AssertUnwindSafe(span.within(async { panic!("as the test says") }));
    assert!(futures_util::FutureExt::catch_unwind(fails).await.is_err());
    assert!(current().is_none());
}

#[test]
fn a_call_without_a_context_has_none() {
    let span = Span::server(None, &HeaderMap::new());
    assert!(span.context().is_none() && !span.is_recorded());
}
