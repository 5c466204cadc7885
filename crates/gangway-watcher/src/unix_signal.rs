//! Unix signals by number and by name, as engines write them.

pub(crate) const KILL: u8 = 9;
pub(crate) const TERM: u8 = 15;

/// The signals of Linux on the architectures that engines run on, with the names that Docker uses.
const NAMES: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", KILL),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", TERM),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("UNUSED", 31),
    ("RTMIN", 34),
    ("RTMAX", 64),
];

/// Parses a signal as Docker (`SIGUSR1`, `RTMIN+3`, `"15"`) or Podman (`15`) writes it.
pub(crate) fn from_json(value: &serde_json::Value) -> Option<u8> {
    match value {
        serde_json::Value::Number(number) => u8::try_from(number.as_u64()?).ok(),
        serde_json::Value::String(name) => parse(name),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => None,
    }
}

/// Parses the name or number of a signal.
pub(crate) fn parse(name: &str) -> Option<u8> {
    let name = name.trim().to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let number = |name: &str| NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    if let Some((base, above)) = name.split_once('+') {
        return number(base)?.checked_add(above.parse().ok()?);
    }
    if let Some((base, below)) = name.split_once('-') {
        return number(base)?.checked_sub(below.parse().ok()?);
    }
    number(name).or_else(|| name.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn signals_are_known_by_every_name_and_number() {
        let known = [
            (json!("SIGURG"), 23),
            (json!("TTIN"), 21),
            (json!("sigabrt"), 6),
            (json!("SIGIO"), 29),
            (json!("STOP"), 19),
            (json!("SIGRTMIN+3"), 37),
            (json!("RTMAX-2"), 62),
            (json!("15"), 15),
            (json!(" SIGWINCH "), 28),
            (json!(3), 3),
        ];
        for (written, number) in known {
            assert_eq!(from_json(&written), Some(number), "{written}");
        }
        for (name, number) in NAMES {
            assert_eq!(from_json(&json!(format!("SIG{name}"))), Some(*number), "{name}");
        }
        for unknown in [json!("SIGNIFICANT"), json!("RTMIN+x"), json!("RTMIN+250"), json!(null), json!(4096)] {
            assert_eq!(from_json(&unknown), None, "{unknown}");
        }
    }
}
