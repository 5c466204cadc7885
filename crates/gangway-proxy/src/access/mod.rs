//! Who may come in, and how much: the checks of a request that need a state or take time.

pub(crate) mod appsec;
pub(crate) mod chosen_address;
mod client_key;
mod concurrency;
mod credentials;
mod forward;
pub(crate) mod gate;
pub(crate) mod geo_databases;
pub(crate) mod guard;
mod login;
mod login_cache;
mod login_sources;
mod oidc;
pub(crate) mod oidc_cookies;
mod oidc_renewals;
mod password;
mod rate_limiter;
mod used_ids;
mod user_lists;

pub use self::geo_databases::{GeoDatabase, GeoDatabaseError, GeoDatabases};
pub use self::login_sources::LoginSources;
pub use self::user_lists::UserLists;
