//! Descriptors: every connection of a caller takes one, and so does every call of a vendor. Callers
//! get no more connections than leave enough for the rest; otherwise a crowd that merely connects
//! would cut the service off from its vendors and from Redis.

/// For vendors, Redis, logs, runtimes, exporters and the admin port.
const RESERVE: u64 = 1024;

/// How many connections callers may have: as many as are wanted, if the system lets us open so many
/// files beside the reserve, which is taken as well.
pub(super) fn connections(wanted: usize) -> usize {
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let limit = match rlimit::increase_nofile_limit(wanted.saturating_add(RESERVE)) {
        Ok(limit) => limit,
        Err(error) => {
            tracing::warn!("the limit of open files cannot be raised: {error}");
            // not known at all: as if it were enough
            rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX)
        }
    };
    let fit = fit(wanted, limit);
    if fit < wanted {
        tracing::warn!(
            limit,
            connections = fit,
            "the limit of open files leaves room for fewer connections than server.max_connections"
        );
    }
    usize::try_from(fit).unwrap_or(usize::MAX)
}

/// How many of the wanted connections fit below a limit; where it is low, half of it is kept.
fn fit(wanted: u64, limit: u64) -> u64 {
    wanted.min(limit - RESERVE.min(limit / 2))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plenty(20_000, 1_048_576, 20_000)]
    #[case::as_many_as_asked_for(20_000, 21_024, 20_000)]
    #[case::one_too_few(20_000, 21_023, 19_999)]
    #[case::few(20_000, 4096, 3072)]
    #[case::usual_for_a_shell(20_000, 1024, 512)]
    #[case::low(20_000, 256, 128)]
    #[case::not_wanted(100, 1024, 100)]
    #[case::nothing(20_000, 0, 0)]
    fn what_is_left_is_never_less_than_half_or_the_reserve(
        #[case] wanted: u64,
        #[case] limit: u64,
        #[case] fits: u64,
    ) {
        assert_eq!(fit(wanted, limit), fits);
    }
}
