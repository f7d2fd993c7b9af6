use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn cny(micros: u64) -> Money {
    Money {
        currency: String::from("CNY"),
        micros,
    }
}

fn budget(micros: u64) -> Budget {
    Budget::new(Some(cny(micros)))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn morning() -> Timestamp {
    at("2026-06-01T02:00:00Z")
}

#[rstest]
#[case(Charge::Charged, 600)]
#[case(Charge::Unknown, 600)]
#[case(Charge::NotCharged, 0)]
fn what_a_call_may_have_cost_counts(#[case] charge: Charge, #[case] spent: u64) {
    let budget = budget(1000);
    budget
        .reserve(Some(&cny(600)), morning())
        .unwrap()
        .settle(charge);
    assert_eq!(budget.spent_micros(morning()), spent);
    let again = budget.reserve(Some(&cny(600)), morning());
    assert_eq!(again.is_ok(), spent == 0);
}

#[test]
fn a_dropped_hold_counts_as_spent_and_a_released_one_does_not() {
    let budget = budget(1000);
    drop(budget.reserve(Some(&cny(600)), morning()).unwrap());
    budget
        .reserve(Some(&cny(400)), morning())
        .unwrap()
        .release();
    assert_eq!(budget.spent_micros(morning()), 600);
    assert!((budget.spent_ratio(morning()).unwrap() - 0.6).abs() < 1e-12);
}

#[test]
fn another_limit_forgets_nothing_and_another_currency_all() {
    let old = budget(1000);
    old.reserve(Some(&cny(600)), morning())
        .unwrap()
        .settle(Charge::Charged);
    let under_way = old.reserve(Some(&cny(100)), morning()).unwrap();
    let new = old.with_limit(Some(cny(1300)));
    assert_eq!(new.spent_micros(morning()), 600);
    assert!(new.reserve(Some(&cny(601)), morning()).is_err());
    under_way.settle(Charge::Unknown);
    assert_eq!(new.spent_micros(morning()), 700);
    assert_eq!(new.with_limit(None).spent_micros(morning()), 0);
    let dollars = Money {
        currency: String::from("USD"),
        micros: 1000,
    };
    assert_eq!(new.with_limit(Some(dollars)).spent_micros(morning()), 0);
}

#[test]
fn what_is_held_is_not_there_for_others() {
    let budget = budget(1000);
    let first = budget.reserve(Some(&cny(600)), morning()).unwrap();
    let until_midnight = Refused::Spent {
        retry_after: Duration::from_secs(14 * 3600),
    };
    assert_eq!(
        budget.reserve(Some(&cny(401)), morning()).unwrap_err(),
        until_midnight
    );
    let second = budget.reserve(Some(&cny(400)), morning()).unwrap();
    assert_eq!(budget.spent_micros(morning()), 0);
    first.settle(Charge::NotCharged);
    second.settle(Charge::Charged);
    assert!(budget.reserve(Some(&cny(600)), morning()).is_ok());
}

#[test]
fn a_new_day_begins_at_midnight_and_holds_stay_with_their_own() {
    let budget = budget(1000);
    let before = at("2026-06-01T15:59:59.999Z");
    let midnight = at("2026-06-01T16:00:00Z");
    budget
        .reserve(Some(&cny(500)), before)
        .unwrap()
        .settle(Charge::Charged);
    let crossing = budget.reserve(Some(&cny(500)), before).unwrap();
    let other = budget.reserve(Some(&cny(0)), before).unwrap();
    assert!(budget.reserve(Some(&cny(1)), before).is_err());

    let today = budget.reserve(Some(&cny(1000)), midnight).unwrap();
    crossing.settle(Charge::Charged);
    drop(other);
    assert_eq!(budget.spent_micros(midnight), 0);
    today.settle(Charge::NotCharged);
    let all = budget.reserve(Some(&cny(1000)), midnight).unwrap();
    all.settle(Charge::Charged);
    assert_eq!(budget.spent_micros(midnight), 1000);
}

#[test]
fn a_clock_that_is_set_back_forgets_no_money_and_goes_on_at_the_next_midnight() {
    let budget = budget(1000);
    let wrong = at("2027-06-01T02:00:00Z");
    let held = budget.reserve(Some(&cny(300)), wrong).unwrap();
    budget
        .reserve(Some(&cny(700)), wrong)
        .unwrap()
        .settle(Charge::Charged);
    assert!(budget.reserve(Some(&cny(1)), morning()).is_err());
    held.settle(Charge::Charged);
    assert_eq!(budget.spent_micros(morning()), 1000);
    let next_day = at("2026-06-01T16:00:00Z");
    assert!(budget.reserve(Some(&cny(1000)), next_day).is_ok());
}

#[test]
fn currencies_are_not_compared_and_no_limit_limits_nothing() {
    let dollars = Money {
        currency: String::from("USD"),
        micros: 1,
    };
    let refused = budget(1000).reserve(Some(&dollars), morning()).unwrap_err();
    assert_eq!(refused, Refused::OtherCurrency);
    let unlimited = Budget::new(None);
    for _ in 0..3 {
        drop(unlimited.reserve(Some(&cny(u64::MAX)), morning()).unwrap());
        drop(unlimited.reserve(Some(&dollars), morning()).unwrap());
    }
    assert!(budget(0).reserve(None, morning()).is_ok());
    assert!(
        budget(u64::MAX)
            .reserve(Some(&cny(u64::MAX)), morning())
            .is_ok()
    );
}

#[test]
fn a_limit_is_divided_by_the_replicas() {
    let budget = budget(1000);
    budget.divide(3);
    assert!(budget.reserve(Some(&cny(334)), morning()).is_err());
    budget
        .reserve(Some(&cny(333)), morning())
        .unwrap()
        .settle(Charge::Charged);
    assert!((budget.spent_ratio(morning()).unwrap() - 1.0).abs() < 1e-12);
    budget.divide(1);
    assert!(budget.reserve(Some(&cny(667)), morning()).is_ok());
}

#[test]
fn racing_calls_spend_the_limit_and_no_more() {
    let budget = budget(100);
    let spent = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let (budget, spent) = (&budget, &spent);
            scope.spawn(move || {
                for round in 0..500 {
                    let Ok(hold) = budget.reserve(Some(&cny(1)), morning()) else {
                        continue;
                    };
                    if (round + thread) % 2 == 0 {
                        spent.fetch_add(1, Ordering::SeqCst);
                        drop(hold);
                    } else {
                        hold.release();
                    }
                }
            });
        }
    });
    assert_eq!(spent.into_inner(), 100);
    assert_eq!(budget.spent_micros(morning()), 100);
}

proptest! {
    /// Of every day, what was charged on the holds reserved in it is at most the limit, and a
    /// reservation fails only when it would not be.
    #[test]
    fn no_day_spends_more_than_its_limit(
        limit in 0u64..200,
        steps in proptest::collection::vec(
            (0i64..20_000, 0u64..60, proptest::option::of((0usize..5, 0u8..4))),
            1..100,
        ),
    ) {
        let budget = budget(limit);
        let mut now = morning();
        // for each reservation: its day, its price, and whether it is still out or cost money
        let mut held: Vec<(i64, u64, Hold)> = Vec::new();
        let mut costs: Vec<(i64, u64)> = Vec::new();
        for (seconds, price, ending) in steps {
            now += jiff::SignedDuration::from_secs(seconds);
            // the day's number, by the calendar
            let date = crate::service::clock::shanghai().to_datetime(now).date();
            let day = i64::from(date.year()) * 400 + i64::from(date.day_of_year());
            let of_day = |costs: &[(i64, u64)]| -> u64 {
                costs.iter().filter(|(at, _)| *at == day).map(|(_, price)| price).sum()
            };
            let out: u64 = held.iter().filter(|(at, ..)| *at == day).map(|(_, price, _)| price).sum();
            let fits = of_day(&costs) + out + price <= limit;
            let reserved = budget.reserve(Some(&cny(price)), now);
            prop_assert_eq!(reserved.is_ok(), fits);
            if let Ok(hold) = reserved {
                held.push((day, price, hold));
            }
            if let Some((which, how)) = ending && !held.is_empty() {
                let (day, price, hold) = held.remove(which % held.len());
                match how {
                    0 => hold.settle(Charge::NotCharged),
                    1 => hold.settle(Charge::Charged),
                    2 => hold.settle(Charge::Unknown),
                    _ => drop(hold),
                }
                if how != 0 {
                    costs.push((day, price));
                }
            }
            prop_assert_eq!(budget.spent_micros(now), of_day(&costs));
            prop_assert!(of_day(&costs) <= limit);
        }
    }
}
