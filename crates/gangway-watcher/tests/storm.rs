//! Many events at once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use gangway_testkit::engine::{Container, Engine};
use gangway_testkit::fault::Fault;
use support::{pass, seconds, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

#[tokio::test(start_paused = true)]
async fn a_thousand_starts_in_ten_seconds_cost_few_readings() {
    let mut fault = Fault::begin(
        6,
        "1,000 containers start in 10 s (fake engine)",
        "last one read <= 2 s after its event; <= 20 tables; <= 2 listings a second",
    );
    let engine = Engine::default();
    engine.add(Container::new("calm"));
    let watched = watch(&engine);
    watched.until_running(&["calm"]).await;
    pass(seconds(2)).await;
    let (tables, listings) = (watched.published(), engine.asked_for("/containers/json"));
    let mut tick = interval(Duration::from_millis(10));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..1000 {
        tick.tick().await;
        engine.run(Container::new(&format!("web-{number}")));
    }
    let last = watched.until(|watched| watched.running().len() == 1001).await;
    assert!(last <= seconds(2), "{last:?}");
    pass(seconds(2)).await;
    let (tables, listings) = (watched.published() - tables, engine.asked_for("/containers/json") - listings);
    assert!(tables <= 20 && listings <= 20, "{tables} tables, {listings} listings");
    fault.saw(format!("last one after {last:.1?}, {tables} tables, {listings} listings"));
    fault.withstood();
}

#[tokio::test(start_paused = true)]
async fn a_thousand_starts_at_once_are_served_at_once() {
    let engine = Engine::default();
    let watched = watch(&engine);
    watched.until_running(&[]).await;
    for number in 0..1000 {
        engine.run(Container::new(&format!("web-{number}")));
    }
    let last = watched.until(|watched| watched.running().len() == 1000).await;
    assert!(last <= Duration::from_millis(200), "{last:?}");
    assert!(watched.published() <= 8, "{}", watched.published());
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_of_many_delays_another_start_by_no_more_than_a_second() {
    let engine = Engine::default();
    for number in 0..20 {
        engine.add(Container::new(&format!("loop-{number}")));
    }
    let watched = watch(&engine);
    watched.until(|watched| watched.running().len() == 20).await;
    let mut tick = interval(Duration::from_millis(50));
    let begun = Instant::now();
    let mut looped = 0;
    while begun.elapsed() < seconds(60) {
        tick.tick().await;
        engine.restart(&format!("loop-{}", looped % 20));
        looped += 1;
    }
    engine.run(Container::new("new"));
    let served = watched.until(|watched| watched.running().contains(&"new".to_owned())).await;
    assert!(served <= seconds(1), "{served:?}");
    let readings = engine.asked_for("/containers/json");
    assert!(readings <= 80, "{readings} readings in a minute");
}

#[tokio::test(start_paused = true)]
async fn events_that_do_not_end_put_off_no_full_reading() {
    let engine = Engine::default();
    engine.add(Container::new("loop"));
    let watched = watch(&engine);
    watched.until_running(&["loop"]).await;
    let mut tick = interval(Duration::from_millis(50));
    tick.tick().await;
    engine.lose_events(true);
    engine.run(Container::new("new"));
    engine.lose_events(false);
    let begun = Instant::now();
    while !watched.running().contains(&"new".to_owned()) {
        assert!(begun.elapsed() <= seconds(30), "no event was about it");
        tick.tick().await;
        engine.restart("loop");
    }
    assert!(begun.elapsed() > seconds(5), "{:?}: by an event", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_containers_are_read() {
    let engine = Engine::default();
    for number in 0..10_000 {
        engine.add(Container::new(&format!("web-{number}")).label("gangway.host", &format!("{number}.example.org")));
    }
    let watched = watch(&engine);
    watched.until(|watched| watched.running().len() == 10_000).await;
    engine.run(Container::new("one-more"));
    watched.until(|watched| watched.running().len() == 10_001).await;
}
