use proptest::prelude::*;

use super::*;

const OPEN: Duration = Duration::from_secs(15);

fn settings() -> BreakerSettings {
    BreakerSettings {
        enabled: true,
        window: Duration::from_secs(30),
        min_calls: 4,
        failure_ratio: 0.5,
        open: OPEN,
    }
}

fn breaker() -> Breaker {
    Breaker::new(&settings(), Instant::now())
}

fn call(breaker: &Breaker, health: Health) {
    let ticket = breaker.admit(Instant::now()).unwrap();
    ticket.record(health, Instant::now());
}

fn state(breaker: &Breaker) -> State {
    breaker.state(Instant::now())
}

fn opened() -> Breaker {
    let breaker = breaker();
    for _ in 0..4 {
        call(&breaker, Health::Sick);
    }
    assert_eq!(state(&breaker), State::Open);
    breaker
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

#[tokio::test(start_paused = true)]
async fn opens_at_the_ratio_and_not_before_enough_calls() {
    let breaker = breaker();
    call(&breaker, Health::Sick);
    call(&breaker, Health::Sick);
    call(&breaker, Health::Sick);
    assert_eq!(state(&breaker), State::Closed, "three calls say nothing");
    call(&breaker, Health::Well);
    assert_eq!(state(&breaker), State::Open, "three of four are sick");

    let breaker = self::breaker();
    for _ in 0..6 {
        call(&breaker, Health::Well);
    }
    for _ in 0..5 {
        call(&breaker, Health::Sick);
        assert_eq!(state(&breaker), State::Closed);
    }
    call(&breaker, Health::Sick);
    assert_eq!(state(&breaker), State::Open, "six of twelve are sick");
}

#[tokio::test(start_paused = true)]
async fn business_answers_and_silence_say_nothing() {
    let breaker = breaker();
    for _ in 0..100 {
        call(&breaker, Health::SaysNothing);
        drop(breaker.admit(Instant::now()).unwrap());
    }
    for _ in 0..3 {
        call(&breaker, Health::Sick);
    }
    assert_eq!(state(&breaker), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_window_is_forgotten() {
    let breaker = breaker();
    for _ in 0..3 {
        call(&breaker, Health::Sick);
    }
    pass(Duration::from_secs(30)).await;
    call(&breaker, Health::Sick);
    assert_eq!(state(&breaker), State::Closed);
    pass(Duration::from_secs(26)).await;
    for _ in 0..3 {
        call(&breaker, Health::Sick);
    }
    assert_eq!(state(&breaker), State::Open, "four within 26 seconds");
}

#[tokio::test(start_paused = true)]
async fn open_lets_nothing_pass_until_its_time_is_over() {
    let breaker = opened();
    assert_eq!(breaker.admit(Instant::now()).err(), Some(OpenFor(OPEN)));
    assert_eq!(breaker.recovers_at(Instant::now()), Instant::now() + OPEN);
    pass(OPEN - Duration::from_millis(1)).await;
    let left = OpenFor(Duration::from_millis(1));
    assert_eq!(breaker.admit(Instant::now()).err(), Some(left));
    pass(Duration::from_millis(1)).await;
    assert_eq!(state(&breaker), State::HalfOpen);
    assert_eq!(breaker.recovers_at(Instant::now()), Instant::now());
}

#[tokio::test(start_paused = true)]
async fn one_probe_decides() {
    let breaker = opened();
    pass(OPEN).await;
    let probe = breaker.admit(Instant::now()).unwrap();
    assert!(breaker.admit(Instant::now()).is_err());
    assert!(breaker.force(Instant::now()).is_none());
    probe.record(Health::Sick, Instant::now());
    assert_eq!(breaker.admit(Instant::now()).err(), Some(OpenFor(OPEN)));

    pass(OPEN).await;
    call(&breaker, Health::Well);
    assert_eq!(state(&breaker), State::Closed);
    for _ in 0..3 {
        call(&breaker, Health::Sick);
    }
    assert_eq!(state(&breaker), State::Closed, "it began anew");
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_a_word_frees_its_place() {
    let breaker = opened();
    pass(OPEN).await;
    for health in [None, Some(Health::SaysNothing), None] {
        let probe = breaker.admit(Instant::now()).unwrap();
        assert!(breaker.admit(Instant::now()).is_err());
        match health {
            Some(health) => probe.record(health, Instant::now()),
            None => drop(probe),
        }
        assert_eq!(state(&breaker), State::HalfOpen);
    }
    let probe = breaker.admit(Instant::now()).unwrap();
    let task = tokio::spawn(async move {
        let _held = probe;
        std::future::pending::<()>().await;
    });
    tokio::task::yield_now().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(breaker.admit(Instant::now()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn calls_from_before_do_not_decide_about_after() {
    let breaker = breaker();
    let early: Vec<_> = (0..8)
        .map(|_| breaker.admit(Instant::now()).unwrap())
        .collect();
    let mut early = early.into_iter();
    for _ in 0..4 {
        early.next().unwrap().record(Health::Sick, Instant::now());
    }
    assert_eq!(state(&breaker), State::Open);
    early.next().unwrap().record(Health::Well, Instant::now());
    assert_eq!(state(&breaker), State::Open);
    pass(OPEN).await;
    let probe = breaker.admit(Instant::now()).unwrap();
    early.next().unwrap().record(Health::Well, Instant::now());
    early.next().unwrap().record(Health::Sick, Instant::now());
    drop(early.next().unwrap());
    assert_eq!(state(&breaker), State::HalfOpen);
    assert!(breaker.admit(Instant::now()).is_err(), "the probe is out");
    probe.record(Health::Well, Instant::now());
    assert_eq!(state(&breaker), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_forced_call_is_a_probe() {
    let breaker = opened();
    let probe = breaker.force(Instant::now()).unwrap();
    assert!(breaker.force(Instant::now()).is_none());
    assert!(breaker.admit(Instant::now()).is_err());
    pass(Duration::from_secs(5)).await;
    probe.record(Health::Sick, Instant::now());
    assert_eq!(breaker.recovers_at(Instant::now()), Instant::now() + OPEN);
    let probe = breaker.force(Instant::now()).unwrap();
    probe.record(Health::Well, Instant::now());
    assert_eq!(state(&breaker), State::Closed);
    assert!(breaker.force(Instant::now()).is_some());
}

#[tokio::test(start_paused = true)]
async fn without_a_breaker_everything_passes() {
    let settings = BreakerSettings {
        enabled: false,
        ..settings()
    };
    let breaker = Breaker::new(&settings, Instant::now());
    for _ in 0..100 {
        call(&breaker, Health::Sick);
    }
    assert_eq!(state(&breaker).as_metric(), 0);
    assert!(breaker.force(Instant::now()).is_some());
    assert_eq!(breaker.recovers_at(Instant::now()), Instant::now());
}

proptest! {
    /// Against every call remembered: the window ends somewhere in its last tenth, and the
    /// breaker is open exactly when the calls up to there say so.
    #[test]
    fn opens_as_the_calls_of_the_window_say(
        calls in proptest::collection::vec((0u64..4_000, any::<bool>()), 1..100),
    ) {
        let begun = Instant::now();
        let breaker = Breaker::new(&settings(), begun);
        let mut now = begun;
        let mut ended: Vec<(Instant, bool)> = Vec::new();
        for (gap_ms, sick) in calls {
            now += Duration::from_millis(gap_ms);
            let health = if sick { Health::Sick } else { Health::Well };
            breaker.admit(now).unwrap().record(health, now);
            ended.push((now, sick));
            let too_much = |window: Duration| {
                let recent = ended.iter().filter(|(at, _)| now.duration_since(*at) <= window);
                let (all, ill) = recent.fold((0, 0), |(all, ill), (_, sick)| {
                    (all + 1, ill + i32::from(*sick))
                });
                all >= 4 && 2 * ill >= all
            };
            let nine_tenths = Duration::from_secs(27);
            let verdicts: Vec<bool> = ended
                .iter()
                .map(|(at, _)| now.duration_since(*at))
                .filter(|age| *age > nine_tenths && *age < Duration::from_secs(30))
                .chain([nine_tenths])
                .map(too_much)
                .collect();
            let opened = breaker.state(now) == State::Open;
            prop_assert!(verdicts.contains(&opened));
            if opened {
                break;
            }
        }
    }
}
