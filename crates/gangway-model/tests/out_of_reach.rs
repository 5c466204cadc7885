//! For which names nothing is to be ordered, since they lead nowhere.

mod common;

use std::collections::BTreeSet;

fn out_of_reach(text: &str) -> BTreeSet<String> {
    let (snapshot, settings) = common::read(text);
    let compiled = common::compiled(&snapshot, &settings);
    compiled.names_out_of_reach().iter().map(ToString::to_string).collect()
}

const FIXTURE: &str = "
gangway, on edge, host at 172.20.0.1
container near, on edge at 172.20.0.3, exposes 80
  gangway.host = near.example.org, both.example.org
container far, on other at 172.21.0.3, exposes 80
  gangway.host = far.example.org, *.far.example.org, both.example.org
container starting, starting, on edge at 172.20.0.4, exposes 80
  gangway.host = starting.example.org
container restarting, restarting, on other, exposes 80
  gangway.host = restarting.example.org
container between, exposes 80
  gangway.host = between.example.org
container wrong, on edge at 172.20.0.5
  gangway.host = wrong.example.org
gone 3 leaving, on other at 172.21.0.9, exposes 80
  gangway.host = leaving.example.org
container replica-1, on other at 172.21.0.4, exposes 80, service replica of shop
  gangway.host = replica.example.org
container replica-2, on edge at 172.20.0.6, exposes 80, service replica of shop
  gangway.host = replica.example.org
container to, on other at 172.21.0.5
  gangway.rule = Host(`old.example.org`)
  gangway.redirect = 308 https://near.example.org/
";

#[test]
fn only_names_that_no_container_could_serve_are_out_of_reach() {
    let expected = ["*.far.example.org", "far.example.org"];
    assert_eq!(out_of_reach(FIXTURE), expected.map(String::from).into());
}

#[test]
fn on_the_host_every_bridge_is_within_reach() {
    assert!(out_of_reach(&FIXTURE.replace("gangway, on edge, host at 172.20.0.1", "")).is_empty());
}
