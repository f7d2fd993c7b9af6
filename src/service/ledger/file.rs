//! A ledger's own file: one write for each line, at the end of whatever stands there.
//!
//! Nothing is kept back in the process, so a line that was acknowledged outlives the process,
//! however that ends. It is not forced onto the disk: it does not outlive the machine.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::writer::Sink;

/// A file that lines are added to; several processes may add to the same one.
pub(super) struct FileSink {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// Device and number of the file, to see when another one takes its place.
    identity: (u64, u64),
    /// Whether the last line stands there in part: the next one begins on a line of its own.
    torn: bool,
}

impl FileSink {
    /// Opens or makes the file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            open: Some(Open::at(path)?),
        })
    }

    /// The file that stands at the path now: it may have been moved away, or removed.
    fn current(&mut self) -> io::Result<&mut Open> {
        let identity = std::fs::metadata(&self.path)
            .ok()
            .map(|metadata| (metadata.dev(), metadata.ino()));
        let still_there = self
            .open
            .take()
            .filter(|open| Some(open.identity) == identity);
        let open = match still_there {
            Some(open) => open,
            None => Open::at(&self.path)?,
        };
        Ok(self.open.insert(open))
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let metadata = file.metadata()?;
        let torn = metadata.is_file() && metadata.len() > 0 && {
            let mut last = [0];
            file.read_exact_at(&mut last, metadata.len() - 1)?;
            last != *b"\n"
        };
        Ok(Self {
            file,
            identity: (metadata.dev(), metadata.ino()),
            torn,
        })
    }
}

impl Sink for FileSink {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let open = self.current()?;
        let mended;
        let bytes = if open.torn {
            mended = [b"\n", line].concat();
            mended.as_slice()
        } else {
            line
        };
        let written = loop {
            match open.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        // the disk filled up in the middle of a line, which is tried again as a whole
        open.torn = written < bytes.len();
        if open.torn {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}
