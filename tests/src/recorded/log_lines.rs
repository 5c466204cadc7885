//! Lines of an access log, with names in the place of what differs from run to run.

use serde_json::Value;

/// Fields of JSON that are measured. Nothing is nothing each time.
const MEASURED: [&str; 7] = [
    "DownstreamContentSize",
    "Duration",
    "OriginContentSize",
    "OriginDuration",
    "Overhead",
    "RequestContentSize",
    "RequestCount",
];

/// Fields of JSON that are times.
const TIMES: [&str; 3] = ["StartLocal", "StartUTC", "time"];

/// A line as it is compared: an object where it is JSON, else its text.
pub(super) fn compared(line: &str) -> Value {
    match serde_json::from_str(line) {
        Ok(Value::Object(fields)) => {
            fields.into_iter().map(|(name, value)| (name.clone(), field(&name, value))).collect::<Value>()
        }
        Ok(_) | Err(_) => common(line).into(),
    }
}

fn field(name: &str, value: Value) -> Value {
    match value {
        Value::Number(number) if MEASURED.contains(&name) => match (number.as_f64(), number.is_f64()) {
            // What the proxy itself takes may be too short to be measured.
            (Some(0.0), _) if name != "Overhead" => 0.into(),
            (_, true) => "<float>".into(),
            (_, false) => "<int>".into(),
        },
        _ if TIMES.contains(&name) => "<time>".into(),
        _ if name.ends_with("Content-Length") => "<length>".into(),
        _ if name.ends_with("Port") => "<port>".into(),
        Value::String(address) if name == "ClientAddr" => match address.rsplit_once(':') {
            Some((host, port)) if is_number(port) => format!("{host}:<port>").into(),
            Some(_) | None => address.into(),
        },
        other => other,
    }
}

/// A line of the common format; what is not formed as there stays as it is.
fn common(line: &str) -> String {
    let masked = |(at, part): (usize, &str)| {
        let name = match at {
            3 if is_time(part) => "[<time>]",
            6 if is_number(part) => "<bytes>",
            9 if is_number(part) => "<count>",
            12 if part.strip_suffix("ms").is_some_and(is_number) => "<n>ms",
            _ => part,
        };
        name.to_owned()
    };
    parts(line).into_iter().enumerate().map(masked).collect::<Vec<_>>().join(" ")
}

/// What stands between the spaces. There may be more within quotes and brackets.
fn parts(line: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), line);
    while !rest.is_empty() {
        let closing = match rest.as_bytes()[0] {
            b'"' => '"',
            b'[' => ']',
            _ => ' ',
        };
        let end = match rest.char_indices().skip(1).find(|(_, char)| *char == closing) {
            Some((at, _)) if closing == ' ' => at,
            Some((at, _)) => at + 1,
            None => rest.len(),
        };
        let (part, behind) = rest.split_at(end);
        parts.push(part);
        rest = behind.strip_prefix(' ').unwrap_or(behind);
    }
    parts
}

/// `[02/Jan/2006:15:04:05 -0700]`.
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"[00/Aaa/0000:00:00:00 +0000]";
    let has_form = |(byte, form): (u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'A' | b'a' => byte.is_ascii_alphabetic(),
        b'+' => matches!(byte, b'+' | b'-'),
        form => byte == *form,
    };
    text.len() == FORM.len() && text.bytes().zip(FORM).all(has_form)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_of_the_common_format_keeps_what_does_not_differ_from_run_to_run() {
        let line = "127.0.0.1 - ann [29/Nov/2026:23:59:36 +0000] \"GET /x?y=1 HTTP/1.1\" 200 17 \"-\" \"ua 1\" 3 \"a@docker\" \
                    \"http://10.0.0.1:8080\" 12ms";
        let expected = "127.0.0.1 - ann [<time>] \"GET /x?y=1 HTTP/1.1\" 200 <bytes> \"-\" \"ua 1\" <count> \"a@docker\" \
                        \"http://10.0.0.1:8080\" <n>ms";
        assert_eq!(compared(line), expected);
        let generic = "127.0.0.1 - - [29/Nov/2026:23:59:36 +0000] \"GET / HTTP/1.1\" 404 17 \"-\" \"-\"";
        assert_eq!(compared(generic), "127.0.0.1 - - [<time>] \"GET / HTTP/1.1\" 404 <bytes> \"-\" \"-\"");
    }

    #[test]
    fn a_line_of_another_form_is_not_made_equal() {
        for line in [
            "127.0.0.1 - - [2026-11-29T23:59:36Z] \"GET / HTTP/1.1\" 404 - \"-\" \"-\" x \"-\" \"-\" 1.5ms",
            "\"not closed",
            "",
            "  ",
        ] {
            assert_eq!(compared(line).as_str().map(str::trim_end), Some(line.trim_end()));
        }
    }

    #[test]
    fn fields_of_json_keep_their_kind_and_nothing_stays_nothing() {
        let line = json!({
            "ClientAddr": "127.0.0.1:5000", "ClientPort": "5000", "RequestPort": "-", "Duration": 12, "Overhead": 0, "OriginContentSize": 0,
            "OriginDuration": 1.5, "DownstreamStatus": 200, "StartUTC": "2026", "time": "2026", "RequestCount": "7",
            "downstream_Content-Length": "2", "RequestPath": "/x",
        });
        let expected = json!({
            "ClientAddr": "127.0.0.1:<port>", "ClientPort": "<port>", "RequestPort": "<port>", "Duration": "<int>",
            "Overhead": "<int>", "OriginContentSize": 0, "OriginDuration": "<float>", "DownstreamStatus": 200, "StartUTC": "<time>", "time": "<time>",
            "RequestCount": "7", "downstream_Content-Length": "<length>", "RequestPath": "/x",
        });
        assert_eq!(compared(&line.to_string()), expected);
    }
}
