//! From an answer's body to chunks: in ranges where the server has them, else in one piece.

use std::{cell::Cell, cell::RefCell, collections::HashMap, collections::VecDeque, ops::Range, time::Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use reqwest::{
    Response, StatusCode, Url,
    header::{CONTENT_LENGTH, IF_RANGE, RANGE},
};

use super::{
    DownloadError, PullEvent, Result,
    fetch::Job,
    network::{Fault, content_range, origin, refusal, strong_tag},
    pace::chance,
};
use crate::store::{BlobId, ChunkTable};

type Outcome<T> = std::result::Result<T, Fault>;

/// Where chunks go.
pub(super) trait Sink {
    /// The length of the file, and of its chunks.
    fn lengths(&self) -> (u64, u32);
    /// The hash of a chunk that is there.
    fn held(&self, index: u64) -> Option<[u8; 32]>;
    /// Whether the tag of an address is still the one that it was.
    fn fits_tag(&self, tag: [u8; 32]) -> Result<bool>;
    /// Takes a chunk.
    fn put(&self, index: u64, bytes: &[u8]) -> Outcome<()>;
}

/// What was tried for one thing, and where to try next.
pub(super) struct Tries<'a> {
    urls: &'a [Url],
    refusals: Vec<Option<DownloadError>>,
    at: usize,
    failures: u32,
}

impl<'a> Tries<'a> {
    pub(super) fn new(urls: &'a [Url]) -> Self {
        Self { urls, refusals: vec![None; urls.len()], at: 0, failures: 0 }
    }

    /// The address to try; the first is the one that the others mirror.
    pub(super) fn url(&self) -> Outcome<(&'a Url, bool)> {
        let none = || DownloadError::NoOrigin { file: "it".to_owned() };
        self.urls.get(self.at).map(|url| (url, self.at == 0)).ok_or_else(|| none().into())
    }

    /// Something came: failures in a row begin anew.
    pub(super) fn progressed(&mut self) {
        self.failures = 0;
    }

    /// Waits after a failure; an error if trying again makes no sense.
    pub(super) async fn after(&mut self, job: &Job<'_>, file: &str, fault: Fault) -> Outcome<()> {
        let (reason, asked_s) = match fault {
            Fault::Lasting(error) => {
                if let Some(refusal) = self.refusals.get_mut(self.at) {
                    *refusal = Some(error.clone());
                }
                return if self.step() { Ok(()) } else { Err(Fault::Lasting(self.first_refusal(error))) };
            }
            Fault::Passing { reason, wait_s } => (reason, wait_s),
            other => return Err(other),
        };
        self.failures += 1;
        let pace = &job.options.pace;
        if self.failures >= pace.attempts {
            let file = file.to_owned();
            return Err(DownloadError::GaveUp { file, reason, attempts: self.failures }.into());
        }
        let here = self.at;
        let has_other = self.step() && self.at != here;
        let wait_s = match asked_s {
            // Another one may have time now.
            Some(_) if has_other => 0.0,
            Some(wait_s) if wait_s > pace.retry_after_max_s => {
                let url = self.urls.get(here).map(super::network::shown).unwrap_or_default();
                return Err(DownloadError::TooBusy { url, wait_s }.into());
            }
            Some(wait_s) => wait_s as f64,
            None => pace.backoff_s(self.failures, chance()),
        };
        (job.tell)(PullEvent::Retry { file: file.to_owned(), reason, wait_s });
        tokio::time::sleep(pace.span(wait_s)).await;
        Ok(())
    }

    /// Goes on to the next address that has not refused; whether there is one.
    fn step(&mut self) -> bool {
        let count = self.urls.len();
        let next = (1..=count).map(|step| (self.at + step) % count);
        let alive = next.into_iter().find(|at| self.refusals.get(*at).is_some_and(Option::is_none));
        self.at = alive.unwrap_or(self.at);
        alive.is_some()
    }

    fn first_refusal(&self, otherwise: DownloadError) -> DownloadError {
        self.refusals.iter().flatten().next().cloned().unwrap_or(otherwise)
    }
}

/// Fetches all chunks that a sink lacks.
pub(super) async fn fill<S: Sink>(job: &Job<'_>, sink: &S, urls: &[Url], file: &str) -> Outcome<()> {
    let (file_bytes, chunk_bytes) = sink.lengths();
    let count = ChunkTable::count(file_bytes, chunk_bytes);
    let run_chunks = (job.options.request_bytes / u64::from(chunk_bytes.max(1))).max(1);
    let mut runs: VecDeque<Range<u64>> = VecDeque::new();
    for index in (0..count).filter(|index| sink.held(*index).is_none()) {
        match runs.back_mut() {
            Some(run) if run.end == index && run.end - run.start < run_chunks => run.end += 1,
            _ => runs.push_back(index..index + 1),
        }
    }
    let workers = job.options.connections.clamp(1, 64).min(runs.len());
    let runs = RefCell::new(runs);
    let tags = RefCell::new(HashMap::new());
    let mut working: FuturesUnordered<_> = (0..workers).map(|_| work(job, sink, urls, file, &runs, &tags)).collect();
    while let Some(done) = working.next().await {
        match done {
            Ok(()) => {}
            Err(Fault::NoRanges) => {
                drop(working);
                return fill_whole(job, sink, urls, file).await;
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

async fn work<S: Sink>(
    job: &Job<'_>,
    sink: &S,
    urls: &[Url],
    file: &str,
    runs: &RefCell<VecDeque<Range<u64>>>,
    tags: &RefCell<HashMap<String, String>>,
) -> Outcome<()> {
    loop {
        job.control.go_on().await?;
        let next = runs.borrow_mut().pop_front();
        let Some(mut run) = next else { return Ok(()) };
        let mut tries = Tries::new(urls);
        while !run.is_empty() {
            let before = run.start;
            let (url, is_first) = tries.url()?;
            let fetched = fetch_run(job, sink, url, is_first, &mut run, tags).await;
            if run.start > before {
                tries.progressed();
            }
            if let Err(fault) = fetched {
                tries.after(job, file, fault).await?;
                job.control.go_on().await?;
            }
        }
    }
}

/// Fetches chunks that follow each other in one request. Each is taken as soon as it is whole, and leaves the run.
async fn fetch_run<S: Sink>(
    job: &Job<'_>,
    sink: &S,
    url: &Url,
    is_first: bool,
    run: &mut Range<u64>,
    tags: &RefCell<HashMap<String, String>>,
) -> Outcome<()> {
    let (file_bytes, chunk_bytes) = sink.lengths();
    let first = ChunkTable::place(run.start, file_bytes, chunk_bytes);
    let last = run.end.checked_sub(1).and_then(|last| ChunkTable::place(last, file_bytes, chunk_bytes));
    let (Some((start, _)), Some((last, last_bytes))) = (first, last) else { return Ok(()) };
    let end = last + u64::from(last_bytes);
    let mut request = job.network.get(url).header(RANGE, format!("bytes={start}-{}", end - 1));
    let known = tags.borrow().get(&origin(url)).cloned();
    if let Some(tag) = &known {
        request = request.header(IF_RANGE, tag);
    }
    let mut response = job.network.send(request).await?;
    if let Some(refusal) = refusal(&response) {
        return Err(refusal);
    }
    let tag = strong_tag(&response);
    if let Some(tag) = &tag {
        let is_other = known.as_ref().is_some_and(|known| known != tag);
        if is_other || (is_first && !sink.fits_tag(BlobId::of(format!("{}\n{tag}", origin(url)).as_bytes()).0)?) {
            return Err(Fault::Changed("its entity tag is another than before".to_owned()));
        }
        tags.borrow_mut().insert(origin(url), tag.clone());
    }
    match response.status() {
        StatusCode::PARTIAL_CONTENT => require_range(&response, start, end, file_bytes)?,
        StatusCode::OK => return Err(Fault::NoRanges),
        status => return Err(Fault::passing(format!("the answer has status {}", status.as_u16()))),
    }
    let taken = Cell::new(run.start);
    let take = |index: u64, bytes: &[u8]| {
        sink.put(index, bytes)?;
        taken.set(index + 1);
        Ok(())
    };
    let received = receive(job, sink, &mut response, run.clone(), &take).await;
    run.start = taken.get();
    received
}

/// That the answer is for the bytes that were asked for, of a file of the right length.
fn require_range(response: &Response, start: u64, end: u64, file_bytes: u64) -> Outcome<()> {
    let range = content_range(response).and_then(|range| Some((range.bytes?, range.total)));
    let Some(((first, last), total)) = range else {
        return Err(Fault::passing("the answer does not say which range it is"));
    };
    if (first, last.checked_add(1)) != (start, Some(end)) {
        let asked = end - 1;
        return Err(Fault::passing(format!("bytes {start} to {asked} were asked for, {first} to {last} are offered")));
    }
    if total.is_some_and(|total| total != file_bytes) {
        let total = total.unwrap_or_default();
        return Err(Fault::passing(format!("the file has {file_bytes} bytes, the answer says {total}")));
    }
    require_length(response, end - start)
}

fn require_length(response: &Response, bytes: u64) -> Outcome<()> {
    let told = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match told.map(str::parse::<u64>) {
        Some(told) if told != Ok(bytes) => Err(Fault::passing(format!("the answer is not {bytes} bytes long"))),
        _ => Ok(()),
    }
}

/// Cuts a body into chunks.
async fn receive<S: Sink>(
    job: &Job<'_>,
    sink: &S,
    response: &mut Response,
    chunks: Range<u64>,
    take: &dyn Fn(u64, &[u8]) -> Outcome<()>,
) -> Outcome<()> {
    let (file_bytes, chunk_bytes) = sink.lengths();
    let mut buffer: Vec<u8> = Vec::new();
    let mut index = chunks.start;
    // What came of a chunk that did not become whole counts no more.
    let uncounted = Uncounted { job, bytes: Cell::new(0) };
    while let Some(piece) = job.network.piece(response).await? {
        job.count(piece.len());
        uncounted.bytes.set(uncounted.bytes.get() + piece.len() as u64);
        buffer.extend(piece.iter());
        let mut used = 0_usize;
        while index < chunks.end {
            let Some((_, wanted)) = ChunkTable::place(index, file_bytes, chunk_bytes) else { break };
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
            let Some(chunk) = buffer.get(used..used.saturating_add(wanted)) else { break };
            let is_new = sink.held(index).is_none();
            take(index, chunk)?;
            if is_new {
                uncounted.bytes.set(uncounted.bytes.get() - chunk.len() as u64);
            }
            used += wanted;
            index += 1;
        }
        buffer.drain(..used);
        if index >= chunks.end && !buffer.is_empty() {
            return Err(Fault::passing("more bytes came than there should be"));
        }
        let wait = job.limiter.take(piece.len(), Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
    if index < chunks.end { Err(Fault::passing("the connection ended early")) } else { Ok(()) }
}

struct Uncounted<'a, 'b> {
    job: &'a Job<'b>,
    bytes: Cell<u64>,
}

impl Drop for Uncounted<'_, '_> {
    fn drop(&mut self) {
        self.job.uncount(self.bytes.get());
    }
}

/// Fetches a file in one piece. What is there already is compared, not written again.
async fn fill_whole<S: Sink>(job: &Job<'_>, sink: &S, urls: &[Url], file: &str) -> Outcome<()> {
    let (file_bytes, chunk_bytes) = sink.lengths();
    let mut tries = Tries::new(urls);
    loop {
        job.control.go_on().await?;
        let (url, _) = tries.url()?;
        let has_new = Cell::new(false);
        let take = |index: u64, bytes: &[u8]| match sink.held(index) {
            Some(hash) if hash == BlobId::of(bytes).0 => Ok(()),
            Some(_) => Err(Fault::Changed("its bytes are others than before".to_owned())),
            None => {
                has_new.set(true);
                sink.put(index, bytes)
            }
        };
        let fetched = async {
            let mut response = job.network.send(job.network.get(url)).await?;
            if let Some(refusal) = refusal(&response) {
                return Err(refusal);
            }
            if response.status() != StatusCode::OK {
                return Err(Fault::passing(format!("the answer has status {}", response.status().as_u16())));
            }
            require_length(&response, file_bytes)?;
            receive(job, sink, &mut response, 0..ChunkTable::count(file_bytes, chunk_bytes), &take).await
        };
        let fetched = fetched.await;
        if has_new.get() {
            tries.progressed();
        }
        match fetched {
            Ok(()) => return Ok(()),
            Err(fault) => tries.after(job, file, fault).await?,
        }
    }
}
