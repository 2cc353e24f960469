//! What was measured of a model's quantised forms, and lies beside it.

use super::{Folder, open::find_text};
use crate::{Error, Result, protocol::Frontier};

/// What `hearth eval frontier -o` is to be called beside a model's weights.
pub const FRONTIER_FILE: &str = "frontier.json";

/// The version that is read.
pub const FRONTIER_VERSION: u32 = 1;

/// Longer ones are not read: a point takes 400 bytes.
const FRONTIER_MAX_BYTES: u64 = 1 << 20;

/// Reads a model's measurements, if it brings any.
pub async fn find_frontier(folder: &dyn Folder) -> Result<Option<Frontier>> {
    let Some(text) = find_text(folder, FRONTIER_FILE, FRONTIER_MAX_BYTES).await? else { return Ok(None) };
    let found: Frontier = serde_json::from_str(&text).map_err(|error| Error::malformed(FRONTIER_FILE, error))?;
    if found.version != FRONTIER_VERSION {
        let reason = format!("its version is {}, but {FRONTIER_VERSION} is read", found.version);
        return Err(Error::malformed(FRONTIER_FILE, reason));
    }
    Ok(Some(found))
}
