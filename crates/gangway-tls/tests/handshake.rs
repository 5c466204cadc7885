//! The client's view of handshakes: certificate, protocol and alert.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use gangway_publish::{Publisher, Reader, channel};
use gangway_tls::{
    Bundle, CertificateResolver, Challenges, HandshakePolicy, InternalCa, Mint, Origin, Placeholders, Promises, Scope,
    ServerConfigs, Store, TicketKey, UNRECOGNIZED_NAME_ALERT, UnixTime, challenge_config, is_challenge, server_config,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::Acceptor;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, Error, HandshakeKind, ProtocolVersion, RootCertStore,
    ServerConfig, ServerConnection, SupportedProtocolVersion,
};

/// The protocol that a CA offers alone (RFC 8737).
const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";

fn now() -> UnixTime {
    UnixTime::now()
}

struct Scene {
    ca: Arc<InternalCa>,
    publisher: Publisher<Store>,
    reader: Reader<Store>,
    mint: Arc<Mint>,
}

impl Scene {
    fn new(names: &[&str]) -> Self {
        let ca = InternalCa::make(&Scope::default(), now()).expect("makes a CA");
        let (mut publisher, reader) = channel(Store::default());
        let bundles = names.iter().map(|name| Arc::new(ca.issue(name, now()).expect("signs")));
        publisher.publish(Store::new(bundles, now()));
        Self { ca: Arc::new(ca), publisher, reader, mint: Arc::new(Mint::new()) }
    }

    fn resolver(&self) -> CertificateResolver {
        CertificateResolver::new(self.reader.clone(), Arc::clone(&self.mint), None)
    }

    fn server(&self) -> Arc<ServerConfig> {
        server_config(&self.resolver(), None)
    }

    fn client(&self) -> ClientConfig {
        client(&self.ca, rustls::ALL_VERSIONS)
    }
}

fn client(ca: &InternalCa, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.root_pem().as_bytes()).expect("PEM")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

struct Done {
    client: ClientConnection,
    server: ServerConnection,
}

impl Done {
    fn serial(&self) -> String {
        let chain = self.client.peer_certificates().expect("a certificate");
        let (_, certificate) = x509_parser::parse_x509_certificate(&chain[0]).expect("parses");
        certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Exchanges data until both sides are done.
fn handshake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Result<Done, Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    loop {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("to memory");
        }
        let from_client = wire.len();
        feed(&mut server, &wire);
        let failed = server.process_new_packets().err();
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("to memory");
        }
        feed(&mut client, &wire);
        client.process_new_packets()?;
        if let Some(error) = failed {
            return Err(error);
        }
        if from_client == 0 && wire.is_empty() {
            return Ok(Done { client, server });
        }
    }
}

fn feed<Side>(connection: &mut rustls::ConnectionCommon<Side>, mut wire: &[u8]) {
    while !wire.is_empty() {
        connection.read_tls(&mut wire).expect("from memory");
    }
}

#[test]
fn the_certificate_of_the_name_is_served_and_trusted() {
    let scene = Scene::new(&["a.test", "b.test", "*.wide.test"]);
    let (client, server) = (Arc::new(scene.client()), scene.server());
    for name in ["a.test", "b.test", "x.wide.test", "A.Test", "a.test."] {
        let done = handshake(&client, &server, name).expect(name);
        let host = gangway_tls::normal_name(name);
        let bundle = Arc::clone(scene.reader.load().find(&host).expect("has one"));
        assert_eq!(done.serial(), *bundle.serial, "{name}");
    }
}

#[test]
fn a_new_certificate_is_served_from_the_next_handshake_on() {
    let mut scene = Scene::new(&["a.test"]);
    let (client, server) = (Arc::new(scene.client()), scene.server());
    let before = handshake(&client, &server, "a.test").expect("handshake").serial();
    let bundle = scene.ca.issue("a.test", now()).expect("signs");
    let serial = bundle.serial.clone();
    scene.publisher.publish(Store::new([Arc::new(bundle)], now()));
    // Use another client, since this one would resume its session.
    let after = handshake(&Arc::new(scene.client()), &server, "a.test").expect("handshake").serial();
    assert_ne!(before, after);
    assert_eq!(after, *serial);
}

#[test]
fn an_unknown_name_ends_the_handshake_without_a_certificate() {
    let scene = Scene::new(&["a.test"]);
    let error = handshake(&Arc::new(scene.client()), &scene.server(), "c.test").err();
    // rustls can send no other alert here; the front door sends the right one before this point.
    assert_eq!(error, Some(Error::AlertReceived(AlertDescription::AccessDenied)));
}

#[test]
fn the_alert_record_for_an_unknown_name_is_understood_by_clients() {
    let scene = Scene::new(&["a.test"]);
    for versions in [rustls::ALL_VERSIONS, &[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let config = Arc::new(client(&scene.ca, versions));
        let mut client = ClientConnection::new(config, "c.test".try_into().expect("a name")).expect("a client");
        client.write_tls(&mut Vec::new()).expect("to memory");
        feed(&mut client, &UNRECOGNIZED_NAME_ALERT);
        let error = client.process_new_packets().err();
        assert_eq!(error, Some(Error::AlertReceived(AlertDescription::UnrecognisedName)));
    }
}

#[test]
fn without_sni_only_a_default_name_gets_a_certificate() {
    let scene = Scene::new(&["a.test"]);
    let mut client = scene.client();
    client.enable_sni = false;
    let client = Arc::new(client);
    let refused = handshake(&client, &scene.server(), "a.test").err();
    assert_eq!(refused, Some(Error::AlertReceived(AlertDescription::AccessDenied)));
    let server = server_config(&scene.resolver(), Some("a.test".into()));
    handshake(&client, &server, "a.test").expect("is served the default");
    let unknown = handshake(&Arc::new(scene.client()), &server, "c.test").err();
    assert_eq!(unknown, Some(Error::AlertReceived(AlertDescription::AccessDenied)), "a default is not for other names");
}

#[test]
fn an_address_is_reached_through_the_default_name() {
    let scene = Scene::new(&["127.0.0.1"]);
    let server = server_config(&scene.resolver(), Some("127.0.0.1".into()));
    handshake(&Arc::new(scene.client()), &server, "127.0.0.1").expect("a client with an address sends no SNI");
}

#[test]
fn post_quantum_key_exchange_comes_first_and_both_versions_work() {
    let scene = Scene::new(&["a.test"]);
    let server = scene.server();
    let done = handshake(&Arc::new(scene.client()), &server, "a.test").expect("handshake");
    assert_eq!(done.client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = done.client.negotiated_key_exchange_group().expect("a group").name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    let old = Arc::new(client(&scene.ca, &[&rustls::version::TLS12]));
    let done = handshake(&old, &server, "a.test").expect("handshake");
    assert_eq!(done.client.protocol_version(), Some(ProtocolVersion::TLSv1_2));
}

#[test]
fn http_2_is_negotiated_before_http_1_and_nothing_else() {
    let scene = Scene::new(&["a.test"]);
    let server = scene.server();
    let negotiated = |offered: &[&[u8]]| {
        let mut client = scene.client();
        client.alpn_protocols = offered.iter().map(|protocol| protocol.to_vec()).collect();
        let done = handshake(&Arc::new(client), &server, "a.test");
        done.map(|done| done.server.alpn_protocol().map(<[u8]>::to_vec))
    };
    assert_eq!(negotiated(&[b"http/1.1", b"h2"]), Ok(Some(b"h2".to_vec())));
    assert_eq!(negotiated(&[b"http/1.1"]), Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(negotiated(&[]), Ok(None));
    let refused = Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    assert_eq!(negotiated(&[ACME_TLS_ALPN]), Err(refused), "never the challenge's");
}

#[test]
fn sessions_are_resumed_but_not_under_another_configuration() {
    let scene = Scene::new(&["a.test"]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = Arc::new(client(&scene.ca, &[version]));
        let (server, other) = (scene.server(), scene.server());
        let kind = |server| handshake(&client, server, "a.test").expect("handshake").server.handshake_kind();
        assert_eq!(kind(&server), Some(HandshakeKind::Full));
        assert_eq!(kind(&server), Some(HandshakeKind::Resumed));
        assert_eq!(kind(&other), Some(HandshakeKind::Full));
    }
}

fn ticket_key(number: u8) -> TicketKey {
    TicketKey { id: [number; 16], secret: [number ^ 0xff; 32] }
}

#[test]
fn sessions_are_resumed_at_another_instance_with_the_same_keys_and_under_the_same_policy_alone() {
    let mut scene = Scene::new(&["a.test"]);
    let store = scene.reader.load().clone();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        scene.publisher.publish(store.clone().with_tickets(Arc::new(vec![ticket_key(1)])));
        let (one, two) = (ServerConfigs::new(scene.resolver(), None), ServerConfigs::new(scene.resolver(), None));
        let client = Arc::new(client(&scene.ca, &[version]));
        let kind = |configs: &ServerConfigs, policy| {
            let config = configs.under(policy).expect("is there");
            handshake(&client, &config, "a.test").expect("handshake").server.handshake_kind()
        };
        let plain = HandshakePolicy::default();
        assert_eq!(kind(&one, plain), Some(HandshakeKind::Full));
        assert_eq!(kind(&two, plain), Some(HandshakeKind::Resumed));
        // The keys have rotated: the old one still opens, the new one seals, and then the old one is gone.
        scene.publisher.publish(store.clone().with_tickets(Arc::new(vec![ticket_key(2), ticket_key(1)])));
        assert_eq!(kind(&one, plain), Some(HandshakeKind::Resumed));
        scene.publisher.publish(store.clone().with_tickets(Arc::new(vec![ticket_key(3), ticket_key(2)])));
        assert_eq!(kind(&two, plain), Some(HandshakeKind::Resumed));
        scene.publisher.publish(store.clone().with_tickets(Arc::new(vec![ticket_key(4)])));
        assert_eq!(kind(&two, plain), Some(HandshakeKind::Full), "its key is forgotten");
        if version.version == ProtocolVersion::TLSv1_3 {
            let strict = HandshakePolicy { is_tls13_only: true, client_ca: None };
            assert_eq!(kind(&two, strict), Some(HandshakeKind::Full), "a ticket of another policy");
            assert_eq!(kind(&one, strict), Some(HandshakeKind::Resumed));
        }
    }
}

/// The resident memory of this process, in bytes.
fn resident() -> i64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("is there");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()).expect("a number") * 4096
}

/// Prints the cost of a handshake; `cargo test -- --nocapture` shows it.
#[test]
fn ten_thousand_certificates_make_no_handshake_dearer() {
    let ca = InternalCa::make(&Scope::default(), now()).expect("makes a CA");
    let before = resident();
    let bundles: Vec<_> =
        (0..10_000).map(|number| Arc::new(ca.issue(&format!("n{number}.test"), now()).expect("signs"))).collect();
    let client = {
        let mut client = client(&ca, rustls::ALL_VERSIONS);
        client.resumption = rustls::client::Resumption::disabled();
        Arc::new(client)
    };
    let server = |count: usize| {
        let (mut publisher, reader) = channel(Store::default());
        publisher.publish(Store::new(bundles[..count].iter().cloned(), now()));
        (server_config(&CertificateResolver::of_store(reader), None), publisher)
    };
    let ((few, _few), (many, _many)) = (server(10), server(10_000));
    let cost = |server: &Arc<ServerConfig>, number: usize| {
        let name = format!("n{number}.test");
        let began = SystemTime::now();
        handshake(&client, server, &name).expect("handshake");
        began.elapsed().expect("time goes on")
    };
    // Compare the best of many single handshakes, measured alternately: other work on the machine only adds time, and of turns
    // that are shorter than what the kernel gives a thread at a time, some are without it.
    let (mut best_few, mut best_many) = (Duration::MAX, Duration::MAX);
    for turn in 0..500 {
        best_few = best_few.min(cost(&few, turn % 10));
        best_many = best_many.min(cost(&many, turn % 10));
    }
    let ratio = best_many.as_secs_f64() / best_few.as_secs_f64();
    println!("figure: 10,000 certificates and two stores of them: {} MB", (resident() - before) / 1_000_000);
    println!("figure: a handshake: {best_few:?} with 10 certificates, {best_many:?} with 10,000: {ratio:.3} times");
    assert!(ratio <= 1.1, "{ratio:.3} times");
}

/// Prints the number of handshakes.
#[test]
fn no_handshake_fails_while_certificates_are_renewed() {
    let scene = Scene::new(&["a.test"]);
    let (server, ca, mut publisher) = (scene.server(), scene.ca, scene.publisher);
    let clients: Vec<_> = (0..2).map(|_| Arc::new(client(&ca, rustls::ALL_VERSIONS))).collect();
    let is_over = AtomicBool::new(false);
    let shake = |client: &Arc<ClientConfig>| {
        let (mut good, mut failed) = (0, 0);
        while !is_over.load(Ordering::Relaxed) {
            match handshake(client, &server, "a.test") {
                Ok(_) => good += 1,
                Err(_) => failed += 1,
            }
        }
        (good, failed)
    };
    let turns: Vec<(u32, u32)> = std::thread::scope(|threads| {
        let shake = &shake;
        let shaking: Vec<_> = clients.iter().map(|client| threads.spawn(move || shake(client))).collect();
        for _ in 0..500 {
            let bundle = ca.issue("a.test", now()).expect("signs");
            publisher.publish(Store::new([Arc::new(bundle)], now()));
        }
        is_over.store(true, Ordering::Relaxed);
        shaking.into_iter().map(|shaking| shaking.join().expect("ends")).collect()
    });
    let (good, failed) = turns.iter().fold((0, 0), |sum, turn| (sum.0 + turn.0, sum.1 + turn.1));
    println!("figure: 500 renewals during {} handshakes: {failed} failed", good + failed);
    assert!(good > 0 && failed == 0, "{failed} failed, {good} did not");
}

#[test]
fn no_early_data_is_taken() {
    let scene = Scene::new(&["a.test"]);
    let mut client = scene.client();
    client.enable_early_data = true;
    let (client, server) = (Arc::new(client), scene.server());
    handshake(&client, &server, "a.test").expect("handshake");
    let mut second = ClientConnection::new(client, "a.test".try_into().expect("a name")).expect("a client");
    assert!(second.early_data().is_none());
}

#[test]
fn the_root_is_constrained_for_clients_too() {
    let scene = Scene::new(&[]);
    // A thief of the key could sign without asking `permits`.
    let key = rcgen::KeyPair::from_pem(&scene.ca.key_pem()).expect("the root's key");
    let root = CertificateDer::from_pem_slice(scene.ca.root_pem().as_bytes()).expect("PEM");
    let issuer = rcgen::Issuer::from_ca_cert_der(&root, key).expect("the root");
    let serve = |name: &str| {
        let leaf_key = rcgen::KeyPair::generate().expect("a key");
        let leaf = rcgen::CertificateParams::new([name.to_owned()]).expect("a name").signed_by(&leaf_key, &issuer);
        let bundle = Bundle::from_pem(
            leaf.expect("signs").pem().as_bytes(),
            leaf_key.serialize_pem().as_bytes(),
            Origin::Internal,
        );
        let (mut publisher, reader) = channel(Store::default());
        publisher.publish(Store::new([Arc::new(bundle.expect("a bundle"))], now()));
        handshake(
            &Arc::new(scene.client()),
            &server_config(&CertificateResolver::of_store(reader), Some(name.into())),
            name,
        )
        .err()
    };
    assert_eq!(serve("good.test"), None);
    for name in ["example.org", "nas", "8.8.8.8"] {
        assert!(matches!(serve(name), Some(Error::InvalidCertificate(_))), "{name}");
    }
}

#[test]
fn a_name_under_a_wildcard_of_one_label_gets_a_certificate_of_its_own() {
    let scene = Scene::new(&[]);
    let promises = Promises {
        internal: ["*.localhost".into()].into(),
        patterns: ["*.localhost".into(), "budget.*".into()].into(),
        ..Promises::default()
    };
    scene.mint.promise(Some(Arc::clone(&scene.ca)), None, &promises);
    let (client, server) = (Arc::new(scene.client()), scene.server());
    for name in ["a.localhost", "budget.lan"] {
        assert!(scene.resolver().serves(name));
        let done = handshake(&client, &server, name).expect(name);
        let chain = done.client.peer_certificates().expect("a certificate");
        let (_, certificate) = x509_parser::parse_x509_certificate(&chain[0]).expect("parses");
        let names = certificate.subject_alternative_name().expect("parses").expect("has one").value.to_owned();
        assert_eq!(format!("{:?}", names.general_names), format!("[DNSName({name:?})]"));
    }
    assert!(handshake(&client, &server, "other.lan").is_err());
}

#[test]
fn a_client_is_served_a_key_that_it_can_verify() {
    let mut scene = Scene::new(&["a.test"]);
    let rsa_only = {
        let mut config = scene.client();
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        let all = provider.signature_verification_algorithms;
        let rsa: Vec<_> =
            all.mapping.iter().filter(|(scheme, _)| format!("{scheme:?}").contains("RSA")).copied().collect();
        provider.signature_verification_algorithms.mapping = Vec::leak(rsa);
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots(&scene.ca)),
            Arc::new(provider.clone()),
        );
        config.dangerous().set_certificate_verifier(verifier.build().expect("a verifier"));
        Arc::new(config)
    };
    let server = scene.server();
    let refused = handshake(&rsa_only, &server, "a.test").err();
    assert_eq!(refused, Some(Error::AlertReceived(AlertDescription::HandshakeFailure)));
    let rsa = {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("an RSA key");
        let certificate = rcgen::CertificateParams::new(["a.test".to_owned()]).expect("a name").self_signed(&key);
        let certificate = certificate.expect("signs").pem();
        Bundle::from_pem(certificate.as_bytes(), key.serialize_pem().as_bytes(), Origin::Acme).expect("a bundle")
    };
    let (rsa, ecdsa) = (Arc::new(rsa), Arc::clone(scene.reader.load().find("a.test").expect("has one")));
    scene.publisher.publish(Store::new([Arc::clone(&rsa), ecdsa], now()));
    let error = handshake(&rsa_only, &server, "a.test").err();
    // The client got the RSA certificate, which is self-signed here; the ECDSA one would have failed differently.
    assert!(matches!(error, Some(Error::InvalidCertificate(_))), "{error:?}");
}

fn roots(ca: &InternalCa) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.root_pem().as_bytes()).expect("PEM")).expect("a root");
    roots
}

#[test]
fn a_challenge_is_answered_on_its_own_configuration_only() {
    let mut scene = Scene::new(&["a.test"]);
    let answer = Placeholders::new().expect("a key").bundle("a.test", now()).expect("signs");
    let challenges = Challenges { tls: [("a.test".into(), Arc::clone(&answer.key))].into(), ..Challenges::default() };
    let store = scene.reader.load().clone();
    scene.publisher.publish(store.with_challenges(Arc::new(challenges)));

    let mut client = scene.client();
    client.alpn_protocols = vec![ACME_TLS_ALPN.to_vec()];
    assert!(hello_is_challenge(&client));
    let server = challenge_config(scene.reader.clone());
    let error = handshake(&Arc::new(client.clone()), &server, "a.test").err();
    assert!(matches!(error, Some(Error::InvalidCertificate(_))), "the answer is self-signed: {error:?}");
    let unknown = handshake(&Arc::new(client), &server, "b.test").err();
    assert_eq!(unknown, Some(Error::AlertReceived(AlertDescription::AccessDenied)));

    let mut client = scene.client();
    client.alpn_protocols = vec![b"h2".to_vec(), ACME_TLS_ALPN.to_vec()];
    assert!(!hello_is_challenge(&client), "who can also speak something else is no CA");
}

fn hello_is_challenge(client: &ClientConfig) -> bool {
    let mut client =
        ClientConnection::new(Arc::new(client.clone()), "a.test".try_into().expect("a name")).expect("a client");
    let mut wire = Vec::new();
    client.write_tls(&mut wire).expect("to memory");
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut wire.as_slice()).expect("from memory");
    let accepted = acceptor.accept().map_err(|(error, _)| error).expect("a hello").expect("a whole one");
    is_challenge(&accepted.client_hello())
}

#[test]
fn data_passes() {
    let scene = Scene::new(&["a.test"]);
    let mut done = handshake(&Arc::new(scene.client()), &scene.server(), "a.test").expect("handshake");
    done.client.writer().write_all(b"hello").expect("to memory");
    let mut wire = Vec::new();
    done.client.write_tls(&mut wire).expect("to memory");
    feed(&mut done.server, &wire);
    done.server.process_new_packets().expect("decrypts");
    let mut text = [0; 5];
    done.server.reader().read_exact(&mut text).expect("reads");
    assert_eq!(&text, b"hello");
}
