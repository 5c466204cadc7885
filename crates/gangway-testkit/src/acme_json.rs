//! What Traefik keeps in `acme.json`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The text of an `acme.json`, with certificates of an authority that was made for it.
#[derive(Clone, Debug)]
pub struct AcmeJson {
    /// The text of the file.
    pub text: String,
    /// The root of the authority, in PEM.
    pub root: String,
}

impl AcmeJson {
    /// One certificate of the resolver for each of the names.
    pub fn of<'n>(resolver: &str, names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "An authority");
        let key = rcgen::KeyPair::generate().expect("a key");
        let authority = rcgen::CertifiedIssuer::self_signed(params, key).expect("a CA");
        let certificate = |name: &str| {
            let key = rcgen::KeyPair::generate().expect("a key");
            let mut params = rcgen::CertificateParams::new([name.to_owned()]).expect("a name");
            let now = time::OffsetDateTime::now_utc();
            (params.not_before, params.not_after) = (now - time::Duration::days(20), now + time::Duration::days(70));
            let chain = params.signed_by(&key, &authority).expect("signs").pem();
            json!({"domain": {"main": name}, "Store": "default",
                "certificate": BASE64_STANDARD.encode(chain), "key": BASE64_STANDARD.encode(key.serialize_pem())})
        };
        let certificates: Vec<Value> = names.into_iter().map(certificate).collect();
        let text = json!({resolver: {"Account": null, "Certificates": certificates}}).to_string();
        Self { text, root: authority.pem() }
    }
}
