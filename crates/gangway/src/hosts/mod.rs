//! The holders of hosts on the volume: loaded at the start, written after each change, and released by a command.
//!
//! The model decides which project holds which host. `gangway hosts` reads what was written. `gangway release` leaves
//! a note there, and the running instance, or the next one, carries it out.

mod command;
mod format;
mod keys;
mod persistence;

pub(crate) use self::command::{hosts, release};
pub(crate) use self::persistence::{load, persist};
