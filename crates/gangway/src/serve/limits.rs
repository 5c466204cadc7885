//! The bounds of the data plane, for people.

use std::time::Duration;

use gangway_admin::api::LimitView;
use gangway_proxy::Limits;

/// Every bound, those of the whole process first.
pub(super) fn views(limits: &Limits) -> Vec<LimitView> {
    // Whole, so that a new bound cannot be forgotten.
    let Limits {
        head_time,
        head_bytes,
        head_fields,
        target_bytes,
        handshake_time,
        body_grace,
        body_rate,
        idle,
        stalled_write,
        h2_streams,
        h2_stream_window,
        h2_connection_window,
        open_connections,
        connections,
        connections_per_address,
        requests_per_address,
        memory,
        appsec_answer,
    } = *limits;
    let in_words = [
        ("memory of the process", bytes(memory)),
        ("connections to both sides", open_connections.to_string()),
        ("connections of clients", connections.to_string()),
        ("connections of one address", connections_per_address.to_string()),
        ("requests of one address under way by HTTP/2", requests_per_address.to_string()),
        ("requests under way on a connection by HTTP/2", h2_streams.to_string()),
        ("bytes sent ahead for a request by HTTP/2", bytes(h2_stream_window as usize)),
        ("bytes sent ahead on a connection by HTTP/2", bytes(h2_connection_window as usize)),
        ("head of a request", format!("{}, {head_fields} fields, in {}", bytes(head_bytes), seconds(head_time))),
        ("target of a request", bytes(target_bytes)),
        ("TLS handshake", seconds(handshake_time)),
        ("slowest body of a request", format!("{body_rate} bytes a second, after {}", seconds(body_grace))),
        ("connection without a request", seconds(idle)),
        ("response that is not read", seconds(stalled_write)),
        ("answer of the web application firewall", seconds(appsec_answer)),
    ];
    in_words.map(|(name, value)| LimitView { name: name.to_owned(), value }).into()
}

fn bytes(count: usize) -> String {
    const MIB: usize = 1 << 20;
    const KIB: usize = 1 << 10;
    match count {
        _ if count >= MIB && count.is_multiple_of(MIB) => format!("{} MiB", count / MIB),
        _ if count >= 10 * MIB => format!("{} MiB", count / MIB),
        _ if count.is_multiple_of(KIB) => format!("{} KiB", count / KIB),
        _ => format!("{count} bytes"),
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_their_units() {
        let limits =
            Limits { memory: 96 << 20, target_bytes: 1000, idle: Duration::from_millis(1500), ..Limits::default() };
        let views = views(&limits);
        let value = |name: &str| &*views.iter().find(|view| view.name == name).expect("it is there").value;
        assert_eq!(value("memory of the process"), "96 MiB");
        assert_eq!(value("target of a request"), "1000 bytes");
        assert_eq!(value("head of a request"), "32 KiB, 100 fields, in 10 s");
        assert_eq!(value("connection without a request"), "1.5 s");
    }
}
