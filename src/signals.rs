//! The signals that ask the process to stop, or to read its configuration again.

use std::{io, time::Duration};

use futures_util::{Stream, stream};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

/// A SIGTERM that follows another within this time is the same wish said again: a supervisor may
/// send it to the process and to its group, or send it until the process is gone. Taken as a second
/// signal it would cut calls that are paid for. A person who wants an end at once has SIGINT.
const SAME_WISH: Duration = Duration::from_secs(1);

/// A request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT: somebody at a terminal.
    Interrupt,
    /// SIGTERM: the machine that runs us.
    Terminate,
}

impl StopSignal {
    /// The name that people know it by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }

    /// The exit code of a process that ended because of it, as shells count: 128 and its number.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// The signals from now on; without this call they end the process at once. A storm of SIGTERM is
/// one signal, however long it goes on.
///
/// # Errors
/// The handlers cannot be installed.
pub fn stop_signals() -> io::Result<impl Stream<Item = StopSignal> + Unpin> {
    let interrupts = signal(SignalKind::interrupt())?;
    let terminations = signal(SignalKind::terminate())?;
    let state = (interrupts, terminations, Storm::default());
    let signals = stream::unfold(state, |(mut int, mut term, mut storm)| async {
        loop {
            let next = tokio::select! {
                Some(()) = int.recv() => StopSignal::Interrupt,
                Some(()) = term.recv() => {
                    if storm.goes_on(Instant::now()) {
                        continue;
                    }
                    StopSignal::Terminate
                }
                else => return None,
            };
            return Some((next, (int, term, storm)));
        }
    });
    Ok(Box::pin(signals))
}

/// Every SIGHUP from now on: a request to read the configuration again.
///
/// # Errors
/// The handler cannot be installed.
pub fn hangups() -> io::Result<impl Stream<Item = ()> + Unpin> {
    let hangups = signal(SignalKind::hangup())?;
    let each = stream::unfold(hangups, |mut hangups| async {
        hangups.recv().await?;
        Some(((), hangups))
    });
    Ok(Box::pin(each))
}

/// Tells a SIGTERM that means something from one that only repeats the one before.
#[derive(Debug, Default)]
struct Storm {
    last: Option<Instant>,
}

impl Storm {
    fn goes_on(&mut self, now: Instant) -> bool {
        let last = self.last.replace(now);
        last.is_some_and(|last| now.duration_since(last) < SAME_WISH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_one_signal_and_the_next_after_a_pause_is_another() {
        let mut storm = Storm::default();
        let begun = Instant::now();
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        assert!(!storm.goes_on(at(0)));
        for tick in 1..50 {
            assert!(storm.goes_on(at(tick * 100)));
        }
        // the last of the storm came at 4.9 s
        assert!(!storm.goes_on(at(5900)));
        assert!(storm.goes_on(at(6000)));
    }
}
