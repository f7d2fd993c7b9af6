//! Every metric there is, in one table: the instruments are made from it, and so is
//! `docs/METRICS.md`.

use crate::telemetry::trace::keys;

/// What a metric does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows, until the process starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// The word that Prometheus has for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The name in OpenTelemetry's spelling.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// The unit in UCUM's spelling; in braces where things are counted, empty where there is none.
    pub unit: &'static str,
    /// The labels in OpenTelemetry's spelling, with what they may be.
    pub labels: &'static [(&'static str, &'static str)],
    /// What it tells, in a sentence; also the help text at `/metrics`.
    pub meaning: &'static str,
    /// When to look at it.
    pub look: &'static str,
}

impl Row {
    /// The name as it stands at `/metrics`.
    #[must_use]
    pub fn prometheus_name(&self) -> String {
        let name = self.name.replace('.', "_");
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let total = if self.kind == Kind::Counter {
            "_total"
        } else {
            ""
        };
        format!("{name}{unit}{total}")
    }
}

const PROVIDER: (&str, &str) = ("provider", "a name from `[providers]`");
const OPERATION: (&str, &str) = (
    "operation",
    "`verify_two`, `verify_three`, `verify_four`, `card_info`",
);

/// Calls of this service.
pub const CALLS: Row = Row {
    name: "rpc.server.call.duration",
    kind: Kind::Histogram,
    unit: "s",
    labels: &[
        (
            "rpc.method",
            "`bankcard.v1.BankCardService/VerifyBankCard`, `bankcard.v1.BankCardService/QueryCardInfo`, `grpc.health.v1.Health/Check`, or `_OTHER` for every path that is no method",
        ),
        (
            keys::RPC_STATUS_CODE,
            "a gRPC code such as `OK` or `DEADLINE_EXCEEDED`; `CANCELLED` where the caller hung up",
        ),
    ],
    meaning: "Calls of the gRPC port and how long their answers took; streams (health Watch, reflection) are not counted.",
    look: "Rate, errors and latency as callers see them: the first thing to look at.",
};

/// Calls to vendors, as the network saw them.
pub const VENDOR_CALLS: Row = Row {
    name: "http.client.request.duration",
    kind: Kind::Histogram,
    unit: "s",
    labels: &[
        PROVIDER,
        (
            "operation",
            "as elsewhere, or `probe` for the free check of endpoint and credentials",
        ),
        (
            "http.response.status_code",
            "a common status, the class of any other (`4xx`), or `none` where no usable reply came",
        ),
    ],
    meaning: "Requests to vendors and how long they took, from the first try to connect to the end of the reply.",
    look: "A slow vendor, and replies that are no answers. A gRPC provider shows 200 for every reply.",
};

/// Answers, by what they say.
pub const RESULTS: Row = Row {
    name: "cardproof.results",
    kind: Kind::Counter,
    unit: "{answer}",
    labels: &[
        OPERATION,
        PROVIDER,
        (
            "result",
            "a `ResultCode`, or a `CardInfoResult` for `card_info`",
        ),
    ],
    meaning: "Answers that were given, from whatever source, by what they say and who said so.",
    look: "The share of MISMATCH, SERVICE_BUSY and UNKNOWN_PROVIDER_CODE: a jump is a vendor's doing or an attack.",
};

/// Attempts at vendors, by what came of them.
pub const ATTEMPTS: Row = Row {
    name: "cardproof.provider.calls",
    kind: Kind::Counter,
    unit: "{call}",
    labels: &[
        PROVIDER,
        OPERATION,
        ("outcome", "an `AttemptOutcome`"),
        ("charge", "`CHARGED`, `NOT_CHARGED`, `UNKNOWN`"),
    ],
    meaning: "Calls to providers that were begun, by what came of them and whether they were charged; 0 from the start for whatever can become of a call.",
    look: "Money and failures: compare CHARGED and UNKNOWN with the vendor's bill. A provider that was passed over is not counted.",
};

/// Money.
pub const COST: Row = Row {
    name: "cardproof.provider.cost",
    kind: Kind::Counter,
    unit: "",
    labels: &[
        PROVIDER,
        (
            "currency",
            "the one of the provider's `price`, such as `CNY`",
        ),
    ],
    meaning: "What calls to providers have cost, in units of the currency: the price of each that was charged, and of each whose charge is not known.",
    look: "Money per hour. A provider without a `price` has no series.",
};

/// What breakers do.
pub const BREAKER: Row = Row {
    name: "cardproof.breaker.state",
    kind: Kind::Gauge,
    unit: "",
    labels: &[PROVIDER, OPERATION],
    meaning: "What the breaker does with calls of this operation: 0 lets them pass, 1 lets one pass to find out (half-open), 2 lets none pass (open). Embedded providers have none.",
    look: "At 2: the vendor has been failing and is left alone for `breaker.open_s`.",
};

/// What is spent of budgets.
pub const BUDGET_SPENT: Row = Row {
    name: "cardproof.budget.spent_ratio",
    kind: Kind::Gauge,
    unit: "",
    labels: &[
        ("scope", "`provider` or `caller`"),
        ("name", "a name from `[providers]` or `[clients]`"),
    ],
    meaning: "The part of today's `daily_budget` that is spent, 1 being all of it; the day begins at midnight in Asia/Shanghai. What has no budget has no series.",
    look: "Near 1: calls will be refused for the rest of the day.",
};

/// What the guard keeps from vendors.
pub const GUARD_REFUSALS: Row = Row {
    name: "cardproof.guard.refusals",
    kind: Kind::Counter,
    unit: "{call}",
    labels: &[(
        "reason",
        "`vendor` (it said that the card was asked about too often), `calls`, `mismatches`, `caller_calls`, `caller_mismatches`, `in_flight` (calls under way hold what is left), `full` (no room to count one more card)",
    )],
    meaning: "Calls that were not made because one more could lock the card at its bank.",
    look: "A rise: somebody asks about the same cards again and again. `full`: more cards a day than the guard has room for.",
};

/// Callers that look suspicious.
pub const SUSPECTS: Row = Row {
    name: "cardproof.card_testing.suspects",
    kind: Kind::Gauge,
    unit: "",
    labels: &[("caller", "a name from `[clients]`, or `anonymous`")],
    meaning: "1 while a caller had mismatches over 10 or more different cards within 10 minutes, else 0; a caller without any mismatch lately may be absent.",
    look: "At 1: the caller may be trying out stolen cards, or is used for it.",
};

/// Lines that were not written.
pub const LEDGER_ERRORS: Row = Row {
    name: "cardproof.ledger.errors",
    kind: Kind::Counter,
    unit: "{line}",
    labels: &[],
    meaning: "Lines of the ledger that could not be written when they should have been.",
    look: "Above zero: the disk under `telemetry.ledger_file` is full or failing, and calls are refused with LEDGER_UNAVAILABLE.",
};

/// Leaks that were stopped at the last moment.
pub const REDACTION_HITS: Row = Row {
    name: "cardproof.redaction.hits",
    kind: Kind::Counter,
    unit: "{value}",
    labels: &[],
    meaning: "Values in log lines and spans that looked like a card number, an ID number or a phone number, and were blotted out.",
    look: "Above zero: a defect. What was logged there must be found and mended; the filter is the last line of defence, not the first.",
};

/// Spans and metrics that did not arrive.
pub const OTEL_DROPPED: Row = Row {
    name: "cardproof.otel.dropped",
    kind: Kind::Counter,
    unit: "{item}",
    labels: &[("signal", "`traces` or `metrics`")],
    meaning: "What was to be sent over OTLP and did not arrive: spans, and exports of all metrics at once.",
    look: "A rise: the collector is away, slow, or not where `OTEL_EXPORTER_OTLP_ENDPOINT` says. No call waits for it.",
};

/// Contradictions inside a vendor's answer.
pub const CODE_CONFLICTS: Row = Row {
    name: "cardproof.provider.code_conflicts",
    kind: Kind::Counter,
    unit: "{answer}",
    labels: &[PROVIDER, OPERATION],
    meaning: "Answers of a vendor whose code and text contradict each other; they were given as UNKNOWN_PROVIDER_CODE.",
    look: "Above zero: the provider's `code_table` may be the wrong one.",
};

/// Credentials, settings or credit that a vendor does not accept.
pub const MISCONFIGURED: Row = Row {
    name: "cardproof.provider.misconfigured",
    kind: Kind::Gauge,
    unit: "",
    labels: &[PROVIDER],
    meaning: "1 while the vendor's last word was that it does not accept our credentials, settings, clock or credit.",
    look: "At 1: nobody but the operator can mend it. The log has the vendor's code.",
};

/// The difference of two clocks.
pub const CLOCK_SKEW: Row = Row {
    name: "cardproof.provider.clock_skew",
    kind: Kind::Gauge,
    unit: "s",
    labels: &[PROVIDER],
    meaning: "How far the vendor's clock was ahead of ours in its last reply that told the time; absent before the first.",
    look: "Beyond a minute either way: signatures will be refused. Our clock is the likelier culprit.",
};

/// Signed requests that a vendor had seen before.
pub const NONCE_REUSED: Row = Row {
    name: "cardproof.provider.nonce_reused",
    kind: Kind::Counter,
    unit: "{call}",
    labels: &[PROVIDER],
    meaning: "Calls that the vendor refused because it had seen the same signed request before.",
    look: "Above zero: something between here and the vendor sends requests twice, and may pay twice.",
};

/// Calls that may have run.
pub const OUTCOME_UNKNOWN: Row = Row {
    name: "cardproof.outcome_unknown",
    kind: Kind::Counter,
    unit: "{call}",
    labels: &[PROVIDER],
    meaning: "Calls that left for the vendor and brought no usable answer: they may have run and been charged.",
    look: "Each may be money without an answer. A rise means timeouts that are too short, or a failing vendor.",
};

/// Looks into the cache.
pub const CACHE_LOOKUPS: Row = Row {
    name: "cardproof.cache.lookups",
    kind: Kind::Counter,
    unit: "{lookup}",
    labels: &[
        (
            "tier",
            "`local`, the memory of this process, or `shared`, the store of all replicas",
        ),
        (
            "outcome",
            "`hit`, `miss`, or `stale`: an old answer was given because every vendor failed, after a `miss`",
        ),
    ],
    meaning: "Questions that were looked for in the cache, by whether a usable answer was there.",
    look: "The hit ratio is money saved: `hit / (hit + miss)`.",
};

/// Answers in the cache.
pub const CACHE_ENTRIES: Row = Row {
    name: "cardproof.cache.entries",
    kind: Kind::Gauge,
    unit: "{answer}",
    labels: &[],
    meaning: "Answers in the memory of this process, about.",
    look: "Beside the weight: how much one answer takes.",
};

/// Their size.
pub const CACHE_WEIGHT: Row = Row {
    name: "cardproof.cache.weight",
    kind: Kind::Gauge,
    unit: "By",
    labels: &[],
    meaning: "Bytes that the answers in the memory of this process take, about.",
    look: "At `cache.capacity_mb` and with a falling hit ratio: the cache is too small.",
};

/// Callers that shared a call.
pub const FOLLOWERS: Row = Row {
    name: "cardproof.flight.followers",
    kind: Kind::Counter,
    unit: "{call}",
    labels: &[(
        "scope",
        "`local`, within this process, or `shared`, of another replica",
    )],
    meaning: "Calls that waited for the same question's call under way instead of paying for one of their own.",
    look: "A rise means that callers repeat themselves, often after timeouts that are too short.",
};

/// Reloads of the configuration.
pub const RELOADS: Row = Row {
    name: "cardproof.config.reloads",
    kind: Kind::Counter,
    unit: "{reload}",
    labels: &[(
        "outcome",
        "`applied`, `needs_restart` (in use except for what needs one), `unchanged`, `refused` (the old one stays)",
    )],
    meaning: "Times that the configuration was read again, after its file changed or SIGHUP, by what came of it.",
    look: "`refused` rising: the file on the disk is not what runs; `/status` says why.",
};

/// The end of certificates.
pub const CERTIFICATE_EXPIRY: Row = Row {
    name: "cardproof.tls.certificate.expiry.timestamp",
    kind: Kind::Gauge,
    unit: "s",
    labels: &[(
        "file",
        "the key of `[server.tls]` that names it: `cert_file`, `client_ca_file`",
    )],
    meaning: "When the first certificate of the file in use ends, in seconds since 1970; absent without TLS.",
    look: "Less than two weeks ahead: whoever renews certificates does not.",
};

/// Whether the shared store is there.
pub const REDIS_UP: Row = Row {
    name: "cardproof.redis.up",
    kind: Kind::Gauge,
    unit: "",
    labels: &[],
    meaning: "1 while the shared store is there and trusted, 0 while it is lost or was emptied; absent without `cache.redis`.",
    look: "At 0: replicas pay for the same question once each, within limits divided by `server.replicas`, or refuse (`cache.redis.on_loss`).",
};

/// Whether it keeps what it is given.
pub const REDIS_MAY_FORGET: Row = Row {
    name: "cardproof.redis.may_forget",
    kind: Kind::Gauge,
    unit: "",
    labels: &[],
    meaning: "1 when the shared store's `maxmemory-policy` lets it forget what it was given, 0 when it is `noeviction`; absent where it may not be asked.",
    look: "At 1: a full store breaks promises without a word. Set `maxmemory-policy noeviction`.",
};

/// Questions without the shared store.
pub const REDIS_DEGRADED: Row = Row {
    name: "cardproof.redis.degraded",
    kind: Kind::Counter,
    unit: "{call}",
    labels: &[],
    meaning: "Calls for which a vendor was to be asked while the shared store was lost: made within divided limits, or refused.",
    look: "Each may have been paid for in another replica too.",
};

/// What runs.
pub const BUILD: Row = Row {
    name: "cardproof.build.info",
    kind: Kind::Gauge,
    unit: "",
    labels: &[
        ("version", "of the program"),
        ("bin_data_version", "of the embedded BIN table"),
    ],
    meaning: "Always 1; its labels tell what runs.",
    look: "During a roll-out, and to see which replicas lag.",
};

/// All of them, in the order of the documentation.
pub const ALL: &[Row] = &[
    CALLS,
    VENDOR_CALLS,
    RESULTS,
    ATTEMPTS,
    COST,
    OUTCOME_UNKNOWN,
    NONCE_REUSED,
    CODE_CONFLICTS,
    MISCONFIGURED,
    CLOCK_SKEW,
    BREAKER,
    BUDGET_SPENT,
    GUARD_REFUSALS,
    SUSPECTS,
    CACHE_LOOKUPS,
    CACHE_ENTRIES,
    CACHE_WEIGHT,
    FOLLOWERS,
    LEDGER_ERRORS,
    REDACTION_HITS,
    RELOADS,
    CERTIFICATE_EXPIRY,
    OTEL_DROPPED,
    REDIS_UP,
    REDIS_MAY_FORGET,
    REDIS_DEGRADED,
    BUILD,
];
