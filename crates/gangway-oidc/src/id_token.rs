//! Checks an ID token (OpenID Connect Core 1.0, section 3.1.3.7).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::jwks::Keys;
use crate::signed_token::{SKEW, Signed, TokenError, Verified, is_subject};
use crate::time::UnixSeconds;

/// A token was made for this log-in, so it is no older than a log-in may take.
const AGE_MAX: u64 = 600;

/// What a token has to say.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    /// What the log-in has sent. A token that renews a session has none of its own (section 12.2).
    pub(crate) nonce: Option<&'a str>,
    /// Signatures that the provider may use.
    pub(crate) algorithms: &'a [Algorithm],
    /// The access token that came with it.
    pub(crate) access_token: &'a str,
    pub(crate) now: UnixSeconds,
}

/// The claims that are checked here, and all of them.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    iat: u64,
    nbf: Option<u64>,
    nonce: Option<String>,
    aud: Audience,
    azp: Option<String>,
    at_hash: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(#[expect(dead_code, reason = "the library has compared it")] String),
    Several(Vec<String>),
}

/// Checks a token, signature first.
pub(crate) fn verify(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Verified, TokenError> {
    let signed = Signed { issuer: expected.issuer, audience: expected.client_id, algorithms: expected.algorithms };
    let (header, claims) = signed.open(token, keys, &["sub", "exp"])?;
    checked(claims, header.alg, expected)
}

fn checked(claims: Claims, algorithm: Algorithm, expected: &Expected<'_>) -> Result<Verified, TokenError> {
    let refused = |why| Err(TokenError::Refused(why));
    let now = expected.now;
    if claims.exp.saturating_add(SKEW) <= now {
        return refused("it has expired, or a clock is wrong");
    }
    if claims.iat > now + SKEW || claims.nbf.is_some_and(|from| from > now + SKEW) {
        return refused("it is from the future, or a clock is wrong");
    }
    if claims.iat.saturating_add(AGE_MAX + SKEW) < now {
        return refused("it is too old, or a clock is wrong");
    }
    let is_for_several = matches!(&claims.aud, Audience::Several(all) if all.len() != 1);
    match &claims.azp {
        Some(party) if party != expected.client_id => return refused("it is for another party"),
        None if is_for_several => return refused("it is for several clients and names no party"),
        Some(_) | None => {}
    }
    if let Some(expected) = expected.nonce {
        let nonce = claims.nonce.as_deref().unwrap_or_default();
        if verify_slices_are_equal(nonce.as_bytes(), expected.as_bytes()).is_err() {
            return refused("it is not for this log-in");
        }
    }
    if let Some(hash) = &claims.at_hash
        && access_token_hash(algorithm, expected.access_token).is_some_and(|known| known != *hash)
    {
        return refused("it came with another access token");
    }
    if !is_subject(&claims.sub) {
        return refused("`sub` is not a subject");
    }
    Ok(Verified { subject: claims.sub, expires: claims.exp, claims: claims.others })
}

/// `at_hash` of an access token (Core, section 3.1.3.6). None where the standard does not say which hash it is.
fn access_token_hash(algorithm: Algorithm, token: &str) -> Option<String> {
    let hash = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &SHA256,
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &SHA384,
        Algorithm::RS512 | Algorithm::PS512 => &SHA512,
        _ => return None,
    };
    let hash = digest::digest(hash, token.as_bytes());
    let half = &hash.as_ref()[..hash.as_ref().len() / 2];
    Some(BASE64_URL_SAFE_NO_PAD.encode(half))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    const NOW: UnixSeconds = 1_800_000_000;

    /// A key of the provider's.
    struct Signer {
        key: EncodingKey,
        algorithm: Algorithm,
        id: &'static str,
    }

    impl Signer {
        fn ec(id: &'static str) -> Self {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
            let der = pair.to_pkcs8v1().expect("a document");
            Self { key: EncodingKey::from_ec_der(der.as_ref()), algorithm: Algorithm::ES256, id }
        }

        fn rsa(id: &'static str) -> Self {
            let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
            let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().expect("a document");
            // The library wants the key itself, which stands behind the version and the algorithm (RFC 5208, section 5).
            let key = &der.as_ref()[26..];
            assert!(key.starts_with(&[0x30, 0x82]), "a sequence");
            Self { key: EncodingKey::from_rsa_der(key), algorithm: Algorithm::RS256, id }
        }

        fn jwk(&self) -> Value {
            let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a key");
            jwk.common.key_id = Some(self.id.to_owned());
            serde_json::to_value(jwk).expect("JSON")
        }

        fn sign(&self, claims: &Value) -> String {
            let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
            encode(&header, claims, &self.key).expect("signed")
        }
    }

    fn keys(jwks: &[Value]) -> Keys {
        Keys::parse(json!({ "keys": jwks }).to_string().as_bytes()).expect("keys")
    }

    fn expected() -> Expected<'static> {
        Expected {
            issuer: "https://id.example.org",
            client_id: "gangway",
            nonce: Some("n-1"),
            algorithms: &crate::signed_token::ALGORITHMS,
            access_token: "access",
            now: NOW,
        }
    }

    fn claims() -> Value {
        json!({
            "iss": "https://id.example.org", "aud": "gangway", "sub": "s-1", "nonce": "n-1",
            "iat": NOW, "exp": NOW + 300, "preferred_username": "ann",
        })
    }

    fn judged(signer: &Signer, name: &str, value: Value) -> Result<Verified, TokenError> {
        let mut claims = claims();
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value,
        }
        verify(&signer.sign(&claims), &keys(&[signer.jwk()]), &expected())
    }

    #[test]
    fn a_token_with_each_kind_of_key_counts() {
        for signer in [Signer::ec("a"), Signer::rsa("b")] {
            let verified = verify(&signer.sign(&claims()), &keys(&[signer.jwk()]), &expected()).expect("counts");
            assert_eq!((&*verified.subject, &verified.claims["preferred_username"]), ("s-1", &json!("ann")));
        }
    }

    #[test]
    fn claims_that_do_not_hold_are_refused() {
        let signer = Signer::ec("a");
        for (name, value) in [
            ("iss", json!("https://id.example.org/")),
            ("iss", json!("https://evil.example")),
            ("iss", Value::Null),
            ("aud", json!("other")),
            ("aud", json!([])),
            ("aud", json!(["other"])),
            ("aud", json!(["gangway", "other"])),
            ("aud", Value::Null),
            ("azp", json!("other")),
            ("sub", json!("")),
            ("sub", json!("a\r\nb")),
            ("sub", json!("x".repeat(256))),
            ("sub", Value::Null),
            ("exp", json!(NOW - 60)),
            ("exp", json!("soon")),
            ("exp", Value::Null),
            ("iat", json!(NOW + 61)),
            ("iat", json!(NOW - 661)),
            ("iat", Value::Null),
            ("nbf", json!(NOW + 61)),
            ("nonce", json!("n-2")),
            ("nonce", json!("")),
            ("nonce", Value::Null),
            ("at_hash", json!("AAAA")),
        ] {
            let judged = judged(&signer, name, value.clone());
            assert!(matches!(judged, Err(TokenError::Refused(_))), "{name} {value}: {judged:?}");
        }
    }

    #[test]
    fn a_token_that_renews_a_session_needs_no_nonce() {
        let signer = Signer::ec("a");
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove("nonce");
        let token = signer.sign(&claims);
        let judged = |nonce| verify(&token, &keys(&[signer.jwk()]), &Expected { nonce, ..expected() });
        assert!(judged(None).is_ok() && judged(Some("n-1")).is_err());
    }

    #[test]
    fn claims_at_the_border_count() {
        let signer = Signer::ec("a");
        for (name, value) in [
            ("exp", json!(NOW - 59)),
            ("iat", json!(NOW + 60)),
            ("iat", json!(NOW - 660)),
            ("nbf", json!(NOW)),
            ("aud", json!(["gangway"])),
            ("azp", json!("gangway")),
            ("at_hash", json!(access_token_hash(Algorithm::ES256, "access"))),
        ] {
            assert!(judged(&signer, name, value.clone()).is_ok(), "{name} {value}");
        }
        let mut several = claims();
        (several["aud"], several["azp"]) = (json!(["gangway", "other"]), json!("gangway"));
        assert!(verify(&signer.sign(&several), &keys(&[signer.jwk()]), &expected()).is_ok());
    }

    #[test]
    fn signatures_that_anybody_could_make_are_refused() {
        let (signer, other) = (Signer::ec("a"), Signer::ec("a"));
        let keys_of = |signer: &Signer| keys(&[signer.jwk()]);
        let wrong = verify(&other.sign(&claims()), &keys_of(&signer), &expected());
        assert_eq!(wrong, Err(TokenError::Refused("its signature is wrong")));
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        for alg in ["none", "None", "HS256", "HS512", "XX"] {
            let header = part(&json!({ "alg": alg, "kid": "a" }));
            for signature in ["", "AAAA"] {
                let token = format!("{header}.{}.{signature}", part(&claims()));
                let judged = verify(&token, &keys_of(&signer), &expected());
                assert!(matches!(judged, Err(TokenError::Refused(_))), "{alg}: {judged:?}");
            }
        }
        // The public key of the provider as a shared secret.
        let jwk = signer.jwk();
        let secret = EncodingKey::from_secret(jwk["x"].as_str().expect("a point").as_bytes());
        let header = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
        let token = encode(&header, &claims(), &secret).expect("signed");
        assert!(matches!(verify(&token, &keys_of(&signer), &expected()), Err(TokenError::Refused(_))));
        let good = signer.sign(&claims());
        let (signed, signature) = good.rsplit_once('.').expect("three parts");
        for changed in [format!("{signed}."), signed.to_owned(), format!("{good}A"), format!("{good}.x"), String::new()]
        {
            assert!(verify(&changed, &keys_of(&signer), &expected()).is_err(), "{changed}");
        }
        let others = part(&json!({ "sub": "other" }));
        let header = good.split('.').next().expect("a header");
        assert!(verify(&format!("{header}.{others}.{signature}"), &keys_of(&signer), &expected()).is_err());
        let mut critical = Header::new(Algorithm::ES256);
        (critical.kid, critical.crit) = (Some("a".to_owned()), Some(vec!["x".to_owned()]));
        let token = encode(&critical, &claims(), &signer.key).expect("signed");
        assert_eq!(
            verify(&token, &keys_of(&signer), &expected()),
            Err(TokenError::Refused("it has critical parameters"))
        );
        let only_rsa = Expected { algorithms: &[Algorithm::RS256], ..expected() };
        assert!(matches!(verify(&good, &keys_of(&signer), &only_rsa), Err(TokenError::Refused(_))));
    }

    #[test]
    fn the_key_is_the_one_that_the_token_names_and_never_one_for_something_else() {
        let (one, two) = (Signer::ec("1"), Signer::ec("2"));
        let token = one.sign(&claims());
        let find = |jwks: &[Value]| verify(&token, &keys(jwks), &expected()).map(drop);
        assert_eq!(find(&[two.jwk(), one.jwk()]), Ok(()));
        assert_eq!(find(&[two.jwk()]), Err(TokenError::KeyUnknown));
        assert_eq!(find(&[one.jwk(), one.jwk()]), Err(TokenError::KeyUnknown), "which of them is not for us to guess");
        let with = |name: &str, value: &str| {
            let mut jwk = one.jwk();
            jwk[name] = json!(value);
            jwk
        };
        assert_eq!(find(&[with("use", "enc")]), Err(TokenError::KeyUnknown));
        assert_eq!(find(&[with("use", "sig")]), Ok(()));
        assert_eq!(find(&[with("alg", "ES384")]), Err(TokenError::KeyUnknown));
        assert_eq!(find(&[json!({ "kty": "strange" }), json!(3), with("alg", "ES256")]), Ok(()));
        let header = Header::new(Algorithm::ES256);
        let unnamed = encode(&header, &claims(), &one.key).expect("signed");
        let find = |jwks: &[Value]| verify(&unnamed, &keys(jwks), &expected()).map(drop);
        assert_eq!(find(&[one.jwk(), Signer::rsa("3").jwk()]), Ok(()), "the only one that fits");
        assert_eq!(find(&[one.jwk(), two.jwk()]), Err(TokenError::KeyUnknown));
    }
}
