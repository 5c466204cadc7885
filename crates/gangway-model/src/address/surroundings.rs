//! The networks of all containers, and over which of them each is reached.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use crate::label::{Source, cut};
use crate::settings::Settings;
use crate::snapshot::{Attachment, Container, ContainerState, EngineKind, NetworkMode, OwnPlace, Snapshot};
use crate::spec::Access;
use crate::value::and_list;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Code, Diagnostic, Severity};
use gangway_diagnostic::{Finding, quoted};

/// A container whose network is shared may share another's; engines do not allow more, but what they
/// say is not ours to trust.
const SHARING_DEPTH_MAX: usize = 4;

/// Drivers whose networks the host itself can never reach: the kernel keeps children of a macvlan or an ipvlan
/// apart from their parent, and an overlay stands in a namespace of its own.
const APART: [&str; 3] = ["macvlan", "ipvlan", "overlay"];

/// How surely a network leads to its containers, the surest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Way {
    /// We are on it, or a bridge of our host is.
    Sure,
    /// The engine does not tell its driver.
    Unknown,
    /// A driver that we do not know.
    Other,
}

/// The containers and networks of one snapshot, to look up where a container is reached.
pub(crate) struct Surroundings<'s> {
    snapshot: &'s Snapshot,
    pub(super) settings: &'s Settings,
    /// By engine and id, and by engine and name; most snapshots need neither.
    known: OnceCell<HashMap<(&'s str, &'s str), &'s Container, ahash::RandomState>>,
}

/// Why a container is not reached: in a few words for people, and as a finding.
pub(super) struct NotReached {
    pub reason: String,
    pub finding: Finding,
}

impl<'s> Surroundings<'s> {
    pub(crate) fn new(snapshot: &'s Snapshot, settings: &'s Settings) -> Self {
        Self { snapshot, settings, known: OnceCell::new() }
    }

    /// Whether it is our own container.
    pub(crate) fn is_own(&self, container: &Container) -> bool {
        matches!(self.own(container), OwnPlace::Container { id, .. } if *id == container.id)
    }

    /// Whether it runs on networks of which none is ours, so that no route can lead there. A container that starts or
    /// ends is on no network for a moment, and does not count.
    pub(crate) fn is_out_of_reach(&self, container: &'s Container) -> bool {
        let Ok((holder, _)) = self.network_holder(container) else { return false };
        let own = self.own(container);
        let is_on_others = matches!(holder.network, NetworkMode::Networks) && !holder.attachments.is_empty();
        let is_running = [container, holder].iter().all(|one| one.state == ContainerState::Running);
        is_running && is_on_others && !holder.attachments.iter().any(|at| self.way(at, holder, own).is_some())
    }

    pub(super) fn own(&self, container: &Container) -> &'s OwnPlace {
        self.snapshot.own.get(&container.engine).unwrap_or(&OwnPlace::Host)
    }

    /// The address and how it was chosen.
    pub(super) fn ip(
        &self,
        container: &'s Container,
        access: &Access<'s>,
        source: Source<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> Result<(IpAddr, String), NotReached> {
        let (holder, way) = self.network_holder(container)?;
        match &holder.network {
            NetworkMode::Host => Ok((self.host(holder)?, format!("on the host{way}"))),
            NetworkMode::None => Err(unreachable(
                codes::NETWORK_NONE,
                "it has no network",
                format!("{} has no network", described(container, holder)),
                "remove `network_mode: none`",
            )),
            NetworkMode::Networks | NetworkMode::Container(_) => {
                let attachment = self.attachment(container, holder, access, source, found)?;
                let ip = attachment.address.ok_or_else(|| no_address(container, holder, &attachment.network))?;
                Ok((ip, format!("on network {}{way}", cut(&attachment.network))))
            }
        }
    }

    /// The container whose network it uses: nearly always itself.
    pub(super) fn network_holder(&self, container: &'s Container) -> Result<(&'s Container, String), NotReached> {
        let mut holder = container;
        for _ in 0..SHARING_DEPTH_MAX {
            let NetworkMode::Container(other) = &holder.network else {
                let is_other = !std::ptr::eq(holder, container);
                let way = if is_other { format!(", shared with {}", cut(&holder.name)) } else { String::new() };
                return Ok((holder, way));
            };
            let is_up =
                |other: &&Container| matches!(other.state, ContainerState::Running | ContainerState::Restarting);
            let guest = holder;
            holder = self.find(&container.engine.0, other).filter(is_up).ok_or_else(|| {
                unreachable(
                    codes::CONTAINER_UNKNOWN,
                    "the container whose network it shares is not running",
                    "the container shares the network of one that is not running".to_owned(),
                    "start the other container; after it was recreated, this one has to be recreated as well",
                )
            })?;
            // The host's network outlives every container.
            if self.is_stranded(guest) && holder.network != NetworkMode::Host {
                return Err(unreachable(
                    codes::NETWORK_GONE,
                    &format!("it is still in the network that {} had before it was started anew", cut(&holder.name)),
                    format!(
                        "{} is still in the network that {} had before it was started anew",
                        described(container, guest),
                        quoted(&holder.name)
                    ),
                    &format!("restart it as well: `docker restart {}`", cut(&guest.name)),
                ));
            }
        }
        Err(unreachable(
            codes::CONTAINER_UNKNOWN,
            "the network it shares leads in a circle",
            "the network that the container shares leads in a circle".to_owned(),
            "attach it to a network of its own",
        ))
    }

    /// A container of the same engine by its name or id.
    pub(crate) fn named(&self, container: &'s Container, name: &str) -> Option<&'s Container> {
        let known = self.known();
        known.get(&(&*container.engine.0, name)).copied()
    }

    fn is_stranded(&self, container: &Container) -> bool {
        self.snapshot.stranded.get(&container.engine).is_some_and(|ids| ids.contains(&container.id))
    }

    pub(super) fn find(&self, engine: &'s str, id_or_name: &'s str) -> Option<&'s Container> {
        self.known().get(&(engine, id_or_name)).copied()
    }

    fn known(&self) -> &HashMap<(&'s str, &'s str), &'s Container, ahash::RandomState> {
        self.known.get_or_init(|| {
            let mut known = HashMap::default();
            // An id goes before another container's name.
            for key in [(|container| &*container.name) as fn(&'s Container) -> &'s str, |container| &*container.id] {
                let containers = self.snapshot.containers.iter();
                known.extend(containers.map(|container| ((&*container.engine.0, key(container)), container)));
            }
            known
        })
    }

    /// The host's own address as seen from here.
    fn host(&self, container: &Container) -> Result<IpAddr, NotReached> {
        match self.own(container) {
            OwnPlace::Host => Ok(Ipv4Addr::LOCALHOST.into()),
            OwnPlace::Container { host_gateway: Some(gateway), .. } => Ok(*gateway),
            OwnPlace::Container { host_gateway: None, .. } => Err(unreachable(
                codes::HOST_UNREACHABLE,
                "it uses the host's network, and the host's address is not known",
                "the host cannot be reached from Gangway's container".to_owned(),
                "attach Gangway to a bridge network that is not internal, or run it with host networking",
            )),
            OwnPlace::Elsewhere(kind) => Err(elsewhere(*kind)),
        }
    }

    /// The network over which it is reached.
    fn attachment(
        &self,
        container: &Container,
        holder: &'s Container,
        access: &Access<'s>,
        source: Source<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> Result<&'s Attachment, NotReached> {
        let own = self.own(container);
        let ways = holder.attachments.iter().filter_map(|at| Some((self.way(at, holder, own)?, at)));
        let mut ways: Vec<(Way, &Attachment)> = ways.collect();
        ways.sort_by_key(|(way, at)| (*way, &at.network, &at.network_id));
        let mut shared: Vec<&Attachment> = ways.into_iter().map(|(_, at)| at).collect();
        // One without an address is of no use as long as another has one.
        if shared.iter().any(|at| at.address.is_some()) {
            shared.retain(|at| at.address.is_some());
        }
        let Some(first) = shared.first().copied() else {
            return Err(match own {
                OwnPlace::Host if !holder.attachments.is_empty() => self.apart(container, holder),
                OwnPlace::Elsewhere(kind) if !holder.attachments.is_empty() => elsewhere(*kind),
                OwnPlace::Host | OwnPlace::Container { .. } | OwnPlace::Elsewhere(_) => {
                    not_shared(container, holder, own)
                }
            });
        };
        if let Some((wanted, mark)) = access.network {
            let is_wanted = |at: &&Attachment| is_called(at, wanted, container.project());
            if let Some(at) = shared.iter().copied().find(is_wanted) {
                return Ok(at);
            }
            let is_attached = holder.attachments.iter().any(|at| is_wanted(&at));
            let note = match (is_attached, own) {
                (false, _) => "the container is not attached to it",
                (true, OwnPlace::Host) => "the host cannot reach it",
                (true, OwnPlace::Container { .. } | OwnPlace::Elsewhere(_)) => "Gangway is not attached to it",
            };
            let names = and_list(shared.iter().map(|at| &*at.network));
            let finding = Finding::error(
                codes::NETWORK_UNUSABLE,
                0..wanted.len(),
                format!("network {} cannot be used", quoted(wanted)),
                note,
                format!("shared with Gangway: {names}"),
            );
            let chosen = preferred(&shared, self.settings).unwrap_or(first);
            let effect = format!("the container is reached over {}", quoted(&chosen.network));
            found.push(source.about_value(mark, finding, effect));
        }
        Ok(preferred(&shared, self.settings).unwrap_or(first))
    }

    fn driver(&self, at: &Attachment, holder: &Container) -> Option<&'s str> {
        self.snapshot.drivers.get(&holder.engine)?.get(&at.network_id).map(|driver| &**driver)
    }

    /// How it is reached over one of its networks; none where it is not.
    fn way(&self, at: &Attachment, holder: &Container, own: &OwnPlace) -> Option<Way> {
        match own {
            OwnPlace::Host => match self.driver(at, holder) {
                Some("bridge") => Some(Way::Sure),
                Some(driver) if APART.contains(&driver) => None,
                Some(_) => Some(Way::Other),
                None => Some(Way::Unknown),
            },
            OwnPlace::Container { networks, .. } => networks.contains_key(&at.network_id).then_some(Way::Sure),
            OwnPlace::Elsewhere(_) => None,
        }
    }

    /// The error for a container that has networks of which the host reaches none.
    fn apart(&self, container: &Container, holder: &Container) -> NotReached {
        let mut networks: Vec<&Attachment> = holder.attachments.iter().collect();
        networks.sort_by_key(|at| (&at.network, &at.network_id));
        let named = |at: &&Attachment| match self.driver(at, holder) {
            Some(driver) => format!("{} ({driver})", cut(&at.network)),
            None => cut(&at.network).clone(),
        };
        let named: Vec<String> = networks.iter().map(named).collect();
        let named = and_list(named.iter().map(String::as_str));
        let first = networks.first().map_or("", |at| &*at.network);
        unreachable(
            codes::NETWORK_APART,
            &format!("its host cannot reach it: it is on {named} only"),
            format!("{} is on {named} only, where its own host cannot reach it", described(container, holder)),
            &format!("add a bridge network to it, or run Gangway as a container on {}", quoted(first)),
        )
    }
}

/// `--network`, where it is among them.
fn preferred<'s>(shared: &[&'s Attachment], settings: &Settings) -> Option<&'s Attachment> {
    let wanted = settings.network.as_deref()?;
    shared.iter().copied().find(|at| *at.network == *wanted)
}

/// By its own name, or as the compose file of its project calls it.
fn is_called(at: &Attachment, wanted: &str, project: Option<&str>) -> bool {
    let short = project.and_then(|project| at.network.strip_prefix(project)?.strip_prefix('_'));
    *at.network == *wanted || short == Some(wanted)
}

fn not_shared(container: &Container, holder: &Container, own: &OwnPlace) -> NotReached {
    let of_container: BTreeSet<&str> = holder.attachments.iter().map(|at| &*at.network).collect();
    let theirs = match of_container.len() {
        0 => "on none".to_owned(),
        _ => format!("on {}", and_list(of_container.iter().copied())),
    };
    let OwnPlace::Container { networks, .. } = own else {
        return unreachable(
            codes::ADDRESS_MISSING,
            "it is on no network",
            format!("{} is on no network", described(container, holder)),
            "attach it to a network",
        );
    };
    let of_gangway: BTreeSet<&str> = networks.values().map(|name| &**name).collect();
    let ours = match of_gangway.len() {
        0 => "on none".to_owned(),
        _ => format!("on {}", and_list(of_gangway.iter().copied())),
    };
    // The default bridge cannot be joined by a compose file.
    let help = match of_gangway.iter().find(|name| **name != "bridge") {
        None => "attach Gangway to a network of its own, such as `edge`, and the container too".to_owned(),
        Some(edge) => {
            let project = holder.project().map(|project| format!("{project}_"));
            let short = |name: &'_ str| match project.as_deref().and_then(|project| name.strip_prefix(project)) {
                Some(short) => short.to_owned(),
                None => name.to_owned(),
            };
            let kept = of_container.iter().filter(|name| **name != "bridge").map(|name| short(name));
            let kept: Vec<String> = kept.chain([(*edge).to_owned()]).collect();
            format!(
                "add `networks: [{}]` to service `{}`, and `networks: {{ {edge}: {{ external: true }} }}` to its compose file",
                kept.join(", "),
                container.service().unwrap_or(&container.name)
            )
        }
    };
    unreachable(
        codes::NETWORK_NOT_SHARED,
        &format!("no network is shared: it is {theirs}, Gangway {ours}"),
        format!("no shared network: the container is {theirs}, Gangway {ours}"),
        &help,
    )
}

/// The container, or the one whose network it shares.
fn described(container: &Container, holder: &Container) -> String {
    match std::ptr::eq(container, holder) {
        true => "the container".to_owned(),
        false => format!("container {}, whose network is shared,", quoted(&holder.name)),
    }
}

fn no_address(container: &Container, holder: &Container, network: &str) -> NotReached {
    unreachable(
        codes::ADDRESS_MISSING,
        "it has no address yet",
        format!("{} has no address on {}", described(container, holder), quoted(network)),
        "wait until it runs; if it does, restart it",
    )
}

fn elsewhere(kind: EngineKind) -> NotReached {
    let (reason, message, help) = match kind {
        EngineKind::Rootless => (
            "its engine is rootless, and Gangway is none of its containers",
            "the networks of a rootless engine cannot be reached from its host",
            "run Gangway as a container of that engine, on a network with the application",
        ),
        EngineKind::DockerDesktop => (
            "its engine is Docker Desktop's, and Gangway is none of its containers",
            "the networks of Docker Desktop are in a virtual machine, which cannot be reached from here",
            "run Gangway as a container of Docker Desktop, on a network with the application",
        ),
        EngineKind::Other => (
            "none of its engine's networks is on this machine",
            "none of the engine's networks is on the machine, or in the container, that Gangway runs in",
            "run Gangway on the engine's host or as a container of that engine, on a network with the application",
        ),
    };
    let help = format!(
        "{help}; or publish the application's port, and lead a route of the configuration file to the published one"
    );
    unreachable(codes::ENGINE_ELSEWHERE, reason, message.to_owned(), &help)
}

fn unreachable(code: Code, reason: &str, message: String, help: &str) -> NotReached {
    let finding = Finding::error(code, 0..0, message, "", help);
    debug_assert_eq!(finding.severity, Severity::Error);
    NotReached { reason: reason.to_owned(), finding }
}
