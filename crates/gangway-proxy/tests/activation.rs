//! Compiled tables come in force whatever happens to the task that prepares them.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Plane, app, route};
use gangway_model::{Policy, Upstream};
use gangway_proxy::CookieSecret;

#[tokio::test]
async fn after_a_panic_of_the_activator_the_newest_table_comes_in_force() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let mut plane = Plane::start_with(|settings| {
        settings.secret = CookieSecret::from(move || match count.fetch_add(1, Ordering::Relaxed) {
            0 => panic!("on purpose"),
            _ => vec![b"secret".to_vec()],
        });
    });
    let (address, _) = app("app").await;
    let mut sticky = route("app.localhost", address);
    // Only a sticky route makes the activator ask for the secret.
    sticky.change = Box::new(|route| {
        let policy = Policy { sticky: Some("sticky".into()), ..Policy::default() };
        let Upstream { id, endpoints, .. } = &*route.upstream;
        let (id, endpoints) = (id.clone(), endpoints.clone());
        route.upstream = Arc::new(Upstream { id, endpoints, policy, ..Upstream::default() });
    });
    plane.serve(vec![sticky]).await;
    assert!(asked.load(Ordering::Relaxed) > 1, "the first table panicked");
    assert_eq!(plane.http().get("app.localhost", "/").await.expect("answered").status, 200);
}
