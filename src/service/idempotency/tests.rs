use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_secs(86_400);
const CONTENT: Content = [1; 16];
const OTHER: Content = [2; 16];

fn store(max_entries_per_caller: usize) -> Idempotency<&'static str> {
    Idempotency::new(IdempotencySettings {
        window: WINDOW,
        max_entries_per_caller,
    })
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

impl<T: Clone + std::fmt::Debug> Begin<T> {
    fn token(self) -> Token<T> {
        match self {
            Begin::New(token) => token,
            other => panic!("{other:?}"),
        }
    }

    fn waiting(self) -> Waiting<T> {
        match self {
            Begin::Running(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    fn earlier(self) -> T {
        match self {
            Begin::Earlier(earlier) => earlier,
            other => panic!("{other:?}"),
        }
    }
}

impl<T: Clone + std::fmt::Debug> std::fmt::Debug for Begin<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::New(_) => f.write_str("New"),
            Self::Running(_) => f.write_str("Running"),
            Self::Earlier(earlier) => write!(f, "Earlier({earlier:?})"),
            Self::Reused => f.write_str("Reused"),
            Self::Exhausted(wait) => write!(f, "Exhausted({wait:?})"),
        }
    }
}

fn begin(store: &Idempotency<&'static str>, number: u128) -> Begin<&'static str> {
    store.begin("a", id(number), CONTENT, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn the_same_request_gets_the_earlier_answer() {
    let store = store(10);
    begin(&store, 1).token().remember("answer");
    assert_eq!(begin(&store, 1).earlier(), "answer");
    assert_eq!(begin(&store, 1).earlier(), "answer");
    // another caller's ids are its own
    store
        .begin("b", id(1), OTHER, Instant::now())
        .token()
        .remember("other");
    assert_eq!(begin(&store, 1).earlier(), "answer");
}

#[tokio::test(start_paused = true)]
async fn other_content_is_refused_whatever_became_of_the_first() {
    let store = store(10);
    let reused = |number| {
        let begun = store.begin("a", id(number), OTHER, Instant::now());
        assert!(matches!(begun, Begin::Reused), "{begun:?}");
    };
    let running = begin(&store, 1).token();
    reused(1);
    running.remember("answer");
    reused(1);
    begin(&store, 2).token().forget();
    reused(2);
}

#[tokio::test(start_paused = true)]
async fn what_was_forgotten_runs_anew() {
    let store = store(10);
    begin(&store, 1).token().forget();
    begin(&store, 1).token().forget();
    begin(&store, 1).token().remember("answer");
    assert_eq!(begin(&store, 1).earlier(), "answer");
    assert_eq!(store.len("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_token_remembers_only_what_was_sent() {
    let store = store(10);
    drop(begin(&store, 1).token());
    let mut token = begin(&store, 1).token();
    token.sent("unknown");
    drop(token);
    assert_eq!(begin(&store, 1).earlier(), "unknown");

    let mut token = begin(&store, 2).token();
    token.sent("unknown");
    token.remember("answer");
    assert_eq!(begin(&store, 2).earlier(), "answer");

    // the vendor was busy: sent, and yet nothing to remember
    let mut token = begin(&store, 3).token();
    token.sent("unknown");
    token.forget();
    begin(&store, 3).token().forget();
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_get_the_outcome_of_the_one_that_runs() {
    let store = store(10);
    let token = begin(&store, 1).token();
    let waiting: Vec<_> = (0..3)
        .map(|_| tokio::spawn(begin(&store, 1).waiting().ended()))
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    token.remember("answer");
    for task in waiting {
        assert_eq!(task.await.unwrap(), Some("answer"));
    }

    let token = begin(&store, 2).token();
    let waiting = begin(&store, 2).waiting();
    drop(token);
    assert_eq!(waiting.ended().await, None);

    let mut token = begin(&store, 3).token();
    let waiting = begin(&store, 3).waiting();
    token.sent("unknown");
    let task = tokio::spawn(async move {
        let _held = token;
        std::future::pending::<()>().await;
    });
    tokio::task::yield_now().await;
    task.abort();
    assert_eq!(waiting.ended().await, Some("unknown"));
}

#[tokio::test(start_paused = true)]
async fn a_window_ends_and_a_run_never_ends_with_it() {
    let store = store(10);
    begin(&store, 1).token().remember("answer");
    let running = begin(&store, 2).token();
    tokio::time::advance(WINDOW - Duration::from_millis(1)).await;
    assert_eq!(begin(&store, 1).earlier(), "answer");
    tokio::time::advance(Duration::from_millis(1)).await;
    store
        .begin("a", id(1), OTHER, Instant::now())
        .token()
        .remember("new");
    begin(&store, 2).waiting();
    running.remember("late");
    assert_eq!(
        store.begin("a", id(1), OTHER, Instant::now()).earlier(),
        "new"
    );
}

#[tokio::test(start_paused = true)]
async fn running_anew_begins_the_window_anew() {
    let store = store(10);
    begin(&store, 1).token().forget();
    tokio::time::advance(WINDOW / 2).await;
    begin(&store, 1).token().remember("answer");
    tokio::time::advance(WINDOW - Duration::from_millis(1)).await;
    assert_eq!(begin(&store, 1).earlier(), "answer");
    tokio::time::advance(Duration::from_millis(1)).await;
    begin(&store, 1).token().forget();
}

#[tokio::test(start_paused = true)]
async fn a_full_store_refuses_new_ids_and_forgets_none() {
    let store = store(3);
    begin(&store, 1).token().remember("one");
    tokio::time::advance(Duration::from_secs(60)).await;
    begin(&store, 2).token().remember("two");
    let running = begin(&store, 3).token();
    let begun = begin(&store, 4);
    let wait = WINDOW - Duration::from_secs(60);
    assert!(
        matches!(begun, Begin::Exhausted(after) if after == wait),
        "{begun:?}"
    );
    assert_eq!(begin(&store, 1).earlier(), "one");
    assert_eq!(begin(&store, 2).earlier(), "two");
    begin(&store, 3).waiting();
    // other callers have places of their own
    store
        .begin("b", id(4), CONTENT, Instant::now())
        .token()
        .forget();

    // what stands for nothing makes room
    running.forget();
    begin(&store, 4).token().remember("four");
    assert_eq!(store.len("a"), 3);
    assert!(matches!(begin(&store, 3), Begin::Exhausted(_)));

    // and so does the end of the window
    tokio::time::advance(wait).await;
    begin(&store, 5).token().remember("five");
    assert_eq!(begin(&store, 2).earlier(), "two");
    assert_eq!(begin(&store, 4).earlier(), "four");
}

#[tokio::test(start_paused = true)]
async fn ended_ids_are_cleared_away_little_by_little() {
    let store = store(1000);
    for number in 0..1000 {
        begin(&store, number).token().remember("old");
    }
    tokio::time::advance(WINDOW).await;
    for number in 1000..1020 {
        begin(&store, number).token().remember("new");
    }
    assert_eq!(store.len("a"), 20);
}

#[tokio::test(start_paused = true)]
async fn what_is_erased_runs_anew_and_its_id_stays_known() {
    let store = store(10);
    begin(&store, 1).token().remember("this");
    begin(&store, 2).token().remember("that");
    let running = begin(&store, 3).token();
    assert_eq!(store.erase(|answer| *answer == "this"), 1);
    assert_eq!(begin(&store, 2).earlier(), "that");
    begin(&store, 3).waiting();
    running.forget();
    let begun = store.begin("a", id(1), OTHER, Instant::now());
    assert!(matches!(begun, Begin::Reused));
    begin(&store, 1).token().remember("again");
}

#[tokio::test(start_paused = true)]
async fn of_racing_requests_one_runs() {
    let store = store(1000);
    let now = Instant::now();
    let runs = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for number in 0..500 {
                    if let Begin::New(token) = store.begin("a", id(number), CONTENT, now) {
                        runs.fetch_add(1, SeqCst);
                        std::thread::yield_now();
                        token.remember("answer");
                    }
                }
            });
        }
    });
    assert_eq!(runs.into_inner(), 500);
}

/// What a slow store would keep of one id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kept {
    Running,
    Remembered,
    Forgotten,
}

#[derive(Clone, Debug)]
enum Step {
    Begin(u128, bool),
    End(usize, bool),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u128..6, proptest::bool::weighted(0.8)).prop_map(|(id, same)| Step::Begin(id, same)),
        3 => (0usize..6, any::<bool>()).prop_map(|(which, paid)| Step::End(which, paid)),
        2 => (0u64..50_000).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    /// No id that stands for money is run twice or lost inside its window, whatever happens.
    #[test]
    fn answers_as_a_list_of_all_ids_would(steps in steps(), room in 1usize..5) {
        let store = store(room);
        let mut now = Instant::now();
        // id, same content, end of the window, state
        let mut kept: Vec<(u128, bool, Instant, Kept)> = Vec::new();
        let mut tokens: Vec<(u128, Token<&'static str>)> = Vec::new();
        for step in steps {
            kept.retain(|(_, _, ends, state)| *ends > now || *state == Kept::Running);
            match step {
                Step::Pass(seconds) => now += Duration::from_secs(seconds),
                Step::End(which, paid) => {
                    if tokens.is_empty() {
                        continue;
                    }
                    let (number, token) = tokens.remove(which % tokens.len());
                    let entry = kept.iter_mut().find(|(id, ..)| *id == number).unwrap();
                    if paid {
                        token.remember("answer");
                        entry.3 = Kept::Remembered;
                    } else {
                        drop(token);
                        entry.3 = Kept::Forgotten;
                    }
                }
                Step::Begin(number, same) => {
                    let content = if same { CONTENT } else { OTHER };
                    let begun = store.begin("a", id(number), content, now);
                    let known = kept.iter().find(|(id, ..)| *id == number).copied();
                    match known {
                        Some((_, first, ..)) if first != same => {
                            prop_assert!(matches!(begun, Begin::Reused));
                            continue;
                        }
                        Some((.., Kept::Running)) => {
                            prop_assert!(matches!(begun, Begin::Running(_)));
                            continue;
                        }
                        Some((.., Kept::Remembered)) => {
                            prop_assert!(matches!(begun, Begin::Earlier("answer")));
                            continue;
                        }
                        Some((.., Kept::Forgotten)) => kept.retain(|(id, ..)| *id != number),
                        None => {}
                    }
                    if kept.len() >= room {
                        let forgotten = kept
                            .iter()
                            .filter(|(.., state)| *state == Kept::Forgotten)
                            .map(|(id, _, ends, _)| (*ends, *id))
                            .min();
                        let Some((_, oldest)) = forgotten else {
                            prop_assert!(matches!(begun, Begin::Exhausted(_)));
                            continue;
                        };
                        kept.retain(|(id, ..)| *id != oldest);
                    }
                    let Begin::New(token) = begun else {
                        return Err(TestCaseError::fail(format!("{begun:?}")));
                    };
                    tokens.push((number, token));
                    kept.push((number, same, now + WINDOW, Kept::Running));
                }
            }
        }
    }
}
