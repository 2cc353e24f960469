//! What answers the protocol's requests: one model on one device, the same behind every route.

mod platform;

pub use platform::{Cancellations, ModelLocation, Platform};
