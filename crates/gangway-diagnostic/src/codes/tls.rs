//! `G5xx`: TLS and certificates.

use crate::code::codes;

codes! {
    const TLS_CODES;

    CERTIFICATE_FILE_UNUSABLE = 501, Error | Warning, "certificate file that cannot be used",
        "A file in `certs/` on the volume is damaged, lacks its key or its certificate, or the two do not belong \
         together. What it held before stays in use until the file is repaired or removed; it is looked at again \
         every two seconds.";
    CERTIFICATE_FILE_OUT_OF_DATE = 502, Error | Warning, "certificate file out of date",
        "A certificate in `certs/` has expired, is not valid yet, or expires within two weeks. Gangway does not \
         renew what it did not order: put a new one in its place.";
    CERTIFICATE_KEY_READABLE = 503, Warning, "private key readable by all users",
        "A key in `certs/` could be read by every user of the machine. Gangway takes that right away where it may; \
         where it may not, do it yourself with `chmod 600`.";
    CERTIFICATE_FILE_UNKNOWN = 504, Warning, "file in `certs/` of an unknown kind",
        "Certificates are read from `<any>.crt` with `<any>.key`, and from `<any>.pem`. Other containers, such as \
         PKCS #12, must be converted first.";
    CERTIFICATE_FOLDER_UNREADABLE = 505, Error, "folder of certificates that cannot be read",
        "`certs/` on the volume, or a folder in it, cannot be listed. What it held before stays in use.";
    CLIENT_CA_UNUSABLE = 506, Error, "client CA file that cannot be used",
        "A route asks for client certificates (`client-ca`), and the file in `certs/clients/` that it names is \
         missing or damaged. The route is closed until the file is there again; it is looked for every two seconds.";
    CERTIFICATE_EXPORT_FAILED = 507, Error, "certificate that could not be exported",
        "A certificate could not be written where `cert.export` asks for it. It is tried again every minute. A link \
         in the way is not followed: it could lead out of the folder.";

    NOT_FOR_INTERNAL_CA = 510, Error, "name that the internal CA may not sign for",
        "The internal root is limited to internal names, so that a stolen root cannot speak for the web. A label \
         cannot widen it. Leave `tls` at `auto` for a certificate of a public CA, put a certificate into `certs/`, or \
         start Gangway with `--domain` for a domain of your own.";
    INTERNAL_CA_DAMAGED = 511, Error | Warning, "internal CA damaged",
        "A file of the internal CA on the volume could not be read. It was set aside beside its place, with `.corrupt-` \
         and the time in its name, and another was made. If it was the key, devices that trust the old root must be \
         given the new one, which `gangway ca` prints; or put the old files back and restart.";
    VOLUME_UNUSABLE = 512, Error, "volume that cannot be used",
        "Something could not be read from the volume or written to it. Everything goes on from memory and is tried \
         again, but would be lost at a restart.";
    INTERNAL_CA_TOO_WIDE = 513, Error, "too many single-label names",
        "Each host name without a dot is written into the internal root, which has room for 256. Use names below a \
         domain such as `.internal` instead.";
    CERTIFICATE_DAMAGED = 514, Warning, "certificate on the volume that cannot be used",
        "A file below `acme/` on the volume is damaged. It was set aside, with `.corrupt-` and the time in its name, \
         and costs only its own name. A file that a later version of Gangway wrote is left alone.";

    CA_CANNOT_CONNECT = 520, Error | Warning, "the CA cannot connect to a name",
        "The CA found the name's address but could not connect to it. Ports 80 and 443 must be reachable from the \
         whole internet, by IPv6 as well if the name has an AAAA record. Where they cannot be, use DNS-01.";
    CA_REACHED_ANOTHER = 521, Error | Warning, "the CA reached another server",
        "The server at the name's address does not know the challenge: it is another machine, another web server, a CDN \
         or a router. Gangway answers challenges before any route, redirect or authentication.";
    NAME_NOT_RESOLVED = 522, Error | Warning, "the CA cannot look a name up",
        "The name has no address that the CA can find, or its domain's name servers fail.";
    CAA_FORBIDS = 523, Error | Warning, "a CAA record forbids the CA",
        "The domain's owner has said in the DNS which CAs may sign for it, and this one is not among them.";
    CA_RATE_LIMITED = 524, Error | Warning, "limit of the CA reached",
        "The CA has signed for the name, or refused to, too often. Gangway waits as long as the CA says, and asks the \
         next CA where one is given.";
    NAME_REJECTED_BY_CA = 525, Error | Warning, "name that the CA will not sign for",
        "The name, its kind or the profile asked for is none that this CA signs.";
    ACME_ACCOUNT_REFUSED = 526, Error | Warning, "account that the CA does not accept",
        "Some CAs ask for an account that was made on their web pages before (EAB), or for an e-mail address.";
    CA_UNREACHABLE = 527, Error | Warning, "CA that cannot be asked",
        "The CA does not answer, or asks to be left alone for a while. It is asked again, later each time.";
    ACME_ORDER_FAILED = 528, Error | Warning, "order that failed",
        "The CA's words say more. It is tried again, later each time.";
    ACME_CHALLENGE_MISSING = 529, Error | Warning, "no challenge that both sides can do",
        "That a wildcard name is ours can only be shown by a DNS record (DNS-01), which needs a DNS provider.";

    DNS_PROVIDER_FAILED = 530, Error | Warning, "DNS record that could not be made",
        "The DNS provider refused the record for DNS-01, or the record could not be seen by the domain's name servers.";
    CERTIFICATE_BUDGET_SPENT = 531, Error, "too many certificates in a week",
        "Gangway stops before the CA does, because the limit of the CA lasts for days and a person may need the last certificate.";
    CA_STAGING = 532, Warning, "certificate of a CA for tests",
        "Certificates of staging CAs are trusted by no browser. They are for trying things out.";
    CLOCK_WRONG = 533, Warning, "clock that is wrong",
        "This machine's clock differs from the CA's by more than a minute. Certificates are valid from one moment to \
         another, so a wrong clock makes good ones look bad.";
    ON_DEMAND_REFUSED = 534, Warning, "certificate on demand that was refused",
        "A client asked for a name that only a wildcard route takes, and the URL of `--on-demand` gave another answer \
         than 2xx. One such name is told an hour; `gangway_on_demand_total` counts them all.";
    ON_DEMAND_UNANSWERED = 535, Error, "no answer about a certificate on demand",
        "The URL of `--on-demand` did not answer within five seconds, or with an error of its own (5xx), which counts \
         as a no. Gangway asks about the name again after five seconds, if a client still wants it.";
    ON_DEMAND_OVERRUN = 536, Warning, "too many names wanted on demand",
        "More than 512 names were waiting for an answer at once, or more than 4,096 were wanted within a minute or so. \
         Further ones are refused until there is room, so that strangers cannot fill the memory or flood the URL.";
    ACME_ACCOUNT_KEY_KEPT = 537, Error, "account key that was not changed",
        "`gangway certs rekey` asked for another key for the account with a CA. The CA refused, which settles it, or \
         could not be asked, and is asked again every ten minutes. The account is not lost: both keys are kept until it \
         is certain which one is in force.";
    ACME_PROFILE_UNKNOWN = 538, Error, "certificate profile that the CA does not offer",
        "`--acme-profile` names a kind of certificate that is not in the CA's directory. The help names those that are.";

    REDIRECT_WITHOUT_TLS = 540, Error, "redirection to https without TLS",
        "With `tls` `off` the route is served by plain HTTP only; a redirection to https would lead nowhere.";
    HSTS_WITHOUT_TLS = 541, Error, "strict transport security without TLS",
        "`Strict-Transport-Security` is only sent on https answers, of which there are none with `tls` `off`.";
    VERIFY_WITHOUT_TLS = 542, Warning, "`verify` without an https upstream",
        "Only the certificate of an upstream that is spoken to by https can be checked or not.";
    VOLUME_WITHOUT_LOCKS = 543, Warning, "volume without file locks",
        "The file system of the volume cannot lock files, as NFS without its lock service. Instances that share the \
         volume then tell by a file's contents whose turn it is, which two that begin in the same moment may both read \
         as theirs. A single instance loses nothing but four seconds an order.";
    CERTIFICATE_MISSING = 544, Warning, "no certificate yet",
        "A public certificate is wanted for the name and there is none so far. Until it is there https is answered \
         with a self-signed placeholder, which browsers refuse, and plain http in the clear, so that the site can be \
         seen; `--no-plain-fallback` refuses plain http instead. Another finding says why it takes so long, if \
         a CA has failed.";
    VOLUME_NOT_KEPT = 545, Warning, "volume that the next container does not get",
        "The data folder of Gangway's container is no named volume and no folder of the machine: it goes away with the \
         container, and with it the internal root that devices trust, the account with the CA and all certificates. \
         Each new container then orders them again, and the CA refuses further ones for days after five a week.";
    ENDPOINT_TLS = 546, Error, "file for TLS with an application that cannot be used",
        "The roots by which the certificate of an application is checked, or the certificate that is shown to it, stand in a \
         file that is not there, cannot be read or holds something else. What it held before stays in force. Where it \
         never held anything good, nothing is sent to the application, and its requests are answered with 502.";

    CLIENT_CA = 550, Error, "not the name of a client CA file",
        "`client-ca` names a file in `certs/clients/` on the volume without its ending. A label cannot name any \
         other file.";
    CLIENT_CA_WITHOUT_TLS = 551, Error, "client certificates without TLS",
        "`client-ca` asks for certificates in the TLS handshake, and `tls` `off` says that there is none. The route \
         is closed until one of them is removed.";
    CERT_EXPORT = 552, Error, "not a folder to export to",
        "`cert.export` names a folder below the volume, other than those that Gangway keeps its own files in.";
    HANDSHAKE_OF_OTHERS = 553, Error, "handshake of other routes",
        "`client-ca` and `tls-min` hold for every handshake of a host. A route cannot ask for more where an older \
         route of another project on the same host asks for less. Of two client CA files for one host only the older \
         route's is asked for.";
}
