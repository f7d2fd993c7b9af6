//! Days end at midnight in Asia/Shanghai: in whatever zone the host is, and however its clock is
//! set. The host's clock is moved under the running program by libfaketime.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use cardproof::proto::bankcard::v1::Source;
use cardproof_emulator::Script;
use jiff::Timestamp;
use tonic_types::StatusExt;

use crate::{
    crowd::{Told, ask, word},
    house::{House, Plan, VENDOR, asking, card, name, replicas},
    tools,
};

/// A clock that a program goes by.
pub struct Clock(PathBuf);

impl Clock {
    /// A clock that begins at a time and is kept in a folder.
    pub fn in_folder(folder: &Path, starting: &str) -> Self {
        let clock = Self(folder.join("clock"));
        clock.set(starting);
        clock
    }

    pub fn set(&self, to: &str) {
        let to: Timestamp = to.parse().unwrap();
        let offset = to.as_second() - Timestamp::now().as_second();
        let half_written = self.0.with_extension("new");
        std::fs::write(&half_written, format!("{offset:+}\n")).unwrap();
        std::fs::rename(half_written, &self.0).unwrap();
    }
}

/// A program that goes by a clock.
pub fn by_the_clock(plan: Plan, clock: &Clock) -> Plan {
    let variables = variables_of(clock).into_iter();
    variables.fold(plan, |plan, (name, value)| plan.with(name, value))
}

/// What makes a program go by a clock.
fn variables_of(clock: &Clock) -> [(&'static str, String); 4] {
    let library = Command::new(tools::path("faketime"))
        .args(["-f", "+0", "printenv", "LD_PRELOAD"])
        .output()
        .unwrap();
    let library = String::from_utf8(library.stdout).unwrap();
    [
        ("LD_PRELOAD", library.trim().to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", clock.0.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// A program in a zone, and its clock; three calls and two mismatches for a card, seven in all.
async fn in_zone(zone: &str, starting: &str) -> (House, Clock, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::in_folder(folder.path(), starting);
    let house = by_the_clock(replicas(1), &clock)
        .with("TZ", zone)
        .with("GUARD__MAX_CALLS", 3)
        .with(
            "PROVIDERS__ACE__PRICE",
            "{ currency = \"CNY\", two = 1, three = 1, four = 1, card_info = 1 }",
        )
        .with(
            "PROVIDERS__ACE__DAILY_BUDGET",
            "{ currency = \"CNY\", amount = 7 }",
        )
        .open()
        .await;
    (house, clock, folder)
}

/// When to come again, in seconds.
fn retry_after(told: &Told) -> u64 {
    let status = told.as_ref().unwrap_err();
    let info = status.get_error_details().retry_info().cloned();
    info.and_then(|info| info.retry_delay)
        .expect("a RetryInfo")
        .as_secs()
}

/// Opens a new connection each time: a jump of the clock must not matter to it.
async fn try_out(house: &House, card_number: usize, person: usize) -> Told {
    ask(&house.client(0), asking(&card(card_number), &name(person))).await
}

const CALLS: usize = 1;
const MISMATCHES: usize = 2;
const MONEY: usize = 3;

async fn through_a_night(zone: &str) {
    // five minutes to midnight in Shanghai; the host's own midnight is at other times
    let (house, clock, _folder) = in_zone(zone, "2030-05-31T15:55:00Z").await;
    let house = &house;
    // three calls that say nothing of the holder
    let expired = Script::new(VENDOR).card(card(CALLS)).code("-12");
    house.emulator.script(expired);
    for person in 0..3 {
        assert_eq!(word(&try_out(house, CALLS, person).await), "CARD_EXPIRED");
    }
    let to_midnight = 200..=300;
    let told = try_out(house, CALLS, 3).await;
    assert_eq!(word(&told), "CARD_ATTEMPTS_EXCEEDED", "{zone}");
    assert!(
        to_midnight.contains(&retry_after(&told)),
        "{zone}: {told:?}"
    );
    for person in 0..2 {
        assert_eq!(word(&try_out(house, MISMATCHES, person).await), "MISMATCH");
    }
    let told = try_out(house, MISMATCHES, 2).await;
    assert_eq!(word(&told), "CARD_ATTEMPTS_EXCEEDED", "{zone}");
    let twelve_hours = 12 * 3600 - 100..=12 * 3600;
    assert!(
        twelve_hours.contains(&retry_after(&told)),
        "{zone}: {told:?}"
    );
    for person in 0..2 {
        assert_eq!(word(&try_out(house, MONEY, person).await), "MISMATCH");
    }
    let told = try_out(house, MONEY + 1, 0).await;
    assert_eq!(word(&told), "PROVIDER_BUDGET_SPENT", "{zone}");
    assert!(
        to_midnight.contains(&retry_after(&told)),
        "{zone}: {told:?}"
    );

    clock.set("2030-05-31T15:59:30Z");
    assert_eq!(
        word(&try_out(house, CALLS, 3).await),
        "CARD_ATTEMPTS_EXCEEDED",
        "{zone}"
    );
    assert_eq!(
        word(&try_out(house, MONEY + 1, 0).await),
        "PROVIDER_BUDGET_SPENT",
        "{zone}"
    );

    clock.set("2030-05-31T16:00:00Z");
    assert_eq!(
        word(&try_out(house, CALLS, 3).await),
        "CARD_EXPIRED",
        "{zone}"
    );
    assert_eq!(
        word(&try_out(house, MONEY + 1, 0).await),
        "MISMATCH",
        "{zone}"
    );
    assert_eq!(
        word(&try_out(house, MISMATCHES, 2).await),
        "CARD_ATTEMPTS_EXCEEDED",
        "{zone}"
    );

    clock.set("2030-06-01T03:54:30Z");
    assert_eq!(
        word(&try_out(house, MISMATCHES, 2).await),
        "CARD_ATTEMPTS_EXCEEDED",
        "{zone}"
    );
    clock.set("2030-06-01T04:00:00Z");
    assert_eq!(
        word(&try_out(house, MISMATCHES, 2).await),
        "MISMATCH",
        "{zone}"
    );
    println!("{zone}: opened at midnight in Shanghai, and twelve hours after the mismatches");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_end_at_midnight_in_shanghai_wherever_the_host_is() {
    // west and east of it, a quarter of an hour beside the others, and itself
    let zones = [
        "America/Los_Angeles",
        "Pacific/Kiritimati",
        "Asia/Kathmandu",
        "Asia/Shanghai",
    ];
    futures_util::future::join_all(zones.map(through_a_night)).await;
}

/// A clock that is set back gives nothing back; one that jumps ahead and returns gives a day's
/// worth at most, and closes nothing for longer than from now on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_gives_nothing_away() {
    let (house, clock, _folder) = in_zone("UTC", "2030-05-31T10:00:00Z").await;
    let expired = Script::new(VENDOR).code("-12");
    house.emulator.script(expired);
    for person in 0..3 {
        assert_eq!(word(&try_out(&house, CALLS, person).await), "CARD_EXPIRED");
    }
    for person in 0..3 {
        assert_eq!(
            word(&try_out(&house, CALLS + 1, person).await),
            "CARD_EXPIRED"
        );
    }
    assert_eq!(word(&try_out(&house, CALLS + 2, 0).await), "CARD_EXPIRED");
    assert_eq!(
        word(&try_out(&house, CALLS + 3, 0).await),
        "PROVIDER_BUDGET_SPENT"
    );
    for back in [
        "2030-05-31T09:00:00Z",
        "2030-05-30T10:00:00Z",
        "2030-01-01T00:00:00Z",
    ] {
        clock.set(back);
        let told = try_out(&house, CALLS, 3).await;
        assert_eq!(word(&told), "CARD_ATTEMPTS_EXCEEDED", "at {back}");
        let wait = Duration::from_secs(retry_after(&told));
        assert!(
            wait <= Duration::from_secs(24 * 3600),
            "at {back}: {wait:?}"
        );
        let told = try_out(&house, CALLS + 3, 0).await;
        assert_eq!(word(&told), "PROVIDER_BUDGET_SPENT", "at {back}");
    }
    // the next midnight of the clock as it is now opens both
    clock.set("2030-01-01T16:00:00Z");
    assert_eq!(word(&try_out(&house, CALLS, 3).await), "CARD_EXPIRED");
    assert_eq!(house.emulator.summary().received, 8);
}

/// Two replicas that share a Redis; the clock of the second one is wrong.
async fn apart(by: jiff::SignedDuration) -> (House, Clock, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let wrong = (Timestamp::now() + by).to_string();
    let clock = Clock::in_folder(folder.path(), &wrong);
    let plan = replicas(2).redis().with("GUARD__MAX_CALLS", 3);
    let mut house = plan.with("CACHE__REDIS__TIMEOUT_MS", 1000).open().await;
    let variables = variables_of(&clock);
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    house.replicas[1].begin_anew(&variables).await;
    house.until_redis_is(true).await;
    (house, clock, folder)
}

/// An answer about an expired card is kept for ten minutes; the clocks differ by more, either way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_whose_clocks_differ_pay_once_and_count_together() {
    for minutes in [-25, 25] {
        let by = jiff::SignedDuration::from_mins(minutes);
        let (house, clock, _folder) = apart(by).await;
        house.emulator.script(Script::new(VENDOR).code("-12"));
        for (first, second, person) in [(0, 1, 1), (1, 0, 2)] {
            let asked = asking(&card(CALLS), &name(person));
            let told = ask(&house.client(first), asked.clone()).await.unwrap();
            assert_eq!(told.source(), Source::Provider, "{minutes} {first}");
            let told = ask(&house.client(second), asked.clone()).await.unwrap();
            assert_eq!(told.source(), Source::SharedCache, "{minutes} {second}");
            assert_eq!(house.calls(&asked).len(), 1, "{minutes}");
        }
        // what is counted is counted by the clock of the store, whatever becomes of this one
        let third = ask(&house.client(1), asking(&card(CALLS), &name(3))).await;
        assert_eq!(word(&third), "CARD_EXPIRED", "{minutes}");
        for to in [
            "2030-05-31T15:59:30Z",
            "2030-05-31T16:00:30Z",
            "2024-01-01T00:00:00Z",
        ] {
            clock.set(to);
            for replica in 0..2 {
                let told = ask(&house.client(replica), asking(&card(CALLS), &name(4))).await;
                assert_eq!(word(&told), "CARD_ATTEMPTS_EXCEEDED", "{to} at {replica}");
            }
        }
    }
}
