//! A fleet over TLS: certificate, authority, tokens.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::{Home, Role, finish};

/// Writes an authority and a certificate for this machine into a folder.
fn certificates(home: &Home) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    for (name, pem) in [
        ("ca.pem", authority.pem()),
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        std::fs::write(home.path().join(name), pem).unwrap();
    }
}

async fn token_file(home: &Home, arguments: &[&str], name: &str) {
    let arguments = [&["tokens", "create", "--name", name], arguments].concat();
    let finished = finish(&mut home.sysmon(&arguments)).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    std::fs::write(home.path().join(name), finished.stdout).unwrap();
}

async fn once(home: &Home, url: &str, further: &[&str]) -> crate::support::Finished {
    let arguments = [&["--once", "--format", "json", "--connect", url], further].concat();
    finish(&mut home.sysmon_tui(&arguments)).await
}

#[tokio::test]
async fn collector_and_client_reach_an_aggregator_over_tls_with_tokens_and_refuse_a_certificate_of_nobody() {
    let home = Home::new();
    certificates(&home);
    token_file(&home, &["--role", "agent", "--machine-id", "web-1"], "agent").await;
    token_file(&home, &["--role", "viewer"], "viewer").await;
    let (_aggregator, port) = home
        .start_aggregator(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"])
        .await;
    let url = format!("https://localhost:{port}");
    let mut command = home.sysmon(&["collector", "--aggregator", &url, "--machine-id", "web-1"]);
    command.args([
        "--token-file",
        "agent",
        "--tls-ca",
        "ca.pem",
        "--interval",
        "200ms",
    ]);
    let mut collector = Role::spawn(&mut command);
    let connected = "connected to the aggregator";
    collector
        .wait_for_log(connected, |line| line["message"] == connected)
        .await;

    let good = once(&home, &url, &["--token-file", "viewer", "--tls-ca", "ca.pem"]).await;
    assert_eq!(good.code, Some(0), "{good:?}");
    let printed: serde_json::Value = serde_json::from_str(&good.stdout).unwrap();
    assert_eq!(printed["machines"][0]["machine_id"], "web-1");

    let untrusted = once(&home, &url, &["--token-file", "viewer"]).await;
    assert_eq!(
        (untrusted.code, untrusted.stdout.as_str()),
        (Some(2), ""),
        "{untrusted:?}"
    );
    let without_token = once(&home, &url, &["--tls-ca", "ca.pem"]).await;
    assert_eq!(without_token.code, Some(2), "{without_token:?}");
    assert!(
        without_token.stderr.contains("sysmon tokens create"),
        "{without_token:?}"
    );
    let plain = once(
        &home,
        &format!("http://localhost:{port}"),
        &["--token-file", "viewer"],
    )
    .await;
    assert_eq!(plain.code, Some(2), "{plain:?}");
    assert!(plain.stderr.contains("https"), "{plain:?}");

    let healthy = finish(&mut home.sysmon(&["health", &url, "--tls-ca", "ca.pem"])).await;
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
}
