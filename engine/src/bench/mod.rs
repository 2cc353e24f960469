//! How fast a device runs a model: shapes with random weights, the runs, and what is made of their times. It has no
//! clock of its own; whoever asks brings one as a [`Host`].

mod cases;
mod report;
mod run;
mod shape;
mod spread;
mod traffic;
mod weights;

pub use cases::{Case, Cases};
pub use report::{Measured, PlanTimes, headline, profile_of};
pub use run::{Host, Plan, Runner};
pub use shape::{open_shape, shape_name};
pub use spread::spread;
pub use traffic::bytes_per_token;
