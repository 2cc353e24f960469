//! What the engine needs from where it runs.

use std::{
    collections::HashSet,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    Error, Result,
    device::{PageAdapter, Workers, cpu::Activations},
    file::{BoxedFuture, Folder},
    protocol::{CpuReport, MemoryReport, ModelList},
    text::LocalTime,
};

/// A host, or a web page. Everything that the engine itself must not do.
pub trait Platform {
    /// Milliseconds since any fixed moment; never runs backwards.
    fn now_ms(&self) -> f64;
    /// The local time, which some chat templates state; None if it is not known.
    fn local_time(&self) -> Option<LocalTime>;
    /// A number that differs each time, for sampling without a seed.
    fn random_seed(&self) -> u32;
    /// Lets other work on this thread happen: in a web worker the arrival of a request to stop.
    fn pause(&self) -> BoxedFuture<'_, ()>;
    /// Finds a model by its name or path. An empty name is the bundled model.
    fn find_model<'a>(&'a self, model: &'a str) -> BoxedFuture<'a, Result<ModelLocation>>;
    /// The models that can be asked for by name.
    fn models(&self) -> BoxedFuture<'_, Result<ModelList>> {
        Box::pin(std::future::ready(Ok(ModelList::default())))
    }
    /// Puts a model on the list, and gives the name under which it is found from now on.
    fn add_model<'a>(&'a self, _path: &'a str) -> BoxedFuture<'a, Result<String>> {
        let refused = Error::NotAllowed { what: "adding a model by its path".to_owned() };
        Box::pin(std::future::ready(Err(refused)))
    }
    /// Takes a model that was added off the list.
    fn remove_model<'a>(&'a self, _model: &'a str) -> BoxedFuture<'a, Result<()>> {
        let refused = Error::NotAllowed { what: "removing a model".to_owned() };
        Box::pin(std::future::ready(Err(refused)))
    }
    /// The threads for CPU work.
    fn workers(&self) -> Arc<dyn Workers>;
    /// What products on the CPU make of the activations.
    fn activations(&self) -> Activations {
        Activations::default()
    }
    /// What the CPU is.
    fn cpu(&self) -> CpuReport;
    /// How much memory there is.
    fn memory(&self) -> MemoryReport;
    /// Compiled shaders that were kept under that name, unchanged; None if there are none.
    fn kept_pipelines(&self, _name: &str) -> Option<Vec<u8>> {
        None
    }
    /// Keeps compiled shaders under a name, for another start. Nothing is lost if it does not.
    fn keep_pipelines(&self, _name: &str, _bytes: &[u8]) {}
    /// The most memory that this process has had since it began; None if the platform does not tell.
    fn peak_memory_bytes(&self) -> Option<u64> {
        None
    }
    /// "linux x86_64", ...
    fn name(&self) -> String;
    /// What a web page knows of its GPU's adapter; nothing elsewhere.
    fn page_adapter(&self) -> PageAdapter {
        PageAdapter::default()
    }
    /// Whether GPUs may be looked for.
    fn gpu_allowed(&self) -> bool;
}

/// Where a model's files are.
pub struct ModelLocation {
    /// The model's name, for people.
    pub name: String,
    /// Its files.
    pub folder: Rc<dyn Folder>,
    /// The `.gguf` file among them, if the model is one.
    pub file: Option<String>,
}

/// Which requests shall stop. Shared between the engine's thread and those that ask.
#[derive(Clone, Debug, Default)]
pub struct Cancellations(Arc<Mutex<HashSet<u32>>>);

impl Cancellations {
    /// Asks the request of that number to stop at its next token.
    pub fn request(&self, id: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// Whether it has been asked to.
    pub fn is_requested(&self, id: u32) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// Forgets the request, which has ended.
    pub fn finish(&self, id: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}
