//! What containers and the configuration file declare, typed and by itself.
//!
//! [`Declarations`] are what a dialect makes of labels. Everything in them was parsed and is valid, and nothing in them
//! depends on what others declare. Routes may name upstreams and middlewares that other containers declare;
//! [`compile`](crate::compile()) resolves the names, finds replicas, settles conflicts and looks up addresses.
//!
//! Four things are kept apart, because dialects name and share them separately: which requests a route takes, how it
//! is served to clients ([`ListenerOptions`]), what happens to a request (an ordered chain of [`Middleware`]s), and
//! where it goes ([`UpstreamSpec`]).

use std::sync::Arc;

use crate::error_pages::ErrorPages;
use crate::internal_service::InternalService;
use crate::key_origin::KeyOrigin;
use crate::label::Mark;
use crate::matcher::Matcher;
use crate::route::{Address, Endpoint, HostHeader, ListenerOptions, Middleware, Policy, Scheme, Timeouts};
use crate::router::{LostRouter, Router};
use crate::tile::Tile;
use crate::transport_settings::TransportSettings;
use crate::vocabulary::Vocabulary;
use gangway_diagnostic::Finding;

/// What a dialect makes of one container.
#[derive(Debug)]
pub(crate) enum Declared<'s> {
    /// The container is routed. No route at all is declared where none could be made of its labels.
    Routed {
        declarations: Declarations<'s>,
        /// Whether a label says that it is routed, and not only `--expose all`.
        by_label: bool,
    },
    /// The container is not routed, for this reason.
    NotRouted(String),
}

/// Everything that one container declares.
#[derive(Debug, Default)]
pub(crate) struct Declarations<'s> {
    pub routes: Vec<RouteSpec<'s>>,
    /// Upstreams that routes of all containers of the engine may name.
    pub upstreams: Vec<Named<'s, UpstreamSpec<'s>>>,
    /// Middlewares that routes of all containers of the engine may name.
    pub middlewares: Vec<Named<'s, MiddlewareSpec>>,
    /// Routers that no route could be made of, for those who ask.
    pub lost_routers: Vec<LostRouter>,
}

/// Something that is declared under a name.
#[derive(Clone, Debug)]
pub(crate) struct Named<'s, T> {
    pub name: Box<str>,
    /// Where it is declared.
    pub mark: Mark<'s>,
    pub object: T,
    /// The words of the dialect that it is written in.
    pub words: &'static Vocabulary,
    /// Says that an older container has declared something else under the name. The dialect owns code and words.
    pub taken: fn(name: &str) -> Finding,
    /// Whether the name means the same to all projects.
    pub is_common: bool,
}

/// A part of a route: declared with the route, or named.
#[derive(Clone, Debug)]
pub(crate) enum Part<'s, T> {
    /// Declared with the route.
    Own(T),
    /// Declared under this name, by the same container or by another one.
    Named(Reference<'s>),
}

/// The name of an upstream or a middleware, where a route or an upstream refers to it.
#[derive(Clone, Debug)]
pub(crate) struct Reference<'s> {
    pub name: Box<str>,
    /// Where the name is written.
    pub mark: Mark<'s>,
    /// Says why the reference leads nowhere. The dialect owns code and words.
    pub unresolved: fn(name: &str, why: Unresolved) -> Finding,
}

/// How deep upstreams may name upstreams, and chains of middlewares chains.
pub(crate) const NAMES_DEEP_MAX: usize = 4;

/// Why a reference leads nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unresolved {
    /// Nothing is declared under the name.
    Unknown,
    /// What is declared under the name could not be made, which is reported where it is declared.
    Broken,
    /// The container's routes name more than one container may.
    TooMany,
    /// It leads to itself.
    Circular,
    /// Names stand for names more than [`NAMES_DEEP_MAX`] deep.
    TooDeep,
    /// It takes pages from an upstream that is not there.
    PagesMissing,
}

/// One route. `Chain` and `Upstream` are what the route says of its middlewares and its upstream: in a declaration
/// they may be names, in a [`ResolvedRoute`] they are what the names stand for.
#[derive(Clone, Debug)]
pub(crate) struct RouteSpec<'s, Chain = Vec<Part<'s, Middleware>>, Upstream = Part<'s, UpstreamSpec<'s>>> {
    /// What the user calls it; in lower case.
    pub name: Box<str>,
    /// Which requests it takes.
    pub matcher: Matcher,
    /// The label that says which requests it takes, to point at.
    pub claim: Mark<'s>,
    pub priority: i64,
    pub priority_mark: Option<Mark<'s>>,
    /// How it is served to clients.
    pub listener: ListenerOptions,
    /// In the order in which they see a request.
    pub middlewares: Chain,
    /// Where requests go.
    pub upstream: Upstream,
    /// The service that `auth.forward` asks.
    pub auth_service: Option<AuthServiceSpec<'s>>,
    /// Where that service is, once it is looked up.
    pub auth_endpoints: Vec<Vec<Endpoint>>,
    /// The services that `errors` names.
    pub page_services: Vec<PageServiceSpec<'s>>,
    /// A protecting label could not be applied.
    pub closed: bool,
    /// `group`: services of one project that are one upstream.
    pub group: Option<Box<str>>,
    /// `share`: who else may serve paths of its hosts.
    pub share: Box<[Box<str>]>,
    /// Where its keys were written.
    pub origins: Box<[KeyOrigin]>,
    /// The words of the dialect that it is written in.
    pub words: &'static Vocabulary,
    /// The router that it is made of, by the names in it; none in other dialects.
    pub router: Option<Arc<Router>>,
    /// How it appears on the start page.
    pub tile: Tile,
    /// Whether the route is known by its name alone: all containers that declare it in the same way are replicas, and
    /// projects mean nothing.
    pub is_common: bool,
}

/// A route of which nothing is a name any more. The addresses of its upstream are kept beside it.
pub(crate) type ResolvedRoute<'s> = RouteSpec<'s, Vec<Middleware>, Delivery>;

/// Where requests go, and how they are sent there.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamSpec<'s> {
    pub destination: Destination<'s>,
    pub delivery: Delivery,
}

/// How requests are sent to an upstream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Delivery {
    pub timeouts: Timeouts,
    pub host_header: HostHeader,
    pub upgrades: Box<[Box<str>]>,
    pub policy: Policy,
    /// The service of ours that answers; none where endpoints do.
    pub internal: Option<InternalService>,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) enum Destination<'s> {
    /// Nowhere: a middleware answers every request.
    Nowhere,
    /// To a service of Gangway itself.
    Internal(InternalService),
    /// To these. Replicas that declare the same route or upstream add theirs.
    Targets(Vec<TargetSpec<'s>>),
    /// To these upstreams, each with its share of the requests.
    Weighted(Vec<WeightedUpstream<'s>>),
}

/// One target of an upstream.
#[derive(Clone, Debug)]
pub(crate) struct TargetSpec<'s> {
    pub place: TargetPlace<'s>,
    /// Its share of the requests among the targets of its upstream.
    pub weight: u16,
}

/// Where a target is.
#[derive(Clone, Debug)]
pub(crate) enum TargetPlace<'s> {
    /// The container that declares it.
    Declaring(Access<'s>),
    /// Another container of the same engine, whose name or id is referred to.
    #[cfg_attr(not(test), expect(dead_code, reason = "the native dialect knows one target; others know more"))]
    Other(Reference<'s>, Access<'s>),
    /// No container, but this URL, which was written there.
    Url(UrlTarget, Mark<'s>),
}

/// A share of the requests for a named upstream.
#[derive(Clone, Debug)]
pub(crate) struct WeightedUpstream<'s> {
    pub upstream: Reference<'s>,
    pub weight: u16,
}

/// A middleware that is declared under a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum MiddlewareSpec {
    /// What it does.
    Steps(NamedSteps),
    /// It is several others, in order, by their names.
    Chain(Vec<Box<str>>),
    /// It could not be made, which the dialect has reported.
    Broken(Without),
}

/// What a named middleware does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NamedSteps {
    /// In order. They are shared by what was read, what is declared and what is shown.
    pub steps: Arc<[Middleware]>,
    /// The service that it asks, if it asks one.
    pub log_in: Option<LogInService>,
    /// Pages for errors, if it has them.
    pub pages: Option<NamedPages>,
}

/// Pages of a named middleware.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NamedPages {
    pub pages: ErrorPages,
    /// The name of the upstream that all of them are from.
    pub upstream: Box<str>,
}

impl NamedSteps {
    /// Steps that need no service.
    pub(crate) fn of(steps: Vec<Middleware>) -> Self {
        Self { steps: steps.into(), log_in: None, pages: None }
    }
}

/// The log-in service of a named middleware.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LogInService {
    /// Where it is if no container and no service has the name.
    pub url: UrlTarget,
    /// Where it is, once it is looked up.
    pub endpoints: Vec<Endpoint>,
}

/// What becomes of the routes that name a middleware which could not be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Without {
    /// It would have kept somebody out: they are closed.
    Closed,
    /// They are served without it.
    Served,
}

/// How to reach a container; each field is none where nothing is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access<'s> {
    pub port: Option<(u16, Mark<'s>)>,
    pub scheme: Option<Scheme>,
    pub verify: Option<(bool, Mark<'s>)>,
    /// How connections are made and kept, beside `verify`.
    pub transport: Option<Arc<TransportSettings>>,
    pub network: Option<(&'s str, Mark<'s>)>,
    /// Which port is meant where none is written.
    pub guess: PortGuess,
}

/// Which port of a container is meant where none is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum PortGuess {
    /// That of the image, the only one, or one of the usual ones.
    #[default]
    Usual,
    /// The lowest that is exposed.
    Lowest,
}

/// A target that is no container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct UrlTarget {
    /// As written, for people.
    pub url: Box<str>,
    pub scheme: Scheme,
    pub transport: Arc<TransportSettings>,
    /// The host in the URL.
    pub host: Box<str>,
    pub address: Address,
}

/// The service that `auth.forward` asks, before it is looked up.
#[derive(Clone, Debug)]
pub(crate) struct AuthServiceSpec<'s> {
    /// The name of a container or a service, or the host of the URL.
    pub name: Box<str>,
    /// The port that is written; a URL always has one.
    pub port: Option<u16>,
    /// Where it is if no container and no service has the name; none where only those are meant.
    pub url: Option<UrlTarget>,
    /// The target of the question, if one is written.
    pub target: Option<Box<str>>,
    /// Where it is written.
    pub mark: Mark<'s>,
    /// A shared definition names it, so it is looked up from no project.
    pub is_shared: bool,
}

/// A service that `errors` names.
#[derive(Clone, Debug)]
pub(crate) struct PageServiceSpec<'s> {
    /// The position of its rule.
    pub rule: usize,
    /// The name of a container or a service, or the host of the URL.
    pub name: Box<str>,
    /// The port that is written; a URL always has one.
    pub port: Option<u16>,
    /// Where it is if no container and no service has the name; none where only those are meant.
    pub url: Option<UrlTarget>,
    /// Where it is written.
    pub mark: Mark<'s>,
    /// A shared definition names it, so it is looked up from no project.
    pub is_shared: bool,
    /// Where it is, once it is looked up; empty where it is not there.
    pub endpoints: Vec<Endpoint>,
}

impl<'s, Chain, Upstream> RouteSpec<'s, Chain, Upstream> {
    /// The same route with other middlewares and another upstream; returns those that it had.
    pub(crate) fn replace<C, U>(self, middlewares: C, upstream: U) -> (RouteSpec<'s, C, U>, Chain, Upstream) {
        let Self {
            name,
            matcher,
            claim,
            priority,
            priority_mark,
            listener,
            closed,
            group,
            share,
            origins,
            words,
            router,
            tile,
            is_common,
            ..
        } = self;
        let (auth_service, auth_endpoints, page_services) =
            (self.auth_service, self.auth_endpoints, self.page_services);
        let (chain, old) = (self.middlewares, self.upstream);
        let route = RouteSpec {
            name,
            matcher,
            claim,
            priority,
            priority_mark,
            listener,
            middlewares,
            upstream,
            auth_service,
            auth_endpoints,
            page_services,
            closed,
            group,
            share,
            origins,
            words,
            router,
            tile,
            is_common,
        };
        (route, chain, old)
    }
}

impl ResolvedRoute<'_> {
    /// Whether both ask for the same, apart from their names and addresses.
    pub(crate) fn asks_for_the_same(&self, other: &Self) -> bool {
        self.matcher.alternatives() == other.matcher.alternatives()
            && self.priority == other.priority
            && self.listener == other.listener
            && self.middlewares == other.middlewares
            && self.upstream == other.upstream
            && self.closed == other.closed
    }

    /// Whether Gangway answers every request itself, so that no endpoint is needed.
    pub(crate) fn is_answered_here(&self) -> bool {
        self.upstream.internal.is_some() || self.middlewares.iter().any(Middleware::answers_all)
    }
}

impl<'s> Declared<'s> {
    /// Both together: what two dialects make of one container.
    pub(crate) fn beside(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Routed { mut declarations, by_label },
                Self::Routed { declarations: more, by_label: or_by_label },
            ) => {
                declarations.routes.extend(more.routes);
                declarations.upstreams.extend(more.upstreams);
                declarations.middlewares.extend(more.middlewares);
                declarations.lost_routers.extend(more.lost_routers);
                Self::Routed { declarations, by_label: by_label || or_by_label }
            }
            (routed @ Self::Routed { .. }, Self::NotRouted(_)) | (Self::NotRouted(_), routed @ Self::Routed { .. }) => {
                routed
            }
            (Self::NotRouted(_), not @ Self::NotRouted(_)) => not,
        }
    }

    /// The number of alternatives of all routes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Routed { declarations, .. } => {
                declarations.routes.iter().map(|route| route.matcher.alternatives().len()).sum()
            }
            Self::NotRouted(_) => 0,
        }
    }
}

impl<'s> Declarations<'s> {
    /// The same with other marks. The marks are handed over in the same order each time.
    pub(crate) fn marked<'t>(&self, mut mark: impl FnMut(Mark<'s>) -> Mark<'t>) -> Declarations<'t> {
        let mark: &mut dyn FnMut(Mark<'s>) -> Mark<'t> = &mut mark;
        Declarations {
            routes: self.routes.iter().map(|route| route.marked(mark)).collect(),
            upstreams: self.upstreams.iter().map(|named| named.marked(mark, UpstreamSpec::marked)).collect(),
            middlewares: self.middlewares.iter().map(|named| named.marked(mark, |spec, _| spec.clone())).collect(),
            lost_routers: self.lost_routers.clone(),
        }
    }
}

/// Replaces marks; see [`Declarations::marked`].
type Marking<'m, 's, 't> = &'m mut dyn FnMut(Mark<'s>) -> Mark<'t>;

impl<'s, T> Named<'s, T> {
    fn marked<'t, U>(&self, mark: Marking<'_, 's, 't>, object: impl Fn(&T, Marking<'_, 's, 't>) -> U) -> Named<'t, U> {
        let (name, object) = (self.name.clone(), object(&self.object, mark));
        Named { name, mark: mark(self.mark), object, words: self.words, taken: self.taken, is_common: self.is_common }
    }
}

impl<'s, T> Part<'s, T> {
    pub(crate) fn own(self) -> Option<T> {
        match self {
            Self::Own(object) => Some(object),
            Self::Named(_) => None,
        }
    }

    fn marked<'t, U>(&self, mark: Marking<'_, 's, 't>, own: impl Fn(&T, Marking<'_, 's, 't>) -> U) -> Part<'t, U> {
        match self {
            Self::Own(object) => Part::Own(own(object, mark)),
            Self::Named(reference) => Part::Named(reference.marked(mark)),
        }
    }
}

impl<'s> Reference<'s> {
    fn marked<'t>(&self, mark: Marking<'_, 's, 't>) -> Reference<'t> {
        Reference { name: self.name.clone(), mark: mark(self.mark), unresolved: self.unresolved }
    }
}

impl<'s> AuthServiceSpec<'s> {
    fn marked<'t>(&self, mark: Marking<'_, 's, 't>) -> AuthServiceSpec<'t> {
        let Self { name, port, url, target, is_shared, .. } = self.clone();
        AuthServiceSpec { name, port, url, target, mark: mark(self.mark), is_shared }
    }
}

impl<'s> PageServiceSpec<'s> {
    /// A service of the first rule, before it is looked up.
    pub(crate) fn new(name: &str, port: Option<u16>, url: Option<UrlTarget>, mark: Mark<'s>) -> Self {
        Self { rule: 0, name: name.into(), port, url, mark, is_shared: false, endpoints: Vec::new() }
    }

    fn marked<'t>(&self, mark: Marking<'_, 's, 't>) -> PageServiceSpec<'t> {
        let Self { rule, name, port, url, is_shared, endpoints, .. } = self.clone();
        PageServiceSpec { rule, name, port, url, mark: mark(self.mark), is_shared, endpoints }
    }
}

impl<'s> RouteSpec<'s> {
    fn marked<'t>(&self, mark: Marking<'_, 's, 't>) -> RouteSpec<'t> {
        RouteSpec {
            name: self.name.clone(),
            matcher: self.matcher.clone(),
            claim: mark(self.claim),
            priority: self.priority,
            priority_mark: self.priority_mark.map(&mut *mark),
            listener: self.listener.clone(),
            middlewares: self.middlewares.iter().map(|part| part.marked(mark, |own, _| own.clone())).collect(),
            upstream: self.upstream.marked(mark, UpstreamSpec::marked),
            auth_service: self.auth_service.as_ref().map(|service| service.marked(mark)),
            auth_endpoints: self.auth_endpoints.clone(),
            page_services: self.page_services.iter().map(|service| service.marked(mark)).collect(),
            closed: self.closed,
            group: self.group.clone(),
            share: self.share.clone(),
            origins: self.origins.clone(),
            words: self.words,
            router: self.router.clone(),
            tile: self.tile.clone(),
            is_common: self.is_common,
        }
    }
}

impl<'s> UpstreamSpec<'s> {
    fn marked<'t>(&self, mark: Marking<'_, 's, 't>) -> UpstreamSpec<'t> {
        let destination = match &self.destination {
            Destination::Nowhere => Destination::Nowhere,
            Destination::Internal(service) => Destination::Internal(*service),
            Destination::Targets(targets) => {
                Destination::Targets(targets.iter().map(|target| target.marked(mark)).collect())
            }
            Destination::Weighted(upstreams) => {
                let marked = |WeightedUpstream { upstream, weight }: &WeightedUpstream<'s>| WeightedUpstream {
                    upstream: upstream.marked(mark),
                    weight: *weight,
                };
                Destination::Weighted(upstreams.iter().map(marked).collect())
            }
        };
        UpstreamSpec { destination, delivery: self.delivery.clone() }
    }
}

impl<'s> Destination<'s> {
    /// The upstreams that share the requests; none where it has targets of its own.
    pub(crate) fn weighted(self) -> Vec<WeightedUpstream<'s>> {
        match self {
            Self::Weighted(upstreams) => upstreams,
            Self::Nowhere | Self::Internal(_) | Self::Targets(_) => Vec::new(),
        }
    }
}

impl Destination<'_> {
    /// The service of ours that it leads to, if it leads to one.
    pub(crate) fn internal(&self) -> Option<InternalService> {
        match self {
            Self::Internal(service) => Some(*service),
            Self::Nowhere | Self::Targets(_) | Self::Weighted(_) => None,
        }
    }
}

impl<'s> TargetSpec<'s> {
    fn marked<'t>(&self, mark: Marking<'_, 's, 't>) -> TargetSpec<'t> {
        let place = match &self.place {
            TargetPlace::Declaring(access) => TargetPlace::Declaring(access.marked(mark)),
            TargetPlace::Other(container, access) => TargetPlace::Other(container.marked(mark), access.marked(mark)),
            TargetPlace::Url(url, at) => TargetPlace::Url(url.clone(), mark(*at)),
        };
        TargetSpec { place, weight: self.weight }
    }
}

impl<'s> Access<'s> {
    /// How connections are made and kept.
    pub(crate) fn transport(&self) -> Arc<TransportSettings> {
        let transport = self.transport.clone().unwrap_or_default();
        match self.verify {
            Some((verify, _)) if verify != transport.verify => {
                Arc::new(TransportSettings { verify, ..TransportSettings::clone(&transport) })
            }
            Some(_) | None => transport,
        }
    }

    fn marked<'t>(&self, mark: Marking<'_, 's, 't>) -> Access<'t> {
        Access {
            port: self.port.map(|(port, at)| (port, mark(at))),
            scheme: self.scheme,
            verify: self.verify.map(|(verify, at)| (verify, mark(at))),
            transport: self.transport.clone(),
            // The network's name is the value itself.
            network: self.network.map(|(_, at)| {
                let at = mark(at);
                (at.value.trim(), at)
            }),
            guess: self.guess,
        }
    }
}
