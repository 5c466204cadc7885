//! Checks that a certificate's key signed the handshake, and nothing else of the certificate.
//!
//! Without a check of the certificate, whatever is in it says nothing: applications in containers have certificates
//! of version 1, expired ones, ones for another name, with extensions that nobody knows, and small keys. Only the key
//! is read from it, so none of that keeps the application from being served. The signature is still checked: an
//! endpoint whose connection is relayed by somebody without its key is not talked to.

use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY, UnparsedPublicKey,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, alg_id};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

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
        Some(match key.rsa_bits() {
            Some(bits) if bits < RSA_USUAL_BITS_MIN => has_small_rsa_signed(key, message, scheme, signature),
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

/// Whether a key that is smaller than the usual algorithms accept signed the message.
///
/// The library checks PSS, which TLS 1.3 asks for, with large keys only. With a small key it is taken as signed:
/// somebody in between could as well present a key of their own, since the certificate is not checked.
fn has_small_rsa_signed(key: PublicKey<'_>, message: &[u8], scheme: SignatureScheme, signature: &[u8]) -> bool {
    let algorithm = match scheme {
        SignatureScheme::RSA_PKCS1_SHA256 => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        SignatureScheme::RSA_PKCS1_SHA512 => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        // The enum is not exhaustive.
        scheme => {
            return matches!(
                scheme,
                SignatureScheme::RSA_PKCS1_SHA384
                    | SignatureScheme::RSA_PSS_SHA256
                    | SignatureScheme::RSA_PSS_SHA384
                    | SignatureScheme::RSA_PSS_SHA512
            );
        }
    };
    UnparsedPublicKey::new(algorithm, key.key).verify(message, signature).is_ok()
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

impl PublicKey<'_> {
    fn is_rsa(self) -> bool {
        /// The identifiers 1.2.840.113549.1.1.1 (rsaEncryption) and .10 (RSASSA-PSS), as DER writes them.
        const RSA: [&[u8]; 2] = [
            &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01],
            &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a],
        ];
        RSA.iter().any(|identifier| self.algorithm.starts_with(identifier))
    }

    /// The bits of the modulus, for RSA keys.
    fn rsa_bits(self) -> Option<usize> {
        if !self.is_rsa() {
            return None;
        }
        let (key, _) = element(self.key, SEQUENCE)?;
        let (modulus, _) = element(key, INTEGER)?;
        let significant = modulus.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &modulus[first..]);
        let unused = significant.first().map_or(0, |first| first.leading_zeros() as usize);
        Some(significant.len() * 8 - unused)
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

    /// Of version 1, with an RSA key of 1024 bits; made by openssl, like the signature.
    const OLD_CERTIFICATE: &str = "\
        MIIBnjCCAQcCFFdDUkeET9MvfEzDjR5O/A+PDd1EMA0GCSqGSIb3DQEBCwUAMA4xDDAKBgNVBAMMA29sZDAeFw0yNjExMjcxNTQw\
        MjlaFw0zNjExMjQxNTQwMjlaMA4xDDAKBgNVBAMMA29sZDCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEAt0GoaS/O6Tv6TfD2\
        rhczRU9cHIFgllyb40XtvL4WZULYo5X4L2gGV8WUdOs/k2nNEpPD+/oi6hFpZeas3MFHyKfO2fXgOTo/ooxUrDeN8ylAqn+TNIbp\
        uN6xCd3k4TrWBUgFiotlunMhObj07VM1/BghhHVs1NIzPsWpef8g04kCAwEAATANBgkqhkiG9w0BAQsFAAOBgQCqwAYPl8oTPsJ2\
        LiTMgTtWTSWbNEDUAPMonklC+VIR17p6zXmltftx8/NaSB0n7II5t+4t0nX/DRRsERs9GJZfS0K0Ss9CApUM+hi7OX2VbVOrU4On\
        KdXwpI2O6GtASeb/92c7Yv5N390m5F1JxK2DXSc8rgyPYN1pQEkc6a6f2A==";

    const MESSAGE: &[u8] = b"the handshake so far";

    const OLD_SIGNATURE: &str = "\
        NF33IB919IaXf9ikSyq6keE+49KgadE6+2RMS/Ge9MK3Ta+h1L+GH+H/0cBQ/TpVijZSCA8KQpY3e5cAHOZ0gKCYJ5qcGM2bmE6N\
        adwzJAE+ZyPMIrq3C5jh52jGoRmjynpW48uji9wATM7TgvKMdoc+NDAB8kjZdVXIVNdbxLY=";

    #[test]
    fn an_old_certificate_with_a_small_key_is_no_obstacle() {
        let certificate = CertificateDer::from(STANDARD.decode(OLD_CERTIFICATE).expect("base64"));
        let signature = STANDARD.decode(OLD_SIGNATURE).expect("base64");
        let verifier = KeyVerifier::new();
        let key = public_key(&certificate).expect("it has a key");
        assert_eq!((key.is_rsa(), key.rsa_bits()), (true, Some(1024)));
        let signed = |message: &[u8], scheme| verifier.is_signed(&certificate, message, scheme, &signature);
        assert_eq!(signed(MESSAGE, SignatureScheme::RSA_PKCS1_SHA256), Some(true));
        assert_eq!(signed(b"another one", SignatureScheme::RSA_PKCS1_SHA256), Some(false));
        assert_eq!(signed(MESSAGE, SignatureScheme::ECDSA_NISTP256_SHA256), Some(false));
        assert_eq!(signed(MESSAGE, SignatureScheme::RSA_PSS_SHA256), Some(true), "it cannot be checked");
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
