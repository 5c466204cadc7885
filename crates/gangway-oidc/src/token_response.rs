//! What the token endpoint answers (RFC 6749, section 5).

use serde::Deserialize;
use serde_json::Value;

use crate::http::Answer;
use crate::login_error::LoginError;

/// The tokens that a provider has given. Not `Debug`: they are secrets.
pub(crate) struct Tokens {
    /// An answer to a refresh token need not have one (OpenID Connect Core 1.0, section 12.2).
    pub(crate) id_token: Option<String>,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    /// For how many seconds the access token counts, if the provider says so.
    pub(crate) expires_in: Option<u64>,
}

/// Why there are no tokens.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum TokenRefusal {
    /// The code or the refresh token does not count, or no longer: `invalid_grant`.
    Grant,
    /// The provider wants to see the user, and says why (OpenID Connect Core 1.0, section 3.1.2.6).
    User(String),
    /// Anything else.
    Other(LoginError),
}

#[derive(Deserialize)]
struct Document {
    access_token: String,
    token_type: String,
    id_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<Value>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Reads the answer. No error repeats a token.
pub(crate) fn parse(answer: &Answer) -> Result<Tokens, TokenRefusal> {
    let invalid = |text: String| TokenRefusal::Other(LoginError::Invalid(text));
    if !answer.status.is_success() {
        let refusal = serde_json::from_slice::<Refusal>(&answer.body).map(|refusal| refusal.error).unwrap_or_default();
        let error: String = refusal.chars().filter(char::is_ascii_graphic).take(64).collect();
        return Err(match &*error {
            "invalid_grant" => TokenRefusal::Grant,
            "interaction_required" | "login_required" | "consent_required" | "access_denied" => {
                TokenRefusal::User(error)
            }
            "" => invalid(format!("the token endpoint answers {}", answer.status.as_u16())),
            error => invalid(format!("the token endpoint refuses with `{error}`")),
        });
    }
    let lacks = |what: &str| invalid(format!("the answer of the token endpoint {what}"));
    let document: Document = serde_json::from_slice(&answer.body).map_err(|_| lacks("does not hold"))?;
    if !document.token_type.eq_ignore_ascii_case("bearer") {
        return Err(lacks("has a token of another type"));
    }
    // Some providers write the number as a text.
    let expires_in = document.expires_in.and_then(|seconds| match seconds {
        Value::Number(seconds) => seconds.as_u64(),
        Value::String(seconds) => seconds.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    });
    Ok(Tokens {
        id_token: document.id_token,
        access_token: document.access_token,
        refresh_token: document.refresh_token.filter(|token| !token.is_empty()),
        expires_in,
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn read(status: u16, body: &'static str) -> Result<Tokens, TokenRefusal> {
        let status = StatusCode::from_u16(status).expect("a status");
        parse(&Answer { status, body: body.into(), date: None })
    }

    #[test]
    fn an_answer_has_an_access_token_and_maybe_others() {
        let told = |body| {
            let tokens = read(200, body).unwrap_or_else(|error| panic!("{error:?}"));
            (tokens.id_token, tokens.refresh_token, tokens.expires_in)
        };
        let (id, refresh) = (Some("i".to_owned()), Some("r".to_owned()));
        assert_eq!(told(r#"{"access_token":"a","token_type":"bearer","id_token":"i"}"#), (id, None, None));
        assert_eq!(
            told(r#"{"access_token":"a","token_type":"Bearer","refresh_token":"r","expires_in":300}"#),
            (None, refresh.clone(), Some(300))
        );
        assert_eq!(
            told(r#"{"access_token":"a","token_type":"Bearer","refresh_token":"r","expires_in":"60"}"#),
            (None, refresh, Some(60))
        );
        assert_eq!(
            told(r#"{"access_token":"a","token_type":"Bearer","refresh_token":"","expires_in":-1}"#),
            (None, None, None)
        );
    }

    #[test]
    fn an_answer_that_does_not_hold_says_why_and_repeats_no_token() {
        for (status, body) in [
            (200, r#"{"access_token":"s3cret","token_type":"DPoP","id_token":"s3cret"}"#),
            (200, r#"{"token_type":"Bearer","id_token":"s3cret"}"#),
            (200, r#"{"access_token":"s3cret""#),
            (400, r#"{"error":"invalid_client"}"#),
            (401, "s3cret"),
            (302, ""),
        ] {
            let error = read(status, body).err().expect(body);
            assert!(matches!(error, TokenRefusal::Other(LoginError::Invalid(_))), "{body}");
            assert!(!format!("{error:?}").contains("s3cret"), "{body}");
        }
        assert_eq!(read(400, r#"{"error":"invalid_grant"}"#).err(), Some(TokenRefusal::Grant));
        let wanted = read(400, r#"{"error":"interaction_required"}"#).err();
        assert_eq!(wanted, Some(TokenRefusal::User("interaction_required".to_owned())));
    }
}
