//! The text of a PDF, page by page. The files come from anywhere: time, memory and depth are bounded, and a panic of
//! the reader is an error like any other.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use lopdf::{Document, LoadOptions};

use super::{
    error::{DocumentError, Result},
    source::{TEXT_BYTES_MAX, too_large},
};

/// The most pages of a document.
const PAGES_MAX: usize = 5000;
/// The most bytes that a stream may unpack to.
const STREAM_BYTES_MAX: usize = 32 << 20;
/// After this the reader is left behind.
const TIME_MAX: Duration = Duration::from_secs(60);
/// How often it is asked whether to go on.
const STOP_EVERY: Duration = Duration::from_millis(50);
/// The reader recurses through what the file nests.
const STACK_BYTES: usize = 32 << 20;
/// So many readers may be at work, those that were left behind included: each holds a file and what it unpacked.
const READERS_MAX: usize = 4;

static READERS: AtomicUsize = AtomicUsize::new(0);

/// One of the readers that may be at work.
struct Seat;

impl Seat {
    fn take() -> Option<Self> {
        let one_more = |readers| (readers < READERS_MAX).then_some(readers + 1);
        READERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok().then_some(Self)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        READERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The text of each page; a page without any is empty. A reader that is stopped, or takes too long, is left behind: it
/// ends with the page that it is at.
pub(super) fn pages(name: &str, bytes: Vec<u8>, is_stopped: &mut dyn FnMut() -> bool) -> Result<Vec<String>> {
    let bad = |reason: String| DocumentError::BadPdf { name: name.to_owned(), reason };
    let seat = Seat::take().ok_or_else(|| bad("too many files that were given up are still being read".to_owned()))?;
    let (sender, receiver) = mpsc::channel();
    let (owned, left_behind) = (name.to_owned(), Arc::new(AtomicBool::new(false)));
    let is_left_behind = Arc::clone(&left_behind);
    let reader = move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| read(&owned, &bytes, &is_left_behind)));
        drop((seat, bytes));
        // Nobody waits any more if it was left behind.
        let _ = sender.send(outcome);
    };
    let thread = std::thread::Builder::new()
        .name("hearth-pdf".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(reader)
        .map_err(|error| bad(error.to_string()))?;
    let started = Instant::now();
    let ended = loop {
        match receiver.recv_timeout(STOP_EVERY) {
            Ok(Ok(outcome)) => {
                // It has nothing left to do but to put its own memory back.
                let _ = thread.join();
                return outcome;
            }
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => return Err(bad("it breaks the reader".to_owned())),
            Err(RecvTimeoutError::Timeout) if is_stopped() => break DocumentError::Cancelled,
            Err(RecvTimeoutError::Timeout) if started.elapsed() >= TIME_MAX => {
                break bad(format!("it takes longer than {} s", TIME_MAX.as_secs()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    };
    left_behind.store(true, Ordering::Relaxed);
    Err(ended)
}

fn read(name: &str, bytes: &[u8], is_left_behind: &AtomicBool) -> Result<Vec<String>> {
    let bad = |reason: String| DocumentError::BadPdf { name: name.to_owned(), reason };
    let options = LoadOptions::with_max_decompressed_size(STREAM_BYTES_MAX);
    let document = Document::load_mem_with_options(bytes, options).map_err(|error| bad(error.to_string()))?;
    if document.is_encrypted() {
        return Err(bad("it is locked with a password".to_owned()));
    }
    let count = document.page_iter().take(PAGES_MAX + 1).count();
    if count == 0 {
        return Err(bad("it has no pages".to_owned()));
    }
    if count > PAGES_MAX {
        return Err(too_large(name.to_owned(), "a number of pages", count as u64, PAGES_MAX as u64));
    }
    let (mut pages, mut text_bytes) = (Vec::new(), 0);
    for number in 1..=count as u32 {
        if is_left_behind.load(Ordering::Relaxed) {
            return Err(DocumentError::Cancelled);
        }
        // A font that cannot be read takes its own words away, not those of the others.
        let parts = document.extract_text_chunks_with_limit(&[number], STREAM_BYTES_MAX);
        let page: String = parts.into_iter().flatten().collect();
        text_bytes += page.len();
        if text_bytes > TEXT_BYTES_MAX {
            return Err(too_large(name.to_owned(), "a text in bytes", text_bytes as u64, TEXT_BYTES_MAX as u64));
        }
        pages.push(page.replace('\0', ""));
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use lopdf::{Object, Stream, dictionary};

    use super::*;

    /// A PDF with one line of text a page.
    fn sample(lines: &[&str]) -> Vec<u8> {
        let mut document = Document::with_version("1.5");
        let tree = document.new_object_id();
        let font = document.add_object(dictionary! {
            "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier", "Encoding" => "WinAnsiEncoding",
        });
        let resources = document.add_object(dictionary! { "Font" => dictionary! { "F1" => font } });
        let mut kids = Vec::new();
        for line in lines {
            let content = format!("BT /F1 12 Tf 50 700 Td ({line}) Tj ET");
            let content = document.add_object(Stream::new(dictionary! {}, content.into_bytes()));
            let page = dictionary! {
                "Type" => "Page", "Parent" => tree, "Contents" => content, "Resources" => resources,
            };
            kids.push(Object::Reference(document.add_object(page)));
        }
        let count = lines.len() as i64;
        let pages = dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => count };
        document.objects.insert(tree, Object::Dictionary(pages));
        let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
        document.trailer.set("Root", catalog);
        let mut bytes = Vec::new();
        document.save_to(&mut bytes).unwrap();
        bytes
    }

    fn pages(name: &str, bytes: Vec<u8>) -> Result<Vec<String>> {
        super::pages(name, bytes, &mut || false)
    }

    /// Long pages take the reader longer than the first question whether to go on.
    #[test]
    fn a_stop_takes_effect_while_the_reader_still_reads() {
        let line = "A small fire keeps the room warm. ".repeat(20_000);
        let slow = sample(&[line.as_str(); 12]);
        let mut asked = 0;
        let mut is_stopped = || {
            asked += 1;
            true
        };
        assert_eq!(super::pages("a.pdf", slow, &mut is_stopped), Err(DocumentError::Cancelled));
        assert_eq!(asked, 1);
    }

    #[test]
    fn each_page_gives_its_text() {
        let found = pages("a.pdf", sample(&["A small fire", "keeps the room warm"])).unwrap();
        assert_eq!(found.iter().map(|page| page.trim()).collect::<Vec<_>>(), ["A small fire", "keeps the room warm"]);
    }

    #[test]
    fn a_damaged_file_is_an_error_or_a_text_and_never_more() {
        let whole = sample(&["A small fire", "keeps the room warm"]);
        let is_typed = |bytes: Vec<u8>| match pages("a.pdf", bytes) {
            Ok(found) => found.len() <= 2,
            Err(error) => matches!(error, DocumentError::BadPdf { .. }),
        };
        for end in (0..whole.len()).step_by(37) {
            assert!(is_typed(whole[..end].to_vec()), "cut at {end}");
        }
        for at in (0..whole.len()).step_by(13) {
            let mut damaged = whole.clone();
            damaged[at] = b'9';
            assert!(is_typed(damaged), "damaged at {at}");
        }
        assert!(matches!(pages("a.pdf", b"%PDF-1.4\nnothing".to_vec()), Err(DocumentError::BadPdf { .. })));
    }

    #[test]
    fn what_nests_without_end_or_leads_to_itself_is_an_error() {
        let deep = format!("%PDF-1.4\n1 0 obj\n{}\nendobj\ntrailer << /Root 1 0 R >>\n", "[".repeat(200_000));
        assert!(pages("a.pdf", deep.into_bytes()).is_err());
        let circle = "%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages /Kids \
                      [2 0 R 2 0 R] /Count 2 >>\nendobj\ntrailer\n<< /Root 1 0 R /Size 3 >>\nstartxref\n0\n%%EOF\n";
        assert!(pages("a.pdf", circle.as_bytes().to_vec()).is_err());
    }
}
