//! Models on a disk.

use std::{
    fs::File,
    io,
    ops::Range,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use hearth_engine::{
    Error, Result,
    file::{Aligned, BoxedFuture, ByteSource, Filled, Folder, POOLING_FILE, Piece, TEMPLATE_FILES},
};

use crate::reader::Reader;

/// Into how many parts a piece is cut, of at least so many bytes.
const PARTS: usize = 4;
const PART_BYTES_MIN: usize = 1 << 20;

/// Whether a name stays within its folder on every system: no separator, no drive, no step upwards.
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0'])
}

/// Whether a model's file may have that name: a plain one, or one of those that publishers lay into a folder of their own.
pub fn is_model_file(name: &str) -> bool {
    is_plain_name(name) || name == POOLING_FILE || TEMPLATE_FILES.contains(&name)
}

/// A file that is read in ranges, without a shared position.
pub struct DiskFile {
    content: Arc<Content>,
    reader: Reader,
}

/// What threads can share of it.
pub(crate) struct Content {
    pub(crate) name: String,
    file: File,
    len_bytes: u64,
}

impl DiskFile {
    /// Opens the file; `None` if there is none.
    pub fn open(path: &Path, name: &str) -> Result<Option<Self>> {
        let failed = |error: io::Error| Error::Io { file: name.to_owned(), reason: error.to_string() };
        // Before it is opened: a pipe would wait for somebody who writes.
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(Error::Io { file: name.to_owned(), reason: "it is not a file".to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let content = Arc::new(Content { name: name.to_owned(), file, len_bytes: metadata.len() });
        Ok(Some(Self { content, reader: Reader::default() }))
    }

    /// How many bytes it had when it was opened.
    pub fn len_bytes(&self) -> u64 {
        self.content.len_bytes
    }

    /// See [`ByteSource::read`].
    pub fn read_range(&self, range: Range<u64>) -> Result<Vec<u8>> {
        self.content.read_range(range)
    }
}

impl Content {
    fn read_range(&self, range: Range<u64>) -> Result<Vec<u8>> {
        // Checked before the buffer is made: a header may promise more than there is memory.
        let mut bytes = vec![0; self.check(&range)?];
        self.read_into(range, &mut bytes)?;
        Ok(bytes)
    }

    /// How long the range is, if the file had it when it was opened.
    fn check(&self, range: &Range<u64>) -> Result<usize> {
        let wanted_bytes = range.end.checked_sub(range.start).filter(|_| range.end <= self.len_bytes);
        let wanted_bytes = wanted_bytes.and_then(|bytes| usize::try_from(bytes).ok());
        wanted_bytes.ok_or_else(|| self.truncated(range.end, self.len_bytes))
    }

    fn read_into(&self, range: Range<u64>, bytes: &mut [u8]) -> Result<()> {
        read_exact_at(&self.file, bytes, range.start).map_err(|error| match error.kind() {
            // It was long enough when it was opened, but someone has cut it since.
            io::ErrorKind::UnexpectedEof => {
                self.truncated(range.end, self.file.metadata().map_or(range.start, |metadata| metadata.len()))
            }
            _ => Error::Io { file: self.name.clone(), reason: error.to_string() },
        })
    }

    /// See [`ByteSource::fill`].
    pub(crate) fn fill(&self, memory: &mut Aligned, pieces: Vec<Piece>) -> Result<()> {
        for Piece { range, at } in pieces {
            let length = self.check(&range)?;
            let place = memory.bytes_mut().get_mut(at..).and_then(|rest| rest.get_mut(..length));
            let Some(place) = place else {
                let reason = format!("{length} bytes do not fit the memory that was lent for them");
                return Err(Error::Io { file: self.name.clone(), reason });
            };
            self.read_parts(range.start, place)?;
        }
        Ok(())
    }

    /// Reads several parts at a time: a disk is quicker the more it has to do.
    fn read_parts(&self, start: u64, place: &mut [u8]) -> Result<()> {
        let part = place.len().div_ceil(PARTS).max(PART_BYTES_MIN);
        let parts: Vec<(u64, &mut [u8])> = (start..).step_by(part).zip(place.chunks_mut(part)).collect();
        std::thread::scope(|scope| {
            let mut others = Vec::new();
            let mut parts = parts.into_iter();
            let own = parts.next();
            for (at, bytes) in parts {
                others.push(scope.spawn(move || self.read_into(at..at + bytes.len() as u64, bytes)));
            }
            let own = own.map_or(Ok(()), |(at, bytes)| self.read_into(at..at + bytes.len() as u64, bytes));
            let ended =
                Err(Error::Io { file: self.name.clone(), reason: "a thread that read it has ended".to_owned() });
            others.into_iter().map(|other| other.join().unwrap_or_else(|_| ended.clone())).fold(own, Result::and)
        })
    }

    /// Says that from now on pieces here and there are read: what lies behind one is not wanted.
    pub(crate) fn expect_pieces(&self) {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            // SAFETY: the descriptor is open as long as the file is. Advice that is refused changes nothing.
            unsafe { libc::posix_fadvise(self.file.as_raw_fd(), 0, 0, libc::POSIX_FADV_RANDOM) };
        }
    }

    fn truncated(&self, needed_bytes: u64, available_bytes: u64) -> Error {
        Error::Truncated { file: self.name.clone(), needed_bytes, available_bytes }
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl ByteSource for DiskFile {
    fn name(&self) -> &str {
        &self.content.name
    }

    fn len_bytes(&self) -> u64 {
        self.content.len_bytes
    }

    fn read(&self, range: Range<u64>) -> BoxedFuture<'_, Result<Vec<u8>>> {
        Box::pin(std::future::ready(self.read_range(range)))
    }

    fn fill(self: Rc<Self>, memory: Aligned, pieces: Vec<Piece>) -> BoxedFuture<'static, Filled> {
        self.reader.read(&self.content, memory, pieces)
    }
}

/// A directory with a model's files.
pub struct DiskFolder {
    path: PathBuf,
    name: String,
}

impl DiskFolder {
    /// Looks at nothing yet: what is missing is noticed when it is opened.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.display().to_string();
        Self { path, name }
    }
}

impl Folder for DiskFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn open<'a>(&'a self, name: &'a str) -> BoxedFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        Box::pin(async move {
            // The names of shards come from a file, so they may be anything.
            if !is_model_file(name) {
                return Err(Error::malformed(&self.name, format!("it names {name:?}, which leads out of the folder")));
            }
            let file = DiskFile::open(&self.path.join(name), name)?;
            Ok(file.map(|file| Rc::new(file) as Rc<dyn ByteSource>))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.bin");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn ranges_are_read_and_the_end_is_respected() {
        let (_folder, path) = sample(b"0123456789");
        let file = DiskFile::open(&path, "weights.bin").unwrap().unwrap();
        assert_eq!(file.len_bytes(), 10);
        assert_eq!(file.read_range(3..6).unwrap(), b"345");
        assert_eq!(file.read_range(10..10).unwrap(), b"");
        for range in [9..11, 0..u64::MAX, u64::MAX - 1..u64::MAX] {
            let error = file.read_range(range.clone()).unwrap_err();
            let expected =
                Error::Truncated { file: "weights.bin".into(), needed_bytes: range.end, available_bytes: 10 };
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_refused() {
        let (_folder, path) = sample(b"0123456789");
        let file = DiskFile::open(&path, "weights.bin").unwrap().unwrap();
        #[allow(clippy::reversed_empty_ranges, reason = "what a damaged header may ask for")]
        let error = file.read_range(6..3).unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "{error}");
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_open_is_cut_short() {
        let (_folder, path) = sample(&[7; 4096]);
        let file = DiskFile::open(&path, "weights.bin").unwrap().unwrap();
        File::options().write(true).open(&path).unwrap().set_len(100).unwrap();
        let error = file.read_range(0..4096).unwrap_err();
        let expected = Error::Truncated { file: "weights.bin".into(), needed_bytes: 4096, available_bytes: 100 };
        assert_eq!(error, expected);
    }

    #[test]
    fn a_folder_opens_its_own_files_and_no_others() {
        let (outer, _path) = sample(b"x");
        let inner = outer.path().join("model");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("config.json"), "{}").unwrap();
        std::fs::create_dir(inner.join("directory")).unwrap();
        let folder = DiskFolder::new(&inner);
        let open = |name: &str| pollster::block_on(folder.open(name)).map(|file| file.map(|file| file.len_bytes()));
        assert_eq!(open("config.json").unwrap(), Some(2));
        assert_eq!(open("absent.json").unwrap(), None);
        assert_eq!(open(POOLING_FILE).unwrap(), None);
        std::fs::create_dir(inner.join("1_Pooling")).unwrap();
        std::fs::write(inner.join(POOLING_FILE), "{}").unwrap();
        assert_eq!(open(POOLING_FILE).unwrap(), Some(2));
        assert!(matches!(open("directory").unwrap_err(), Error::Io { .. }));
        assert!(TEMPLATE_FILES.iter().all(|file| open(file).unwrap().is_none()));
        for name in [
            "../weights.bin",
            "..",
            "",
            "a/b",
            "1_Pooling/other.json",
            "additional_chat_templates/a.jinja",
            "a\\b",
            "C:file",
            ".hidden",
            "nul\0",
        ] {
            assert!(matches!(open(name).unwrap_err(), Error::Malformed { .. }), "{name:?}");
        }
    }
}
