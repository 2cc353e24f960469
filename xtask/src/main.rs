//! What the build needs beyond cargo and npm: `xtask wasm INPUT.wasm OUTPUT_FOLDER` wraps the engine's WebAssembly in
//! JavaScript for the user interface's worker. A library call rather than the program `wasm-bindgen`, because the two
//! halves of wasm-bindgen have to agree to the last digit, and Cargo.lock then pins both.

use std::{
    env,
    error::Error,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
};

use wasm_bindgen_cli_support::Bindgen;

/// What `ui/vite.config.ts` calls the module.
const MODULE: &str = "hearth_engine";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [task, input, output] if task == "wasm" => package(Path::new(input), Path::new(output)),
        _ => Err("usage: xtask wasm INPUT.wasm OUTPUT_FOLDER".into()),
    };
    match outcome {
        Ok(line) => {
            say(&line);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("xtask: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Wraps `input`, shrinks it where Binaryen is installed, and only then puts it where Vite looks: a watcher must never
/// see half of it.
fn package(input: &Path, output: &Path) -> Result<String, Box<dyn Error>> {
    let staging = output.with_extension(format!("new-{}", process::id()));
    clear(&staging)?;
    Bindgen::new()
        .input_path(input)
        .out_name(MODULE)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(&staging)?;
    let module = staging.join(format!("{MODULE}_bg.wasm"));
    let wrapped_bytes = fs::metadata(&module)?.len();
    let shrunk = shrink(&module)?;
    let module_bytes = fs::metadata(&module)?.len();
    clear(output)?;
    fs::rename(&staging, output)?;
    Ok(match shrunk {
        true => format!("{MODULE}_bg.wasm: {module_bytes} bytes (wasm-opt saved {})", wrapped_bytes - module_bytes),
        false => format!("{MODULE}_bg.wasm: {module_bytes} bytes"),
    })
}

/// Runs Binaryen's `wasm-opt` over the module, if it is installed and new enough to understand it, and keeps the
/// result if it is smaller. The module is right without: a machine that lacks the program still builds all.
fn shrink(module: &Path) -> io::Result<bool> {
    let shrunk: PathBuf = module.with_extension("opt.wasm");
    let outcome = Command::new("wasm-opt").args(["-O3", "--all-features", "-o"]).arg(&shrunk).arg(module).output();
    let smaller = match outcome {
        Ok(output) if output.status.success() => fs::metadata(&shrunk)?.len() < fs::metadata(module)?.len(),
        _ => false,
    };
    if smaller {
        fs::rename(&shrunk, module)?;
    } else if shrunk.exists() {
        fs::remove_file(&shrunk)?;
    }
    Ok(smaller)
}

/// Leaves nothing at `folder`.
fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Progress is for the person at the terminal, as cargo's own is.
#[allow(clippy::print_stderr, reason = "a command line's output")]
fn say(line: &str) {
    eprintln!("{line}");
}
