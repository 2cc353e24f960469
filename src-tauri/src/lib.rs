//! The window: Hearth's user interface in the system's web view, with the engine in Rust behind one command and the
//! models behind one URI scheme. The engine's work is `hearth-host`'s; here it only meets the window.

mod engine;
mod models;

use hearth_host::{DocumentOptions, EngineHandle, HostOptions, ModelStore, documents::Library, store::BlobStore};
use tauri::{Manager, UriSchemeContext, WebviewWindowBuilder, Wry, webview::PageLoadEvent};

use engine::Engine;

/// Opens the window on a device without a command line.
#[cfg_attr(mobile, tauri::mobile_entry_point)]
pub fn run() {
    if let Err(error) = open(None) {
        tracing::error!(%error, "the window could not be opened");
    }
}

/// Opens the window and returns when it is closed. `model`, a name or a path, takes the bundled model's place.
pub fn open(model: Option<&str>) -> tauri::Result<()> {
    let model = model.map(str::to_owned);
    tauri::Builder::default()
        // The system's own dialog for a file or a folder. The window may open it, and learns nothing but what was chosen.
        .plugin(tauri_plugin_dialog::init())
        .setup(move |app| {
            let resources = app.path().resource_dir().ok();
            let mut store = ModelStore::new(ModelStore::usual_folders(resources.as_deref()));
            // Who sits at this window may bring models from the disk.
            if let Some(memory) = ModelStore::usual_memory() {
                store = store.allow_adding(true).remember_in(memory);
            }
            if let Some(folder) = BlobStore::usual_folder() {
                store = store.stored_in(folder);
            }
            if let Some(model) = model {
                store = store.choose(&model)?;
            }
            // What is dropped on the window comes as a path.
            let documents = Library::usual_file().map(|file| DocumentOptions { file, allows_paths: true });
            app.manage(Engine::new(EngineHandle::start_with(HostOptions::new(store.clone()), documents)?));
            app.manage(store);
            // Only now: its first requests find the engine and the models in their places.
            if let Some(window) = app.config().app.windows.first() {
                WebviewWindowBuilder::from_config(app, window)?.build()?;
            }
            Ok(())
        })
        .register_asynchronous_uri_scheme_protocol(
            models::SCHEME,
            |context: UriSchemeContext<'_, Wry>, request, responder| {
                models::serve(context.app_handle().state::<ModelStore>().inner().clone(), request, responder);
            },
        )
        .on_page_load(|webview, page| {
            if page.event() == PageLoadEvent::Started {
                webview.state::<Engine>().start_page();
            }
        })
        .invoke_handler(tauri::generate_handler![engine::hearth])
        .run(tauri::generate_context!())
}
