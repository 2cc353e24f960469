//! `models`: which there are, which shall be remembered, and those that lie in the store.

use std::path::PathBuf;

use clap::Subcommand;
use hearth_engine::protocol::{Event, ListedModel, ModelList, Request};
use hearth_host::{
    EngineHandle,
    store::{BlobStore, ModelState, StoredModel},
};
use serde_json::{Value, json};

use crate::{
    output::{Output, Stop, bytes},
    pull::{self, Network},
    session::{request, unexpected},
    store,
    values::byte_count,
};

#[derive(Subcommand)]
pub enum Models {
    /// List the models that have a name; of those in the store with their size and how they are
    List,
    /// Remember a model under a name; its files stay where they are
    Add {
        /// The model's folder or .gguf file
        path: String,
    },
    /// Forget a model that was added, or delete one that lies in the store
    Remove {
        /// The model's name
        name: String,
    },
    /// Take a model that lies on the disk into the store
    Import {
        /// The model's folder or .gguf file
        path: PathBuf,
        /// Copy its files; otherwise they become links, and must not be changed any more
        #[arg(long)]
        copy: bool,
        /// The name under which it is found [default: its folder's or file's]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Read models in the store and compare them with their hashes
    Verify {
        /// The models' names [default: all]
        names: Vec<String>,
    },
    /// Fetch again what is damaged or missing of a model in the store, and nothing else
    Repair {
        /// The model's name
        name: String,
        #[command(flatten)]
        network: Network,
    },
    /// Keep a model when room is made
    Pin {
        /// The model's name
        name: String,
    },
    /// Keep a model no longer when room is made
    Unpin {
        /// The model's name
        name: String,
    },
    /// Remove files that no model in the store needs, and downloads that nobody went on with for a week
    Gc {
        /// Remove all unfinished downloads, however new
        #[arg(long)]
        all: bool,
    },
    /// Show or set how much the store may take
    Quota {
        /// As 20G; `none` takes the limit away
        size: Option<String>,
    },
    /// Make the store's index anew from its files, if it is damaged
    Rebuild,
}

/// Answers the command. `start` starts an engine, for the actions that need one.
pub fn models(
    command: Option<&Models>,
    output: &Output,
    start: impl FnOnce() -> Result<EngineHandle, Stop>,
) -> Result<(), Stop> {
    match command {
        None | Some(Models::List) => ask(&start()?, Request::Models, output),
        Some(Models::Add { path }) => ask(&start()?, Request::AddModel { path: path.clone() }, output),
        Some(Models::Remove { name }) if store::holds(name)? => store::remove(name, output),
        Some(Models::Remove { name }) => ask(&start()?, Request::RemoveModel { model: name.clone() }, output),
        Some(Models::Import { path, copy, name }) => store::import(path, *copy, name.as_deref(), output),
        Some(Models::Verify { names }) => store::verify(names, output),
        Some(Models::Repair { name, network }) => pull::repair(name, network, output),
        Some(Models::Pin { name }) => store::pin(name, true, output),
        Some(Models::Unpin { name }) => store::pin(name, false, output),
        Some(Models::Gc { all }) => store::collect_garbage(*all, output),
        Some(Models::Quota { size }) => match size.as_deref() {
            None => store::show_quota(output),
            Some("none") => store::set_quota(None, output),
            Some(size) => store::set_quota(Some(byte_count(size).map_err(Stop::Usage)?), output),
        },
        Some(Models::Rebuild) => store::rebuild(output),
    }
}

fn ask(engine: &EngineHandle, asked: Request, output: &Output) -> Result<(), Stop> {
    let last = request(engine, asked, |_| Ok(()))?;
    if output.json {
        return match &last {
            Event::Models(_) => output.json(&with_stored(&last)),
            last => output.json(last),
        };
    }
    match last {
        Event::Models(list) => print(&list, output),
        Event::ModelAdded { model } => {
            output.line(format!("{model} is on the list: `hearth chat --model {model}` talks with it"))
        }
        Event::ModelRemoved { model } => output.line(format!("{model} is off the list; its files are where they were")),
        other => Err(unexpected(&other)),
    }
}

/// What the store holds; nothing if it cannot be read, of which the list has warned already.
fn stored() -> Vec<StoredModel> {
    let models = || BlobStore::open_existing(BlobStore::usual_folder()?).ok()??.models().ok();
    models().unwrap_or_default()
}

/// The list for programs, with what the store knows of its models.
fn with_stored(list: &Event) -> Value {
    let mut value = json!(list);
    let stored = stored();
    for model in value["models"].as_array_mut().into_iter().flatten() {
        let found = stored.iter().find(|found| model["name"] == found.manifest.name.as_str());
        if let Some(found) = found {
            model["stored"] = json!({
                "bytes": found.bytes, "is_pinned": found.is_pinned, "state": found.state,
                "source": found.manifest.source, "revision": found.manifest.revision,
            });
        }
    }
    value
}

fn print(list: &ModelList, output: &Output) -> Result<(), Stop> {
    let stored = stored();
    let width = list.models.iter().map(|model| model.name.len()).max().unwrap_or(0);
    for ListedModel { name, description, place, is_missing, .. } in &list.models {
        let mark = if list.bundled.as_ref() == Some(name) { "*" } else { " " };
        let words = place.as_ref().unwrap_or(description);
        let in_store = stored.iter().find(|found| found.manifest.name == *name);
        let note = match in_store {
            Some(found) => state(found),
            None if *is_missing => "  (its files are gone)".to_owned(),
            None => String::new(),
        };
        output.line(format!("{mark} {name:width$}  {words}{note}"))?;
    }
    let total_bytes: u64 = stored.iter().map(|found| found.bytes).sum();
    if !stored.is_empty() {
        output.remark(&format!("{} in the store", bytes(total_bytes)));
    }
    Ok(())
}

fn state(model: &StoredModel) -> String {
    let pinned = if model.is_pinned { "  pinned" } else { "" };
    let name = &model.manifest.name;
    match model.state {
        ModelState::Whole => pinned.to_owned(),
        ModelState::Damaged => format!("{pinned}  (damaged: `hearth models repair {name}`)"),
        ModelState::Missing => format!("{pinned}  (files are missing: `hearth models repair {name}`)"),
    }
}
