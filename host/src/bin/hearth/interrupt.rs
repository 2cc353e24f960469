//! Ctrl-C: the first stops what is under way, the second the program.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hearth_host::RequestTicket;

use crate::output::Stop;

static CURRENT: Mutex<Option<RequestTicket>> = Mutex::new(None);

/// The code by which shells know that a program was interrupted.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C stops the current request, and where there is none the program.
pub fn watch() -> Result<(), Stop> {
    ctrlc::set_handler(|| match current().take() {
        Some(ticket) => ticket.cancel(),
        None => std::process::exit(INTERRUPTED),
    })
    .map_err(|error| Stop::io("the interrupt signal", &std::io::Error::other(error)))
}

/// While this lives, Ctrl-C stops that request.
pub struct Interruptible;

impl Interruptible {
    pub fn new(ticket: RequestTicket) -> Self {
        *current() = Some(ticket);
        Self
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        *current() = None;
    }
}

fn current() -> MutexGuard<'static, Option<RequestTicket>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}
