//! What the promise tests share: a stage with a broker and a Kafka, homes that measure, processors that are killed, and the books that
//! tell whether anything was lost or doubled.

pub mod books;
pub mod child;
pub mod gates;
pub mod home;
pub mod meter;
pub mod office;
pub mod rows;
pub mod stage;

pub use books::Books;
pub use child::{Child, Halt};
pub use gates::Gates;
pub use home::Home;
pub use meter::RawMeter;
pub use office::Office;
pub use rows::Rows;
pub use stage::Stage;

use std::time::Duration;

/// How long anything may take on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(90);
