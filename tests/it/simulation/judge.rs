//! What must hold after every schedule, whatever happened in it. Everything is judged from the
//! vendors' ledger, from what callers were told, and from what the schedule did.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use cardproof::domain::{AttemptOutcome, ResultCode, Source};
use tokio::time::Instant;

use super::{
    card::day,
    schedule::{Asked, CALLER_BUDGET, Ran, Told, VENDOR_BUDGET, caller_of},
    world::{Call, Did},
};

/// `cache.outcome_unknown_hold_s` of the simulation.
pub const HOLD: Duration = Duration::from_secs(120);
/// How long an answer is kept at least: the default of its kind, less its jitter.
fn kept_for(result: ResultCode) -> Duration {
    Duration::from_secs(match result {
        ResultCode::Match => 86_400 / 10 * 9,
        ResultCode::Mismatch | ResultCode::NameInvalid => 3600 / 10 * 9,
        ResultCode::CardExpired => 600 / 10 * 9,
        // never stored, but the card is closed
        ResultCode::AttemptsExceeded => 12 * 3600,
        _ => 300 / 10 * 9,
    })
}

/// A call that takes longer is given up.
const GIVEN_UP: Duration = Duration::from_secs(4);
/// From a call's first step to the last sign of its leader.
const JOURNEY: Duration = Duration::from_secs(20);

/// All that is wrong with a schedule, one line each.
pub fn judge(ran: &Ran) -> Vec<String> {
    let mut wrong = Vec::new();
    paid_once(ran, &mut wrong);
    no_card_over_its_guard(ran, &mut wrong);
    no_budget_overspent(ran, &mut wrong);
    everybody_told_the_truth(ran, &mut wrong);
    nothing_lost(ran, &mut wrong);
    wrong
}

fn questions(ran: &Ran) -> BTreeSet<(String, String)> {
    let calls = ran.calls.iter();
    calls
        .map(|call| (call.card.clone(), call.name.clone()))
        .collect()
}

fn of_question<'a>(
    ran: &'a Ran,
    (card, name): &'a (String, String),
) -> impl Iterator<Item = &'a Call> {
    ran.calls
        .iter()
        .filter(move |call| call.ran() && call.card == *card && call.name == *name)
}

/// Why a call may follow an earlier one of the same question; `None`: it may not. Each excuse names
/// the sentence of the public contract that it comes from.
fn excuse(ran: &Ran, earlier: &Call, later: &Call) -> Option<&'static str> {
    let between = later.at.saturating_duration_since(earlier.at);
    let answered = matches!(earlier.did, Did::Answered(_)) && earlier.seen.is_some();
    // §3.1 "a permitted caller's BYPASS"; §3.3 while the question is held, only one "with a fresh
    // `request_id` asks anew"
    let asked_anew = |ask: &Asked| {
        ask.bypass
            && (answered || ask.id.is_some())
            && (&ask.card, &ask.name) == (&later.card, &later.name)
            && ask.at <= later.at
            && later.at <= ask.at + JOURNEY
    };
    if ran.asked.iter().any(asked_anew) {
        return Some("bypass");
    }
    // §6 `erase` forgets answers; "guard and holds stay until they end"
    if answered && erased(ran, earlier, later.at) {
        return Some("erased");
    }
    // §3.2 "failover happens … (switch, default on) on ISSUER_UNSUPPORTED / CARD_UNSUPPORTED",
    // which §3.1 names as an exception
    let unsupported = matches!(
        earlier.did,
        Did::Answered(ResultCode::IssuerUnsupported | ResultCode::CardUnsupported)
    );
    if unsupported
        && earlier.life == later.life
        && earlier.vendor != later.vendor
        && between < JOURNEY
    {
        return Some("failed over");
    }
    // §3.2 "else the last vendor answer", and §1 a SERVICE_BUSY is never kept
    if unsupported && next_was_busy(ran, earlier) {
        return Some("failed over to a vendor that was busy, which nobody remembers");
    }
    // §3.1 "a hold (rule 3) or cache time that has ended"
    let ends = match earlier.did {
        Did::Answered(result) if earlier.seen.is_some() => kept_for(result),
        _ => HOLD,
    };
    if between >= ends {
        return Some("ended");
    }
    // §3.8 "`degrade`: at most one charge per question and replica"; with `refuse` "every promise
    // holds", but for what died with its replica. Answers are not put back into an emptied store:
    // docs/ARCHITECTURE.md names it among what is not there yet.
    let was_lost = if ran.holds_all() {
        answered && ran.emptied_between(earlier.at, later.at)
    } else {
        ran.lost_between(earlier.at, later.at + JOURNEY)
    };
    (earlier.life != later.life && was_lost).then_some("another replica after the store was lost")
}

/// Whether the answers about a card were erased after a call about it had begun.
fn erased(ran: &Ran, call: &Call, until: Instant) -> bool {
    let mut erased = ran.erased.iter();
    erased.any(|(at, card)| *card == call.card && *at <= until && call.at <= *at + JOURNEY)
}

/// Whether the next vendor said that it was busy, so that nothing of the way was kept.
fn next_was_busy(ran: &Ran, earlier: &Call) -> bool {
    let busy = Did::Answered(ResultCode::ServiceBusy);
    let question = (&earlier.card, &earlier.name);
    ran.calls.iter().any(|next| {
        (&next.card, &next.name) == question
            && (next.life, next.did) == (earlier.life, busy)
            && next.vendor != earlier.vendor
            && earlier.at <= next.at
            && next.at <= earlier.at + JOURNEY
    })
}

/// Promise 1: no question is paid for twice but for the named exceptions.
fn paid_once(ran: &Ran, wrong: &mut Vec<String>) {
    for question in questions(ran) {
        let calls: Vec<_> = of_question(ran, &question).collect();
        for (at, later) in calls.iter().enumerate() {
            for earlier in &calls[..at] {
                // an answer that was given in between has replaced the earlier one
                let replaced = calls[..at]
                    .iter()
                    .any(|other| other.at > earlier.at && excuse(ran, earlier, other).is_some());
                if !replaced && excuse(ran, earlier, later).is_none() {
                    wrong.push(format!("asked twice: {earlier:?} and {later:?}"));
                }
            }
        }
    }
}

/// Promise 4: counts of a card by the calls that came, at the moment each came.
fn no_card_over_its_guard(ran: &Ran, wrong: &mut Vec<String>) {
    let cards: BTreeSet<_> = ran.calls.iter().map(|call| &call.card).collect();
    for card in cards {
        let calls: Vec<_> = ran.calls.iter().filter(|call| call.card == *card).collect();
        for (at, call) in calls.iter().enumerate().filter(|(_, call)| call.ran()) {
            let before = &calls[..at];
            let today = day(call.clock.as_millisecond());
            let same_day = |it: &&&Call| it.ran() && day(it.clock.as_millisecond()) == today;
            let counted = |it: &&&Call| it.did != Did::Answered(ResultCode::NameInvalid);
            let all = before.iter().filter(same_day).filter(counted).count() + 1;
            let (max_calls, max_mismatches) = ran.bounds(call.at);
            if all > max_calls {
                wrong.push(format!(
                    "{all} calls for a card, at most {max_calls}: {call:?}"
                ));
            }
            let in_a_row = streak(before, call, |_| true) + 1;
            if in_a_row > max_mismatches {
                wrong.push(format!(
                    "{in_a_row} mismatches in a row or under way, at most {max_mismatches}: {call:?}"
                ));
            }
            // §3.4 "of which one caller may use at most its share"
            if ran.limits.shares {
                let own = |it: &Call| caller_of(&it.name) == caller_of(&call.name);
                let counted = |it: &&&Call| same_day(it) && counted(it) && own(it);
                let calls = before.iter().filter(counted).count() + 1;
                let in_a_row = streak(before, call, own) + 1;
                let (most_calls, most_mismatches) = ran.bounds_of_caller(call.at);
                if calls > most_calls || in_a_row > most_mismatches {
                    wrong.push(format!("more than one caller's share: {call:?}"));
                }
            }
        }
    }
}

/// Mismatches since the last match that was known, with everything under way or never known.
fn streak(before: &[&Call], call: &Call, whose: impl Fn(&Call) -> bool) -> usize {
    let known = |it: &&Call| it.seen.is_some_and(|seen| seen <= call.at);
    let last_match = before
        .iter()
        .filter(|it| it.did == Did::Answered(ResultCode::Match) && known(it))
        .filter_map(|it| it.seen)
        .max();
    let lasting = Duration::from_secs(12 * 3600);
    before
        .iter()
        .filter(|it| it.ran() && whose(it) && call.at.duration_since(it.at) < lasting)
        .filter(|it| match (known(it), it.did) {
            (false, _) => true,
            (true, Did::RanInVain) => true,
            (true, Did::Answered(result)) => matches!(
                result,
                ResultCode::Mismatch | ResultCode::UnknownProviderCode
            ),
            (true, Did::Throttled) => false,
        })
        // what is given up counts from then on, and a later match forgives it as well
        .filter(|it| {
            let given_up = it.at + GIVEN_UP;
            let ended = it.seen.map_or(given_up, |seen| seen.min(given_up));
            last_match.is_none_or(|matched| ended > matched)
        })
        .count()
}

/// What a day costs, by the vendors' ledger: of each vendor, and of each caller.
fn no_budget_overspent(ran: &Ran, wrong: &mut Vec<String>) {
    if !ran.limits.budgets {
        return;
    }
    let mut spent: BTreeMap<(i64, String), usize> = BTreeMap::new();
    for call in ran.calls.iter().filter(|call| call.is_charged()) {
        let today = day(call.clock.as_millisecond());
        let purses = [
            (format!("vendor {}", call.vendor), VENDOR_BUDGET),
            (format!("caller {}", caller_of(&call.name)), CALLER_BUDGET),
        ];
        for (purse, limit) in purses {
            let most = ran.bound(usize::try_from(limit).unwrap(), 0, call.at);
            let spent = spent.entry((today, purse.clone())).or_default();
            *spent += 1;
            if *spent > most {
                wrong.push(format!(
                    "{purse} has spent {spent}, at most {most}: {call:?}"
                ));
            }
        }
    }
}

/// Promises 2, 3 and 6 as callers see them, and that nobody is told what no vendor said.
fn everybody_told_the_truth(ran: &Ran, wrong: &mut Vec<String>) {
    for ask in ran.asked.iter().chain(&ran.looked_up) {
        let calls = || {
            let question = (&ask.card, &ask.name);
            ran.calls
                .iter()
                .filter(move |it| (&it.card, &it.name) == question)
        };
        match &ask.told {
            Told::Nothing => {}
            Told::Answer(answer) => {
                // §1 "MATCH is never inferred", nor is anything else
                let said = Did::Answered(answer.result);
                if !calls().any(|call| call.did == said && call.seen.is_some()) {
                    wrong.push(format!("nobody ever said so: {ask:?}"));
                }
                let (last, before) = match answer.attempts.split_last() {
                    Some((last, before)) => (Some(last), before),
                    None => (None, &[][..]),
                };
                let may_go_on = |outcome: &AttemptOutcome| {
                    !matches!(
                        outcome,
                        AttemptOutcome::OutcomeUnknown | AttemptOutcome::Refused
                    )
                };
                if !before.iter().all(may_go_on) {
                    wrong.push(format!("went on after what may have run: {ask:?}"));
                }
                if answer.source != Source::Provider && last.is_some() {
                    wrong.push(format!("a remembered answer with attempts: {ask:?}"));
                }
            }
            Told::Denial("OUTCOME_UNKNOWN") => {
                let vain = |call: &Call| call.did == Did::RanInVain || call.seen.is_none();
                // §2 "a request reached a vendor and no usable answer came". Between the mark `sent`
                // and the call a replica may die or stand still, or the store's word be lost: then
                // nobody can tell whether it left.
                // A `request_id` is told "the earlier OUTCOME_UNKNOWN" for a day.
                let from = match ask.id {
                    Some(_) => ran.begun,
                    None => (ask.at - HOLD - JOURNEY).max(ran.begun),
                };
                let to = ask.ended.unwrap_or(ask.deadline);
                let unclear = ran.struck_between(from, to) || ran.lost_between(from, to);
                if !calls().any(vain) && !unclear {
                    wrong.push(format!("nothing was unknown: {ask:?}"));
                }
            }
            Told::Denial(reason) if ALLOWED.contains(reason) => {}
            Told::Denial("SHARED_STATE_UNAVAILABLE") if ran.refuses => {}
            Told::Denial("CALLER_BUDGET_SPENT" | "PROVIDER_BUDGET_SPENT") if ran.limits.budgets => {
            }
            Told::Denial(_) => wrong.push(format!("an error that nobody expects: {ask:?}")),
        }
        let patience = ask.deadline + Duration::from_secs(1);
        if ask
            .ended
            .is_some_and(|ended| ended > patience && !ran.stood_still(ask.life, ask.at, ended))
        {
            wrong.push(format!("kept waiting beyond its deadline: {ask:?}"));
        }
    }
}

const ALLOWED: [&str; 6] = [
    "DEADLINE_EXCEEDED",
    "CARD_ATTEMPTS_EXCEEDED",
    "PROVIDERS_UNAVAILABLE",
    "OVERLOADED",
    "NOT_CACHED",
    "REQUEST_ID_REUSED",
];

/// No answer that was paid for and came back is lost: at the end every replica knows it.
fn nothing_lost(ran: &Ran, wrong: &mut Vec<String>) {
    for look in &ran.looked_up {
        let question = (look.card.clone(), look.name.clone());
        let ended = |call: &&Call| call.seen.unwrap_or(call.at);
        let Some(last) = of_question(ran, &question).max_by_key(ended) else {
            continue;
        };
        let (Did::Answered(result), Some(seen)) = (last.did, last.seen) else {
            continue;
        };
        // §3.4 the card is closed instead; §3.1 "cache time that has ended": of replicas that asked
        // without each other, for a reason that was judged above, either answer may be the one that
        // is kept
        let still_kept = |call: &Call| match call.did {
            Did::Answered(result) if call.seen.is_some() => {
                look.at.duration_since(call.at) < kept_for(result)
            }
            _ => true,
        };
        let is_kept =
            result != ResultCode::AttemptsExceeded && of_question(ran, &question).all(still_kept);
        let here = look.life == last.life;
        // §3.8 without Redis one process remembers; one that was emptied has no answers any more
        let everywhere = ran.shared && !ran.emptied_between(last.at, look.at);
        // §3.2 the last answer was a busy vendor's
        let gone_on = next_was_busy(ran, last);
        // a replica that dies before it has told what it heard takes it along
        let died = ran.died_at(last.life);
        let died = died.is_some_and(|at| at <= seen + JOURNEY || ran.lost_between(seen, at));
        if !is_kept || gone_on || erased(ran, last, look.at) || !(here || everywhere) || died {
            continue;
        }
        let asked_again = of_question(ran, &question).count() > 1;
        let kept = |told: &Told| match told {
            Told::Answer(answer) => asked_again || answer.result == result,
            Told::Nothing | Told::Denial(_) => false,
        };
        if !kept(&look.told) {
            wrong.push(format!("lost: {last:?}, looked up: {look:?}"));
        }
    }
}

/// What happened, for somebody who has to understand it.
pub fn story(ran: &Ran) -> String {
    let mut story = String::new();
    let since = |at: Instant| at.duration_since(ran.begun).as_millis();
    for line in &ran.events {
        writeln!(story, "{:>9} {}", since(line.0), line.1).unwrap();
    }
    for call in &ran.calls {
        let seen = call.seen.map(&since);
        writeln!(
            story,
            "{:>9} life {} vendor {} {}/{} {:?} seen {seen:?}",
            since(call.at),
            call.life,
            call.vendor,
            call.card,
            call.name,
            call.did
        )
        .unwrap();
    }
    for ask in &ran.asked {
        writeln!(story, "{:>9} life {} {ask:?}", since(ask.at), ask.life).unwrap();
    }
    story
}
