//! Fields by which a proxy tells an application about the client, the URL or the connection. A client must not set
//! them: applications, frameworks and their usual plug-ins believe them without asking who wrote them.

/// Whether a client may not send this field, because applications take it for a statement of the proxy. Case does not
/// matter.
pub(crate) fn is_spoofable(name: &[u8]) -> bool {
    let is_known = match name.first().map(u8::to_ascii_lowercase) {
        Some(b'x') => begins(name, "x-") && after_x(&name[2..]),
        Some(b'c') => is_one_of(
            name,
            &["cf-connecting-ip", "cf-connecting-ipv6", "client-ip", "client-cert", "client-cert-chain"],
        ),
        Some(b'd') => is_one_of(name, &["do-connecting-ip"]),
        Some(b'f') => is_one_of(name, &["forwarded", "fly-client-ip", "fastly-client-ip", "front-end-https"]),
        // `Proxy` becomes HTTP_PROXY in CGI programs, which then send their requests there ("httpoxy").
        Some(b'p') => is_one_of(name, &["proxy", "proxy-client-ip"]),
        Some(b'r') => begins(name, "remote-"),
        Some(b's') => begins(name, "ssl-client-") || is_one_of(name, &["script-name"]),
        Some(b't') => is_one_of(name, &["true-client-ip"]),
        Some(b'w') => is_one_of(name, &["wl-proxy-client-ip", "wl-proxy-ssl"]),
        _ => false,
    };
    // Servers that make variables of fields take an underscore for a hyphen.
    is_known || name.contains(&b'_')
}

/// Whether a name that goes on like this after `x-` belongs to them. Many fields of clients begin with `x-` too.
fn after_x(rest: &[u8]) -> bool {
    match rest.first().map(u8::to_ascii_lowercase) {
        Some(b'f') => begins(rest, "forwarded"),
        // The URL before it was rewritten: some frameworks route by it, behind the back of every check by path.
        Some(b'o') => begins(rest, "original-") || is_one_of(rest, &["originating-ip"]),
        Some(b'r') => begins(rest, "real-") || begins(rest, "rewrite-") || begins(rest, "remote-"),
        // The client's certificate, or whether the client used TLS.
        Some(b's') => begins(rest, "ssl-") || is_one_of(rest, &["script-name", "scheme", "sendfile-type"]),
        Some(b't') => begins(rest, "tls-client-"),
        Some(b'c') => {
            begins(rest, "client-cert")
                || is_one_of(rest, &["client-ip", "cluster-client-ip", "client-verify", "client-dn"])
        }
        Some(b'a') => {
            begins(rest, "auth-request-")
                || begins(rest, "authentik-")
                || is_one_of(rest, &["accel-mapping", "arr-clientcert", "arr-ssl", "azure-clientip", "azure-socketip"])
        }
        Some(b'e') => is_one_of(rest, &["envoy-external-address", "envoy-original-path"]),
        Some(b'h') => is_one_of(rest, &["host", "http-host-override"]),
        Some(b'p') => is_one_of(rest, &["proxyuser-ip"]),
        Some(b'u') => is_one_of(rest, &["url-scheme"]),
        Some(b'w') => begins(rest, "webauth-"),
        _ => false,
    }
}

/// Whether the name begins with a text in lower case.
fn begins(name: &[u8], start: &str) -> bool {
    name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes()))
}

fn is_one_of(name: &[u8], known: &[&str]) -> bool {
    known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_a_proxy_are_known_in_any_case() {
        for name in [
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Forwarded-Prefix",
            "X-Forwarded-Tls-Client-Cert",
            "X-Forwarded-Ssl",
            "X-Real-IP",
            "X-Script-Name",
            "Script-Name",
            "X-Original-URL",
            "X-Original-URI",
            "X-Original-Host",
            "X-Original-Forwarded-For",
            "X-Originating-IP",
            "X-Rewrite-URL",
            "True-Client-IP",
            "Client-IP",
            "X-Client-IP",
            "X-Cluster-Client-IP",
            "CF-Connecting-IP",
            "CF-Connecting-IPv6",
            "Fastly-Client-IP",
            "Fly-Client-IP",
            "DO-Connecting-IP",
            "X-Azure-ClientIP",
            "X-Azure-SocketIP",
            "X-Envoy-External-Address",
            "Proxy-Client-IP",
            "WL-Proxy-Client-IP",
            "X-SSL-Client-Verify",
            "X-SSL-Client-S-DN",
            "X-SSL-Client-Cert",
            "X-SSL-Cert",
            "Ssl-Client-Verify",
            "Ssl-Client-Subject-Dn",
            "X-TLS-Client-Certificate",
            "X-Client-Cert",
            "X-Client-Certificate",
            "X-Client-Verify",
            "X-ARR-ClientCert",
            "Client-Cert",
            "Client-Cert-Chain",
            "Front-End-Https",
            "X-Scheme",
            "X-Url-Scheme",
            "X-Host",
            "X-HTTP-Host-Override",
            "Remote-User",
            "Remote-Groups",
            "X-Remote-User",
            "X-Remote-Addr",
            "X-WebAuth-User",
            "X-Auth-Request-Email",
            "X-authentik-username",
            "X-Sendfile-Type",
            "X-Accel-Mapping",
            "Proxy",
            "X_Forwarded_For",
            "anything_at_all",
        ] {
            for name in [name.to_owned(), name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
                assert!(is_spoofable(name.as_bytes()), "{name}");
            }
        }
    }

    #[test]
    fn what_clients_say_of_themselves_passes() {
        for name in [
            "",
            "x",
            "x-",
            "X-Requested-With",
            "X-CSRF-Token",
            "X-XSRF-TOKEN",
            "X-Api-Key",
            "X-Auth-Token",
            "X-Auth-Key",
            "X-Emby-Authorization",
            "X-Plex-Token",
            "X-Plex-Client-Identifier",
            "X-Client-Version",
            "X-Client-Data",
            "X-Request-Id",
            "X-Correlation-Id",
            "X-Real",
            "X-Realm",
            "X-Operation",
            "X-Stainless-OS",
            "X-Session-Id",
            "X-Hub-Signature-256",
            "X-HTTP-Method-Override",
            "X-Upload-Content-Type",
            "X-Accel-Buffering",
            "X-Amz-Date",
            "X-OC-MTime",
            "Origin",
            "Referer",
            "Range",
            "Sec-WebSocket-Key",
            "Sec-Fetch-Site",
            "SOAPAction",
            "Proxy-Authorization",
            "Cf-Ray",
            "Client-Id",
            "Cookie",
            "Content-Type",
            "Cache-Control",
            "Date",
            "Destination",
            "Depth",
            "From",
            "Pragma",
            "Prefer",
            "Te",
            "Traceparent",
            "Want-Digest",
            "Remote",
            "Ssl",
        ] {
            assert!(!is_spoofable(name.as_bytes()), "{name}");
        }
    }
}
