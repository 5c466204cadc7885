//! The plan of promises, orders and findings for the wanted names: a pure function of the present state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Place, Severity, codes};
use gangway_tls::{Bundle, CertName, InternalCa, Origin, Promises, Scope, Store, UnixTime, is_internal, without_star};

use crate::{WantedIssuer, WantedName};
use gangway_acme::date;

/// The time before its end at which a certificate is reported that only its owner can renew.
const ENDS_SOON: Duration = Duration::from_hours(14 * 24);

/// The input of the plan.
pub(crate) struct Situation<'a> {
    pub(crate) wanted: &'a [WantedName],
    /// A name whose certificate is kept even if no route wants it.
    pub(crate) default_name: Option<&'a str>,
    /// Names that no route lists and that a public CA is asked to sign for.
    pub(crate) on_demand: &'a BTreeSet<Box<str>>,
    /// Whether names below a public wildcard get certificates of their own on demand, because a wildcard
    /// certificate cannot be had.
    pub(crate) stars_are_on_demand: bool,
    /// Domains that the operator lets the internal CA sign for.
    pub(crate) internal_domains: &'a [Box<str>],
    pub(crate) ca: Option<&'a InternalCa>,
    /// Certificates from the folder and from public CAs, of any issuer.
    pub(crate) given: &'a Store,
}

/// The plan for one moment's wishes.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Plan {
    /// The names that get a certificate of the internal CA or a placeholder when they are first asked for.
    pub(crate) promises: Promises,
    /// The scope that the internal root must permit.
    pub(crate) scope: Scope,
    /// Names for a public CA, if there is one, without those that have a certificate in the folder.
    pub(crate) public: BTreeSet<Box<str>>,
    pub(crate) findings: Vec<Diagnostic>,
    /// The time at which the plan must be computed again.
    pub(crate) next: UnixTime,
}

/// Plans for every wanted name.
pub(crate) fn plan(situation: &Situation<'_>, now: UnixTime) -> Plan {
    let mut plan = Plan { next: UnixTime::NEVER, ..Plan::default() };
    let mut wishes: BTreeMap<&str, WantedIssuer> = BTreeMap::new();
    let default_name = situation.default_name.map(|name| (name, WantedIssuer::Auto));
    for (name, issuer) in situation.wanted.iter().map(|wanted| (&*wanted.name, wanted.issuer)).chain(default_name) {
        // Two routes may want one name: the one that insists on the internal CA prevails.
        let wish = wishes.entry(name).or_insert(issuer);
        *wish = (*wish).max(issuer);
    }
    for (name, issuer) in wishes {
        plan.wish(situation, name, issuer, now);
    }
    for name in situation.on_demand.iter().filter(|name| situation.given.find(name).is_none()) {
        plan.promises.placeholders.insert(name.clone());
    }
    plan
}

impl Plan {
    fn wish(&mut self, situation: &Situation<'_>, name: &str, issuer: WantedIssuer, now: UnixTime) {
        // `*` and `budget.*` name no host that a CA could sign for.
        let form = CertName::parse(name);
        if form.is_pattern() {
            self.promises.patterns.insert(name.into());
            return;
        }
        let given = situation.given.find(name);
        let is_given = given.as_ref().is_some_and(|bundle| bundle.is_valid_at(now));
        if let Some(bundle) = &given {
            self.look_again_at(if bundle.not_before > now { bundle.not_before } else { bundle.not_after }, now);
        }
        let wants_internal = issuer == WantedIssuer::Internal || is_internal(name);
        if situation.stars_are_on_demand && form.is_wildcard() && !wants_internal {
            return;
        }
        let is_own = given.as_ref().is_some_and(|bundle| is_given && matches!(bundle.origin, Origin::Folder(_)));
        if !wants_internal && !is_own {
            self.public.insert(name.into());
        }
        if is_given {
            return;
        }
        if wants_internal && self.may_sign(situation, name) {
            // Clients refuse a star directly below a top-level domain.
            if form.wildcard_parent().is_some_and(|below| !below.contains('.')) {
                self.promises.patterns.insert(name.into());
            }
            // Until the root permits the name, which takes a moment, the CA cannot sign for it.
            if situation.ca.is_some_and(|ca| ca.permits(name)) {
                self.promises.internal.insert(name.into());
            }
            return;
        }
        // An expired certificate shows the problem better than a placeholder would.
        if given.is_none() {
            self.promises.placeholders.insert(name.into());
        }
    }

    /// Whether the internal root may come to permit the name. If not, a finding says why.
    fn may_sign(&mut self, situation: &Situation<'_>, name: &str) -> bool {
        // A root that another tool made is used without changes.
        if let Some(ca) = situation.ca.filter(|ca| !ca.is_ours()) {
            let may = ca.permits(name);
            self.findings.extend((!may).then(|| not_permitted(name)));
            return may;
        }
        let base = without_star(name);
        let has_room = self.scope.hosts.len() + self.scope.domains.len() < Scope::NAMES_MAX;
        let domain = situation.internal_domains.iter().find(|domain| is_below(base, domain));
        if let Some(domain) = domain.filter(|_| !is_internal(name)) {
            self.scope.domains.insert(domain.clone());
            return true;
        }
        // The name is a single label; the internal domains themselves are permitted already.
        let is_single = !name.contains('.') && name.parse::<std::net::IpAddr>().is_err();
        if is_single && !gangway_tls::INTERNAL_DOMAINS.contains(&name) {
            if has_room || self.scope.hosts.contains(name) {
                self.scope.hosts.insert(name.into());
                return true;
            }
            self.findings.push(no_room(name));
            return false;
        }
        let may = is_internal(name) && !is_star_of_single(name);
        self.findings.extend((!may).then(|| not_permitted(name)));
        may
    }

    fn look_again_at(&mut self, time: UnixTime, now: UnixTime) {
        if time > now {
            self.next = self.next.min(time);
        }
    }
}

/// Findings about the bundles of the folder, which only their owner can renew.
pub(crate) fn out_of_date(bundles: &[Arc<Bundle>], now: UnixTime) -> Vec<Diagnostic> {
    let finding = |bundle: &Arc<Bundle>| {
        let Origin::Folder(file) = &bundle.origin else { return None };
        let (severity, message) = if now < bundle.not_before {
            (Severity::Error, format!("the certificate in `{file}` is not valid before {}", date(bundle.not_before)))
        } else if now >= bundle.not_after {
            (Severity::Error, format!("the certificate in `{file}` has expired on {}", date(bundle.not_after)))
        } else if now >= bundle.not_after - ENDS_SOON.min(bundle.not_after.since(bundle.not_before) / 3) {
            (Severity::Warning, format!("the certificate in `{file}` expires on {}", date(bundle.not_after)))
        } else {
            return None;
        };
        let effect = match severity {
            Severity::Error => "it is served only for names that no other certificate carries",
            Severity::Warning | Severity::Note => "it is served",
        };
        Some(
            Diagnostic::new(severity, codes::CERTIFICATE_FILE_OUT_OF_DATE, Place::Name(file.clone()), message)
                .with_help("put a renewed one in its place, or take the file away to have gangway get one")
                .with_effect(effect),
        )
    };
    bundles.iter().filter_map(finding).collect()
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether the name is like `*.nas`: permitting it would permit all of a top-level domain.
fn is_star_of_single(name: &str) -> bool {
    let below = CertName::parse(name).wildcard_parent();
    below.is_some_and(|below| !below.contains('.') && !gangway_tls::INTERNAL_DOMAINS.contains(&below))
}

fn not_permitted(name: &str) -> Diagnostic {
    Diagnostic::error(
        codes::NOT_FOR_INTERNAL_CA,
        Place::Name(name.into()),
        format!("the internal CA may not sign for `{name}`, which is not an internal name"),
    )
    .with_help(
        "leave `tls` at `auto`, or put a certificate into `certs/`, or start gangway with `--domain` for a domain \
         of your own",
    )
    .with_effect("a self-signed placeholder is served")
}

fn no_room(name: &str) -> Diagnostic {
    Diagnostic::error(
        codes::INTERNAL_CA_TOO_WIDE,
        Place::Name(name.into()),
        format!("the internal root has no room for `{name}`: it carries {} names", Scope::NAMES_MAX),
    )
    .with_help(format!("use a name below a domain, such as `{name}.internal`"))
    .with_effect("a self-signed placeholder is served")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);
    const DAY: Duration = Duration::from_hours(24);

    struct Scene {
        ca: InternalCa,
        given: Store,
        domains: Vec<Box<str>>,
        on_demand: Option<BTreeSet<Box<str>>>,
    }

    impl Scene {
        fn new() -> Self {
            let ca = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
            Self { ca, given: Store::default(), domains: Vec::new(), on_demand: None }
        }

        fn plan(&self, wanted: &[WantedName], now: UnixTime) -> Plan {
            let situation = Situation {
                wanted,
                default_name: None,
                on_demand: &self.on_demand.clone().unwrap_or_default(),
                stars_are_on_demand: self.on_demand.is_some(),
                internal_domains: &self.domains,
                ca: Some(&self.ca),
                given: &self.given,
            };
            plan(&situation, now)
        }

        /// Adds a bundle as if it came from the folder.
        fn give(&mut self, name: &str, not_after: UnixTime) {
            let bundle = self.ca.issue(name, NOW).expect("signs");
            let bundle = Bundle { origin: Origin::Folder("certs/x.crt".into()), not_after, ..bundle };
            self.given = Store::new([Arc::new(bundle)], NOW);
        }
    }

    fn auto(names: &[&str]) -> Vec<WantedName> {
        names.iter().map(|name| WantedName { name: (*name).into(), issuer: WantedIssuer::Auto }).collect()
    }

    fn internal(names: &[&str]) -> Vec<WantedName> {
        names.iter().map(|name| WantedName { name: (*name).into(), issuer: WantedIssuer::Internal }).collect()
    }

    fn listed(names: &BTreeSet<Box<str>>) -> Vec<Box<str>> {
        names.iter().cloned().collect()
    }

    fn list(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    #[test]
    fn internal_names_are_signed_for_and_public_ones_get_a_placeholder() {
        let scene = Scene::new();
        let plan = scene.plan(&auto(&["a.localhost", "b.example.org", "192.168.1.2"]), NOW);
        assert_eq!(listed(&plan.promises.internal), list(&["192.168.1.2", "a.localhost"]));
        assert_eq!(listed(&plan.promises.placeholders), list(&["b.example.org"]));
        assert_eq!(plan.public.into_iter().collect::<Vec<_>>(), list(&["b.example.org"]));
        assert!(plan.findings.is_empty() && plan.promises.patterns.is_empty() && plan.scope == Scope::default());
    }

    #[test]
    fn below_a_wildcard_on_demand_only_what_was_permitted_has_a_placeholder() {
        let mut scene = Scene::new();
        let wanted = auto(&["*.example.org", "*.home.arpa", "z.example.org"]);
        scene.on_demand = Some(list(&["a.example.org"]).into_iter().collect());
        let plan = scene.plan(&wanted, NOW);
        assert_eq!(listed(&plan.promises.placeholders), list(&["a.example.org", "z.example.org"]));
        assert_eq!(plan.public.into_iter().collect::<Vec<_>>(), list(&["z.example.org"]));
        assert_eq!(listed(&plan.promises.internal), list(&["*.home.arpa"]));
    }

    #[test]
    fn what_was_given_is_enough_until_it_ends() {
        let mut scene = Scene::new();
        scene.give("*.x.test", NOW + DAY);
        let plan = scene.plan(&auto(&["a.x.test"]), NOW);
        assert!(plan.promises.internal.is_empty());
        assert_eq!(plan.next, NOW + DAY);
        let later = scene.plan(&auto(&["a.x.test"]), NOW + DAY);
        assert_eq!(listed(&later.promises.internal), list(&["a.x.test"]));
    }

    #[test]
    fn an_expired_certificate_is_better_than_a_placeholder() {
        let mut scene = Scene::new();
        scene.domains = list(&["x.test"]);
        scene.give("a.x.test", NOW + DAY);
        let public = Bundle { names: list(&["a.example.org"]), ..scene.ca.issue("a.test", NOW).expect("signs") };
        scene.given = Store::new([Arc::new(Bundle { origin: Origin::Folder("f".into()), ..public })], NOW);
        let plan = scene.plan(&auto(&["a.example.org"]), NOW + 1000 * DAY);
        assert!(plan.promises.placeholders.is_empty() && plan.public.contains("a.example.org"));
    }

    #[test]
    fn a_single_label_widens_the_root_and_waits_for_it() {
        let mut scene = Scene::new();
        let plan = scene.plan(&auto(&["nas", "localhost"]), NOW);
        assert_eq!(plan.scope.hosts.iter().cloned().collect::<Vec<_>>(), list(&["nas"]));
        assert_eq!(listed(&plan.promises.internal), list(&["localhost"]), "the root does not permit `nas` yet");
        scene.ca = InternalCa::with_key_pem(&scene.ca.key_pem(), &plan.scope, NOW).expect("widens");
        let promises = scene.plan(&auto(&["nas", "localhost"]), NOW).promises;
        assert_eq!(listed(&promises.internal), list(&["localhost", "nas"]));
    }

    #[test]
    fn a_label_cannot_widen_the_root_to_a_public_name_but_the_operator_can() {
        let mut scene = Scene::new();
        let wanted = internal(&["shop.example.org", "*.nas"]);
        let plan = scene.plan(&wanted, NOW);
        assert_eq!(plan.scope, Scope::default());
        assert_eq!(listed(&plan.promises.placeholders), list(&["*.nas", "shop.example.org"]));
        assert!(plan.findings.iter().all(|finding| finding.code == codes::NOT_FOR_INTERNAL_CA));
        assert_eq!(plan.findings.len(), 2);
        scene.domains = list(&["example.org"]);
        let plan = scene.plan(&wanted, NOW);
        assert_eq!(plan.scope.domains.iter().cloned().collect::<Vec<_>>(), list(&["example.org"]));
        assert_eq!(scene.plan(&auto(&["shop.example.org"]), NOW).scope, Scope::default(), "only where it is needed");
    }

    #[test]
    fn a_root_has_room_for_so_many_single_labels() {
        let scene = Scene::new();
        let names: Vec<String> = (0..Scope::NAMES_MAX + 3).map(|number| format!("host{number}")).collect();
        let plan = scene.plan(&auto(&names.iter().map(String::as_str).collect::<Vec<_>>()), NOW);
        assert!(plan.scope.is_bounded());
        assert_eq!((plan.findings.len(), plan.promises.placeholders.len()), (3, 3));
        assert_eq!(plan.findings[0].code, codes::INTERNAL_CA_TOO_WIDE);
    }

    #[test]
    fn patterns_and_stars_below_a_top_level_domain_are_signed_for_when_asked() {
        let scene = Scene::new();
        let plan = scene.plan(&auto(&["*", "budget.*", "*.localhost", "*.home.arpa"]), NOW);
        assert_eq!(listed(&plan.promises.patterns), list(&["*", "*.localhost", "budget.*"]));
        assert_eq!(listed(&plan.promises.internal), list(&["*.home.arpa", "*.localhost"]));
    }

    #[test]
    fn of_two_wishes_for_one_name_the_internal_one_counts() {
        let mut scene = Scene::new();
        scene.domains = list(&["example.org"]);
        let wanted = [auto(&["a.example.org"]), internal(&["a.example.org"])].concat();
        assert!(scene.plan(&wanted, NOW).promises.placeholders.is_empty());
        let reversed: Vec<_> = wanted.into_iter().rev().collect();
        assert!(scene.plan(&reversed, NOW).promises.placeholders.is_empty());
    }

    #[test]
    fn the_owner_is_told_before_a_file_ends() {
        let scene = Scene::new();
        let bundle = scene.ca.issue("a.test", NOW).expect("signs");
        let bundle = Bundle { origin: Origin::Folder("certs/a.crt".into()), not_after: NOW + 90 * DAY, ..bundle };
        let bundles = [Arc::new(bundle)];
        let told = |now| out_of_date(&bundles, now).first().map(|finding| finding.severity);
        assert_eq!(told(NOW), None);
        assert_eq!(told(NOW + 80 * DAY), Some(Severity::Warning));
        assert_eq!(told(NOW + 90 * DAY), Some(Severity::Error));
        assert_eq!(told(NOW - 10 * DAY), Some(Severity::Error));
        assert!(out_of_date(&bundles, NOW + 90 * DAY)[0].message.contains("expired on 20"));
    }
}
