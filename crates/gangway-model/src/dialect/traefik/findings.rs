//! What is said about Traefik's options, and the words of the dialect.

use gangway_diagnostic::{Diagnostic, Finding, codes, quoted};

use crate::label::{Mark, Source, whole};
use crate::spec::{NAMES_DEEP_MAX, Unresolved};
use crate::vocabulary::Vocabulary;

use super::tree::{Options, Unread};

pub(super) static VOCABULARY: Vocabulary = Vocabulary {
    host: "traefik.http.routers.<name>.rule",
    group: "traefik.http.routers.<name>.service",
    group_key: "service",
    share: "gangway.share",
    priority: "traefik.http.routers.<name>.priority",
    scheme: "loadbalancer.server.scheme",
    verify: "insecureSkipVerify",
    port_of: |_, service| {
        let name = service.strip_suffix("@docker").unwrap_or(service);
        format!("traefik.http.services.{name}.loadbalancer.server.port")
    },
    default_host: |_, _| None,
};

/// What was found about one object, until it is known what becomes of it.
#[derive(Default)]
pub(super) struct Problems<'s>(Vec<(Mark<'s>, Finding)>);

impl<'s> Problems<'s> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, mark: Mark<'s>, finding: Finding) {
        self.0.push((mark, finding));
    }

    /// The value that was read, if it could be.
    pub(super) fn take<T>(&mut self, mark: Mark<'s>, read: Result<T, Finding>) -> Option<T> {
        read.map_err(|finding| self.add(mark, finding)).ok()
    }

    /// The value of an option, if it is there and could be read. White space around it does not count.
    pub(super) fn read<T>(
        &mut self,
        options: &Options<'_, 's>,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, Finding>,
    ) -> Option<T> {
        let mark = options.text(name)?;
        self.take(mark, read(mark.value.trim()))
    }

    /// Notes what is said there and not read.
    pub(super) fn unknown(&mut self, options: &Options<'_, 's>, of: &str) {
        for unread in options.unread() {
            let (mark, finding) = about_unread(&unread, of);
            self.add(mark, finding);
        }
    }

    /// Reports all of it with one effect, which is put into words where there is anything to report.
    pub(super) fn report(self, source: Source<'s>, effect: impl Fn() -> String, found: &mut Vec<Diagnostic>) {
        for (mark, finding) in self.0 {
            let diagnostic = match finding.span.start == finding.span.end {
                true => source.about_key(mark, finding, effect()),
                false => source.about_value(mark, finding, effect()),
            };
            found.push(diagnostic);
        }
    }
}

/// What is said of something that is not read, and where it stands.
pub(super) fn about_unread<'s>(unread: &Unread<'_, 's>, of: &str) -> (Mark<'s>, Finding) {
    match unread {
        Unread::Unknown(node, near) => {
            let help = match near {
                Some(near) => format!("did you mean {}?", quoted(near)),
                None => "see Traefik's reference for the options of this kind".to_owned(),
            };
            let message = format!("unknown option {} of {of}", quoted(node.name));
            (node.first, whole(codes::TRAEFIK_OPTION, message, "", help))
        }
        Unread::Misplaced(node) => {
            let help = "write all in one value, separated by commas where there are several";
            let message = format!("{} does not belong where it stands in {of}", quoted(node.name));
            (node.first, whole(codes::TRAEFIK_OPTION, message, "", help))
        }
        Unread::Value(mark) => {
            let message = format!("{of} has no value of its own");
            (*mark, whole(codes::TRAEFIK_OPTION, message, "", "write an option behind it"))
        }
    }
}

/// An option that is known and does nothing here.
pub(super) fn without_effect(what: &str, instead: &str) -> Finding {
    whole(codes::TRAEFIK_WITHOUT_EFFECT, what, "", instead).warning()
}

pub(super) fn middleware_unresolved(name: &str, why: Unresolved) -> Finding {
    let (message, help) = match why {
        Unresolved::Unknown => (
            format!("no middleware {} is declared", quoted(name)),
            "declare it, or mend the name; `@docker` and `@file` say who declares it",
        ),
        Unresolved::Broken => (format!("middleware {} could not be made", quoted(name)), "see the finding about it"),
        Unresolved::TooMany => (format!("middleware {} is one too many", quoted(name)), "use fewer middlewares"),
        Unresolved::Circular => (format!("middleware {} leads to itself", quoted(name)), "take it out of the chain"),
        Unresolved::TooDeep => (
            format!("chains below middleware {} stand more than {NAMES_DEEP_MAX} deep in each other", quoted(name)),
            "name what stands deepest in an outer chain, or in the router itself",
        ),
        Unresolved::PagesMissing => (
            format!("the service that {} takes pages from is not there", quoted(name)),
            "mend the name in `service`; `@docker` and `@file` say who declares it",
        ),
    };
    whole(codes::TRAEFIK_MIDDLEWARE_MISSING, message, "", help)
}

pub(super) fn service_unresolved(name: &str, why: Unresolved) -> Finding {
    let (message, help) = match why {
        Unresolved::Unknown => (
            format!("no service {} is declared", quoted(name)),
            "declare it, or mend the name; `@docker` and `@file` say who declares it",
        ),
        Unresolved::Broken => (format!("service {} could not be made", quoted(name)), "see the finding about it"),
        Unresolved::TooMany => (format!("service {} is one too many", quoted(name)), "use fewer services"),
        Unresolved::TooDeep => (
            format!("service {} stands more than {NAMES_DEEP_MAX} deep below others", quoted(name)),
            "name it in an outer service, or in the router itself",
        ),
        Unresolved::Circular | Unresolved::PagesMissing => {
            (format!("service {} leads to itself", quoted(name)), "take it out of the chain")
        }
    };
    whole(codes::TRAEFIK_SERVICE_MISSING, message, "", help)
}

pub(super) fn name_taken(name: &str) -> Finding {
    whole(
        codes::TRAEFIK_NAME_TAKEN,
        format!("{} is declared differently by an older container", quoted(name)),
        "",
        "give it another name, or write the same on both",
    )
}
