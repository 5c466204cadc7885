//! Storage in which keys, certificates and accounts outlive the process.
//!
//! [`Storage`] states the needs of the rest of this crate; [`FolderStorage`] implements it with a folder of the
//! volume. The trait is shaped so that Redis or an object store can implement it: values are small and replaced
//! whole, every write is made under a [`Lease`](Storage::Lease), and a lost lease makes the write fail.

mod folder;
mod interface;
mod lease;

pub use folder::{FolderStorage, restrict};
pub(crate) use interface::while_held;
pub use interface::{Storage, StorageCause, StorageError, Stored, safe_name};
pub use lease::FolderLease;
