//! The format of holdings on the volume.
//!
//! The format is a promise. `version` is raised by a change that an older Gangway could not read.

use gangway_model::{EngineName, Holding, Holdings, HostCondition, Party, RefusedClaim, RuleId, Tenant, Tenure};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

#[derive(Deserialize, Serialize)]
struct HoldingsFile {
    version: u32,
    hosts: Vec<HostEntry>,
}

#[derive(Deserialize, Serialize)]
struct HostEntry {
    host: String,
    holders: Vec<HolderEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<RefusedEntry>,
}

#[derive(Deserialize, Serialize)]
struct HolderEntry {
    #[serde(flatten)]
    party: PartyEntry,
    since: i64,
    #[serde(default)]
    created: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    guest: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    share: Vec<String>,
    #[serde(default)]
    rules: Vec<(u64, i64)>,
    #[serde(default)]
    engines: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    containers: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct RefusedEntry {
    #[serde(flatten)]
    party: PartyEntry,
    since: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waited: Option<i64>,
}

#[derive(Deserialize, Serialize)]
struct PartyEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    engine: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container: Option<String>,
    /// The tenant is Traefik's labels and files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    traefik: bool,
    route: String,
}

/// The text of holdings. Hosts are sorted, so that equal holdings have equal texts.
pub(super) fn write(holdings: &Holdings) -> Vec<u8> {
    let entry = |(host, holding): (&HostCondition, &Holding)| HostEntry {
        host: host.to_string(),
        holders: holding.tenures.iter().map(|(party, tenure)| holder(party, tenure)).collect(),
        refused: holding.refused.iter().map(|(party, refusal)| refused(party, refusal)).collect(),
    };
    let mut hosts: Vec<HostEntry> = holdings.iter().map(entry).collect();
    hosts.sort_by(|one, other| one.host.cmp(&other.host));
    let file = HoldingsFile { version: VERSION, hosts };
    let mut text = serde_json::to_vec(&file).expect("text and numbers can always be written");
    text.push(b'\n');
    text
}

/// The holdings of a text.
///
/// # Errors
///
/// The reason why the text cannot be read.
pub(super) fn read(text: &[u8]) -> Result<Holdings, String> {
    let file: HoldingsFile = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if file.version != VERSION {
        return Err(format!("its version is {}, and this Gangway knows version {VERSION}", file.version));
    }
    // A host that cannot be read loses its holder, and no other host is affected.
    let hosts = file.hosts.into_iter().filter_map(|entry| {
        let refused = entry.refused.into_iter();
        let holding = Holding {
            tenures: entry.holders.into_iter().filter_map(HolderEntry::read).collect(),
            refused: refused
                .filter_map(|RefusedEntry { party, since, waited }| {
                    Some((party.read()?, RefusedClaim { since, waited }))
                })
                .collect(),
        };
        Some((HostCondition::parse(&entry.host)?, holding))
    });
    Ok(Holdings::new(hosts))
}

fn holder(party: &Party, tenure: &Tenure) -> HolderEntry {
    HolderEntry {
        party: PartyEntry::of(party),
        since: tenure.since,
        created: tenure.created,
        gone: tenure.gone,
        guest: tenure.is_guest,
        share: tenure.share.iter().map(ToString::to_string).collect(),
        rules: tenure.rules.iter().map(|rule| (rule.conditions, rule.priority)).collect(),
        engines: tenure.engines.iter().map(|engine| engine.0.to_string()).collect(),
        containers: tenure.containers.iter().map(ToString::to_string).collect(),
    }
}

fn refused(party: &Party, refusal: &RefusedClaim) -> RefusedEntry {
    RefusedEntry { party: PartyEntry::of(party), since: refusal.since, waited: refusal.waited }
}

impl HolderEntry {
    fn read(self) -> Option<(Party, Tenure)> {
        let tenure = Tenure {
            since: self.since,
            created: self.created,
            gone: self.gone,
            is_guest: self.guest,
            share: self.share.into_iter().map(Into::into).collect(),
            rules: self.rules.into_iter().map(|(conditions, priority)| RuleId { conditions, priority }).collect(),
            engines: self.engines.into_iter().map(|engine| EngineName(engine.into())).collect(),
            containers: self.containers.into_iter().map(Into::into).collect(),
        };
        Some((self.party.read()?, tenure))
    }
}

impl PartyEntry {
    fn of(party: &Party) -> Self {
        let text = |text: &str| Some(text.to_owned());
        let (project, service, engine, container) = match &party.tenant {
            Tenant::File => (None, None, None, None),
            Tenant::Project(project) => (text(project), text(&party.service), None, None),
            Tenant::Service(service) => (None, text(service), None, None),
            Tenant::Traefik => (None, None, None, None),
            Tenant::Container { engine, name } => (None, None, text(&engine.0), text(name)),
        };
        let traefik = party.tenant == Tenant::Traefik;
        Self { project, service, engine, container, traefik, route: party.route.to_string() }
    }

    /// None where the entry names no project, service or container.
    fn read(self) -> Option<Party> {
        let service: Box<str> = self.service.unwrap_or_default().into();
        let tenant = match (self.project, self.engine, self.container) {
            _ if self.traefik => Tenant::Traefik,
            (Some(project), _, _) => Tenant::Project(project.into()),
            (None, Some(engine), Some(container)) => {
                Tenant::Container { engine: EngineName(engine.into()), name: container.into() }
            }
            (None, _, _) if !service.is_empty() => Tenant::Service(service.clone()),
            (None, _, _) => return None,
        };
        Some(Party { tenant, service, route: self.route.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as the first version wrote it. It must always be read.
    const SAMPLE: &str = concat!(
        r#"{"version":1,"hosts":[{"host":"*.lan","holders":[{"engine":"docker","container":"notes","route":"notes","#,
        r#""since":10,"created":9,"rules":[[7,0]],"engines":["docker"],"containers":["id1"]}]},"#,
        r#"{"host":"a.test","holders":[{"project":"shop","service":"web","route":"web","since":5,"created":4,"gone":8,"#,
        r#""share":["*"],"rules":[[1,-2],[3,0]],"engines":["docker"]},{"service":"agent","route":"agent","since":6,"#,
        r#""created":6,"guest":true,"rules":[],"engines":["docker"]}],"refused":[{"project":"evil","service":"web","#,
        r#""route":"web","since":7,"waited":6}]},{"host":"~^x","holders":[{"project":"r","service":"r","route":"r","#,
        r#""since":1,"created":1,"rules":[],"engines":[]}]}]}"#,
        "\n"
    );

    #[test]
    fn written_holdings_are_read_and_written_the_same() {
        let holdings = read(SAMPLE.as_bytes()).expect("ours");
        assert_eq!(holdings.iter().count(), 3);
        assert_eq!(String::from_utf8(write(&holdings)).expect("text"), SAMPLE);
    }

    #[test]
    fn an_unreadable_file_is_an_error_and_an_unreadable_host_costs_only_itself() {
        assert!(read(b"{").is_err());
        assert!(read(br#"{"version":2,"hosts":[]}"#).is_err_and(|error| error.contains("version is 2")));
        let text = br#"{"version":1,"hosts":[{"host":"a..b","holders":[]},
            {"host":"a.b","holders":[{"route":"x","since":1}]}]}"#;
        assert_eq!(read(text).expect("readable").iter().count(), 1);
    }
}
