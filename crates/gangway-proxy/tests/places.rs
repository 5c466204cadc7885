//! Clients are let in by their country and their autonomous system: over every version of HTTP.

mod common;

use std::sync::Arc;

use common::{Plane, app, route};
use gangway_model::{AddressFilter, ClientList, CountryCode, Middleware};
use gangway_proxy::{GeoDatabase, GeoDatabases, TrustedProxies};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::mmdb::{self, Mmdb};
use gangway_testkit::wait::eventually;

const GERMAN: &str = "203.0.113.7";
const FRENCH: &str = "198.51.100.7";
const UNKNOWN: &str = "192.0.2.7";
const LOCAL: &str = "192.168.1.7";
const GERMAN_V6: &str = "2001:db8::7";

fn list(networks: &[&str], countries: &[&str], systems: &[u32]) -> ClientList {
    let networks = networks.iter().map(|network| network.parse::<ipnet::IpNet>().expect("a network"));
    let countries = countries.iter().map(|code| CountryCode::of(code).expect("two letters")).collect();
    ClientList::from_iter(networks).with(countries, systems.to_vec())
}

fn database(content: Vec<u8>) -> Option<Arc<GeoDatabase>> {
    GeoDatabase::parse(content.into()).map(Arc::new).ok()
}

fn countries(german: &str) -> GeoDatabases {
    let networks = [("203.0.113.0/24", german), ("198.51.100.0/24", "FR"), ("2001:db8::/32", german)];
    GeoDatabases { country: database(mmdb::countries(&networks)), autonomous_system: None }
}

fn clients(plane: &Plane) -> [Client; 4] {
    [plane.http(), plane.https(), plane.http().speaking(Speaks::H2), plane.https().speaking(Speaks::H2)]
}

/// Four routes with lists of clients, behind a proxy that says who they are.
async fn serving() -> Plane {
    let (address, _) = app("a").await;
    let mut plane =
        Plane::start_with(|settings| settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").expect("valid"));
    let filtered = |host, allow, deny| {
        let mut route = route(host, address);
        route.middlewares =
            vec![Middleware::AddressFilter(Arc::new(AddressFilter { allow, deny, ..AddressFilter::default() }))];
        route
    };
    plane
        .serve(vec![
            filtered("german.localhost", Some(list(&["192.168.0.0/16"], &["DE"], &[])), ClientList::default()),
            filtered("foreign.localhost", None, list(&[], &["DE"], &[])),
            filtered("system.localhost", None, list(&[], &[], &[64_500])),
            filtered("plain.localhost", None, list(&["203.0.113.9/32"], &[], &[])),
        ])
        .await;
    plane
}

async fn statuses(client: &Client, host: &str, from: &[&str]) -> Vec<u16> {
    let mut connection = client.connect(host).await.expect("connected");
    let mut statuses = Vec::new();
    for from in from {
        let answer = connection.ask("GET", "/", &[("x-forwarded-for", from)], "").await.expect("answered");
        statuses.push(answer.status.as_u16());
    }
    statuses
}

const ALL: [&str; 5] = [GERMAN, FRENCH, UNKNOWN, LOCAL, GERMAN_V6];

/// What each route answers to everybody.
async fn expect(plane: &Plane, german: [u16; 5], foreign: [u16; 5], system: [u16; 5]) {
    for client in clients(plane) {
        assert_eq!(statuses(&client, "german.localhost", &ALL).await, german);
        assert_eq!(statuses(&client, "foreign.localhost", &ALL).await, foreign);
        assert_eq!(statuses(&client, "system.localhost", &ALL).await, system);
        assert_eq!(statuses(&client, "plain.localhost", &ALL).await, [200; 5], "it names no place");
    }
}

/// Waits until other databases are in force, which a client can tell by this.
async fn in_force(plane: &Plane, host: &str, from: &str, status: u16) {
    let what = format!("{host} answers {status} to {from}");
    eventually(&what, std::time::Duration::from_secs(10), async || {
        (statuses(&plane.http(), host, &[from]).await == [status]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn clients_are_let_in_by_where_they_are() {
    let mut plane = serving().await;
    // Whom an address decides about comes in; all others find a closed door while there is no database.
    expect(&plane, [503, 503, 503, 200, 503], [503; 5], [503; 5]).await;
    plane.geography.publish(countries("DE"));
    in_force(&plane, "german.localhost", GERMAN, 200).await;
    expect(&plane, [200, 403, 403, 200, 200], [403, 200, 200, 200, 403], [503; 5]).await;
    let systems = database(mmdb::autonomous_systems(&[("203.0.113.0/24", 64_500), ("198.51.100.0/24", 64_501)]));
    plane.geography.publish(GeoDatabases { autonomous_system: systems, ..countries("AT") });
    in_force(&plane, "system.localhost", GERMAN, 403).await;
    expect(&plane, [403, 403, 403, 200, 403], [200; 5], [403, 200, 200, 200, 200]).await;
    plane.geography.publish(GeoDatabases::default());
    in_force(&plane, "foreign.localhost", FRENCH, 503).await;
    expect(&plane, [503, 503, 503, 200, 503], [503; 5], [503; 5]).await;
}

#[tokio::test]
async fn a_database_that_is_damaged_in_one_place_closes_the_routes_to_clients_from_there() {
    let mut plane = serving().await;
    let networks = [
        ("203.0.113.0/24", mmdb::country("DE")),
        // A pointer beyond the end.
        ("198.51.100.0/24", vec![0x38, 0xFF, 0xFF, 0xFF, 0xFF]),
    ];
    let damaged = Mmdb::of("GeoLite2-Country", networks.into_iter()).bytes();
    plane.geography.publish(GeoDatabases { country: database(damaged), autonomous_system: None });
    in_force(&plane, "german.localhost", GERMAN, 200).await;
    expect(&plane, [200, 503, 403, 200, 403], [403, 503, 200, 200, 200], [503; 5]).await;
}

#[tokio::test]
async fn nobody_is_placed_by_an_address_that_may_be_a_proxys() {
    let mut plane = serving().await;
    plane.geography.publish(countries("DE"));
    in_force(&plane, "german.localhost", GERMAN, 200).await;
    // The proxy itself is in no country: one list refuses it, and the other would let it in.
    for client in clients(&plane) {
        for (host, refused) in [("german.localhost", 403), ("foreign.localhost", 503)] {
            assert_eq!(statuses(&client, host, &["?", "unknown, 127.0.0.1"]).await, [refused; 2], "{host}");
        }
    }
}
