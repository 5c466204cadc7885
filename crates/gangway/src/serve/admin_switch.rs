//! Serves the admin listener only while this instance is the one to answer: during a hand-over its successor does.

use std::convert::Infallible;
use std::sync::Arc;

use gangway_admin::Admin;
use tokio::sync::watch;

/// Whether this instance or its successor answers on the admin listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AdminOwner {
    ThisInstance,
    Successor,
}

/// Serves the admin listener whenever it belongs to this instance.
pub(super) async fn serve(mut owner: watch::Receiver<AdminOwner>, admin: Arc<Admin>) -> Infallible {
    loop {
        until(&mut owner, AdminOwner::ThisInstance).await;
        tokio::select! {
            never = admin.serve() => match never {},
            () = until(&mut owner, AdminOwner::Successor) => {}
        }
    }
}

/// Waits until the listener belongs to `sought`. Never returns if it cannot change any more.
async fn until(owner: &mut watch::Receiver<AdminOwner>, sought: AdminOwner) {
    if owner.wait_for(|now| *now == sought).await.is_err() {
        std::future::pending::<()>().await;
    }
}
