use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use sysmon_api::{Access, ApiError, Client, ClientConfig, Code, Role, Secret, TlsIdentity, tokens, wire};

use crate::support::{Running, pushing, serve, soon};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn identity(&self, name: &str) -> TlsIdentity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        TlsIdentity {
            cert_pem: certificate.pem().into_bytes(),
            key_pem: key.serialize_pem().into_bytes(),
        }
    }

    fn write(&self, folder: &tempfile::TempDir, name: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, self.issuer.pem()).unwrap();
        path
    }
}

fn client(running: &Running, scheme: &str, tls_ca: Option<PathBuf>, token: Option<&str>) -> Client {
    let mut config = ClientConfig::new(
        format!("{scheme}://localhost:{}", running.address.port())
            .parse()
            .unwrap(),
    );
    config.tls_ca = tls_ca;
    config.token = token.map(Secret::new);
    Client::new(config).unwrap()
}

async fn failure(client: Client) -> ApiError {
    let error = soon(client.health("")).await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable, "{error}");
    error
}

#[tokio::test]
async fn tls_works_with_the_right_authority_and_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let secret = tokens::create(&path, "a", Role::Admin, None).unwrap();
    let authority = Authority::new("right");
    let access = Access::with_tokens_file(&path).unwrap();
    let running = serve(access, Some(authority.identity("localhost"))).await;
    let authority = authority.write(&folder, "ca.pem");
    let client = client(&running, "https", Some(authority), Some(&secret));
    pushing(&client).await.unwrap();
    let request = wire::StateRequest::default();
    assert_eq!(soon(client.current_state(request)).await.unwrap().machine_id, "a");
}

#[tokio::test]
async fn the_wrong_authority_name_or_protocol_fails_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("right");
    let right = authority.write(&folder, "right.pem");
    let wrong = Authority::new("wrong").write(&folder, "wrong.pem");
    let with_tls = serve(Access::local_only(), Some(authority.identity("localhost"))).await;
    let other_name = serve(Access::local_only(), Some(authority.identity("web-1"))).await;
    let without_tls = serve(Access::local_only(), None).await;
    for (client, expected) in [
        (
            client(&with_tls, "https", Some(wrong), None),
            "name that authority's certificate with --tls-ca",
        ),
        (
            client(&with_tls, "http", None, None),
            "if it uses TLS, write https://",
        ),
        (
            client(&other_name, "https", Some(right.clone()), None),
            "use that name in the address",
        ),
        (
            client(&without_tls, "https", Some(right), None),
            "it does not speak TLS; write http://",
        ),
    ] {
        let error = failure(client).await;
        assert!(error.message.contains("localhost:"), "{error}");
        assert!(error.message.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_does_not_belong_to_its_certificate_is_refused_at_once() {
    let authority = Authority::new("right");
    let mut identity = authority.identity("localhost");
    identity.key_pem = authority.identity("localhost").key_pem;
    let mut server = sysmon_api::Server::new(
        crate::support::Double::new().0,
        std::sync::Arc::new(Access::local_only()),
    );
    for identity in [
        identity.clone(),
        TlsIdentity {
            cert_pem: b"nothing".to_vec(),
            ..identity.clone()
        },
        TlsIdentity {
            key_pem: b"nothing".to_vec(),
            ..identity
        },
    ] {
        let result = server.bind_tcp(([127, 0, 0, 1], 0).into(), Some(identity)).await;
        let error = result.unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument);
        assert!(error.message.contains("give both as PEM"), "{error}");
    }
}

#[tokio::test]
async fn a_handshake_that_never_comes_does_not_keep_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("right");
    let running = serve(Access::local_only(), Some(authority.identity("localhost"))).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(tokio::net::TcpStream::connect(running.address).await.unwrap());
    }
    let client = client(&running, "https", Some(authority.write(&folder, "ca.pem")), None);
    assert_eq!(soon(client.health("")).await, Ok(true));
}
