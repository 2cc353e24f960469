//! The app on a desktop: `hearth-app [--model NAME_OR_PATH]`.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let model = match arguments.as_slice() {
        [] => None,
        ["--model", model] => Some(*model),
        _ => return explain("usage: hearth-app [--model NAME_OR_PATH]", ExitCode::from(2)),
    };
    match hearth_app::open(model) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => explain(&format!("hearth-app: {error}"), ExitCode::FAILURE),
    }
}

#[allow(clippy::print_stderr, reason = "whoever started it from a terminal reads it there")]
fn explain(words: &str, code: ExitCode) -> ExitCode {
    eprintln!("{words}");
    code
}
