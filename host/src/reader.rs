//! Reading ahead: a thread that reads pieces of a file while the engine computes.

use std::sync::{Arc, OnceLock, mpsc};

use futures_channel::oneshot;
use hearth_engine::{
    Error,
    file::{Aligned, BoxedFuture, Filled, Piece},
};

use crate::files::Content;

/// The thread of one file, which starts with the first thing that there is to read ahead, and ends with the file.
#[derive(Default)]
pub struct Reader(OnceLock<Option<mpsc::Sender<Job>>>);

/// Something to read.
struct Job {
    content: Arc<Content>,
    memory: Aligned,
    pieces: Vec<Piece>,
    reply: oneshot::Sender<Filled>,
}

impl Job {
    fn run(mut self) {
        let result = self.content.fill(&mut self.memory, self.pieces);
        // Nobody waits any more: then nobody is missed.
        let _ = self.reply.send((self.memory, result));
    }
}

impl Reader {
    /// Begins to read. Without a thread it is read at once.
    pub fn read(&self, content: &Arc<Content>, memory: Aligned, pieces: Vec<Piece>) -> BoxedFuture<'static, Filled> {
        let (reply, answer) = oneshot::channel();
        let job = Job { content: Arc::clone(content), memory, pieces, reply };
        let jobs = self.0.get_or_init(|| {
            content.expect_pieces();
            start()
        });
        match jobs {
            Some(jobs) => {
                if let Err(mpsc::SendError(job)) = jobs.send(job) {
                    job.run();
                }
            }
            None => job.run(),
        }
        let file = content.name.clone();
        Box::pin(async move {
            answer.await.unwrap_or_else(|_| {
                let reason = "the thread that read it has ended".to_owned();
                (Aligned::default(), Err(Error::Io { file, reason }))
            })
        })
    }
}

fn start() -> Option<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    let started =
        std::thread::Builder::new().name("hearth-reader".to_owned()).spawn(move || jobs.iter().for_each(Job::run));
    started.inspect_err(|error| tracing::warn!(%error, "no thread to read ahead")).ok().map(|_| sender)
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use hearth_engine::file::ByteSource;

    use super::*;
    use crate::DiskFile;

    fn sample() -> (tempfile::TempDir, Rc<DiskFile>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.bin");
        std::fs::write(&path, (0..200).collect::<Vec<u8>>()).unwrap();
        let file = DiskFile::open(&path, "weights.bin").unwrap().unwrap();
        (folder, Rc::new(file))
    }

    fn memory(bytes: usize) -> Aligned {
        Aligned::zeroed(bytes, |_| {}).unwrap()
    }

    #[test]
    fn pieces_come_to_where_they_were_wanted_and_the_memory_comes_back() {
        let (_folder, file) = sample();
        let pieces = vec![Piece { range: 10..14, at: 2 }, Piece { range: 199..200, at: 0 }];
        let first = Rc::clone(&file).fill(memory(8), pieces);
        let second = Rc::clone(&file).fill(memory(1), vec![Piece { range: 7..8, at: 0 }]);
        // Whoever asks later may be waited for first.
        let (filled, result) = pollster::block_on(second);
        assert_eq!((filled.bytes(), result), (&[7][..], Ok(())));
        let (filled, result) = pollster::block_on(first);
        assert_eq!((filled.bytes(), result), (&[199, 0, 10, 11, 12, 13, 0, 0][..], Ok(())));
    }

    #[test]
    fn what_cannot_be_read_gives_an_error_and_the_memory_back() {
        let (folder, file) = sample();
        let (back, result) = pollster::block_on(Rc::clone(&file).fill(memory(4), vec![Piece { range: 0..5, at: 0 }]));
        assert!(matches!(result, Err(Error::Io { .. })) && back.bytes().len() == 4);
        std::fs::File::options().write(true).open(folder.path().join("weights.bin")).unwrap().set_len(20).unwrap();
        let (back, result) = pollster::block_on(file.fill(memory(4), vec![Piece { range: 18..22, at: 0 }]));
        let expected = Error::Truncated { file: "weights.bin".into(), needed_bytes: 22, available_bytes: 20 };
        assert_eq!((back.bytes().len(), result), (4, Err(expected)));
    }
}
