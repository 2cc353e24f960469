//! What the device can do, and what follows from it. The only place that may know a vendor's or an adapter's name.

mod choose;

pub use choose::{Choice, choose};
