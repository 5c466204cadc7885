//! The metadata of a provider (OpenID Connect Discovery 1.0, RFC 8414).

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use crate::http::Http;
use crate::login_error::LoginError;
use crate::settings::{ProviderSettings, is_secure_url};
use crate::signed_token::ALGORITHMS;
use crate::time;

/// How Gangway proves to the token endpoint who it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClientAuthentication {
    /// By the `Basic` scheme.
    Basic,
    /// In the form.
    Post,
    /// Not at all: a public client.
    None,
}

/// What a provider says about itself.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    pub(crate) jwks_uri: String,
    pub(crate) userinfo_endpoint: Option<String>,
    pub(crate) end_session_endpoint: Option<String>,
    pub(crate) client_authentication: ClientAuthentication,
    /// Those that it may use and that are allowed here.
    pub(crate) algorithms: Vec<Algorithm>,
    /// Whether each answer names the issuer (RFC 9207).
    pub(crate) names_issuer: bool,
    /// How many seconds the provider's clock is ahead of ours.
    pub(crate) clock_ahead: Option<i64>,
}

/// The document, as far as it is read.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    response_types_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Reads the metadata of a provider.
pub(crate) async fn read(http: &Http, settings: &ProviderSettings) -> Result<Metadata, LoginError> {
    let url = format!("{}/.well-known/openid-configuration", settings.issuer.trim_end_matches('/'));
    let answer = http.get(&url).await?;
    if !answer.status.is_success() {
        return Err(LoginError::Invalid(format!("`{url}` answers {}", answer.status.as_u16())));
    }
    let ahead = answer.date.zip(time::now()).and_then(|(date, now)| {
        let date = date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
        Some(i64::try_from(date).ok()? - i64::try_from(now).ok()?)
    });
    Ok(Metadata { clock_ahead: ahead, ..parse(&answer.body, settings)? })
}

fn parse(text: &[u8], settings: &ProviderSettings) -> Result<Metadata, LoginError> {
    let document: Document = serde_json::from_slice(text)
        .map_err(|error| LoginError::Invalid(format!("the metadata of the provider does not hold: {error}")))?;
    // Discovery, section 4.3: exactly the same.
    if *document.issuer != *settings.issuer {
        let says: String = document.issuer.chars().filter(|char| !char.is_control()).take(200).collect();
        return Err(LoginError::Invalid(format!("the provider calls its issuer `{says}`")));
    }
    let named = [
        ("authorization_endpoint", Some(&document.authorization_endpoint)),
        ("token_endpoint", Some(&document.token_endpoint)),
        ("jwks_uri", Some(&document.jwks_uri)),
        ("userinfo_endpoint", document.userinfo_endpoint.as_ref()),
        ("end_session_endpoint", document.end_session_endpoint.as_ref()),
    ];
    for (name, url) in named {
        if url.is_some_and(|url| !is_secure_url(url)) {
            return Err(LoginError::Invalid(format!("`{name}` of the provider is not an `https` URL")));
        }
    }
    let lacks = |list: &Option<Vec<String>>, wanted: &str| {
        list.as_ref().is_some_and(|list| !list.iter().any(|known| known == wanted))
    };
    if lacks(&document.response_types_supported, "code") {
        return Err(LoginError::invalid("the provider does not support the authorization code flow"));
    }
    let algorithms: Vec<Algorithm> = match &document.id_token_signing_alg_values_supported {
        Some(names) => ALGORITHMS.into_iter().filter(|known| names.contains(&format!("{known:?}"))).collect(),
        // The one that every provider must support.
        None => vec![Algorithm::RS256],
    };
    if algorithms.is_empty() {
        return Err(LoginError::invalid("the provider signs with no algorithm that is allowed"));
    }
    let methods = &document.token_endpoint_auth_methods_supported;
    let client_authentication = match &settings.client_secret {
        None => ClientAuthentication::None,
        Some(_) if !lacks(methods, "client_secret_basic") => ClientAuthentication::Basic,
        Some(_) if !lacks(methods, "client_secret_post") => ClientAuthentication::Post,
        Some(_) => return Err(LoginError::invalid("the provider takes no client secret")),
    };
    Ok(Metadata {
        authorization_endpoint: document.authorization_endpoint,
        token_endpoint: document.token_endpoint,
        jwks_uri: document.jwks_uri,
        userinfo_endpoint: document.userinfo_endpoint,
        end_session_endpoint: document.end_session_endpoint,
        client_authentication,
        algorithms,
        names_issuer: document.authorization_response_iss_parameter_supported,
        clock_ahead: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::settings::tests::settings;

    fn document() -> Value {
        json!({
            "issuer": "https://id.example.org",
            "authorization_endpoint": "https://id.example.org/authorize",
            "token_endpoint": "https://id.example.org/token",
            "jwks_uri": "https://id.example.org/jwks",
        })
    }

    fn with(name: &str, value: Value) -> Result<Metadata, LoginError> {
        let mut document = document();
        document[name] = value;
        parse(document.to_string().as_bytes(), &settings())
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_the_standard() {
        let metadata = parse(document().to_string().as_bytes(), &settings()).expect("whole");
        assert_eq!(
            (&*metadata.algorithms, metadata.client_authentication),
            (&[Algorithm::RS256][..], ClientAuthentication::Basic)
        );
        let post = with("token_endpoint_auth_methods_supported", json!(["client_secret_post", "none"])).expect("whole");
        assert_eq!(post.client_authentication, ClientAuthentication::Post);
        let all = with("id_token_signing_alg_values_supported", json!(["HS256", "none", "ES256", "RS256"]));
        assert_eq!(all.expect("whole").algorithms, [Algorithm::RS256, Algorithm::ES256]);
    }

    #[test]
    fn metadata_that_does_not_hold_is_refused() {
        for (name, value) in [
            ("issuer", json!("https://id.example.org/")),
            ("issuer", json!("https://evil.example")),
            ("authorization_endpoint", json!("http://id.example.org/authorize")),
            ("token_endpoint", json!("http://id.example.org/token")),
            ("token_endpoint", json!(null)),
            ("jwks_uri", json!("/jwks")),
            ("userinfo_endpoint", json!("http://id.example.org/userinfo")),
            ("end_session_endpoint", json!("javascript:alert(1)")),
            ("response_types_supported", json!(["id_token"])),
            ("id_token_signing_alg_values_supported", json!(["HS256", "none"])),
            ("token_endpoint_auth_methods_supported", json!(["private_key_jwt"])),
        ] {
            assert!(matches!(with(name, value.clone()), Err(LoginError::Invalid(_))), "{name} {value}");
        }
        assert!(parse(b"<html>", &settings()).is_err());
    }
}
