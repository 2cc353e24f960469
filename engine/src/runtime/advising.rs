//! Which recipe suits a model and the memory at hand.

use super::Platform;
use crate::{
    file::{Documents, Folder, OpenedModel, find_frontier},
    memory::Recipes,
    protocol::{MemoryPlan, RecipesReport},
};

/// What quantising a model would save and lose. `plan` is what it needs as it is; none if it cannot run, or if its
/// architecture cannot be quantised. What a model brings of measurements is shown in any case.
pub async fn recipes(
    platform: &dyn Platform,
    folder: &dyn Folder,
    opened: &OpenedModel,
    model: &str,
    plan: Option<&MemoryPlan>,
    memory_bytes: Option<u64>,
) -> RecipesReport {
    // Measurements that cannot be read are as good as none: they decide nothing but a recommendation.
    let own = match opened.documents {
        Documents::HuggingFace { .. } => find_frontier(folder).await.ok().flatten(),
        Documents::Gguf { .. } => None,
    };
    let absent =
        |absence: &str| RecipesReport { absence: absence.to_owned(), memory_bytes, ..RecipesReport::default() };
    let absence = match (&opened.documents, plan) {
        (Documents::Gguf { .. }, _) => {
            "`hearth quantize` reads folders in Hugging Face layout: give it the one that this file was made from"
        }
        _ if opened.catalog.is_quantised() => "it is quantised already",
        (_, None) => "`hearth quantize` takes models that write text and have no experts",
        (_, Some(plan)) => {
            let other = if own.is_none() { bundled(platform).await } else { None };
            return Recipes { catalog: &opened.catalog, model, plan, memory_bytes, own, other }.report();
        }
    };
    RecipesReport { frontier: own, ..absent(absence) }
}

/// What was measured of the bundled model.
async fn bundled(platform: &dyn Platform) -> Option<crate::protocol::Frontier> {
    let location = platform.find_model("").await.ok()?;
    find_frontier(&*location.folder).await.ok().flatten()
}
