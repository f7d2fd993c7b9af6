//! What the `OTEL_*` variables say, as far as the exporters do not read them by themselves.

use super::{
    super::trace::sampler::{Sampler, Unusable},
    Env,
    transport::{CERTIFICATES, KEY, NOT_SENT, Named, Protocol, Way},
};

/// Spans that may wait to be sent, where the variable does not say.
const QUEUE: usize = 2048;

/// What is sent and how, and which traces are recorded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// The way to go; `None`: they are not sent.
    pub(super) traces: Option<Way>,
    pub(super) metrics: Option<Way>,
    pub(super) sampler: Sampler,
    /// Whether the trace context of callers is taken up and handed on.
    pub(super) propagates: bool,
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
        let mut way = |variables: &Variables| {
            let way = if disabled {
                Ok(None)
            } else {
                variables.way(env)
            };
            way.unwrap_or_else(|complaint| {
                complain(&mut complaints, complaint);
                None
            })
        };
        let (traces, metrics) = (way(&TRACES), way(&METRICS));
        let name = text(env, "OTEL_TRACES_SAMPLER");
        let argument = text(env, "OTEL_TRACES_SAMPLER_ARG");
        let sampler = Sampler::of(name.as_deref(), argument.as_deref());
        let sampler = sampler.unwrap_or_else(|complaint| {
            complain(&mut complaints, complaint);
            Sampler::default()
        });
        let propagates = propagates(env).unwrap_or_else(|complaint| {
            complain(&mut complaints, complaint);
            true
        });
        let queue = text(env, "OTEL_BSP_MAX_QUEUE_SIZE").and_then(|it| it.parse().ok());
        Self {
            traces,
            metrics,
            sampler,
            propagates,
            queue: queue.filter(|size| *size > 0).unwrap_or(QUEUE),
            complaints,
        }
    }
}

/// Both signals may have the same one.
fn complain(complaints: &mut Vec<Unusable>, complaint: Unusable) {
    if !complaints.contains(&complaint) {
        complaints.push(complaint);
    }
}

/// The variables of one signal: its own, and the one for all signals that counts without it.
struct Variables {
    exporter: &'static str,
    /// What else the exporter may be.
    also: &'static str,
    takes: &'static str,
    endpoint: [&'static str; 2],
    protocol: [&'static str; 2],
    authorities: [&'static str; 2],
    certificate: [&'static str; 2],
    key: [&'static str; 2],
}

const TRACES: Variables = Variables {
    exporter: "OTEL_TRACES_EXPORTER",
    also: "none",
    takes: "otlp or none",
    endpoint: [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ],
    protocol: [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ],
    authorities: [
        "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
    ],
    certificate: [
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    ],
    key: [
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    ],
};

const METRICS: Variables = Variables {
    exporter: "OTEL_METRICS_EXPORTER",
    // always there, at the admin port
    also: "prometheus",
    takes: "otlp, prometheus or none",
    endpoint: [
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ],
    protocol: [
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ],
    authorities: [
        "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
    ],
    certificate: [
        "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    ],
    key: [
        "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    ],
};

impl Variables {
    /// How the signal is sent, if it is.
    fn way(&self, env: Env<'_>) -> Result<Option<Way>, Unusable> {
        if !self.is_sent(env)? {
            return Ok(None);
        }
        let identity = match (file(env, self.certificate), file(env, self.key)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            // one without the other is of no use
            (Some(_), None) => return Err(unusable(self.key[1], KEY, NOT_SENT)),
            (None, Some(_)) => {
                return Err(unusable(self.certificate[1], CERTIFICATES, NOT_SENT));
            }
        };
        Ok(Some(Way {
            protocol: self.protocol(env)?,
            authorities: file(env, self.authorities),
            identity,
        }))
    }

    /// Whether it is sent: when it is said, or when it is said where to.
    fn is_sent(&self, env: Env<'_>) -> Result<bool, Unusable> {
        let Some(wanted) = text(env, self.exporter) else {
            return Ok(first(env, self.endpoint).is_some());
        };
        let mut sent = false;
        for name in wanted.split(',').map(str::trim) {
            match name {
                "otlp" => sent = true,
                "none" | "" => {}
                _ if name == self.also => {}
                _ => return Err(unusable(self.exporter, self.takes, NOT_SENT)),
            }
        }
        Ok(sent)
    }

    fn protocol(&self, env: Env<'_>) -> Result<Protocol, Unusable> {
        let Some((variable, name)) = first(env, self.protocol) else {
            return Ok(Protocol::HttpProtobuf);
        };
        match name.as_str() {
            "grpc" => Ok(Protocol::Grpc),
            "http/protobuf" => Ok(Protocol::HttpProtobuf),
            _ => Err(unusable(variable, "grpc or http/protobuf", NOT_SENT)),
        }
    }
}

/// `OTEL_PROPAGATORS`. Baggage is often named beside the trace context; there is none here.
fn propagates(env: Env<'_>) -> Result<bool, Unusable> {
    let variable = "OTEL_PROPAGATORS";
    let Some(wanted) = text(env, variable) else {
        return Ok(true);
    };
    let mut trace_context = false;
    for name in wanted.split(',').map(str::trim) {
        match name {
            "tracecontext" => trace_context = true,
            "baggage" | "none" | "" => {}
            _ => {
                let takes = "tracecontext, baggage or none";
                return Err(unusable(variable, takes, "tracecontext is in its place"));
            }
        }
    }
    Ok(trace_context)
}

const fn unusable(variable: &'static str, takes: &'static str, instead: &'static str) -> Unusable {
    Unusable {
        variable,
        takes,
        instead,
    }
}

fn file(env: Env<'_>, names: [&'static str; 2]) -> Option<Named> {
    first(env, names).map(|(variable, path)| Named {
        variable,
        path: path.into(),
    })
}

/// The first that is set, and what it is set to.
fn first(env: Env<'_>, names: [&'static str; 2]) -> Option<(&'static str, String)> {
    names
        .into_iter()
        .find_map(|name| text(env, name).map(|value| (name, value)))
}

fn text(env: Env<'_>, name: &str) -> Option<String> {
    env(name)
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}
