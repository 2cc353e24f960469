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
        match self.0.get_or_init(start) {
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
