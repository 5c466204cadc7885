//! Something that a person should know about certificates, worded like a diagnostic.

/// Something that a person should know, worded like a diagnostic.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    /// How bad.
    pub severity: FindingSeverity,
    /// Which.
    pub code: FindingCode,
    /// A name, or a path relative to the volume.
    pub subject: Box<str>,
    /// One clause, lower case, no full stop.
    pub message: Box<str>,
    /// Something to do.
    pub help: Box<str>,
    /// What we did instead.
    pub effect: Box<str>,
}

/// As for diagnostics: an error is not in force, a warning is in force but surely not meant.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum FindingSeverity {
    /// Not in force.
    Error,
    /// In force, but surely not meant.
    Warning,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal, $explanation:literal;)*) => {
        /// The stable codes of this crate's findings. A number is never given to another finding.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum FindingCode {
            $(#[doc = concat!("`G", stringify!($number), "`: ", $title, ".")] $name = $number,)*
        }

        impl FindingCode {
            /// Every code, ascending.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number behind the `G`.
            pub fn number(self) -> u16 {
                self as u16
            }

            /// One line for the reference, lower case, no full stop.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do, in whole sentences.
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation,)* }
            }
        }
    };
}

codes! {
    FileUnusable = 501, "certificate file that cannot be used",
        "A file in `certs/` on the volume is damaged, lacks its key or its certificate, or the two do not belong \
         together. What it held before stays in use until the file is repaired or removed; it is looked at again \
         every two seconds.";
    FileOutOfDate = 502, "certificate file out of date",
        "A certificate in `certs/` has expired, is not valid yet, or expires within two weeks. Gangway does not \
         renew what it did not order: put a new one in its place.";
    FileOpen = 503, "private key readable by everybody",
        "A key in `certs/` could be read by every user of the machine. Gangway takes that right away where it may; \
         where it may not, do it yourself with `chmod 600`.";
    FileUnknown = 504, "file in `certs/` of an unknown kind",
        "Certificates are read from `<any>.crt` with `<any>.key`, and from `<any>.pem`. Other containers, such as \
         PKCS #12, must be converted first.";
    FolderUnreadable = 505, "folder of certificates that cannot be read",
        "`certs/` on the volume, or a folder in it, cannot be listed. What it held before stays in use.";
    ClientCaUnusable = 506, "bundle of clients' authorities that cannot be used",
        "A route asks for client certificates (`client-ca`), and the file in `certs/clients/` that it names is \
         missing or damaged. The route is closed until the file is there again; it is looked for every two seconds.";
    ExportFailed = 507, "certificate that could not be exported",
        "A certificate could not be written where `cert.export` asks for it. It is tried again every minute. A link \
         in the way is not followed: it could lead out of the folder.";
    NotForInternalCa = 510, "name that the internal CA may not sign for",
        "The internal root is limited to internal names, so that nobody who steals it can speak for the web. A label \
         cannot widen it. Leave `tls` at `auto` for a certificate of a public CA, put a certificate into `certs/`, or \
         start Gangway with `--domain` for a domain of your own.";
    InternalCaDamaged = 511, "internal CA damaged",
        "A file of the internal CA on the volume could not be read. It was set aside beside its place, with `.corrupt-` \
         and the time in its name, and another was made. If it was the key, devices that trust the old root must be \
         given the new one, which `gangway ca` prints; or put the old files back and restart.";
    VolumeUnusable = 512, "volume that cannot be used",
        "Something could not be read from the volume or written to it. Everything goes on from memory and is tried \
         again, but would be lost at a restart.";
    InternalCaTooWide = 513, "too many single-label names",
        "Each host name without a dot is written into the internal root, which has room for 256. Use names below a \
         domain such as `.internal` instead.";
    CertificateDamaged = 514, "certificate on the volume that cannot be used",
        "A file below `acme/` on the volume is damaged. It was set aside, with `.corrupt-` and the time in its name, \
         and costs only its own name. A file that a later version of Gangway wrote is left alone.";
    CaCannotConnect = 520, "the CA cannot connect to a name",
        "The CA found the name's address but nobody there let it in. Ports 80 and 443 must be reachable from the \
         whole internet, by IPv6 as well if the name has an AAAA record. Where they cannot be, use DNS-01.";
    CaSawAnother = 521, "the CA reached somebody else",
        "Whoever answers at the name's address does not know the challenge: another machine, another web server, a CDN \
         or a router. Gangway answers challenges before any route, redirect or authentication.";
    NameNotFound = 522, "the CA cannot look a name up",
        "The name has no address that the CA can find, or its domain's name servers fail.";
    CaaForbids = 523, "a CAA record forbids the CA",
        "The domain's owner has said in the DNS which CAs may sign for it, and this one is not among them.";
    RateLimited = 524, "limit of the CA reached",
        "The CA has signed for the name, or refused to, too often. Gangway waits as long as the CA says, and asks the \
         next CA where one is given.";
    NameRejected = 525, "name that the CA will not sign for",
        "The name, its kind or the profile asked for is none that this CA signs.";
    AccountRefused = 526, "account that the CA does not accept",
        "Some CAs ask for an account that was made on their web pages before (EAB), or for an e-mail address.";
    CaUnreachable = 527, "CA that cannot be asked",
        "The CA does not answer, or asks to be left alone for a while. It is asked again, later each time.";
    OrderFailed = 528, "order that failed",
        "The CA's words say more. It is tried again, later each time.";
    NoChallenge = 529, "no challenge that both sides can do",
        "That a wildcard name is ours can only be shown by a DNS record (DNS-01), which needs a DNS provider.";
    DnsProviderFailed = 530, "DNS record that could not be made",
        "The DNS provider refused the record for DNS-01, or the record could not be seen by the domain's name servers.";
    OwnBudget = 531, "too many certificates in a week",
        "Gangway stops before the CA does, since the CA's limit lasts for days and a person may need the last one.";
    StagingCa = 532, "certificate of a CA for tests",
        "Certificates of staging CAs are trusted by no browser. They are for trying things out.";
    ClockWrong = 533, "clock that is wrong",
        "This machine's clock differs from the CA's by more than a minute. Certificates are valid from one moment to \
         another, so a wrong clock makes good ones look bad.";
    OnDemandRefused = 534, "certificate on demand that was refused",
        "A client asked for a name that only a wildcard route takes, and the URL of `--on-demand` gave another answer \
         than 2xx. One such name is told an hour; `gangway_on_demand_total` counts them all.";
    OnDemandUnanswered = 535, "nobody says who may have a certificate on demand",
        "The URL of `--on-demand` did not answer within five seconds, or with an error of its own (5xx), which counts \
         as a no. The name is asked about again after five seconds, if somebody still wants it.";
    OnDemandOverrun = 536, "too many names wanted on demand",
        "More than 512 names were waiting for an answer at once, or more than 4,096 were wanted within a minute or so. \
         Further ones are refused until there is room, so that strangers cannot fill the memory or flood the URL.";
    AccountKeyKept = 537, "account key that was not changed",
        "`gangway certs rekey` asked for another key for the account with a CA. The CA refused, which settles it, or \
         could not be asked, and is asked again every ten minutes. The account is not lost: both keys are kept until it \
         is certain which one is in force.";
    ProfileUnknown = 538, "certificate profile that the CA does not offer",
        "`--acme-profile` names a kind of certificate that is not in the CA's directory. The help names those that are.";
    VolumeWithoutLocks = 543, "volume without file locks",
        "The file system of the volume cannot lock files, as NFS without its lock service. Instances that share the \
         volume then tell by a file's contents whose turn it is, which two that begin in the same moment may both read \
         as theirs. A single instance loses nothing but four seconds an order.";
    NoCertificateYet = 544, "no certificate yet",
        "A public certificate is wanted for the name and there is none so far. Until it is there https is answered \
         with a self-signed placeholder, which browsers refuse, and plain http in the clear, so that the site can be \
         seen at all; `--no-plain-fallback` refuses plain http instead. Another finding says why it takes so long, if \
         a CA has failed.";
    VolumeForgotten = 545, "volume that the next container does not get",
        "The data folder of Gangway's container is no named volume and no folder of the machine: it goes away with the \
         container, and with it the internal root that devices trust, the account with the CA and all certificates. \
         Each new container then orders them again, and the CA refuses further ones for days after five a week.";
}

impl std::fmt::Display for FindingCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "G{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_are_of_this_crate() {
        assert!(FindingCode::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        assert!(FindingCode::ALL.iter().all(|code| (500..600).contains(&code.number())));
        assert_eq!(FindingCode::FileUnusable.to_string(), "G501");
    }
}
