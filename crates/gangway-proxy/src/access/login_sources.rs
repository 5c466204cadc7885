//! Where the data plane learns who may log in.

use gangway_oidc::Providers;
use gangway_publish::Reader;

use crate::access::user_lists::UserLists;

/// Who may log in, and where.
#[derive(Clone, Debug)]
pub struct LoginSources {
    /// The lists of users that labels name.
    pub user_lists: Reader<UserLists>,
    /// The OpenID providers that labels name.
    pub providers: Reader<Providers>,
}
