//! What the token endpoint answers (RFC 6749, section 5).

use serde::Deserialize;

use crate::http::Answer;
use crate::login_error::LoginError;

/// The tokens of a log-in. Not `Debug`: they are secrets.
pub(crate) struct Tokens {
    pub(crate) id_token: String,
    pub(crate) access_token: String,
}

#[derive(Deserialize)]
struct Document {
    access_token: String,
    token_type: String,
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// Reads the answer. No error repeats a token.
pub(crate) fn parse(answer: &Answer) -> Result<Tokens, LoginError> {
    if !answer.status.is_success() {
        let refusal = serde_json::from_slice::<Refusal>(&answer.body).map(|refusal| refusal.error).unwrap_or_default();
        let error: String = refusal.chars().filter(char::is_ascii_graphic).take(64).collect();
        return Err(match &*error {
            // The code was used before, or is none: the browser may begin anew.
            "invalid_grant" => LoginError::NotBegun("the provider does not know the code, or no longer"),
            "" => LoginError::Invalid(format!("the token endpoint answers {}", answer.status.as_u16())),
            error => LoginError::Invalid(format!("the token endpoint refuses with `{error}`")),
        });
    }
    let lacks = |what: &str| LoginError::Invalid(format!("the answer of the token endpoint {what}"));
    let document: Document = serde_json::from_slice(&answer.body).map_err(|_| lacks("does not hold"))?;
    if !document.token_type.eq_ignore_ascii_case("bearer") {
        return Err(lacks("has a token of another type"));
    }
    let id_token = document.id_token.ok_or_else(|| lacks("has no ID token; ask for the scope `openid`"))?;
    Ok(Tokens { id_token, access_token: document.access_token })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn an_answer_has_both_tokens_or_says_why_not() {
        let read = |status: u16, body: &'static str| {
            let status = StatusCode::from_u16(status).expect("a status");
            parse(&Answer { status, body: body.into(), date: None }).map(|tokens| tokens.id_token)
        };
        assert_eq!(read(200, r#"{"access_token":"a","token_type":"bearer","id_token":"i"}"#), Ok("i".into()));
        for (status, body) in [
            (200, r#"{"access_token":"s3cret","token_type":"Bearer"}"#),
            (200, r#"{"access_token":"s3cret","token_type":"DPoP","id_token":"s3cret"}"#),
            (200, r#"{"token_type":"Bearer","id_token":"s3cret"}"#),
            (200, r#"{"access_token":"s3cret""#),
            (400, r#"{"error":"invalid_client"}"#),
            (401, "s3cret"),
            (302, ""),
        ] {
            let error = read(status, body).expect_err(body);
            assert!(matches!(error, LoginError::Invalid(_)) && !format!("{error:?} {error}").contains("s3cret"));
        }
        assert!(matches!(read(400, r#"{"error":"invalid_grant"}"#), Err(LoginError::NotBegun(_))));
    }
}
