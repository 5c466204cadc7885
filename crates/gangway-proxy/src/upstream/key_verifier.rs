//! Checks that a certificate's key signed the handshake, and nothing else of the certificate.
//!
//! Without a check of the certificate, whatever is in it says nothing: applications in containers have certificates
//! of version 1, expired ones, ones for another name, with extensions that nobody knows, and small keys. Only the key
//! is read from it, so none of that keeps the application from being served. The signature is still checked: an
//! endpoint whose connection is relayed by somebody without its key is not talked to.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, alg_id};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use crate::upstream::small_rsa::RsaKey;

/// Bits of an RSA key from which on the usual algorithms accept it.
const RSA_USUAL_BITS_MIN: usize = 2048;

/// A verifier that takes any certificate.
#[derive(Debug)]
pub(crate) struct KeyVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

/// The public key of a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct PublicKey<'c> {
    /// The content of its `AlgorithmIdentifier`.
    algorithm: &'c [u8],
    key: &'c [u8],
}

impl KeyVerifier {
    pub(crate) fn new() -> Self {
        Self { algorithms: default_provider().signature_verification_algorithms }
    }

    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let is_valid = self.is_signed(certificate, message, signed.scheme, signed.signature());
        if is_valid.ok_or(CertificateError::BadEncoding)? {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    /// Whether the key of the certificate made the signature; none if there is no such key to be read.
    fn is_signed(
        &self,
        certificate: &CertificateDer<'_>,
        message: &[u8],
        scheme: SignatureScheme,
        signature: &[u8],
    ) -> Option<bool> {
        let key = public_key(certificate)?;
        Some(match key.rsa() {
            Some(rsa) if rsa.bits() < RSA_USUAL_BITS_MIN => rsa.has_signed(message, scheme, signature),
            Some(_) | None => self.has_signed(key, message, scheme, signature),
        })
    }

    fn has_signed(&self, key: PublicKey<'_>, message: &[u8], scheme: SignatureScheme, signature: &[u8]) -> bool {
        // Some keys say that they are for PSS only. The algorithms know them as RSA keys.
        let algorithm = if key.is_rsa() { alg_id::RSA_ENCRYPTION.as_ref() } else { key.algorithm };
        let of_scheme = self.algorithms.mapping.iter().filter(|(known, _)| *known == scheme);
        let mut algorithms = of_scheme.flat_map(|(_, algorithms)| algorithms.iter());
        algorithms.any(|candidate| {
            candidate.public_key_alg_id().as_ref() == algorithm
                && candidate.verify_signature(key.key, message, signature).is_ok()
        })
    }
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl<'c> PublicKey<'c> {
    fn is_rsa(self) -> bool {
        /// The identifiers 1.2.840.113549.1.1.1 (rsaEncryption) and .10 (RSASSA-PSS), as DER writes them.
        const RSA: [&[u8]; 2] = [
            &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01],
            &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a],
        ];
        RSA.iter().any(|identifier| self.algorithm.starts_with(identifier))
    }

    /// The numbers of an RSA key.
    fn rsa(self) -> Option<RsaKey<'c>> {
        if !self.is_rsa() {
            return None;
        }
        let (key, _) = element(self.key, SEQUENCE)?;
        let (modulus, rest) = element(key, INTEGER)?;
        let (exponent, _) = element(rest, INTEGER)?;
        let significant = |number: &'c [u8]| {
            let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
            &number[first..]
        };
        Some(RsaKey { modulus: significant(modulus), exponent: significant(exponent) })
    }
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Reads the key out of a certificate (RFC 5280, section 4.1).
fn public_key<'c>(certificate: &'c CertificateDer<'_>) -> Option<PublicKey<'c>> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, behind)) = element(rest, VERSION) {
        rest = behind;
    }
    // Serial number, algorithm, issuer, validity, subject.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        (_, rest) = element(rest, tag)?;
    }
    let (key, _) = element(rest, SEQUENCE)?;
    let (algorithm, rest) = element(key, SEQUENCE)?;
    let (bits, _) = element(rest, BIT_STRING)?;
    // Keys are whole bytes: no bit of the last one is unused.
    let key = bits.strip_prefix(&[0])?;
    Some(PublicKey { algorithm, key })
}

/// Splits an element of DER with this tag off: its content, and what is behind it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        0x80 | 0x84.. => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// Of version 1, with an RSA key of 1024 bits; made by openssl, like the signatures.
    const OLD_CERTIFICATE: &str = "\
        MIIBnjCCAQcCFHw8xiGTGvbg0t2+ATtjCHv/h7UtMA0GCSqGSIb3DQEBCwUAMA4xDDAKBgNVBAMMA29sZDAeFw0yNjExMjcxODU3\
        MzRaFw0zNjExMjQxODU3MzRaMA4xDDAKBgNVBAMMA29sZDCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAstFg/iyh7Xr0xuTW\
        Ju8GQ4Gm3+rF0RTW+WdBVcITBqzmDMZcDUBn/WiPhVLlk/K4UrdXtWPlkkBME27f1fI/JGsnjZPMhELttU+oDVtV539F5xa2J5Ap\
        o50VBE6loxCiHDqp2K0TQRMv7YTUyag1iO5A1BlDwwRJcL3ULIDHIHsCAwEAATANBgkqhkiG9w0BAQsFAAOBgQAT9zvIaBic9m/1\
        4InY5G4/KqPOwmf5KLH36iWlEcU/WfXh0katPovqNgZGmSlZGLr2TMgbd8be5Bas3y6tKh4+aNf8Dh/A+pOu5aXmS+WV2fCpYZU3\
        aFh1F9k0ZwGv+KV0z4aW4xgumnqS5paxfsKGtcshKsyNsbfTfpt2fABW3g==";

    /// With an RSA key of 1025 bits.
    const ODD_CERTIFICATE: &str = "\
        MIIB+TCCAWGgAwIBAgIUfXJXVMjvxRhCUrN7Ov9VlHtCkFwwDQYJKoZIhvcNAQELBQAwDjEMMAoGA1UEAwwDb2RkMB4XDTI2MTEy\
        NzE4NTczNFoXDTM2MTEyNDE4NTczNFowDjEMMAoGA1UEAwwDb2RkMIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQHlFD8EwJlh\
        /lCcIb7+c3i17xlA3nwzTZ6HgmkoI74eKdcrEIV+gcJfCif54nFeLQTvfZZBcDQ9evaDMHogskn/Tr9u3ldLbJjxFA/QJd075ylU\
        tBI6zr/bteLa2yMQ33zYRYNoeyYLkxeUW1Almt4dR8zKplf0+GUJ4c5XnBRAEQIDAQABo1MwUTAdBgNVHQ4EFgQUGqSR1AiPaE2u\
        QXL5HJkwhVj/zMgwHwYDVR0jBBgwFoAUGqSR1AiPaE2uQXL5HJkwhVj/zMgwDwYDVR0TAQH/BAUwAwEB/zANBgkqhkiG9w0BAQsF\
        AAOBggAAFcK9RZZCW93n5rKXwsj0y2LfqYxk6A9WrG9X/AGhiLp2TpwzLH+JaLbPBmX6NwqKCCJsLJ7RsOzgMWVXCMLvpahYR/r8\
        Kn0aYOIsLgYWAnhg+rBI7kmIporvZtGNuPZ8K4CALhBrRcvDgPB7Mhup/H3cbMiVO276Hrnj33YQpAo=";

    const MESSAGE: &[u8] = b"the handshake so far";

    const OLD_PKCS1_SHA256: &str = "\
        c6mfh/Bo4gbGsvE5UpBuKUvyzCjwFbPEObOp6+5EThD5k2rsGAj3pHlSdmDcotklE2dQLfEPnYLWfUWsgr1wbKr3idlr8BTCetJF\
        77202bNeYIDJFCrlaoJhuaJ03xsigUy4aNGkoSyPipNHiQqz/F7vpsYEPokFp/HuI1D4XQQ=";

    const OLD_PKCS1_SHA384: &str = "\
        L9PYoRnTobreAKKXNtgmysRsLzwQjoSqRMPIBuxS1NkQKPViaM+piWkRllFm62Y/VOo3fDY7KlAyKVLlPCf/oZL/2VNm1qHujwEY\
        kC0h/cxWgSLAX0CvgmJQzli/4V8RoY0+uv7YDBMPdo0qNcTzTLArjeFTC/uNzA97L9nw6pg=";

    const OLD_PKCS1_SHA512: &str = "\
        rojqw99xpBCKNSPHNGsWqlznutBr8jxNcqEnP7yoH940hMKYKC5L9mOaFz+yP4ISHifOweax0Zxr6q89E6G5T8fBB4bHDj9QI4WF\
        eg8L9mOFqi+C/547XmNHDCMTula9P2ZSmoekVRVEgvirlHgktZGa2oyH3UV78Wq1Htt9/F0=";

    const OLD_PSS_SHA256: &str = "\
        S4ulhTAjNaQXDGPblLAMdIz4xab3C+o4TZ3P3X3psKRjMLHmC0hjieonF6YLitRKFW5ANLgsQUMU7CpiOzk076nLfEg6/UZe/G2j\
        fmr8ZlJ/EcaWGGYtuIdA+Ni3p6tIomDYZLSbO4jjKMp/DXXfbWXt3LHWy9r8p5Lg2GUMblM=";

    const OLD_PSS_SHA384: &str = "\
        gh3jXNoQAwBRapE9dTd6vUqavTorjHdELYqZS27Lq1iVSWefO/LQnSKIz7ff+mgU6c88Pu11svpyQZEMvgCL8F4Tu18qMDm6YfMm\
        1haU1085PHORky5CE5Xdz3y7odLjISzPHR6LSTLucmQe+3lmDGNIMMQRg/ibfglWOak4U4o=";

    /// With a salt of 20 bytes, which TLS does not allow.
    const OLD_PSS_SHORT_SALT: &str = "\
        gasrIxkApa2e15xhLbl7oC4CQTQYDdWOKZVscNgV/osrPo8aevs/cA4kpkQPOjKUlUIX3Skl8pJJBEMHEd+AzHmOX5d8UvFGFugs\
        Y5KnxJzCxsQtijRmsGVl3TM/Tneb11P6Wl6Cb7QxQT3Afbz3+vpzXhgtvm2w88NndL8+PzE=";

    const ODD_PSS_SHA256: &str = "\
        AJ/PvpmSkHGhyWlzRHVgZjoL0fwfalgfmLCQTqImBwsTnYyRHYedejzsD1XwPIK94auzyd+/7x3ftH5CAxdycr98fBUZrFwk4skF\
        m/yRL+0ff+1JF5CCdrGWouhR/sLBCS8hJaK2LlekZXtrLZJ/2ipcDongGlkvX6d3ukPZHJsw";

    #[test]
    fn a_small_key_is_no_obstacle_and_must_have_signed() {
        let verifier = KeyVerifier::new();
        let decoded = |text: &str| STANDARD.decode(text).expect("base64");
        for (certificate, bits, signatures) in [
            (
                OLD_CERTIFICATE,
                1024,
                &[
                    (SignatureScheme::RSA_PKCS1_SHA256, OLD_PKCS1_SHA256),
                    (SignatureScheme::RSA_PKCS1_SHA384, OLD_PKCS1_SHA384),
                    (SignatureScheme::RSA_PKCS1_SHA512, OLD_PKCS1_SHA512),
                    (SignatureScheme::RSA_PSS_SHA256, OLD_PSS_SHA256),
                    (SignatureScheme::RSA_PSS_SHA384, OLD_PSS_SHA384),
                ][..],
            ),
            (ODD_CERTIFICATE, 1025, &[(SignatureScheme::RSA_PSS_SHA256, ODD_PSS_SHA256)]),
        ] {
            let certificate = CertificateDer::from(decoded(certificate));
            let key = public_key(&certificate).expect("it has a key");
            assert_eq!((key.is_rsa(), key.rsa().map(RsaKey::bits)), (true, Some(bits)));
            let signed =
                |message: &[u8], scheme, signature: &[u8]| verifier.is_signed(&certificate, message, scheme, signature);
            for (scheme, signature) in signatures {
                let signature = decoded(signature);
                assert_eq!(signed(MESSAGE, *scheme, &signature), Some(true), "{scheme:?}");
                assert_eq!(signed(b"another one", *scheme, &signature), Some(false), "{scheme:?}");
                for at in 0..signature.len() {
                    let mut other = signature.clone();
                    other[at] ^= 1;
                    assert_eq!(signed(MESSAGE, *scheme, &other), Some(false), "{scheme:?}, byte {at}");
                }
                assert_eq!(signed(MESSAGE, *scheme, &signature[1..]), Some(false));
                assert_eq!(signed(MESSAGE, *scheme, &[]), Some(false));
                assert_eq!(signed(MESSAGE, *scheme, &[&[0], &*signature].concat()), Some(false));
                assert_eq!(signed(MESSAGE, *scheme, &vec![0xff; signature.len()]), Some(false), "above the modulus");
                assert_eq!(signed(MESSAGE, *scheme, &vec![0; signature.len()]), Some(false));
                for (other, _) in signatures.iter().filter(|(other, _)| other != scheme) {
                    assert_eq!(signed(MESSAGE, *other, &signature), Some(false), "{other:?} is not {scheme:?}");
                }
                assert_eq!(signed(MESSAGE, SignatureScheme::RSA_PSS_SHA512, &signature), Some(false), "no room for it");
                assert_eq!(signed(MESSAGE, SignatureScheme::ECDSA_NISTP256_SHA256, &signature), Some(false));
            }
        }
        let certificate = CertificateDer::from(decoded(OLD_CERTIFICATE));
        let short = decoded(OLD_PSS_SHORT_SALT);
        assert_eq!(verifier.is_signed(&certificate, MESSAGE, SignatureScheme::RSA_PSS_SHA256, &short), Some(false));
    }

    #[test]
    fn keys_of_any_numbers_sign_nothing() {
        for (modulus, exponent) in [
            (&b""[..], &b""[..]),
            (b"\x01", b"\x01"),
            (b"\x02", b"\x01"),
            (b"\xff\xff", b""),
            (&[0xff; 128], &[0xff; 128]),
        ] {
            let key = RsaKey { modulus, exponent };
            for scheme in [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256] {
                assert!(!key.has_signed(MESSAGE, scheme, &vec![0; modulus.len()]));
                assert!(!key.has_signed(MESSAGE, scheme, &vec![1; modulus.len()]));
            }
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_key() {
        let certificate = STANDARD.decode(OLD_CERTIFICATE).expect("base64");
        for len in 0..certificate.len() - 150 {
            let cut = CertificateDer::from(&certificate[..len]);
            assert_eq!(public_key(&cut), None, "{len} bytes");
        }
        for bytes in [&b"\x30\x80\x30\x00"[..], b"\x30\x84\xff\xff\xff\xff\x30", b"\x30\x83\xff\xff\xff\x30"] {
            assert_eq!(public_key(&CertificateDer::from(bytes)), None);
        }
    }
}
