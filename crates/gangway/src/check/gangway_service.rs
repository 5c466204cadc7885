//! Gangway's own service in a compose file.

mod checks;
mod context;
mod service_settings;

pub(super) use self::checks::{check, check_in_traefiks_place, check_programs};
pub(super) use self::context::GangwayService;
pub(super) use self::service_settings::ServiceSettings;
