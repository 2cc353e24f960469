//! Ctrl-C: the first stops what is under way, the second the program.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use hearth_engine::Error;
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

/// Whether the work that the command does by itself shall end.
static STOPS: AtomicBool = AtomicBool::new(false);

/// From now on the first Ctrl-C makes [`check`] refuse to go on, and the second ends the program.
pub fn watch_work() -> Result<(), Stop> {
    ctrlc::set_handler(|| {
        if STOPS.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
    })
    .map_err(|error| Stop::io("the interrupt signal", &std::io::Error::other(error)))
}

/// From now on the first Ctrl-C stops the work in this way, and the second ends the program.
pub fn watch_with(stop: impl Fn() + Send + 'static) -> Result<(), Stop> {
    ctrlc::set_handler(move || {
        if STOPS.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        stop();
    })
    .map_err(|error| Stop::io("the interrupt signal", &std::io::Error::other(error)))
}

/// An error if the person wants the work to end.
pub fn check() -> Result<(), Error> {
    if STOPS.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
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
