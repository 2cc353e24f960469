//! Large pages. A processor looks up where a page lies for every page that it touches, in a virtual machine twice over:
//! with pages of 4 KiB that is a third of the time that decoding takes.

use std::ops::Range;

/// Asks for large pages under memory at these addresses. A system that has none to give goes on with small ones.
#[cfg(target_os = "linux")]
pub fn prefer_large(addresses: Range<usize>) {
    // SAFETY: it asks for a number.
    let page_bytes = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096).max(1);
    // Whole pages, as the call wants them.
    let start = addresses.start - addresses.start % page_bytes;
    let bytes = addresses.end.saturating_sub(start).next_multiple_of(page_bytes);
    // SAFETY: this advice changes no content and no right of any memory, whatever lies at the addresses; where nothing
    // does, the call fails.
    let refused = unsafe { libc::madvise(std::ptr::without_provenance_mut(start), bytes, libc::MADV_HUGEPAGE) } != 0;
    if refused {
        tracing::debug!(bytes, error = %std::io::Error::last_os_error(), "no large pages");
    }
}

/// Other systems choose by themselves.
#[cfg(not(target_os = "linux"))]
pub fn prefer_large(_addresses: Range<usize>) {}
