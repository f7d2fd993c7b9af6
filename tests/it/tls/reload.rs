//! Certificates that change while the service runs.

use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;
use tonic::Code;

use super::versions::service;
use crate::service_process::{Authority, ServiceProcess, tls_section, told};

const REPLACED: &str = "new TLS certificates are in use";
const REFUSED: &str = "new TLS certificates cannot be used";

#[tokio::test]
async fn open_connections_go_on_and_new_ones_see_the_new_certificate() {
    let (process, old) = service("");
    let before = process.trusting(&old).await;
    assert!(before.verify().await.is_ok());
    let new = Authority::new();
    new.issue(&["localhost"]).write(&process.folder);
    process.says(REPLACED, 1).await;
    assert!(before.card_info().await.is_ok());
    let after = process.trusting(&new).await;
    assert!(after.verify().await.is_ok());
    assert!(process.connect(old.trusted()).await.is_err());
    assert!(before.verify().await.is_ok());
}

#[tokio::test]
async fn a_bad_set_is_told_once_and_changes_nothing() {
    let (process, authority) = service("");
    let strange = Authority::new().issue(&["localhost"]);
    fs::write(process.folder.path().join("tls.key"), strange.key).unwrap();
    process.says(REFUSED, 1).await;
    // several looks later it is still the one line
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(process.printed().matches(REFUSED).count(), 1);
    assert!(process.trusting(&authority).await.verify().await.is_ok());
    let next = Authority::new();
    next.issue(&["localhost"]).write(&process.folder);
    process.says(REPLACED, 1).await;
    assert!(process.trusting(&next).await.verify().await.is_ok());
}

#[tokio::test]
async fn client_authorities_come_and_go_by_a_swapped_symbolic_link() {
    let folder = TempDir::new().unwrap();
    let (server, old, new) = (Authority::new(), Authority::new(), Authority::new());
    server.issue(&["localhost"]).write(&folder);
    let settings = tls_section(&folder, Some(&old), "")
        + "[auth]\nmode = \"mtls\"\n[clients.shop]\nsan = [\"shop.svc\"]\n";
    let path = |name: &str| folder.path().join(name);
    for (version, authority) in [("v1", &old), ("v2", &new)] {
        fs::create_dir(path(version)).unwrap();
        fs::write(path(version).join("client-ca.crt"), authority.pem()).unwrap();
    }
    fs::remove_file(path("client-ca.crt")).unwrap();
    symlink("v1", path("..data")).unwrap();
    symlink(Path::new("..data/client-ca.crt"), path("client-ca.crt")).unwrap();
    symlink("v2", path("..data_tmp")).unwrap();
    let (from, to) = (path("..data_tmp"), path("..data"));
    let process = ServiceProcess::start(folder, &settings);
    let shop = |authority: &Authority| server.trusted_by(&authority.issue(&["shop.svc"]));
    let before = process.connect(shop(&old)).await.unwrap();
    assert!(before.verify().await.is_ok());
    fs::rename(from, to).unwrap();
    process.says(REPLACED, 1).await;
    assert!(before.verify().await.is_ok());
    let after = process.connect(shop(&new)).await.unwrap();
    assert!(after.verify().await.is_ok());
    let gone = match process.connect(shop(&old)).await {
        Err(_) => None,
        Ok(client) => client.verify().await.ok(),
    };
    assert!(gone.is_none());
    let nobody = process.trusting(&server).await;
    let missing = (Code::Unauthenticated, "CREDENTIALS_MISSING".to_owned());
    assert_eq!(told(nobody.verify().await), missing);
}
