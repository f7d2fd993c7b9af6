//! No core dumps: a dump holds whatever was in memory, card numbers and secrets included.

use std::io;

/// Turns core dumps off for this process.
///
/// A limit of zero keeps the kernel from writing a file. A kernel that pipes dumps to a program of
/// the system's does not ask the limit, so on Linux the process is marked as not to be dumped as
/// well; other users' debuggers, and our own user's, are kept out by the same mark.
///
/// # Errors
/// When the operating system refuses.
pub fn forbid() -> io::Result<()> {
    rlimit::setrlimit(rlimit::Resource::CORE, 0, 0)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
