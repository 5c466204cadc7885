//! `G3xx`: conflicts between routes.

use crate::code::codes;

codes! {
    const CONFLICT_CODES;

    CLAIMED_BY_OTHER_PROJECT = 301, Error, "host is another project's",
        "A host belongs to the project, or the container, that was first served there, with all its paths. It keeps the \
         host through recreation, restart and stop, as long as a container of it exists, and a minute longer. After \
         that a container that is created then takes the host at once, and one that was refused before waits for \
         `--keep-hosts`. The label `share` on the holder's side lets others serve paths of the host, `gangway release` \
         gives it up, and `gangway hosts` lists who has what.";
    CLAIMED_TWICE = 302, Error, "two routes ask for the same",
        "Two services, or two routes of one service, ask for the same requests with the same priority. The one that was \
         served first keeps them. Services that are one application say the same `group`.";
    TIE = 303, Warning, "only age decides between two routes",
        "Two routes are equally specific for some requests. The one that was served first gets those; `priority` or a \
         more specific rule decides it as you mean it.";
    REPLICAS_DIFFER = 304, Warning, "replicas ask for different things",
        "Containers of one service are replicas of one upstream and should have the same labels. What the newest \
         container that is ready asks for is in force. During an update this passes by itself.";
    PRIORITY_OVER_OTHER_PROJECT = 305, Error, "priority over another project's route",
        "A larger priority may decide between routes of one project. It cannot take requests from an older container of \
         another project.";
    EXPRESSION_ON_OTHER_PROJECT = 306, Error, "regular expression on another project's host",
        "Which paths a regular expression takes cannot be told beforehand, so on a host that another project shares, \
         only prefixes and exact paths can be asked for.";
    CLAIMED_BY_FILE = 307, Error, "host and path stand in the configuration file",
        "A route of the configuration file goes before those of containers, whatever their age.";
    GROUP_WITHOUT_PROJECT = 308, Error, "group outside of a project",
        "A group joins services of one project. A container that was started by itself belongs to no project.";

    ALTERNATIVES_IN_ALL_TOO_MANY = 310, Error, "too many combinations of conditions in all",
        "All routes together may have 131,072 combinations of hosts, paths and other conditions. Beyond, services \
         (and containers that belong to none) that ask for more than an equal share lose their largest routes, and keep \
         the hosts that they have; the others lose nothing.";
}
