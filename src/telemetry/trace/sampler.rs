//! Which traces are recorded: the samplers of OpenTelemetry's `OTEL_TRACES_SAMPLER`.

use opentelemetry::trace::TraceId;

use super::Context;

/// What is done with a trace that nobody has decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Always,
    Never,
    /// Those whose id, by its lower 63 bits, is below: every service that is told the same ratio
    /// picks the same traces.
    Below(u64),
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    rule: Rule,
    /// Whether a parent's decision stands.
    parent_decides: bool,
}

/// A variable that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{variable} cannot be used: it takes {takes}; {instead}")]
pub struct Unusable {
    /// Its name.
    pub variable: &'static str,
    /// What it may be.
    pub takes: &'static str,
    /// What comes of it.
    pub instead: &'static str,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            rule: Rule::Always,
            parent_decides: true,
        }
    }
}

impl Sampler {
    /// The sampler of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    ///
    /// # Errors
    /// When one of them cannot be used; the default, or a ratio of 1, is meant then.
    pub fn of(name: Option<&str>, argument: Option<&str>) -> Result<Self, Unusable> {
        let name = name.map(str::trim).filter(|name| !name.is_empty());
        let Some(name) = name else {
            return Ok(Self::default());
        };
        let lower = name.to_ascii_lowercase();
        let (parent_decides, kind) = match lower.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, lower.as_str()),
        };
        let rule = match kind {
            "always_on" => Rule::Always,
            "always_off" => Rule::Never,
            "traceidratio" => Rule::of_ratio(argument)?,
            _ => {
                return Err(Unusable {
                    variable: "OTEL_TRACES_SAMPLER",
                    takes: "always_on, always_off or traceidratio, each also after parentbased_",
                    instead: "parentbased_always_on is in its place",
                });
            }
        };
        Ok(Self {
            rule,
            parent_decides,
        })
    }

    /// Whether a trace is recorded. `trace_id` is the parent's, or a new one.
    #[must_use]
    pub fn records(&self, parent: Option<&Context>, trace_id: TraceId) -> bool {
        match (parent, self.rule) {
            (Some(parent), _) if self.parent_decides => parent.sampled,
            (_, Rule::Always) => true,
            (_, Rule::Never) => false,
            (_, Rule::Below(limit)) => {
                let [.., a, b, c, d, e, f, g, h] = trace_id.to_bytes();
                u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < limit
            }
        }
    }

    /// Whether nothing is recorded without a parent, which saves making an id.
    #[must_use]
    pub fn needs_a_parent(&self) -> bool {
        self.rule == Rule::Never
    }
}

impl Rule {
    fn of_ratio(argument: Option<&str>) -> Result<Self, Unusable> {
        let unusable = Unusable {
            variable: "OTEL_TRACES_SAMPLER_ARG",
            takes: "a number from 0 to 1",
            instead: "1 is in its place",
        };
        let Some(argument) = argument.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(Self::Always);
        };
        let ratio: f64 = argument.parse().map_err(|_| unusable)?;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(unusable);
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within 0 and two to the power of 63"
        )]
        let limit = (ratio * (1_u64 << 63) as f64) as u64;
        Ok(Self::Below(limit))
    }
}
