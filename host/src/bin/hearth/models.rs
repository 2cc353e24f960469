//! `models`: which there are, and which shall be remembered.

use hearth_engine::protocol::{Event, ListedModel, ModelList, Request};
use hearth_host::EngineHandle;

use crate::{
    args::Models,
    output::{Output, Stop},
    session::{request, unexpected},
};

pub fn models(engine: &EngineHandle, command: Option<&Models>, output: &Output) -> Result<(), Stop> {
    let asked = match command {
        None | Some(Models::List) => Request::Models,
        Some(Models::Add { path }) => Request::AddModel { path: path.clone() },
        Some(Models::Remove { name }) => Request::RemoveModel { model: name.clone() },
    };
    let last = request(engine, asked, |_| Ok(()))?;
    if output.json {
        return output.json(&last);
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

fn print(list: &ModelList, output: &Output) -> Result<(), Stop> {
    let width = list.models.iter().map(|model| model.name.len()).max().unwrap_or(0);
    for ListedModel { name, description, place, is_missing, .. } in &list.models {
        let mark = if list.bundled.as_ref() == Some(name) { "*" } else { " " };
        let words = place.as_ref().unwrap_or(description);
        let note = if *is_missing { "  (its files are gone)" } else { "" };
        output.line(format!("{mark} {name:width$}  {words}{note}"))?;
    }
    Ok(())
}
