//! Which endpoint of a route gets a request: the one its client is bound to, or one by the route's balance.

use std::net::IpAddr;

use http::Version;

use crate::downstream::connection::ClientConnection;
use crate::message::request_head::RequestHead;
use crate::serving_table::{ActiveEndpoint, ActiveRoute};
use crate::upstream::attempt::Attempt;
use crate::upstream::balance;
use crate::upstream::dedicated::{ConnectionOwner, authenticates};
use crate::upstream::sticky::{self, SecretAge};

/// An endpoint of a route, by its position there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice<'r> {
    pub(crate) position: usize,
    pub(crate) endpoint: &'r ActiveEndpoint,
    pub(crate) by: ChosenBy,
}

/// The reason for a choice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ChosenBy {
    /// The client has a connection of its own to it, or names it by its cookie.
    Client,
    /// The client names it by a cookie under a former secret, which is to be replaced.
    FormerCookie,
    /// The route's balance.
    Balance,
}

/// The endpoint for the next try of a request. None only where the route has no endpoint that is ready.
pub(crate) fn choose<'r>(
    active: &'r ActiveRoute,
    head: &RequestHead,
    connection: &ClientConnection,
    attempt: &Attempt,
    client: IpAddr,
) -> Option<Choice<'r>> {
    let by = |by| move |(position, endpoint)| Choice { position, endpoint, by };
    let named = |age| sticky_endpoint(active, head, attempt, age);
    let known = dedicated_endpoint(active, connection, attempt).or_else(|| named(SecretAge::Current));
    known
        .map(by(ChosenBy::Client))
        .or_else(|| named(SecretAge::Former).map(by(ChosenBy::FormerCookie)))
        .or_else(|| balance::choose(active, &attempt.failed, client).map(by(ChosenBy::Balance)))
}

/// The owner of the connection that a request is sent on.
pub(crate) fn owner(head: &RequestHead, connection: &ClientConnection, client: IpAddr) -> ConnectionOwner {
    let authenticates = authenticates(&head.fields);
    match head.version < Version::HTTP_2 {
        true => {
            if authenticates {
                connection.dedicated.begin(client);
            }
            connection.dedicated.owner(client)
        }
        false if authenticates => ConnectionOwner::Request,
        false => ConnectionOwner::Shared,
    }
}

/// The endpoint that a client has a connection of its own to, if it can take the request.
fn dedicated_endpoint<'r>(
    active: &'r ActiveRoute,
    connection: &ClientConnection,
    attempt: &Attempt,
) -> Option<(usize, &'r ActiveEndpoint)> {
    match attempt.owner {
        ConnectionOwner::Client(_) => {
            active.ready.iter().enumerate().find(|(_, endpoint)| {
                connection.dedicated.has(&endpoint.state) && !attempt.has_failed_at(&endpoint.state)
            })
        }
        ConnectionOwner::Shared | ConnectionOwner::Request => None,
    }
}

/// Of a sticky route, the endpoint that the client names by its cookie, if it can take the request.
fn sticky_endpoint<'r>(
    active: &'r ActiveRoute,
    head: &RequestHead,
    attempt: &Attempt,
    age: SecretAge,
) -> Option<(usize, &'r ActiveEndpoint)> {
    let cookie = active.cookie.as_ref()?;
    sticky::sent_values(&head.fields, cookie, age).find_map(|value| {
        active.ready.iter().enumerate().find(|(_, endpoint)| {
            let is_named = endpoint.token.as_ref().is_some_and(|token| token.is(value, age));
            is_named && !endpoint.state.is_ejected() && !attempt.has_failed_at(&endpoint.state)
        })
    })
}
