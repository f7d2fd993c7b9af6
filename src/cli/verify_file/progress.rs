//! How far a run is: a bar on a terminal, a line now and then elsewhere.

use std::{
    cell::Cell,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    super::output as print,
    price::Price,
    tally::{Group, Tally, grouped},
};

const BAR: &str = "[{bar:24}] {percent:>3} %  {wide_msg}";
const PER_BAR: Duration = Duration::from_millis(100);
const PER_LINE: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    bar: ProgressBar,
    on_terminal: bool,
    total: u64,
    begun_at: Instant,
    begun_with: u64,
    told_at: Cell<Instant>,
    price: Option<Price>,
}

impl Progress {
    /// Of so many rows so many have nothing more to be asked.
    pub(super) fn new(total: u64, done: u64, price: Option<Price>) -> Self {
        let on_terminal = io::stderr().is_terminal();
        let target = match on_terminal {
            true => ProgressDrawTarget::stderr_with_hz(10),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_position(done);
        // the template is ours and sound; without it the bar has another look
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style.progress_chars("=> "));
        }
        if done > 0 {
            print::message(&format!(
                "going on: {} of {} rows need no asking",
                grouped(done),
                grouped(total)
            ));
        }
        Self {
            bar,
            on_terminal,
            total,
            begun_at: Instant::now(),
            begun_with: done,
            told_at: Cell::new(Instant::now()),
            price,
        }
    }

    /// One row more.
    pub(super) fn step(&self, tally: &Tally) {
        self.bar.inc(1);
        let per = if self.on_terminal { PER_BAR } else { PER_LINE };
        if self.told_at.get().elapsed() < per {
            return;
        }
        self.told_at.set(Instant::now());
        let says = self.says(tally);
        if self.on_terminal {
            self.bar.set_message(says);
        } else {
            print::message(&says);
        }
    }

    /// Leaves the bar as it is at the end of the run.
    pub(super) fn finish(&self, tally: &Tally) {
        self.bar.set_message(self.says(tally));
        self.bar.abandon();
    }

    fn says(&self, tally: &Tally) -> String {
        let done = self.bar.position();
        let seconds = self.begun_at.elapsed().as_secs_f64().max(0.001);
        let rate = done.saturating_sub(self.begun_with) as f64 / seconds;
        let charged = tally.charges.charged;
        let mut says = format!(
            "{} of {} rows, {}/s, {} charged",
            grouped(done),
            grouped(self.total),
            grouped(rate.round() as u64),
            grouped(charged),
        );
        if let Some(price) = self.price {
            says.push_str(&format!(" ({})", price.times(charged)));
        }
        let unanswered: u64 = [Group::Unknown, Group::NoAnswer, Group::Unusable]
            .map(|group| tally.of(group))
            .iter()
            .sum();
        if unanswered > 0 {
            says.push_str(&format!(", {} without an answer", grouped(unanswered)));
        }
        let left = self.total.saturating_sub(done);
        if left > 0 && rate > 0.0 {
            let time = Duration::from_secs_f64((left as f64 / rate).min(1e9));
            says.push_str(&format!(", {:#} left", HumanDuration(time)));
        }
        says
    }
}

/// The rows of this run that got no answer, the first of them one by one.
pub(super) fn tell_problems(problems: &[String], unanswered: u64) {
    for problem in problems {
        print::message(&print::clean(problem));
    }
    let more = unanswered.saturating_sub(problems.len() as u64);
    if more > 0 {
        print::message(&format!(
            "and {} more rows without an answer",
            grouped(more)
        ));
    }
}
