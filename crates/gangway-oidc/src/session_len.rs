//! How long a session may be, once it is sealed.

/// Bytes of a sealed session. They fill four cookies, which leaves room for those of applications: servers refuse heads of
/// more than 16 or 32 KiB.
pub const SESSION_LEN_MAX: usize = 15_200;
