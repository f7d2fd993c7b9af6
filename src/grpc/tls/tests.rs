#![expect(clippy::unwrap_used, reason = "a test says what it expects")]

use std::{fs, os::unix::fs::symlink, path::Path};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rstest::rstest;
use tempfile::TempDir;

use super::*;

/// Certificate and key for the end of a year.
fn pair(year: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 12, 31);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn write(folder: &Path, (certificate, key): &(String, String)) {
    fs::write(folder.join("tls.crt"), certificate).unwrap();
    fs::write(folder.join("tls.key"), key).unwrap();
}

fn settings(folder: &Path) -> TlsSettings {
    TlsSettings {
        cert_file: folder.join("tls.crt"),
        key_file: folder.join("tls.key"),
        client_ca_file: None,
        tls13_only: false,
    }
}

fn load(folder: &Path) -> Result<Tls, TlsError> {
    Tls::load(&settings(folder), ClientCertificates::Optional)
}

fn year(tls: &Tls) -> u16 {
    let end = tls.expiries().first().unwrap().not_after.to_string();
    end[..4].parse().unwrap()
}

#[test]
fn files_are_replaced_one_after_the_other() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (pair(2090), pair(2091));
    write(folder.path(), &old);
    let tls = load(folder.path()).unwrap();
    assert_eq!(year(&tls), 2090);
    assert_eq!(tls.refresh(), Refreshed::Unchanged);
    fs::write(folder.path().join("tls.crt"), &new.0).unwrap();
    assert_eq!(tls.refresh(), Refreshed::Unchanged);
    fs::write(folder.path().join("tls.key"), &new.1).unwrap();
    assert_eq!(tls.refresh(), Refreshed::Unchanged);
    assert_eq!(year(&tls), 2090);
    assert_eq!(tls.refresh(), Refreshed::Replaced);
    assert_eq!(year(&tls), 2091);
    assert_eq!(tls.refresh(), Refreshed::Unchanged);
}

#[test]
fn a_swapped_symbolic_link_is_a_change() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (version, year) in [("v1", 2090), ("v2", 2091)] {
        fs::create_dir(path(version)).unwrap();
        write(&path(version), &pair(year));
    }
    symlink("v1", path("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(file), path(file)).unwrap();
    }
    let tls = load(folder.path()).unwrap();
    assert_eq!(year(&tls), 2090);
    symlink("v2", path("..data_tmp")).unwrap();
    fs::rename(path("..data_tmp"), path("..data")).unwrap();
    assert_eq!(tls.refresh(), Refreshed::Unchanged);
    assert_eq!(tls.refresh(), Refreshed::Replaced);
    assert_eq!(year(&tls), 2091);
}

#[test]
fn a_bad_set_keeps_the_old_one_and_is_told_once() {
    let folder = TempDir::new().unwrap();
    let good = pair(2090);
    write(folder.path(), &good);
    let tls = load(folder.path()).unwrap();
    let refused = |key, message: &str| Refreshed::Refused(TlsError::new(key, message));
    for (bad, expected) in [
        (
            (pair(2091).0, good.1.clone()),
            refused("key_file", "is not the key of the certificate"),
        ),
        (
            (String::new(), good.1.clone()),
            refused("cert_file", "holds no certificate"),
        ),
        (pair(2001), refused("cert_file", "has expired")),
    ] {
        write(folder.path(), &bad);
        assert_eq!(tls.refresh(), Refreshed::Unchanged);
        assert_eq!(tls.refresh(), expected);
        assert_eq!(tls.refresh(), Refreshed::Unchanged);
        assert_eq!(year(&tls), 2090);
    }
    fs::remove_file(folder.path().join("tls.crt")).unwrap();
    assert_eq!(tls.refresh(), Refreshed::Unchanged);
    let gone = refused("cert_file", "cannot be read: entity not found");
    assert_eq!(tls.refresh(), gone);
    write(folder.path(), &pair(2092));
    assert_eq!(tls.refresh(), Refreshed::Unchanged);
    assert_eq!(tls.refresh(), Refreshed::Replaced);
    assert_eq!(year(&tls), 2092);
}

#[rstest]
#[case("tls.crt", "cert_file", "is not PEM")]
#[case("tls.key", "key_file", "holds no private key in PEM")]
fn nothing_starts_with_files_that_cannot_be_used(
    #[case] file: &str,
    #[case] key: &str,
    #[case] message: &str,
) {
    let folder = TempDir::new().unwrap();
    write(folder.path(), &pair(2090));
    fs::write(folder.path().join(file), "-----BEGIN NOTHING-----\n").unwrap();
    let error = load(folder.path()).err().unwrap();
    assert_eq!((error.key, error.message.as_str()), (key, message));
}

#[test]
fn the_first_end_of_a_file_counts() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), &pair(2090));
    let ca = format!("{}{}", pair(2095).0, pair(2093).0);
    fs::write(folder.path().join("ca.crt"), ca).unwrap();
    let settings = TlsSettings {
        client_ca_file: Some(folder.path().join("ca.crt")),
        ..settings(folder.path())
    };
    let tls = Tls::load(&settings, ClientCertificates::Required).unwrap();
    let ends: Vec<_> = tls
        .expiries()
        .into_iter()
        .map(|it| (it.file, it.not_after.to_string()))
        .collect();
    assert_eq!(
        ends,
        [
            (settings.cert_file, "2090-12-31T00:00:00Z".to_owned()),
            (
                folder.path().join("ca.crt"),
                "2093-12-31T00:00:00Z".to_owned()
            ),
        ]
    );
}
