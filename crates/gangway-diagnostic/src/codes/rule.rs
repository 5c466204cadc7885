//! `G1xx`: rules, hosts, paths and regular expressions.

use crate::code::codes;

codes! {
    const RULE_CODES;

    RULE_TOO_LONG = 100, Error, "rule too long",
        "A rule has at most 4,096 bytes, like every label. Split it into several routes.";
    RULE_EMPTY = 101, Error, "empty rule",
        "A rule without a matcher says nothing about requests. Leave the label out to serve the default host, \
         or write ``Host(`*`)`` to take every request.";
    RULE_TOO_DEEP = 102, Error, "rule nested too deeply",
        "Parentheses may stand 32 deep. Take some out; `a && (b && c)` is the same as `a && b && c`.";
    QUOTE_UNCLOSED = 103, Error, "unclosed quote",
        "A value begins with a backtick or a double quote and ends with the same.";
    MATCHER_UNKNOWN = 104, Error, "unknown matcher",
        "The matchers are `Host`, `HostRegexp`, `Path`, `PathPrefix`, `PathRegexp`, `Method`, `Header`, \
         `HeaderRegexp`, `Query`, `QueryRegexp` and `ClientIP`.";
    PARENTHESIS = 105, Error, "unmatched parenthesis",
        "Every `(` needs its `)`.";
    OPERATOR_SINGLE = 106, Error, "single `&` or `|`, or a word for it",
        "The operators are `&&`, `||` and `!`.";
    RULE_INCOMPLETE = 107, Error, "something is missing in the rule",
        "Two conditions are joined by `&&` or `||`, and each of them needs a condition on both sides.";
    VALUE_UNQUOTED = 108, Error, "value without quotes",
        "Values of matchers stand in backticks or double quotes. Single quotes and typographic quotes are not quotes here.";
    ARGUMENT_COUNT = 109, Error, "wrong number of arguments",
        "`Header`, `HeaderRegexp` and `QueryRegexp` take two arguments, `Query` takes one or two, all others take one \
         or more.";

    ESCAPE_UNKNOWN = 110, Error, "unknown escape in double quotes",
        "In double quotes a backslash begins an escape: `\\\\`, `\\\"`, `\\n`, `\\r`, `\\t`, `\\xHH` or `\\u{H}`. \
         In backticks it is an ordinary character, which suits regular expressions.";
    TEXT_UNEXPECTED = 111, Error, "text that belongs to nothing",
        "Something stands in the rule that is neither a matcher nor an operator nor a parenthesis.";
    ALTERNATIVES_TOO_MANY = 112, Error, "too many combinations of hosts and paths",
        "A route may have 1,024 combinations of a host and a path. Split it into several routes.";
    RULE_NEVER_MATCHES = 113, Error, "rule can never match",
        "Its conditions contradict each other, such as two different hosts joined by `&&`. `||` is probably meant.";
    PART_NEVER_MATCHES = 114, Warning, "part of the rule can never match",
        "One side of an `||` contradicts itself. The rest of the rule is in force.";

    REGEX_INVALID = 120, Error, "invalid regular expression",
        "The syntax is the usual one without look-around and back-references.";
    REGEX_NOT_LINEAR = 121, Error, "regular expression that needs backtracking",
        "Look-around and back-references are not supported: matching them can take exponential time, and a \
         label must not be able to stop the proxy. Combine matchers with `!` instead of a negative look-ahead.";
    REGEX_TOO_LARGE = 122, Error, "regular expression too large",
        "A compiled regular expression may take 64 KiB. Counted repetitions such as `{1,1000}` and Unicode classes \
         such as `\\p{L}` are what makes them large.";
    REGEX_TEMPLATE = 123, Error, "template instead of a regular expression",
        "`{name:[a-z]+}` is the notation of Traefik 2. Write the regular expression itself, with dots escaped.";
    NETWORK_INVALID = 125, Error, "not an address or a network",
        "Such as `192.0.2.7`, `10.0.0.0/8` or `2001:db8::/32`.";
    NETWORK_HOST_BITS = 126, Warning, "network with bits beyond its mask",
        "`10.1.2.3/8` means all of `10.0.0.0/8`. Write the network, or the address without the mask.";
    METHOD_INVALID = 127, Error, "not a method",
        "A method is a word such as `GET`.";
    FIELD_INVALID = 128, Error, "not a header name",
        "A header name consists of letters, digits and hyphens.";
    PARAMETER_INVALID = 129, Error, "not the name of a query parameter",
        "The name of a parameter is not empty and has no `=` and no `&`.";

    HOST_EMPTY = 130, Error, "empty host",
        "A host is a name such as `shop.example.org`; `*` is every host.";
    HOST_NOT_ONLY_NAME = 131, Error, "host with a scheme, a port or a path",
        "A route's host is a name only. Every listener serves it, and its path belongs into `path`.";
    HOST_WILDCARD = 132, Error, "wildcard where none can stand",
        "`*` stands for one whole label at the beginning (`*.example.org`), for any domain at the end (`budget.*`), \
         or alone for every host. Anything else is for `HostRegexp`.";
    HOST_INVALID = 133, Error, "not a host name",
        "Labels have 1 to 63 letters, digits, hyphens and underscores, with no hyphen at either end; the name has \
         at most 253 characters.";
    HOST_ADDRESS_INVALID = 134, Error, "not an address",
        "A host that looks like an address has to be one.";

    PATH_NO_SLASH = 140, Error, "path that does not begin with a slash",
        "A path is `/prefix`, `=/exact` or `~^/expression`.";
    PATH_WITH_QUERY = 141, Error, "path with a query or a fragment",
        "Paths are compared without the query. Use the matcher `Query` in a rule.";
    PATH_NOT_NORMAL = 142, Warning, "path that is not in normal form",
        "Requests are compared after `//`, `/./` and `/../` were resolved, and so is this path.";
    PATH_GLOB = 143, Warning, "asterisk in a path",
        "`*` is an ordinary character in a path. A path is a prefix already: `/api` takes everything below it.";
    PATH_DOUBTFUL = 145, Error, "path that applications read differently",
        "Some applications take `%2F` and `\\` for a slash and cut segments at `;`, others do not. A request for which \
         that decides about the route is refused, so no route can be made of it.";
    CONTAINER_COMBINATIONS_TOO_MANY = 146, Error, "too many combinations of conditions on one container",
        "The routes of one container may have 4,096 combinations of hosts, paths and other conditions together. Those \
         with the most are left out. Use a wildcard or a regular expression, or spread the routes over several containers.";
    CONTAINER_VALUES_TOO_MANY = 147, Error, "too many values on one container",
        "The hosts, paths, rules and rewritings of one container may have 4,096 values together, of which a regular \
         expression counts as 16 and a large one as up to a thousand. The labels with the most are left out, so that \
         one container does not delay the others by labels that take long to read.";
}
