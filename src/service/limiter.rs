//! No more calls in any one second than were agreed, bursts included.
//!
//! Vendors count per second and not on average, so the times of the latest calls are kept: a call
//! may go out when the one that went out `limit` calls before it is at least a window ago. Within
//! the window all of them may go out at once. That is exact for every second that anybody could
//! choose to count, where a bucket that refills would let nearly twice as many pass.
//!
//! A call can also book the next free place ahead and wait for it, within its patience. Places are
//! given in the order of asking. A place that was booked and not used stays taken.
//!
//! Limits that several replicas share and cannot coordinate are divided by their number, rounded
//! down, and at least 1. A limit of 0 lets nothing pass.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// What limits are about.
const SECOND: Duration = Duration::from_secs(1);
/// Requests take unevenly long to a vendor, which sees them closer together than they were sent.
const UNEVEN_WAYS: Duration = Duration::from_millis(20);

/// There was no place; the next one is free after this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBefore(pub Duration);

/// A limit of calls per second: of one operation of one vendor, of one caller, or of retries.
pub struct Limiter {
    /// `None`: unlimited.
    limit: Option<u32>,
    window: Duration,
    divisor: AtomicU32,
    /// When the latest calls went out or will, oldest first: as many as the limit at most.
    places: Mutex<VecDeque<Instant>>,
}

impl Limiter {
    /// A vendor's limit, kept with a little distance: see [`Self::exact`].
    #[must_use]
    pub fn of_vendor(per_second: Option<u32>) -> Self {
        Self::new(per_second, SECOND + UNEVEN_WAYS)
    }

    /// A limit to the second: what a caller may ask, and how often we may send again what surely
    /// was not sent.
    #[must_use]
    pub fn exact(per_second: Option<u32>) -> Self {
        Self::new(per_second, SECOND)
    }

    fn new(limit: Option<u32>, window: Duration) -> Self {
        Self {
            limit,
            window,
            divisor: AtomicU32::new(1),
            places: Mutex::default(),
        }
    }

    /// Divides the limit: by the number of replicas while they cannot see each other, else by 1.
    pub fn divide(&self, divisor: u32) {
        self.divisor.store(divisor.max(1), Ordering::Relaxed);
    }

    /// Takes a place now.
    ///
    /// # Errors
    /// When none is free.
    pub fn try_acquire(&self, now: Instant) -> Result<(), NotBefore> {
        if self.limit.is_none() {
            return Ok(());
        }
        let mut places = self.places.lock();
        // somebody who read the clock later may have been here earlier; that is nothing to wait for
        let now = match places.back() {
            Some(latest) if *latest > now => now.max(Instant::now()),
            _ => now,
        };
        self.book_in(&mut places, now, Duration::ZERO).map(|_| ())
    }

    /// Notes a call that somebody else has found a place for.
    pub fn note(&self, now: Instant) {
        if let Some(limit) = self.limit {
            let mut places = self.places.lock();
            let latest = places.back().copied().unwrap_or(now);
            Self::remember(&mut places, limit, now.max(latest));
        }
    }

    /// The limit and its window, before it is divided.
    #[must_use]
    pub fn whole(&self) -> Option<(u32, Duration)> {
        Some((self.limit?, self.window))
    }

    /// Takes the next free place and waits for it.
    ///
    /// # Errors
    /// At once, when no place gets free within `patience`.
    pub async fn acquire_within(&self, patience: Duration) -> Result<(), NotBefore> {
        let place = self.book(patience)?;
        tokio::time::sleep_until(place).await;
        Ok(())
    }

    /// How long until a place is free; zero when one is.
    #[must_use]
    pub fn ready_in(&self, now: Instant) -> Duration {
        let Some(limit) = self.limit_now() else {
            return Duration::ZERO;
        };
        self.next_place(&self.places.lock(), limit, now)
            .map_or(self.window, |place| place.duration_since(now))
    }

    fn book(&self, patience: Duration) -> Result<Instant, NotBefore> {
        let mut places = self.places.lock();
        self.book_in(&mut places, Instant::now(), patience)
    }

    fn book_in(
        &self,
        places: &mut VecDeque<Instant>,
        now: Instant,
        patience: Duration,
    ) -> Result<Instant, NotBefore> {
        let Some(limit) = self.limit_now() else {
            return Ok(now);
        };
        let Some(place) = self.next_place(places, limit, now) else {
            return Err(NotBefore(self.window));
        };
        let wait = place.duration_since(now);
        if wait > patience {
            return Err(NotBefore(wait));
        }
        // the whole limit is remembered even while it is divided, for when it no longer is
        Self::remember(places, self.limit.unwrap_or_default(), place);
        Ok(place)
    }

    fn remember(places: &mut VecDeque<Instant>, limit: u32, place: Instant) {
        while places.len() >= limit.max(1) as usize {
            places.pop_front();
        }
        places.push_back(place);
    }

    /// The next free place, never before one that was given; `None` if there are none at all.
    fn next_place(&self, places: &VecDeque<Instant>, limit: u32, now: Instant) -> Option<Instant> {
        if limit == 0 {
            return None;
        }
        let latest = places.back().copied().unwrap_or(now);
        let in_the_way = places.len().checked_sub(limit as usize);
        let free_at = in_the_way
            .and_then(|at| places.get(at))
            .map_or(now, |place| *place + self.window);
        Some(now.max(latest).max(free_at))
    }

    fn limit_now(&self) -> Option<u32> {
        let limit = self.limit?;
        let divisor = self.divisor.load(Ordering::Relaxed).max(1);
        Some((limit / divisor).max(1).min(limit))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Two threads read the clock and then take their places in the other order.
    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_read_earlier_is_no_reason_to_wait() {
        let limiter = Limiter::of_vendor(Some(100));
        let earlier = Instant::now();
        tokio::time::advance(Duration::from_millis(1)).await;
        limiter.try_acquire(Instant::now()).unwrap();
        limiter.try_acquire(earlier).unwrap();
    }

    fn millis(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_the_next_call_waits_for_the_first_to_be_a_second_ago() {
        let limiter = Limiter::exact(Some(3));
        let begun = Instant::now();
        assert_eq!(limiter.try_acquire(begun), Ok(()));
        assert_eq!(limiter.try_acquire(begun + millis(400)), Ok(()));
        assert_eq!(limiter.try_acquire(begun + millis(500)), Ok(()));
        let now = begun + millis(600);
        assert_eq!(limiter.ready_in(now), millis(400));
        assert_eq!(limiter.try_acquire(now), Err(NotBefore(millis(400))));
        assert_eq!(limiter.try_acquire(begun + millis(1000)), Ok(()));
        let now = begun + millis(1000);
        assert_eq!(limiter.try_acquire(now), Err(NotBefore(millis(400))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_vendor_gets_a_little_distance() {
        let limiter = Limiter::of_vendor(Some(1));
        let begun = Instant::now();
        assert_eq!(limiter.try_acquire(begun), Ok(()));
        let a_second_later = begun + SECOND;
        assert_eq!(
            limiter.try_acquire(a_second_later),
            Err(NotBefore(UNEVEN_WAYS))
        );
        assert_eq!(limiter.try_acquire(a_second_later + UNEVEN_WAYS), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_everything_passes_and_with_none_nothing() {
        let now = Instant::now();
        let unlimited = Limiter::exact(None);
        assert!((0..10_000).all(|_| unlimited.try_acquire(now).is_ok()));
        assert_eq!(unlimited.ready_in(now), Duration::ZERO);
        let none = Limiter::exact(Some(0));
        assert!(none.try_acquire(now).is_err());
        assert!(none.try_acquire(now + millis(10_000)).is_err());
        assert!(none.acquire_within(millis(10_000)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_is_in_order_and_within_patience() {
        let limiter = Arc::new(Limiter::exact(Some(1)));
        let begun = Instant::now();
        limiter.try_acquire(begun).unwrap();
        let wait = |patience| {
            let limiter = Arc::clone(&limiter);
            tokio::spawn(async move {
                let result = limiter.acquire_within(patience).await;
                (result, Instant::now().duration_since(begun))
            })
        };
        let first = wait(millis(2500));
        tokio::task::yield_now().await;
        let second = wait(millis(2500));
        tokio::task::yield_now().await;
        let third = wait(millis(2500));
        assert_eq!(first.await.unwrap(), (Ok(()), millis(1000)));
        assert_eq!(second.await.unwrap(), (Ok(()), millis(2000)));
        // refused at once, without waiting in vain
        assert_eq!(
            third.await.unwrap(),
            (Err(NotBefore(millis(3000))), Duration::ZERO)
        );
        assert_eq!(limiter.ready_in(Instant::now()), millis(1000));
    }

    #[rstest]
    #[case(20, 1, 20)]
    #[case(20, 3, 6)]
    #[case(20, 50, 1)]
    #[case(0, 2, 0)]
    #[tokio::test(start_paused = true)]
    async fn a_limit_is_divided_by_the_replicas(
        #[case] limit: u32,
        #[case] replicas: u32,
        #[case] each: usize,
    ) {
        let limiter = Limiter::exact(Some(limit));
        limiter.divide(replicas);
        let now = Instant::now();
        let passed = (0..100).filter(|_| limiter.try_acquire(now).is_ok());
        assert_eq!(passed.count(), each);
        // together again: what was sent while apart still counts
        limiter.divide(1);
        let passed = (0..100).filter(|_| limiter.try_acquire(now).is_ok());
        assert_eq!(passed.count(), limit as usize - each);
    }

    #[tokio::test(start_paused = true)]
    async fn racing_threads_get_no_place_twice() {
        let limiter = Limiter::exact(Some(100));
        let now = Instant::now();
        let passed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        passed.fetch_add(usize::from(limiter.try_acquire(now).is_ok()), SeqCst);
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 100);
    }

    proptest! {
        /// Whatever the gaps, patience and divisors: no window holds more than the limit, and no
        /// call is kept waiting for longer than that needs.
        #[test]
        fn no_second_holds_more_than_the_limit(
            limit in 1u32..12,
            calls in proptest::collection::vec((0u64..400, 0u64..1500, 1u32..4), 1..200),
        ) {
            let limiter = Limiter::exact(Some(limit));
            let begun = Instant::now();
            let mut now = begun;
            let mut sent: Vec<Instant> = Vec::new();
            for (gap_ms, patience_ms, divisor) in calls {
                now += millis(gap_ms);
                limiter.divide(divisor);
                let share = (limit / divisor).max(1) as usize;
                let free_at = sent
                    .len()
                    .checked_sub(share)
                    .map_or(now, |at| sent[at] + SECOND)
                    .max(now)
                    .max(sent.last().copied().unwrap_or(now));
                let booked = {
                    let mut places = limiter.places.lock();
                    limiter.book_in(&mut places, now, millis(patience_ms))
                };
                if free_at <= now + millis(patience_ms) {
                    prop_assert_eq!(booked, Ok(free_at));
                    sent.push(free_at);
                } else {
                    prop_assert_eq!(booked, Err(NotBefore(free_at.duration_since(now))));
                }
            }
            for from in &sent {
                let within = sent.iter().filter(|at| *at >= from && **at < *from + SECOND);
                prop_assert!(within.count() <= limit as usize);
            }
        }
    }
}
