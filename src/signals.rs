//! The signals that ask the process to stop, or to read its configuration again.

use std::io;

use futures_util::{Stream, stream};
use tokio::signal::unix::{SignalKind, signal};

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

/// The signals from now on; without this call they end the process at once.
///
/// # Errors
/// The handlers cannot be installed.
pub fn stop_signals() -> io::Result<impl Stream<Item = StopSignal> + Unpin> {
    let interrupts = signal(SignalKind::interrupt())?;
    let terminations = signal(SignalKind::terminate())?;
    let signals = stream::unfold((interrupts, terminations), |(mut int, mut term)| async {
        let next = tokio::select! {
            Some(()) = int.recv() => StopSignal::Interrupt,
            Some(()) = term.recv() => StopSignal::Terminate,
            else => return None,
        };
        Some((next, (int, term)))
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
