//! The journal of a job: what came of every row, one JSON line each, in the order it came.
//!
//! It holds row numbers and answers, and nothing of a question: no value, no digest of one. A line
//! is written before the next call is begun, so that a run that is ended by force loses no answer;
//! once a second, and at the end, the disk is asked to keep it, so that a power cut loses a second
//! at most, and those rows are asked with the same `request_id` again. A line that was cut off at
//! the end is taken away when the job goes on.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, UNIX_EPOCH},
};

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    super::json,
    ask::{CONNECTION_LOST, NO_ANSWER_IN_TIME},
    tally::{Charges, Group, Tally},
};
use crate::grpc::client::{CallFailure, VerifyAnswer};

const SYNC_EVERY: Duration = Duration::from_secs(1);
/// The reason of a row that is no question.
const ROW_UNUSABLE: &str = "ROW_UNUSABLE";
/// More complaints than these help nobody.
const MAX_PROBLEMS: usize = 20;
/// No line of ours is longer.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// What tells one input file from another without a look at what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    input_bytes: u64,
    input_modified_ns: u64,
}

impl Fingerprint {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        if !found.is_file() {
            // a job that goes on reads it again
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        let modified = found
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(Self {
            input_bytes: found.len(),
            input_modified_ns: u64::try_from(modified.as_nanos()).unwrap_or(u64::MAX),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    verify_file_job: Uuid,
    #[serde(flatten)]
    input: Fingerprint,
}

/// What is known about a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing.
    New,
    /// Its last asking brought no answer.
    NoAnswer,
    /// The outcome of its last asking is unknown.
    Unknown,
    /// There is nothing more to ask.
    Settled,
}

impl Standing {
    /// Whether a run asks it.
    pub(super) const fn is_asked(self, unknown_too: bool) -> bool {
        match self {
            Self::New | Self::NoAnswer => true,
            Self::Unknown => unknown_too,
            Self::Settled => false,
        }
    }
}

/// Where a row's last line is, and what it says.
#[derive(Clone, Copy)]
struct Entry {
    at: u64,
    group: Group,
    unknown: u32,
}

/// A job's memory.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    job: Uuid,
    entries: Vec<Option<Entry>>,
    max_rows: u64,
    end: u64,
    synced_at: Instant,
    tally: Tally,
    problems: Vec<String>,
    unanswered: u64,
}

/// As much of a line as is counted.
#[derive(Deserialize)]
struct Line {
    row: u64,
    verdict: Option<serde_json::Value>,
    #[serde(default)]
    attempts: Vec<LineAttempt>,
    error: Option<LineError>,
}

#[derive(Deserialize)]
struct LineAttempt {
    charge: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct LineError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    reason: String,
}

impl Journal {
    /// Begins a job, or goes on with the one that the journal beside the output is of.
    pub(super) fn open(out: &Path, input: &Fingerprint) -> anyhow::Result<Self> {
        let mut path = out.as_os_str().to_owned();
        path.push(".journal");
        let path = PathBuf::from(path);
        if !path.exists() && out.exists() {
            bail!(
                "{} is there already, without the journal of a job to go on with; move it away or \
                 give another --out",
                out.display()
            );
        }
        let cannot_open = || format!("cannot open the journal {}", path.display());
        let file = open_private(&path).with_context(cannot_open)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another run is at work on {}", out.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot_open),
        }
        let mut journal = Self {
            file,
            path: path.clone(),
            job: Uuid::new_v4(),
            entries: Vec::new(),
            max_rows: input.input_bytes,
            end: 0,
            synced_at: Instant::now(),
            tally: Tally::default(),
            problems: Vec::new(),
            unanswered: 0,
        };
        if !journal.go_on(input)? {
            journal.begin(input).with_context(cannot_open)?;
        }
        Ok(journal)
    }

    /// The random id that the ids of requests are made of.
    pub(super) const fn job(&self) -> Uuid {
        self.job
    }

    pub(super) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What this run could not get an answer for: the first of it.
    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Rows that this run got no answer for.
    pub(super) const fn unanswered(&self) -> u64 {
        self.unanswered
    }

    pub(super) fn standing(&self, row: u64) -> Standing {
        match self.entry(row) {
            None => Standing::New,
            Some(Entry {
                group: Group::NoAnswer,
                ..
            }) => Standing::NoAnswer,
            Some(Entry {
                group: Group::Unknown,
                ..
            }) => Standing::Unknown,
            Some(_) => Standing::Settled,
        }
    }

    /// How many unknown outcomes a row has had.
    pub(super) fn unknown_before(&self, row: u64) -> u32 {
        self.entry(row).map_or(0, |entry| entry.unknown)
    }

    /// Writes down an answer.
    pub(super) fn answer(&mut self, row: u64, answer: &VerifyAnswer) -> anyhow::Result<()> {
        self.append(&json::verify_row(row, answer))
    }

    /// Writes down why there is no answer.
    pub(super) fn no_answer(
        &mut self,
        row: u64,
        line: u64,
        failure: &CallFailure,
    ) -> anyhow::Result<()> {
        let says = failure.violations.iter();
        let says = says.map(|it| format!("{}: {} ({})", it.field, it.description, it.reason));
        let mut says: Vec<String> = says.collect();
        if says.is_empty() {
            says.push(format!("{}: {}", failure.reason, failure.message));
        }
        self.problem(line, &says.join("; "));
        self.append(&json::error_row(row, failure))
    }

    /// Writes down that a row is no question.
    pub(super) fn unusable(&mut self, row: u64, line: u64, problem: &str) -> anyhow::Result<()> {
        self.problem(line, problem);
        let failure = CallFailure {
            reason: ROW_UNUSABLE.into(),
            message: problem.to_owned(),
            ..CallFailure::default()
        };
        self.append(&json::error_row(row, &failure))
    }

    /// Asks the disk to keep what was written.
    pub(super) fn sync(&mut self) -> anyhow::Result<()> {
        self.synced_at = Instant::now();
        self.file.sync_data().with_context(|| self.cannot_write())
    }

    /// The last line of a row, with its line break; `None` for one that nothing is known about.
    pub(super) fn line(
        &self,
        row: u64,
        from: &mut BufReader<&File>,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(entry) = self.entry(row) else {
            return Ok(None);
        };
        let mut line = Vec::new();
        let here = from.stream_position()?;
        // most lines follow each other, and a jump within the buffer keeps it
        let jump = i64::try_from(entry.at)? - i64::try_from(here)?;
        from.seek_relative(jump)?;
        from.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
        Ok(Some(line))
    }

    /// To read lines from.
    pub(super) fn reader(&self) -> anyhow::Result<BufReader<&File>> {
        let mut file = &self.file;
        file.rewind()?;
        Ok(BufReader::new(file))
    }

    fn entry(&self, row: u64) -> Option<Entry> {
        let index = usize::try_from(row.checked_sub(1)?).ok()?;
        self.entries.get(index).copied().flatten()
    }

    fn begin(&mut self, input: &Fingerprint) -> anyhow::Result<()> {
        let head = Head {
            verify_file_job: self.job,
            input: input.clone(),
        };
        let mut line = serde_json::to_vec(&head)?;
        line.push(b'\n');
        self.file.set_len(0)?;
        self.file.write_all(&line)?;
        self.end = line.len() as u64;
        // nothing is asked before the id is kept, and the folder knows of it
        self.file.sync_all()?;
        sync_folder(&self.path)?;
        Ok(())
    }

    /// Reads what is there. `false`: not even a whole head, so nothing was ever asked.
    fn go_on(&mut self, input: &Fingerprint) -> anyhow::Result<bool> {
        let path = self.path.clone();
        let broken = |at: u64| anyhow!("{} is no journal, from byte {at} on", path.display());
        let mut reader = BufReader::new(self.file.try_clone()?);
        let mut line = Vec::new();
        let mut at = 0;
        while read_line(&mut reader, &mut line)? {
            if at == 0 {
                let head: Head = serde_json::from_slice(&line).map_err(|_| broken(at))?;
                if head.input != *input {
                    bail!(
                        "{} was begun with another input file, or the file was changed since (its \
                         size or time differ); give another --out to begin a new job",
                        path.display()
                    );
                }
                self.job = head.verify_file_job;
            } else {
                self.take_in(&line, at).map_err(|_| broken(at))?;
            }
            at += line.len() as u64;
        }
        // a line without an end was being written when the run was ended
        self.file.set_len(at)?;
        self.file.seek(SeekFrom::Start(at))?;
        self.end = at;
        Ok(at > 0)
    }

    fn append(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.file
            .write_all(line)
            .with_context(|| self.cannot_write())?;
        self.take_in(line, self.end)?;
        self.end += line.len() as u64;
        if self.synced_at.elapsed() >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Counts a line.
    fn take_in(&mut self, line: &[u8], at: u64) -> anyhow::Result<()> {
        let line: Line = serde_json::from_slice(line)?;
        if line.row == 0 || line.row > self.max_rows {
            bail!("no such row");
        }
        let index = usize::try_from(line.row - 1)?;
        if self.entries.len() <= index {
            self.entries.resize(index + 1, None);
        }
        let before = self.entries[index];
        let group = line.group();
        let unknown = before.map_or(0, |entry| entry.unknown) + u32::from(group == Group::Unknown);
        self.entries[index] = Some(Entry { at, group, unknown });
        self.tally
            .count(before.map(|entry| entry.group), group, line.charges());
        Ok(())
    }

    fn problem(&mut self, line: u64, says: &str) {
        self.unanswered += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(format!("line {line}: {says}"));
        }
    }

    fn cannot_write(&self) -> String {
        format!("cannot write the journal {}", self.path.display())
    }
}

impl Line {
    fn group(&self) -> Group {
        match &self.error {
            None => Group::of_verdict(self.verdict.as_ref().and_then(|name| name.as_str())),
            Some(error) if error.reason == "OUTCOME_UNKNOWN" => Group::Unknown,
            Some(error) if error.reason == ROW_UNUSABLE || error.code == "INVALID_ARGUMENT" => {
                Group::Unusable
            }
            Some(_) => Group::NoAnswer,
        }
    }

    fn charges(&self) -> Charges {
        let mut charges = Charges::default();
        if let Some(error) = &self.error {
            let may_have_cost = [
                "OUTCOME_UNKNOWN",
                "DEADLINE_EXCEEDED",
                CONNECTION_LOST,
                NO_ANSWER_IN_TIME,
            ];
            charges.perhaps = u64::from(may_have_cost.contains(&error.reason.as_str()));
        }
        for attempt in &self.attempts {
            match attempt.charge.as_ref().and_then(|charge| charge.as_str()) {
                Some("CHARGE_CHARGED") => charges.charged += 1,
                Some("CHARGE_NOT_CHARGED") => charges.free += 1,
                _ => charges.perhaps += 1,
            }
        }
        charges
    }
}

/// Reads a line with its line break; `false` where there is no whole one.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    reader.take(MAX_LINE_BYTES).read_until(b'\n', line)?;
    Ok(line.ends_with(b"\n"))
}

/// Opens or makes a file that its owner alone may read.
fn open_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}

/// Asks the disk to keep the name of a file.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
