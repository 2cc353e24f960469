//! Documents that a person drops: PDF, Markdown, text. The first byte says which.
#![no_main]

use hearth_host::documents::{Source, chunks};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = data.split_first() else { return };
    let name = ["fuzz.pdf", "fuzz.md", "fuzz.txt"][usize::from(which % 3)];
    let Ok(source) = Source::read(name, data.to_vec()) else { return };
    let mut count = |text: &str| Ok(text.split_whitespace().count());
    let _ = chunks(&source.text, &source.sections, 16, &mut count);
});
