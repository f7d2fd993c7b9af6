//! The host's clock jumps, as it does after a suspended machine wakes or a wrong one is set right.

use super::{Fault, behind, broken, charges, house_behind, question, told};
use crate::days::{Clock, by_the_clock};

const NOON: &str = "2030-05-31T04:00:00Z";
const NEARLY_AN_HOUR_LATER: &str = "2030-05-31T04:55:00Z";
const YEARS_BEFORE: &str = "2024-02-29T04:00:00Z";

/// Asks, moves the clock about, and asks again.
async fn nothing_is_paid_for_again(fault: Fault, word: &str) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::in_folder(folder.path(), NOON);
    let proxy = broken(fault);
    let house = house_behind(&proxy, by_the_clock(behind(&proxy), &clock)).await;
    let asked = question(1);
    assert_eq!(told(&house, &asked).await, word);
    for to in [NEARLY_AN_HOUR_LATER, YEARS_BEFORE, NOON] {
        clock.set(to);
        assert_eq!(told(&house, &asked).await, word, "{to}");
        assert_eq!(charges(&house, &asked), 1, "{to}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_kept_while_the_clock_jumps() {
    nothing_is_paid_for_again(Fault::None, "MATCH").await;
}

/// It is held for two minutes, of which next to nothing has passed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_is_held_while_the_clock_jumps() {
    nothing_is_paid_for_again(Fault::LostReply, "OUTCOME_UNKNOWN").await;
}
