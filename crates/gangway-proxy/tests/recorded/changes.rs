//! What is done otherwise than when the record began, and why.
//!
//! A row only allows cases to be recorded anew: what they come to now is written beside what they were, and compared
//! like all others.

use crate::record::Change;

/// All changes. The first row that covers a case gives its reason.
pub(crate) const CHANGES: &[Change] = &[
    Change {
        file: "requests",
        cases: &["forwarding-*", "field-57"],
        reason: "fields that applications believe of a proxy are dropped",
    },
    Change { file: "requests", cases: &["target-*"], reason: "targets of real clients go on percent-encoded" },
    Change {
        file: "requests",
        cases: &["host-*"],
        reason: "the absolute form becomes the origin form before anything looks at it",
    },
    Change { file: "requests", cases: &["version-*"], reason: "HTTP/1.0 knows no expectations" },
    Change {
        file: "requests",
        cases: &["route-30", "route-78", "route-80", "route-86", "route-90"],
        reason: "the rest of a small body is read, and the connection kept",
    },
    Change {
        file: "requests",
        cases: &["route-*"],
        reason: "middlewares work on the path that was matched, and confine",
    },
    Change {
        file: "requests",
        cases: &["method-*", "framing-88", "framing-9*", "expect-*", "upgrade-*"],
        reason: "a request whose method may have a body says that it has none",
    },
    Change { file: "requests", cases: &["trailer-*", "body-*", "pipelined-*", "framing-15*"], reason: "trailers pass" },
    Change {
        file: "requests",
        cases: &["connection-*"],
        reason: "`TE: trailers` passes since trailers do, and `close` counts in whichever field it stands",
    },
    Change {
        file: "streams",
        cases: &[
            "field-h2-110",
            "field-h2-111",
            "field-h2-112",
            "field-h2-113",
            "field-h2-114",
            "field-h2-115",
            "field-h2-116",
            "field-h2-117",
        ],
        reason: "fields that applications believe of a proxy are dropped",
    },
    Change {
        file: "streams",
        cases: &["field-h2-92", "field-h2-93", "field-h2-94"],
        reason: "an unknown expectation is refused in HTTP/2 as in HTTP/1",
    },
    Change {
        file: "streams",
        cases: &["field-h2-*", "method-h2-*"],
        reason: "a request whose method may have a body says that it has none, and `TE: trailers` passes since trailers do",
    },
    Change { file: "streams", cases: &["body-h2-*", "trailer-h2-*"], reason: "trailers pass" },
    Change { file: "streams", cases: &["host-h2-46"], reason: "the case of a host makes no difference" },
    Change {
        file: "answers",
        cases: &["interim-*"],
        reason: "interim answers pass in HTTP/2 as well, without framing, and never to HTTP/1.0",
    },
    Change {
        file: "answers",
        cases: &["framing-*", "status-5", "status-5*", "status-6*"],
        reason: "answers are framed anew: version 1.1, one length or chunks, nothing unclear, and for HTTP/1.0 until the end of the connection",
    },
    Change {
        file: "answers",
        cases: &["end-*", "chunk-*", "status-7*"],
        reason: "what came is delivered, trailers pass, and a cut stream ends with INTERNAL_ERROR, since CANCEL is a client's word",
    },
    Change { file: "answers", cases: &["head-108"], reason: "a head of an answer has a bound" },
    Change { file: "answers", cases: &["head-*"], reason: "the status line is written anew" },
];
