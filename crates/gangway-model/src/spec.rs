//! What one container or one table of the configuration file asks for, typed and by itself.
//!
//! A spec is what a dialect makes of labels, before it is known who else asks for what. Everything in it
//! was parsed and is valid; nothing in it depends on another container. [`compile`](crate::compile())
//! joins specs into routes: it finds replicas, settles conflicts and looks up addresses.
//!
//! Which requests a route takes, how it is served to clients ([`ListenerOptions`]), what happens to a request
//! (an ordered chain of [`Middleware`]s) and where it goes ([`UpstreamSpec`]) are kept apart, because other
//! dialects name and share them separately. Resolving such names is the dialect's own matter: a spec holds
//! what they stand for.

use crate::label::Mark;
use crate::matcher::Matcher;
use crate::route::{Address, HostHeader, ListenerOptions, Middleware, Policy, Scheme, Timeouts};

/// One route.
#[derive(Clone, Debug)]
pub(crate) struct RouteSpec<'s> {
    /// What the user calls it; in lower case.
    pub name: Box<str>,
    /// Which requests it takes.
    pub matcher: Matcher,
    /// What stands where that was said, to point at.
    pub claim: Mark<'s>,
    /// `priority`, and where it was said.
    pub priority: i64,
    pub priority_mark: Option<Mark<'s>>,
    /// How it is served to clients.
    pub listener: ListenerOptions,
    /// In the order in which they see a request.
    pub middlewares: Vec<Middleware>,
    /// Where requests go.
    pub upstream: UpstreamSpec<'s>,
    /// A protecting label could not be applied.
    pub closed: bool,
    /// `group`: services of one project that are one upstream.
    pub group: Option<Box<str>>,
    /// `share`: who else may serve paths of its hosts.
    pub share: Box<[Box<str>]>,
}

/// Where requests go, and how they are sent there.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamSpec<'s> {
    pub target: Target<'s>,
    pub timeouts: Timeouts,
    pub host_header: HostHeader,
    pub policy: Policy,
    /// Of this container; replicas may differ in it.
    pub weight: u16,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) enum Target<'s> {
    /// To the container that asked.
    Container(Access<'s>),
    /// To these, which are no containers.
    Urls(Vec<UrlTarget>),
    /// Nowhere: every request is answered with a redirection.
    Nothing,
}

/// How to reach the container that asked. None where nothing was said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access<'s> {
    pub port: Option<(u16, Mark<'s>)>,
    pub scheme: Option<Scheme>,
    pub verify: Option<(bool, Mark<'s>)>,
    pub network: Option<(&'s str, Mark<'s>)>,
}

/// An upstream that is no container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct UrlTarget {
    /// As written, for people.
    pub url: Box<str>,
    pub scheme: Scheme,
    pub verify: bool,
    /// As in the URL.
    pub host: Box<str>,
    pub address: Address,
}

impl<'s> RouteSpec<'s> {
    /// The same with other marks: those that are there are asked for in the order of this function.
    pub(crate) fn marked<'t>(&self, mut mark: impl FnMut(Mark<'s>) -> Mark<'t>) -> RouteSpec<'t> {
        let Self {
            name,
            matcher,
            claim,
            priority,
            priority_mark,
            listener,
            middlewares,
            upstream,
            closed,
            group,
            share,
        } = self;
        let UpstreamSpec { target, timeouts, host_header, policy, weight } = upstream;
        let (claim, priority_mark) = (mark(*claim), priority_mark.map(&mut mark));
        let target = match target {
            Target::Container(Access { port, scheme, verify, network }) => Target::Container(Access {
                port: port.map(|(port, at)| (port, mark(at))),
                scheme: *scheme,
                verify: verify.map(|(verify, at)| (verify, mark(at))),
                network: network.map(|(_, at)| {
                    let at = mark(at);
                    (at.value.trim(), at)
                }),
            }),
            Target::Urls(urls) => Target::Urls(urls.clone()),
            Target::Nothing => Target::Nothing,
        };
        RouteSpec {
            name: name.clone(),
            matcher: matcher.clone(),
            claim,
            priority: *priority,
            priority_mark,
            listener: listener.clone(),
            middlewares: middlewares.clone(),
            upstream: UpstreamSpec {
                target,
                timeouts: *timeouts,
                host_header: host_header.clone(),
                policy: policy.clone(),
                weight: *weight,
            },
            closed: *closed,
            group: group.clone(),
            share: share.clone(),
        }
    }
}

impl RouteSpec<'_> {
    /// Do both ask for the same, apart from their names and addresses?
    pub(crate) fn asks_for_the_same(&self, other: &RouteSpec<'_>) -> bool {
        self.matcher.alternatives() == other.matcher.alternatives()
            && self.priority == other.priority
            && self.listener == other.listener
            && self.middlewares == other.middlewares
            && self.upstream.timeouts == other.upstream.timeouts
            && self.upstream.host_header == other.upstream.host_header
            && self.upstream.policy == other.upstream.policy
            && self.closed == other.closed
            && matches!(self.upstream.target, Target::Nothing) == matches!(other.upstream.target, Target::Nothing)
    }
}
