//! Bytes on demand: the one thing the engine asks of a disk, a network or a web page.

use std::{collections::BTreeMap, future::Future, ops::Range, pin::Pin, rc::Rc};

use super::Aligned;
use crate::{Error, Result};

/// A future that stays on its thread, as everything does in a web worker.
pub type BoxedFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A range of a file, and where in memory its bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// In bytes from the file's start.
    pub range: Range<u64>,
    /// In bytes from the memory's start.
    pub at: usize,
}

/// Memory that comes back from a source, filled if all went well.
pub type Filled = (Aligned, Result<()>);

/// A file that can be read in ranges.
pub trait ByteSource {
    /// What to call it in an error.
    fn name(&self) -> &str;
    /// How many bytes it has.
    fn len_bytes(&self) -> u64;
    /// Reads exactly `range`, in bytes from the start. A range beyond the end is [`Error::Truncated`].
    fn read(&self, range: Range<u64>) -> BoxedFuture<'_, Result<Vec<u8>>>;

    /// Reads pieces into memory, which comes back with them. Whoever can read meanwhile, on a thread of its own, begins at
    /// once; here it is read when it is waited for.
    fn fill(self: Rc<Self>, mut memory: Aligned, pieces: Vec<Piece>) -> BoxedFuture<'static, Filled>
    where
        Self: 'static,
    {
        Box::pin(async move {
            for Piece { range, at } in pieces {
                let bytes = match self.read(range).await {
                    Ok(bytes) => bytes,
                    Err(error) => return (memory, Err(error)),
                };
                match memory.bytes_mut().get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) {
                    Some(place) => place.copy_from_slice(&bytes),
                    None => return (memory, Err(no_room(self.name(), bytes.len() as u64))),
                }
            }
            (memory, Ok(()))
        })
    }
}

/// Memory that was lent for reading is too small: a mistake of whoever lent it.
fn no_room(file: &str, bytes: u64) -> Error {
    Error::DeviceFault { reason: format!("{bytes} bytes of {file} do not fit the memory that was lent for them") }
}

/// The files of one model, by name.
pub trait Folder {
    /// What to call it in an error: a path or a URL.
    fn name(&self) -> &str;
    /// Opens a file; `None` if there is none of that name. Names hold no separator, but for those
    /// of [`POOLING_FILE`](super::POOLING_FILE) and [`TEMPLATE_FILES`](super::TEMPLATE_FILES).
    fn open<'a>(&'a self, name: &'a str) -> BoxedFuture<'a, Result<Option<Rc<dyn ByteSource>>>>;
}

/// A file that is in memory already.
#[derive(Clone, Debug)]
pub struct MemorySource {
    name: String,
    bytes: Vec<u8>,
}

impl MemorySource {
    /// Wraps bytes under a name for errors.
    pub fn new(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), bytes }
    }
}

impl ByteSource for MemorySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, range: Range<u64>) -> BoxedFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            let found = usize::try_from(range.start)
                .ok()
                .zip(usize::try_from(range.end).ok())
                .and_then(|(start, end)| self.bytes.get(start..end));
            found.map(<[u8]>::to_vec).ok_or_else(|| Error::Truncated {
                file: self.name.clone(),
                needed_bytes: range.end,
                available_bytes: self.len_bytes(),
            })
        })
    }
}

/// A folder that is in memory already.
#[derive(Clone, Default)]
pub struct MemoryFolder {
    name: String,
    files: BTreeMap<String, Rc<MemorySource>>,
}

impl MemoryFolder {
    /// An empty one, under a name for errors.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), files: BTreeMap::new() }
    }

    /// With one more file, or with another in its place.
    pub fn with(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(name.to_owned(), Rc::new(MemorySource::new(name, bytes.into())));
        self
    }

    /// Without that file.
    pub fn without(mut self, name: &str) -> Self {
        self.files.remove(name);
        self
    }
}

impl Folder for MemoryFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn open<'a>(&'a self, name: &'a str) -> BoxedFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        Box::pin(async move { Ok(self.files.get(name).map(|file| Rc::clone(file) as Rc<dyn ByteSource>)) })
    }
}
