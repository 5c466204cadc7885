//! What `make bench` and the build of the image by a profile stand on.

use gangway_tests::bench::proxies::Stage;
use gangway_tests::bench::scenes::SCENES;
use gangway_tests::run;
use tokio::task::block_in_place;

#[test]
fn gangway_starts_anew_for_each_scene() {
    run(async {
        let stage = Stage::set().await;
        for scene in SCENES {
            for kind in scene.proxies.iter().filter(|kind| kind.is_gangway()) {
                let proxy = stage.start(*kind).await;
                block_in_place(|| proxy.stop());
            }
        }
    });
}
