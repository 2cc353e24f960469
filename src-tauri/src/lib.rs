//! The window: Hearth's user interface in the system's web view, with the engine in Rust behind one command.

mod commands;

/// Opens the window and returns when it is closed.
#[cfg_attr(mobile, tauri::mobile_entry_point)]
pub fn run() {
    let outcome = tauri::Builder::default()
        .invoke_handler(tauri::generate_handler![commands::hearth])
        .run(tauri::generate_context!());
    if let Err(error) = outcome {
        tracing::error!("the window could not be opened: {error}");
    }
}
