//! Certificate authority of a Ferraris installation: issue, revoke, list.
//!
//! An authority is a directory of plain PEM files (drawing in [`mod@authority`]) that one engineer can read, copy and back up.
//! Every program of an installation knows the others by certificates from here: the subject's common name is the meter's or
//! service's name, its organisational unit the [`Role`]. Several authorities can live side by side, each in a directory of its own,
//! which is how one is replaced by the next: trust both, issue from the new one, drop the old one.

pub mod authority;
mod error;
mod files;
mod index;
mod profile;
mod role;

pub use authority::{Authority, Issued, Settings};
pub use error::Error;
pub use index::{Entry, Status};
pub use profile::IssueOptions;
pub use role::{Role, UnknownRole};

/// A moment in UTC, as certificates have it: whole seconds.
pub use time::OffsetDateTime;
