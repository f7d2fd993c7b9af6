//! The closed sets of values that labels have.

use super::{
    family::{Values, combinations, words},
    table,
};
use crate::{
    domain::{AttemptOutcome, CardInfoResult, Charge, Operation, ProviderName, ResultCode},
    telemetry::events::{CacheOutcome, GRPC_CODES, RpcMethod, Tier},
};

/// The statuses that are told apart; of any other only the class is. With `none` and the classes
/// they are all values of the label.
const STATUSES: [u16; 25] = [
    200, 201, 202, 204, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 408, 409, 413, 415,
    422, 429, 500, 502, 503, 504,
];
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// The sets of values that several metrics share.
pub(super) struct Labels {
    providers: Values,
    operations: Values,
}

impl Labels {
    pub(super) fn new(providers: &[ProviderName]) -> Self {
        Self {
            providers: providers
                .iter()
                .map(|name| name.as_str().to_owned().into())
                .collect(),
            operations: words(Operation::ALL.iter().map(|it| it.as_str())),
        }
    }

    pub(super) fn calls(&self) -> [Values; 2] {
        [
            words(RpcMethod::ALL.iter().map(|it| it.as_str())),
            words(GRPC_CODES),
        ]
    }

    pub(super) fn vendor_calls(&self) -> [Values; 3] {
        let mut operations = self.operations.clone();
        operations.push("probe".into());
        let mut statuses = words(["none"]);
        statuses.extend(STATUSES.iter().map(|status| status.to_string().into()));
        statuses.extend(words(CLASSES));
        [self.providers.clone(), operations, statuses]
    }

    pub(super) fn results(&self) -> [Values; 3] {
        let verified = ResultCode::ALL.iter().map(|it| it.as_str());
        let found = CardInfoResult::ALL.iter().map(|it| it.as_str());
        [
            self.operations.clone(),
            self.providers.clone(),
            words(verified.chain(found)),
        ]
    }

    pub(super) fn attempts(&self) -> [Values; 4] {
        [
            self.providers.clone(),
            self.operations.clone(),
            words(AttemptOutcome::ALL.iter().map(|it| it.as_str())),
            words(Charge::ALL.iter().map(|it| it.as_str())),
        ]
    }

    pub(super) fn provider(&self) -> [Values; 1] {
        [self.providers.clone()]
    }

    pub(super) fn provider_and_operation(&self) -> [Values; 2] {
        [self.providers.clone(), self.operations.clone()]
    }

    pub(super) fn lookups(&self) -> [Values; 2] {
        [
            words(Tier::ALL.iter().map(|it| it.as_str())),
            words(CacheOutcome::ALL.iter().map(|it| it.as_str())),
        ]
    }

    /// How many series the SDK may keep, where that is more than a few: beyond its own limit it
    /// would lump the rest together under a label of its own.
    pub(super) fn limits(&self) -> [(&'static str, usize); 4] {
        [
            (table::CALLS.name, combinations(&self.calls())),
            (table::VENDOR_CALLS.name, combinations(&self.vendor_calls())),
            (table::RESULTS.name, combinations(&self.results())),
            (table::ATTEMPTS.name, combinations(&self.attempts())),
        ]
        .map(|(name, limit)| (name, limit.max(1)))
    }
}

/// The index of a status: `none`, the ones that are told apart, then the classes.
pub(super) fn status_index(status: Option<u16>) -> usize {
    let Some(status) = status else { return 0 };
    let known = STATUSES.iter().position(|known| *known == status);
    let class = match status / 100 {
        class @ 1..=5 => usize::from(class - 1),
        _ => CLASSES.len() - 1,
    };
    1 + known.unwrap_or(STATUSES.len() + class)
}
