//! Threads in a page, where it is isolated from others: workers that run the same module in the same memory. JavaScript
//! starts them before it makes an engine; a module without shared memory has nobody to start.

use std::sync::{Arc, OnceLock};

use wasm_bindgen::prelude::*;

use crate::device::{Crew, Workers};

/// How often a thread looks for work before it sleeps: some 20 to 50 microseconds.
const LOOKS: u32 = 20_000;

/// One for the whole memory.
static CREW: OnceLock<Arc<Crew>> = OnceLock::new();

/// The threads, if there are any.
pub fn crew() -> Option<Arc<dyn Workers>> {
    CREW.get().map(|crew| crew.clone() as Arc<dyn Workers>)
}

/// Makes room for so many threads, the caller's among them, and gives out the memory that the others have to share.
#[wasm_bindgen(js_name = shareMemory)]
pub fn share_memory(threads: usize) -> JsValue {
    CREW.get_or_init(|| Arc::new(Crew::new(threads, LOOKS)));
    wasm_bindgen::memory()
}

/// Makes the calling worker one of the threads, for good.
#[wasm_bindgen(js_name = serveEngine)]
pub fn serve_engine() {
    if let Some(crew) = CREW.get() {
        crew.serve();
    }
}

/// Tells the engine that one of the threads is gone, so that nobody waits for it. Every thread can.
#[wasm_bindgen(js_name = giveUpEngine)]
pub fn give_up_engine() {
    if let Some(crew) = CREW.get() {
        crew.give_up();
    }
}
