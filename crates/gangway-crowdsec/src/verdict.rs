//! What the AppSec component says of a request.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;

use crate::engine_error::EngineError;

/// Bytes of an answer that are read: a page by which a browser proves itself brings its scripts along.
pub const APPSEC_ANSWER_BYTES_MAX: usize = 4 << 20;

/// What the AppSec component says of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It may pass.
    Allowed,
    /// It may not.
    Blocked {
        /// The status for the client.
        status: StatusCode,
    },
    /// Its client gets this answer instead of the application's.
    Challenged(Box<Challenge>),
}

/// An answer by which the AppSec component finds out whether a client is a browser.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenge {
    /// The status for the client.
    pub status: StatusCode,
    /// Its fields, cookies among them. None of them frames the body or belongs to a connection.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The body. Never empty.
    pub body: String,
}

/// The JSON of an answer. Members that are not named are of no use to a bouncer.
#[derive(Deserialize)]
struct Envelope {
    action: String,
    #[serde(default)]
    http_status: u16,
    #[serde(default)]
    user_body_content: String,
    #[serde(default)]
    user_headers: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    user_cookies: Option<Vec<String>>,
}

impl Verdict {
    /// The verdict where the component says no, and not how.
    pub const BLOCKED: Self = Self::Blocked { status: StatusCode::FORBIDDEN };

    /// What an answer means.
    ///
    /// A refusal counts whatever the status is, which is a setting of the component; a 403 also whatever its body says. A 200
    /// lets in only together with the body that the component gives: any server has a 200.
    ///
    /// # Errors
    ///
    /// The answer says nothing about a request.
    pub fn of(status: StatusCode, body: &[u8]) -> Result<Self, EngineError> {
        let envelope = serde_json::from_slice::<Envelope>(body);
        match (status, envelope) {
            (_, Ok(envelope)) if envelope.is_refusal() => Ok(envelope.refusal()),
            (StatusCode::OK, Ok(envelope)) if envelope.action == "allow" => Ok(Self::Allowed),
            (StatusCode::FORBIDDEN, _) => Ok(Self::BLOCKED),
            (StatusCode::UNAUTHORIZED, _) => Err(EngineError::Refused(status.as_u16())),
            (status, _) => Err(EngineError::of_answer(status, body)),
        }
    }
}

impl Envelope {
    fn is_refusal(&self) -> bool {
        matches!(&*self.action, "ban" | "captcha" | "challenge")
    }

    /// There is no captcha, so that is a refusal as well. So is a challenge that shows nothing.
    fn refusal(self) -> Verdict {
        let status = StatusCode::from_u16(self.http_status).ok();
        if self.action == "challenge" && !self.user_body_content.is_empty() {
            let status = status.filter(|status| !status.is_informational()).unwrap_or(StatusCode::OK);
            let fields = self.fields();
            return Verdict::Challenged(Box::new(Challenge { status, fields, body: self.user_body_content }));
        }
        let is_refusal = |status: &StatusCode| status.is_client_error() || status.is_server_error();
        Verdict::Blocked { status: status.filter(is_refusal).unwrap_or(StatusCode::FORBIDDEN) }
    }

    /// What is no field is left out, as is what would frame the body or concern a connection.
    fn fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        const NOT_ITS: [&str; 8] = [
            "connection",
            "content-length",
            "date",
            "keep-alive",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "x-request-id",
        ];
        let of_headers = self.user_headers.iter().flatten();
        let of_headers = of_headers.flat_map(|(name, values)| values.iter().map(move |value| (&**name, value)));
        let of_cookies = self.user_cookies.iter().flatten().map(|cookie| ("set-cookie", cookie));
        let fields = of_headers.chain(of_cookies).filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
        });
        fields.filter(|(name, _)| !NOT_ITS.contains(&name.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> Result<Verdict, EngineError> {
        Verdict::of(StatusCode::from_u16(status).expect("a status"), body.as_bytes())
    }

    fn blocked(status: u16) -> Verdict {
        Verdict::Blocked { status: StatusCode::from_u16(status).expect("a status") }
    }

    #[test]
    fn only_the_component_s_own_200_lets_in() {
        assert_eq!(verdict(200, r#"{"action":"allow","http_status":200}"#), Ok(Verdict::Allowed));
        assert_eq!(verdict(200, r#"{"action" : "allow"}"#), Ok(Verdict::Allowed));
        for other in [
            "",
            "null",
            "{}",
            "<html>Welcome</html>",
            r#"{"action":7}"#,
            r#"{"action":"al"#,
            "[]",
            r#"{"action":"log"}"#,
        ] {
            let error = verdict(200, other).expect_err(other);
            assert!(matches!(error, EngineError::Invalid(_)), "{other}: {error}");
        }
        assert_eq!(verdict(401, ""), Err(EngineError::Refused(401)));
        for status in [100, 204, 301, 302, 400, 404, 429, 500, 502, 503] {
            let error = verdict(status, r#"{"action":"allow","http_status":200}"#).expect_err("no answer");
            assert!(matches!(error, EngineError::Invalid(_)), "{status}: {error}");
        }
    }

    #[test]
    fn a_refusal_is_one_whatever_it_says() {
        for (body, status) in [
            (r#"{"action":"ban","http_status":403}"#, 403),
            (r#"{"action":"captcha","http_status":403}"#, 403),
            (r#"{"action":"ban","http_status":451}"#, 451),
            (r#"{"action":"ban","http_status":503}"#, 503),
            (r#"{"action":"ban","http_status":302}"#, 403),
            (r#"{"action":"ban","http_status":200}"#, 403),
            (r#"{"action":"ban","http_status":999}"#, 403),
            (r#"{"action":"ban","http_status":70000}"#, 403),
            (r#"{"action":"allow"}"#, 403),
            (r#"{"action":"allow","http_status":451}"#, 403),
            (r#"{"action":"challenge","http_status":200}"#, 403),
            (r#"{"action":"challenge","user_body_content":""}"#, 403),
            ("", 403),
            ("no JSON", 403),
        ] {
            assert_eq!(verdict(403, body), Ok(blocked(status)), "{body}");
        }
        // The status of a refusal is a setting of the component.
        for status in [200, 406, 429, 500] {
            for action in ["ban", "captcha", "challenge"] {
                let body = format!(r#"{{"action":"{action}","http_status":403}}"#);
                assert_eq!(verdict(status, &body), Ok(blocked(403)), "{status} {body}");
            }
        }
    }

    #[test]
    fn a_challenge_is_a_whole_answer_and_a_page_where_it_has_no_status() {
        for (said, status) in [(0, 200), (100, 200), (199, 200), (200, 200), (404, 404), (1000, 200)] {
            let body = format!(r#"{{"action":"challenge","http_status":{said},"user_body_content":"x"}}"#);
            let Ok(Verdict::Challenged(challenge)) = verdict(200, &body) else { panic!("no challenge: {body}") };
            assert_eq!(challenge.status.as_u16(), status, "{said}");
        }
    }

    #[test]
    fn a_challenge_is_handed_on_without_what_frames_it() {
        let body = r#"{"action":"challenge","http_status":307,"user_body_content":"<script>","user_headers":{
            "Content-Type":["text/html"],"Location":["/"],"Content-Length":["9"],"Transfer-Encoding":["chunked"],
            "Connection":["close"],"Date":["x"],"Keep-Alive":["x"],"Trailer":["x"],"Upgrade":["x"],"X-Request-Id":["x"],
            "Bad Name":["x"],"X-Bad":["a\r\nb"]},"user_cookies":["a=b; Path=/","c=d"]}"#;
        let Ok(Verdict::Challenged(challenge)) = verdict(403, body) else { panic!("no challenge") };
        let shown: Vec<_> = challenge.fields.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        let expected = [
            r#"content-type: "text/html""#,
            r#"location: "/""#,
            r#"set-cookie: "a=b; Path=/""#,
            r#"set-cookie: "c=d""#,
        ];
        assert_eq!(
            (challenge.status.as_u16(), &*challenge.body, shown),
            (307, "<script>", expected.map(str::to_owned).to_vec())
        );
    }
}
