//! Log-ins at OpenID providers: OpenID Connect Core 1.0 with the authorization code flow (RFC 6749) and PKCE (RFC 7636).
//!
//! A [`Provider`] sends a browser to log in, and makes a session of what the provider answers. Nothing about a client is
//! kept here: what must be known again is in cookies, sealed by [`CookieKeys`]. Every failure is a value; none lets a
//! client in.
//!
//! Who may use which route, and how a request and its cookies look, is not known here.

mod access_token;
mod cached;
mod cookie_keys;
mod discovery;
mod http;
mod id_token;
mod jwks;
mod login_error;
mod login_state;
mod logout_token;
mod provider;
mod providers;
mod session;
mod session_event;
mod session_len;
mod settings;
mod signed_token;
mod time;
mod token_response;
mod user;

pub use cookie_keys::CookieKeys;
pub use gangway_http_client::NoCertificate;
pub use http::Http;
pub use login_error::{LoginError, RenewalError};
pub use login_state::{Callback, StateId};
pub use logout_token::{EndedAtProvider, LogoutToken};
pub use provider::{FinishedLogin, LoginStart, Provider, TakenTokens};
pub use providers::Providers;
pub use session::{Freshness, Session, SessionId};
pub use session_event::{BegunSession, EndedSessions, SessionEnd, SessionEvent};
pub use session_len::SESSION_LEN_MAX;
pub use settings::{ClientSecret, ProviderSettings, is_secure_url};
pub use time::{UnixSeconds, now};
pub use user::User;
