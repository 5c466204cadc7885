//! The layer of settings from the config file, and the routes that the file describes.
//!
//! A file is used as a whole or not at all: half of a file would serve something that the user did not write. The model
//! decides what the keys of a route mean, as it does for labels.

mod flatten;
mod parse;
mod read;
mod source_text;
mod value_positions;

pub(crate) use self::parse::{ConfigFile, parse, parse_partially};
pub(crate) use self::read::{ConfigReadError, read};
pub(crate) use self::value_positions::ValuePositions;
