//! Findings about public names that have no certificate, and about a volume that forgets certificates.

use std::collections::BTreeMap;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Place, codes};

use crate::{PlainHttp, VolumeLoss};
use gangway_tls::UnixTime;

/// An order takes seconds, so a name is reported only after this time.
const TOLD_AFTER: Duration = Duration::from_mins(1);

/// Names that are reported one by one; the rest are only counted.
const TOLD_MAX: usize = 20;

/// The names without a certificate, with the time since when.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    since: BTreeMap<Box<str>, UnixTime>,
}

impl Missing {
    /// Notes the names that have no certificate now, and returns those that have had none for long enough to be
    /// reported.
    pub(crate) fn update<'a>(&mut self, names: impl Iterator<Item = &'a str>, now: UnixTime) -> Vec<Box<str>> {
        // A clock that was set back must not delay the report.
        let since = |name: &str| self.since.get(name).copied().filter(|since| *since <= now).unwrap_or(now);
        self.since = names.map(|name| (name.into(), since(name))).collect();
        let due = self.since.iter().filter(|(_, since)| now.since(**since) >= TOLD_AFTER);
        due.map(|(name, _)| name.clone()).collect()
    }
}

/// One finding for each name, and one for all names beyond the bound.
pub(crate) fn findings(names: &[Box<str>], has_acme: bool, plain_http: PlainHttp) -> Vec<Diagnostic> {
    let finding = |subject: &str, message: String| {
        Diagnostic::warning(codes::CERTIFICATE_MISSING, Place::Name(subject.into()), message)
            .with_help(match has_acme {
                true => "wait, or look at what is said of the authority",
                false => "put a certificate into `certs/`, or let an authority be asked with `--acme-ca`",
            })
            .with_effect(effect(plain_http))
    };
    let told = names.iter().take(TOLD_MAX).map(|name| finding(name, format!("`{name}` has no certificate yet")));
    // Their number is left out, since it changes all the time.
    let rest = (names.len() > TOLD_MAX)
        .then(|| finding("certificates", "further names have no certificate yet: `gangway certs` lists them".into()));
    told.chain(rest).collect()
}

/// The effect of a finding about a name without a certificate: the behaviour that clients meet instead.
pub(crate) fn effect(plain_http: PlainHttp) -> &'static str {
    match plain_http {
        PlainHttp::Refused => "https shows a self-signed placeholder, and plain http is refused",
        PlainHttp::Served => "https shows a self-signed placeholder, and plain http is answered in the clear",
    }
}

/// The finding about a volume that does not outlive its container, for use while names have certificates that would
/// have to be ordered again.
pub(crate) fn volume(forgotten: VolumeLoss) -> Diagnostic {
    let message = match forgotten {
        VolumeLoss::Anonymous => "the data folder is an anonymous volume, which no other container gets",
        VolumeLoss::Unmounted => "the data folder is on no volume, and goes away with the container",
    };
    Diagnostic::warning(codes::VOLUME_NOT_KEPT, Place::Name("volume".into()), message)
        .with_help(
            "give it a name: `docker run -v gangway:/data`, or in compose `volumes: [\"data:/data\"]` and `data:` \
             below the file's own `volumes:`",
        )
        .with_effect(
            "the next container makes another internal root and orders all certificates again; authorities refuse \
             that for days after five a week",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }

    #[test]
    fn a_name_is_told_of_once_it_has_been_without_for_a_while() {
        let mut missing = Missing::default();
        let names = ["a.test", "b.test"];
        assert!(missing.update(names.into_iter(), at(1000)).is_empty());
        assert!(missing.update(["a.test"].into_iter(), at(1000) + TOLD_AFTER - Duration::from_secs(1)).is_empty());
        assert_eq!(
            missing.update(names.into_iter(), at(1000) + TOLD_AFTER),
            ["a.test".into()],
            "`b.test` had one between"
        );
        assert!(missing.update(names.into_iter(), at(10)).is_empty(), "a clock that was set back");
        assert_eq!(missing.update(names.into_iter(), at(10) + TOLD_AFTER).len(), 2);
    }

    #[test]
    fn however_many_they_are_few_are_told() {
        let names: Vec<Box<str>> = (0..1000).map(|number| format!("n{number:04}.test").into()).collect();
        assert_eq!(findings(&names[..3], true, PlainHttp::Served).len(), 3);
        let told = findings(&names, true, PlainHttp::Served);
        assert_eq!(told.len(), TOLD_MAX + 1);
        assert_eq!(
            findings(&names[1..], true, PlainHttp::Served).last(),
            told.last(),
            "the same as long as there are too many"
        );
        assert!(findings(&names[..1], true, PlainHttp::Refused)[0].effect.ends_with("plain http is refused"));
    }
}
