//! What is printed, where, and how a command ends.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub use hearth_engine::error::human_bytes as bytes;
use hearth_engine::{
    Error,
    protocol::{Event, Failure},
};
use serde::Serialize;

use crate::args::Global;

/// Why a command ends before it is done.
pub enum Stop {
    /// It failed.
    Failed(Failure),
    /// It contradicts itself.
    Usage(String),
    /// Nobody reads the output any more.
    Closed,
    /// The person stopped it.
    Interrupted,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(Failure::from(&error))
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Stop {
    /// Something that the system refused.
    pub fn io(what: impl Into<String>, error: &io::Error) -> Self {
        Error::Io { file: what.into(), reason: error.to_string() }.into()
    }
}

/// Standard output for results, standard error for everything else.
#[derive(Clone, Copy)]
pub struct Output {
    /// Results for programs.
    pub json: bool,
    /// Loading and prefill events among them.
    pub verbose: bool,
    has_progress: bool,
    is_terminal: bool,
}

impl Output {
    pub fn new(global: &Global) -> Self {
        Self {
            json: global.json,
            verbose: global.verbose > 0,
            has_progress: io::stderr().is_terminal() && !global.json,
            is_terminal: io::stdout().is_terminal(),
        }
    }

    /// Prints text of the result at once. On a terminal control characters, which a model may write too, are left out.
    pub fn text(&self, text: &str) -> Result<(), Stop> {
        let mut out = io::stdout().lock();
        let written = if self.is_terminal && text.contains(is_unsafe) {
            out.write_all(text.replace(is_unsafe, "").as_bytes())
        } else {
            out.write_all(text.as_bytes())
        };
        written.and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Closed,
            _ => Stop::io("the output", &error),
        })
    }

    /// Prints a line of the result.
    pub fn line(&self, text: impl AsRef<str>) -> Result<(), Stop> {
        self.text(&format!("{}\n", text.as_ref()))
    }

    /// Prints a value as one line of JSON.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Stop> {
        let text = serde_json::to_string(value).map_err(|error| Error::invalid("the output", error))?;
        self.line(text)
    }

    /// Shows how far something is, in place of what was shown before; only to a person.
    pub fn progress(&self, text: &str) {
        let mut shown_at = progress_shown_at();
        if self.has_progress && shown_at.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
            *shown_at = Some(Instant::now());
            aside(&format!("{CLEAR_LINE}{text}"));
        }
    }

    /// Something that the person should know, though nothing has failed.
    pub fn warning(&self, text: &str) {
        aside(&format!("warning: {text}\n"));
    }

    /// Takes the progress away, if any is shown: otherwise the line is the result's.
    pub fn end_progress(&self) {
        if progress_shown_at().take().is_some() {
            aside(CLEAR_LINE);
        }
    }

    /// A remark beside the result; only to a person.
    pub fn remark(&self, text: &str) {
        if self.has_progress {
            aside(&format!("\x1b[2m{text}\x1b[0m\n"));
        }
    }

    /// Whether a person sees what is said beside the result.
    pub fn has_reader(&self) -> bool {
        self.has_progress
    }

    /// What the model thinks: beside the result, which it is no part of.
    pub fn thought(&self, text: &str) {
        let text = text.replace(is_unsafe, "");
        aside(&if self.has_progress { format!("\x1b[2m{text}\x1b[0m") } else { text });
    }

    /// Says what failed and what can be done.
    pub fn failure(&self, failure: &Failure) {
        self.end_progress();
        if self.json {
            // If the output is gone too, the exit code is all that is left.
            let _ = self.json(&Event::Failed(failure.clone()));
        } else {
            aside(&format!("error: {}\nhint: {}\n", failure.message, failure.hint));
        }
    }

    /// Says why a command was not understood.
    pub fn usage(&self, message: &str) {
        aside(&format!("error: {message}\n\nFor more information, try '--help'.\n"));
    }
}

/// No eye follows more than this.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

const CLEAR_LINE: &str = "\r\x1b[2K";

/// When the progress that stands on the terminal was put there. The terminal is one, so this is one too.
fn progress_shown_at() -> MutexGuard<'static, Option<Instant>> {
    static SHOWN_AT: Mutex<Option<Instant>> = Mutex::new(None);
    SHOWN_AT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn aside(text: &str) {
    // Without a place for complaints there is nobody to complain to.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn is_unsafe(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\t')
}

/// A count for a person: 11.5 M rather than 11534592.
pub fn count(number: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "for reading")]
    let value = number as f64;
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{:.1} K", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", value / 1e6),
        _ => format!("{:.1} B", value / 1e9),
    }
}
