//! Addresses, certificates, tokens, deadlines and health.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rstest::rstest;
use tempfile::TempDir;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::{
    CARD, command, run, run_with,
    server::{Script, Server},
};

const QUESTION: &str = r#"{"bank_card": "622202"}"#;

/// A port at which nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

fn write_private(path: &str, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(Path::new(path), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_server_that_is_not_there_is_an_error_with_its_address() {
    let url = format!("http://127.0.0.1:{}", closed_port());
    let told = run_with(&["card-info", "--addr", &url], QUESTION);
    assert_eq!((told.code, told.stdout.as_str()), (2, ""));
    let expected = format!("error: cannot connect to {url}: Connection refused");
    assert!(told.stderr.starts_with(&expected), "{}", told.stderr);
    let told = run_with(&["card-info", "--json", "--addr", &url], QUESTION);
    assert_eq!((told.code, told.stderr.as_str()), (2, ""));
    let message = told.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("Connection refused"), "{message}");
}

#[test]
fn nobody_waits_longer_than_told() {
    let server = Server::start(Script {
        silent: true,
        ..Script::default()
    });
    let question = format!(r#"{{"bank_card": "{CARD}", "name": "Wei"}}"#);
    let told = run_with(
        &["verify", "--timeout", "200ms", "--addr", &server.url()],
        &question,
    );
    let expected = "error: no answer within 200ms; the question may still be under way\n";
    assert_eq!((told.code, told.stderr.as_str()), (2, expected));
}

#[test]
fn a_listener_that_says_nothing_does_not_hold_the_program() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let told = run_with(
        &["card-info", "--timeout", "200ms", "--addr", &url],
        QUESTION,
    );
    assert_eq!(told.code, 2);
    assert!(told.stderr.starts_with("error: "), "{}", told.stderr);
}

/// A certificate authority, and a server and a client that it vouches for.
struct Certificates {
    folder: TempDir,
    ca: String,
    server: Identity,
}

impl Certificates {
    fn issue() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (
                params.signed_by(&key, &ca).unwrap().pem(),
                key.serialize_pem(),
            )
        };
        let folder = TempDir::new().unwrap();
        let (server_cert, server_key) = issue("localhost");
        let (client_cert, client_key) = issue("shop");
        fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        fs::write(folder.path().join("client.pem"), client_cert).unwrap();
        write_private(&path(&folder, "client.key"), &client_key);
        Self {
            ca: ca.pem(),
            server: Identity::from_pem(server_cert, server_key),
            folder,
        }
    }

    fn path(&self, name: &str) -> String {
        path(&self.folder, name)
    }
}

#[test]
fn the_server_s_certificate_is_checked_against_the_given_authority() {
    let certificates = Certificates::issue();
    let tls = ServerTlsConfig::new().identity(certificates.server.clone());
    let server = Server::start_with(Script::default(), Some(tls));
    let url = format!("https://localhost:{}", server.port);
    let ca = certificates.path("ca.pem");

    let told = run_with(&["card-info", "--addr", &url, "--ca", &ca], QUESTION);
    assert_eq!((told.code, told.stderr.as_str()), (1, ""));
    assert_eq!(server.asked().card_info.unwrap().bank_card, "622202");

    let stranger = Certificates::issue();
    let told = run_with(
        &[
            "card-info",
            "--addr",
            &url,
            "--ca",
            &stranger.path("ca.pem"),
        ],
        QUESTION,
    );
    assert_eq!(told.code, 2);
    assert!(
        told.stderr.contains("invalid peer certificate"),
        "{}",
        told.stderr
    );
    assert!(server.asked().card_info.is_none());

    let other_name = format!("https://127.0.0.1:{}", server.port);
    let told = run_with(&["card-info", "--addr", &other_name, "--ca", &ca], QUESTION);
    assert_eq!(told.code, 2);
    assert!(
        told.stderr.contains("invalid peer certificate"),
        "{}",
        told.stderr
    );
}

#[test]
fn the_client_shows_its_own_certificate() {
    let certificates = Certificates::issue();
    let tls = ServerTlsConfig::new()
        .identity(certificates.server.clone())
        .client_ca_root(Certificate::from_pem(&certificates.ca));
    let server = Server::start_with(Script::default(), Some(tls));
    let url = format!("https://localhost:{}", server.port);
    let ca = certificates.path("ca.pem");
    let (cert, key) = (
        certificates.path("client.pem"),
        certificates.path("client.key"),
    );

    let told = run_with(
        &[
            "card-info",
            "--addr",
            &url,
            "--ca",
            &ca,
            "--cert",
            &cert,
            "--key",
            &key,
        ],
        QUESTION,
    );
    assert_eq!((told.code, told.stderr.as_str()), (1, ""));
    assert!(server.asked().card_info.is_some());

    let told = run_with(&["card-info", "--addr", &url, "--ca", &ca], QUESTION);
    assert_eq!(told.code, 2);
    assert!(server.asked().card_info.is_none());
}

#[test]
fn certificates_are_not_silently_left_unused() {
    let certificates = Certificates::issue();
    let told = run_with(
        &[
            "card-info",
            "--addr",
            "http://127.0.0.1:1",
            "--ca",
            &certificates.path("ca.pem"),
        ],
        QUESTION,
    );
    assert_eq!(told.code, 2);
    assert_eq!(told.stderr, "error: certificates need an https address\n");
    let told = run_with(
        &[
            "card-info",
            "--addr",
            "https://127.0.0.1:1",
            "--ca",
            &certificates.path("none.pem"),
        ],
        QUESTION,
    );
    assert_eq!(told.code, 2);
    assert!(
        told.stderr.starts_with("error: cannot read the CA file"),
        "{}",
        told.stderr
    );
}

#[test]
fn the_token_is_sent_and_never_shown() {
    let folder = TempDir::new().unwrap();
    let file = path(&folder, "token");
    write_private(&file, "hunter2-hunter2\n");
    let server = Server::start(Script::default());
    let arguments = ["card-info", "--addr", &server.url(), "--token-file", &file];
    let told = run_with(&arguments, QUESTION);
    assert_eq!((told.code, told.stderr.as_str()), (1, ""));
    let metadata = server.asked().metadata;
    assert_eq!(
        metadata.get("authorization").unwrap(),
        "Bearer hunter2-hunter2"
    );

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let told = run_with(&arguments, QUESTION);
    assert_eq!(told.code, 1);
    assert!(
        told.stderr.starts_with("warning: the token file"),
        "{}",
        told.stderr
    );
    assert!(told.stderr.contains("can be read by every user"));

    for (text, complaint) in [
        (" \n", "error: the token file is empty\n"),
        (
            "hunter2\u{7f}x",
            "error: the token has characters other than printable ASCII\n",
        ),
    ] {
        write_private(&file, text);
        let told = run_with(&arguments, QUESTION);
        assert_eq!((told.code, told.stderr.as_str()), (2, complaint));
    }
}

#[rstest]
#[case::server("", "SERVING\n", 0)]
#[case::draining("readiness", "NOT_SERVING\n", 1)]
#[case::nobody("nobody", "SERVICE_UNKNOWN\n", 1)]
fn health_is_one_word_and_an_exit_code(
    #[case] service: &str,
    #[case] line: &str,
    #[case] code: i32,
) {
    let server = Server::start(Script::default());
    let told = run(&["healthcheck", "--addr", &server.url(), "--service", service]);
    assert_eq!(
        (told.code, told.stdout.as_str(), told.stderr.as_str()),
        (code, line, "")
    );
}

#[test]
fn nobody_there_is_not_healthy_and_not_2() {
    let url = format!("http://127.0.0.1:{}", closed_port());
    let told = run(&["healthcheck", "--addr", &url]);
    assert_eq!((told.code, told.stdout.as_str()), (1, ""));
    assert_eq!(told.stderr.lines().count(), 1, "{}", told.stderr);
}

#[test]
fn the_admin_port_of_the_configuration_is_asked_when_no_address_is_given() {
    let server = Server::start(Script::default());
    let folder = TempDir::new().unwrap();
    let file = path(&folder, "cardproof.toml");
    let listen = format!("127.0.0.1:{}", server.port);
    fs::write(&file, format!("[server]\nadmin_listen = \"{listen}\"\n")).unwrap();
    let told = run(&["healthcheck", "--config", &file]);
    assert_eq!((told.code, told.stdout.as_str()), (0, "SERVING\n"));
    let told = run(&["--config", &file, "healthcheck"]);
    assert_eq!((told.code, told.stdout.as_str()), (0, "SERVING\n"));

    let output = command(&["healthcheck"])
        .env("CARDPROOF__SERVER__ADMIN_LISTEN", &listen)
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"SERVING\n");

    fs::write(&file, "[server]\nadmin_listen = 7\n").unwrap();
    let told = run(&["healthcheck", "--config", &file]);
    assert_eq!((told.code, told.stdout.as_str()), (1, ""));
    assert!(
        told.stderr.contains("check-config tells why"),
        "{}",
        told.stderr
    );
}
