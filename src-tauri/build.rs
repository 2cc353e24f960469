//! Checks `tauri.conf.json`, the capabilities and the icons, and makes what the window embeds from them.

use std::{fs, io, path::Path};

use tauri_build::{AppManifest, Attributes};

/// What the window shows if the user interface has not been built: without the file Tauri refuses to compile, and a
/// plain `cargo check` should not need node.
const NOT_BUILT: &str = "<!doctype html><title>Hearth</title><p>Run ./hearth build ui, then build the app again.</p>\n";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=src-tauri/capabilities");
    println!("cargo::rerun-if-changed=src-tauri/permissions");
    // A file that is added there travels with the app too.
    println!("cargo::rerun-if-changed=models");
    let page = Path::new("ui/dist/index.html");
    if !page.exists() {
        fs::create_dir_all("ui/dist")?;
        fs::write(page, NOT_BUILT)?;
    }
    let attributes = Attributes::new()
        .capabilities_path_pattern("./src-tauri/capabilities/**/*")
        .app_manifest(AppManifest::new().permissions_path_pattern("./src-tauri/permissions/**/*"));
    tauri_build::try_build(attributes).map_err(|error| io::Error::other(format!("{error:#}")))
}
