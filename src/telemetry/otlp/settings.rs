//! What the `OTEL_*` variables say, as far as the exporters do not read them by themselves.

use super::{
    super::trace::sampler::{Sampler, Unusable},
    Env,
};

/// Spans that may wait to be sent, where the variable does not say.
const QUEUE: usize = 2048;

/// What is sent, and which traces are recorded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) traces: bool,
    pub(super) metrics: bool,
    pub(super) sampler: Sampler,
    /// `OTEL_BSP_MAX_QUEUE_SIZE`
    pub(super) queue: usize,
    /// Variables that cannot be used.
    pub(super) complaints: Vec<Unusable>,
}

impl Settings {
    pub(super) fn of(env: Env<'_>) -> Self {
        let mut complaints = Vec::new();
        let disabled =
            text(env, "OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let mut sends = |exporter, endpoint| {
            !disabled
                && is_sent(env, exporter, endpoint).unwrap_or_else(|complaint| {
                    complaints.push(complaint);
                    false
                })
        };
        let traces = sends("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let metrics = sends(
            "OTEL_METRICS_EXPORTER",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        );
        let name = text(env, "OTEL_TRACES_SAMPLER");
        let argument = text(env, "OTEL_TRACES_SAMPLER_ARG");
        let sampler = Sampler::of(name.as_deref(), argument.as_deref());
        let sampler = sampler.unwrap_or_else(|complaint| {
            complaints.push(complaint);
            Sampler::default()
        });
        let queue = text(env, "OTEL_BSP_MAX_QUEUE_SIZE").and_then(|it| it.parse().ok());
        Self {
            traces,
            metrics,
            sampler,
            queue: queue.filter(|size| *size > 0).unwrap_or(QUEUE),
            complaints,
        }
    }
}

/// Whether a signal is sent: when it is said, or when it is said where to.
fn is_sent(env: Env<'_>, exporter: &'static str, endpoint: &str) -> Result<bool, Unusable> {
    let Some(wanted) = text(env, exporter) else {
        let somewhere = text(env, endpoint).or_else(|| text(env, "OTEL_EXPORTER_OTLP_ENDPOINT"));
        return Ok(somewhere.is_some());
    };
    let mut sent = false;
    for name in wanted.split(',').map(str::trim) {
        match name {
            "otlp" => sent = true,
            "none" | "" => {}
            // always there, at the admin port
            "prometheus" if exporter == "OTEL_METRICS_EXPORTER" => {}
            _ => {
                return Err(Unusable {
                    variable: exporter,
                    instead: "none",
                });
            }
        }
    }
    Ok(sent)
}

fn text(env: Env<'_>, name: &str) -> Option<String> {
    env(name)
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}
