//! The refusals that are known, as a table.
//!
//! A text is the application's own and is the same in every language: what it translates is not in the table. Where a
//! text alone is not sure, more is asked of the request.

/// The most bytes of an answer that are looked at.
pub(super) const LOOKED_AT_MAX: usize = 32 * 1024;

/// The longest text.
pub(super) const TEXT_MAX: usize = 50;

/// What an application refuses because of a setting of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Refusal {
    /// aiohttp refuses any request, without a reason. Home Assistant does so where a request has `X-Forwarded-For` and
    /// comes from a proxy that it does not trust.
    AnyRequestOfAiohttp,
    /// Nextcloud refuses a host that is not in `trusted_domains`.
    HostOfNextcloud,
    /// Django refuses a form whose origin is neither its own nor in `CSRF_TRUSTED_ORIGINS`.
    FormOfDjango,
    /// Django refuses a host that is not in `ALLOWED_HOSTS`.
    HostOfDjango,
    /// Grafana refuses a change whose origin is neither its own nor in `csrf_trusted_origins`.
    OriginOfGrafana,
    /// n8n refuses event streams of browsers, which send no `Origin` for them. Later versions accept them.
    EventStreamOfN8n,
    /// n8n refuses a WebSocket whose origin is another one than the proxy tells it.
    WebSocketOfN8n,
    /// Rails, in development, refuses a host that is not in `config.hosts`.
    HostOfRails,
    /// The development server of Vite refuses a host that is not in `server.allowedHosts`.
    HostOfVite,
    /// The preview server of Vite refuses a host that is not in `preview.allowedHosts`.
    HostOfVitePreview,
}

/// How an answer well given speaks against a refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refuted {
    /// Any good answer does: without the setting, no request would be answered well.
    ByAnyGoodAnswer,
    /// It takes time: only some requests are refused.
    ByTime,
}

/// What has to hold for the request that is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asked {
    /// It asks for a page: a wrong request of another kind may get the same answer.
    Page,
    /// The route is for certain hosts. Otherwise every client can ask for any host.
    NamedHost,
    /// It is a form from the host that it is for, by a browser that has a CSRF cookie. Every client can send another one.
    OwnForm,
    /// Its origin is the host that it asks for, which the route is for by name. Every client can send another one.
    OwnOrigin,
    /// It names no origin.
    NoOrigin,
}

/// A refusal as an application answers it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) refusal: Refusal,
    pub(super) status: u16,
    /// How the content type begins; empty for a protocol that was switched to.
    pub(super) media_type: &'static str,
    /// The length of the body, if it is always the same.
    pub(super) len: Option<u64>,
    /// The texts in the body, each of which has to be there.
    pub(super) texts: &'static [&'static [u8]],
    /// Within how many bytes they are.
    pub(super) within: usize,
    pub(super) asked: &'static [Asked],
    pub(super) refuted: Refuted,
}

/// What is known. A later row is for another text of the same status, so that at most one holds for an answer.
pub(super) const KNOWN: &[Known] = &[
    Known {
        refusal: Refusal::AnyRequestOfAiohttp,
        status: 400,
        media_type: "text/plain",
        len: Some(16),
        texts: &[b"400: Bad Request"],
        within: 16,
        asked: &[Asked::Page],
        refuted: Refuted::ByAnyGoodAnswer,
    },
    // The page is translated and has a long head; the names of the setting and of its file are not translated.
    Known {
        refusal: Refusal::HostOfNextcloud,
        status: 400,
        media_type: "text/html",
        len: None,
        texts: &[b"trusted_domains", b"config/config.php"],
        within: LOOKED_AT_MAX,
        asked: &[Asked::NamedHost],
        refuted: Refuted::ByTime,
    },
    // Clients ask `status.php` first.
    Known {
        refusal: Refusal::HostOfNextcloud,
        status: 400,
        media_type: "application/json",
        len: None,
        texts: &[b"{\"error\": \"Trusted domain error.\", \"code\": 15}"],
        within: 64,
        asked: &[Asked::NamedHost],
        refuted: Refuted::ByTime,
    },
    // The page is translated, its head is not.
    Known {
        refusal: Refusal::FormOfDjango,
        status: 403,
        media_type: "text/html",
        len: None,
        texts: &[b"<meta name=\"robots\" content=\"NONE,NOARCHIVE\">", b" <span>(403)</span></h1>"],
        within: 4096,
        asked: &[Asked::OwnForm],
        refuted: Refuted::ByTime,
    },
    Known {
        refusal: Refusal::FormOfDjango,
        status: 403,
        media_type: "application/json",
        len: None,
        texts: &[b"\"CSRF Failed: Origin checking failed - "],
        within: 512,
        asked: &[Asked::OwnForm],
        refuted: Refuted::ByTime,
    },
    Known {
        refusal: Refusal::HostOfDjango,
        status: 400,
        media_type: "text/html",
        len: None,
        texts: &[b"<title>Bad Request (400)</title>", b"<h1>Bad Request (400)</h1><p></p>"],
        within: 512,
        // Other bad requests get the same page.
        asked: &[Asked::Page, Asked::NamedHost],
        refuted: Refuted::ByAnyGoodAnswer,
    },
    // With `DEBUG`.
    Known {
        refusal: Refusal::HostOfDjango,
        status: 400,
        media_type: "text/html",
        len: None,
        texts: &[b"<title>DisallowedHost", b"Invalid HTTP_HOST header: "],
        within: LOOKED_AT_MAX,
        asked: &[Asked::NamedHost],
        refuted: Refuted::ByTime,
    },
    Known {
        refusal: Refusal::OriginOfGrafana,
        status: 403,
        media_type: "text/plain",
        len: Some(19),
        texts: &[b"origin not allowed\n"],
        within: 19,
        asked: &[Asked::OwnOrigin],
        refuted: Refuted::ByTime,
    },
    Known {
        refusal: Refusal::EventStreamOfN8n,
        status: 400,
        media_type: "application/json",
        len: None,
        texts: &[b"\"message\":\"Invalid origin!\""],
        within: 512,
        asked: &[Asked::NoOrigin],
        refuted: Refuted::ByTime,
    },
    // A whole text frame (RFC 6455, section 5.2), before it closes. It has asked before whether the user is logged in.
    Known {
        refusal: Refusal::WebSocketOfN8n,
        status: 101,
        media_type: "",
        len: None,
        texts: &[b"\x81\x0fInvalid origin!"],
        within: 17,
        asked: &[Asked::OwnOrigin],
        refuted: Refuted::ByTime,
    },
    // As a page, or as plain text to scripts. Rails 7.1 has put a few words between host and advice.
    Known {
        refusal: Refusal::HostOfRails,
        status: 403,
        media_type: "text/",
        len: None,
        texts: &[b"Blocked host", b"add the following to your environment", b"config.hosts "],
        within: LOOKED_AT_MAX,
        asked: &[Asked::NamedHost],
        refuted: Refuted::ByTime,
    },
    Known {
        refusal: Refusal::HostOfVite,
        status: 403,
        media_type: "text/plain",
        len: None,
        texts: &[b"Blocked request. This host (", b" to `server.allowedHosts` in "],
        within: 1024,
        asked: &[Asked::NamedHost],
        refuted: Refuted::ByTime,
    },
    Known {
        refusal: Refusal::HostOfVitePreview,
        status: 403,
        media_type: "text/plain",
        len: None,
        texts: &[b"Blocked request. This host (", b" to `preview.allowedHosts` in "],
        within: 1024,
        asked: &[Asked::NamedHost],
        refuted: Refuted::ByTime,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_keeps_its_bounds() {
        for Known { refusal, status, texts, within, len, media_type, .. } in KNOWN {
            assert!((1..=u8::BITS as usize).contains(&texts.len()), "{refusal:?}");
            assert!(texts.iter().all(|text| (1..=TEXT_MAX).contains(&text.len())), "{refusal:?}");
            assert!(texts.iter().map(|text| text.len()).max() <= Some(*within), "{refusal:?}");
            assert!(*within <= LOOKED_AT_MAX && len.is_none_or(|len| len <= *within as u64), "{refusal:?}");
            assert_eq!(media_type.is_empty(), *status == 101, "{refusal:?}");
        }
    }
}
