//! A stand-in for an OpenID provider: strict about what it is asked, with real signatures, and wrong on request.
//!
//! Browsers are not redirected to it: a test hands the URL to [`OpenIdProvider::authorize`] and gets the one to come back by.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

use crate::scripted::{self, Asked, Scripted};

/// The client that the provider knows, and its secret.
pub const CLIENT: (&str, &str) = ("gang way", "s3cret/+");

/// What it says, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Claims of the ID token that replace its own; `null` takes one out.
    pub token: Value,
    /// What it says of the user when it is asked; without this, it cannot be asked.
    pub userinfo: Option<Value>,
    /// Members of its metadata that replace its own; `null` takes one out.
    pub metadata: Value,
    /// A status with which it answers everything, at a path that begins like this.
    pub failing: Option<(&'static str, u16)>,
    /// Whether it publishes the key that it signs with.
    pub publishes_key: bool,
    /// The algorithm that the header of a token names instead of the true one.
    pub algorithm: Option<&'static str>,
    /// Whether it gives refresh tokens, each of which counts once.
    pub refreshes: bool,
    /// For how many seconds its access tokens count.
    pub expires_in: u64,
    /// What it says where a session is renewed: claims as in `token`, or `null` for no ID token.
    pub renewed: Value,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            token: json!({}),
            userinfo: None,
            metadata: json!({}),
            failing: None,
            publishes_key: true,
            algorithm: None,
            refreshes: false,
            expires_in: 300,
            renewed: json!({}),
        }
    }
}

/// The provider. It ends when this is dropped.
pub struct OpenIdProvider {
    /// Its issuer identifier.
    pub issuer: String,
    state: Arc<State>,
    service: Scripted,
}

struct State {
    issuer: OnceLock<String>,
    behaviour: Mutex<Behaviour>,
    signer: Mutex<Signer>,
    codes: Mutex<HashMap<String, BTreeMap<String, String>>>,
    log_ins: AtomicUsize,
    /// Those that count still.
    refresh_tokens: Mutex<HashSet<String>>,
    refresh_tokens_made: AtomicUsize,
}

struct Signer {
    key: EncodingKey,
    id: usize,
}

impl Signer {
    fn new(id: usize) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { key: EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("a document").as_ref()), id }
    }

    fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).expect("a key");
        jwk.common.key_id = Some(self.id.to_string());
        serde_json::to_value(jwk).expect("JSON")
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OpenIdProvider {
    /// Starts one on a free port of loopback.
    pub async fn start() -> io::Result<Self> {
        let state = Arc::new(State {
            issuer: OnceLock::new(),
            behaviour: Mutex::default(),
            signer: Mutex::new(Signer::new(1)),
            codes: Mutex::default(),
            log_ins: AtomicUsize::new(0),
            refresh_tokens: Mutex::default(),
            refresh_tokens_made: AtomicUsize::new(0),
        });
        let answering = Arc::clone(&state);
        let service = Scripted::answering(move |asked| answering.answer(asked)).await?;
        let issuer = format!("http://{}", service.address);
        let _ = state.issuer.set(issuer.clone());
        Ok(Self { issuer, state, service })
    }

    /// Changes what it does from now on.
    pub fn set(&self, behaviour: Behaviour) {
        *locked(&self.state.behaviour) = behaviour;
    }

    /// Signs with another key from now on.
    pub fn change_key(&self) {
        let mut signer = locked(&self.state.signer);
        *signer = Signer::new(signer.id + 1);
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        let begin = format!(" {path} HTTP/1.1\r\n");
        self.service.asked().iter().filter(|asked| asked.head.contains(&begin)).count()
    }

    /// From now on it renews no session that has begun.
    pub fn forget_sessions(&self) {
        locked(&self.state.refresh_tokens).clear();
    }

    /// A token with these claims beside the issuer, the client and the time, `null` taking one out, of this type.
    pub fn sign(&self, kind: Option<&str>, claims: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let own = json!({ "iss": self.issuer, "aud": CLIENT.0, "iat": now, "exp": now + 120 });
        let signer = locked(&self.state.signer);
        let typ = kind.map(str::to_owned);
        let header = Header { kid: Some(signer.id.to_string()), typ, ..Header::new(Algorithm::ES256) };
        encode(&header, &replaced(own, claims), &signer.key).expect("signed")
    }

    /// A user logs in at the place that a browser was sent to. The result is the URL that it is sent back to.
    ///
    /// # Panics
    ///
    /// The request is not what OpenID Connect and PKCE ask for.
    pub fn authorize(&self, location: &str) -> String {
        let query = location.strip_prefix(&format!("{}/authorize?", self.issuer)).expect("the provider's endpoint");
        let asked: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], CLIENT.0);
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"), "{asked:?}");
        assert!(["state", "nonce", "code_challenge"].iter().all(|name| asked[*name].len() >= 22), "{asked:?}");
        let mut codes = locked(&self.state.codes);
        let code = format!("code-{}&", self.state.log_ins.fetch_add(1, Ordering::SeqCst));
        let back = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &code)
            .append_pair("state", &asked["state"])
            .append_pair("iss", &self.issuer)
            .finish();
        let redirect_uri = asked["redirect_uri"].clone();
        codes.insert(code, asked);
        format!("{redirect_uri}?{back}")
    }
}

fn reply(status: u16, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    scripted::reply(&format!("{status} Any"), &[("Content-Type", "application/json"), ("Connection", "close")], &body)
}

fn refused(error: &str) -> Vec<u8> {
    reply(400, &json!({ "error": error }))
}

fn replaced(mut value: Value, by: &Value) -> Value {
    let members = value.as_object_mut().expect("an object");
    for (name, value) in by.as_object().unwrap_or(&Map::new()) {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    value
}

impl State {
    fn answer(&self, asked: &Asked) -> Vec<u8> {
        let target = asked.head.split(' ').nth(1).unwrap_or_default();
        let behaviour = locked(&self.behaviour).clone();
        match behaviour.failing {
            Some((path, status)) if target.starts_with(path) => return reply(status, &json!({})),
            Some(_) | None => {}
        }
        let issuer = self.issuer.get().map_or("", |issuer| issuer);
        match target {
            "/.well-known/openid-configuration" => {
                let metadata = json!({
                    "issuer": issuer,
                    "authorization_endpoint": format!("{issuer}/authorize"),
                    "token_endpoint": format!("{issuer}/token"),
                    "jwks_uri": format!("{issuer}/jwks"),
                    "end_session_endpoint": format!("{issuer}/logout?from=us"),
                    "userinfo_endpoint": behaviour.userinfo.is_some().then(|| format!("{issuer}/userinfo")),
                    "response_types_supported": ["code"],
                    "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                    "authorization_response_iss_parameter_supported": true,
                });
                reply(200, &replaced(metadata, &behaviour.metadata))
            }
            "/jwks" => {
                let keys = if behaviour.publishes_key { vec![locked(&self.signer).jwk()] } else { Vec::new() };
                reply(200, &json!({ "keys": keys }))
            }
            "/token" => self.token(asked, &behaviour, issuer),
            "/userinfo" if asked.field("authorization") == "Bearer access" => {
                reply(200, &behaviour.userinfo.unwrap_or_default())
            }
            _ => reply(404, &json!({})),
        }
    }

    fn token(&self, asked: &Asked, behaviour: &Behaviour, issuer: &str) -> Vec<u8> {
        let form: BTreeMap<String, String> = form_urlencoded::parse(&asked.body).into_owned().collect();
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let credentials = BASE64_STANDARD.encode(format!("{}:{}", encoded(CLIENT.0), encoded(CLIENT.1)));
        if asked.field("authorization") != format!("Basic {credentials}") {
            return refused("invalid_client");
        }
        let grant = form.get("grant_type").map(String::as_str).unwrap_or_default();
        let (nonce, changed) = match grant {
            "authorization_code" => match self.log_in_of(&form) {
                Some(request) => (Some(request["nonce"].clone()), &behaviour.token),
                None => return refused("invalid_grant"),
            },
            "refresh_token" => {
                let token = form.get("refresh_token").map(String::as_str).unwrap_or_default();
                if !locked(&self.refresh_tokens).remove(token) {
                    return refused("invalid_grant");
                }
                (None, &behaviour.renewed)
            }
            _ => return refused("unsupported_grant_type"),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claims = json!({
            "iss": issuer, "aud": CLIENT.0, "sub": "s-1", "nonce": nonce, "iat": now, "exp": now + 300,
            "preferred_username": "ann", "email": "ann@example.org", "email_verified": true, "name": "Ann Ö",
            "groups": ["users", "admins"],
        });
        let signer = locked(&self.signer);
        let header = Header { kid: Some(signer.id.to_string()), ..Header::new(Algorithm::ES256) };
        let mut token = encode(&header, &replaced(claims, changed), &signer.key).expect("signed");
        if let Some(algorithm) = behaviour.algorithm {
            let header = json!({ "alg": algorithm, "kid": signer.id.to_string() }).to_string();
            let rest = token.split_once('.').map_or("", |(_, rest)| rest);
            token = format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header));
        }
        let refresh_token = behaviour.refreshes.then(|| {
            let token = format!("refresh-{}", self.refresh_tokens_made.fetch_add(1, Ordering::SeqCst));
            locked(&self.refresh_tokens).insert(token.clone());
            token
        });
        let id_token = (!changed.is_null()).then_some(token);
        let mut answer = json!({
            "access_token": "access", "token_type": "Bearer", "expires_in": behaviour.expires_in,
            "id_token": id_token, "refresh_token": refresh_token,
        });
        answer.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        reply(200, &answer)
    }

    /// The log-in whose code this is, if the secret of PKCE is with it. A code counts once.
    fn log_in_of(&self, form: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
        let request = locked(&self.codes).remove(form.get("code")?)?;
        let verifier = form.get("code_verifier")?;
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let is_asked_right = form.get("redirect_uri") == request.get("redirect_uri")
            && (43..=128).contains(&verifier.len())
            && request["code_challenge"] == challenge;
        is_asked_right.then_some(request)
    }
}
