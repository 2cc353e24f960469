//! What the tests share: the tidiness checker, the golden files, the devices there are, and numbers to compare with.

pub mod blocks;
pub mod devices;
pub mod files;
pub mod gguf;
pub mod kernels;
pub mod numbers;
pub mod platform;
pub mod sessions;
pub mod structured;
pub mod tidy;
