//! The certificate for TLS: the user's, or one that Eyrie makes itself.

use super::secret;
use crate::{config, net::Identity};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use std::{error::Error, fmt::Display, fs, io, path::Path};

const CERTIFICATE_FILE: &str = "tls-cert.pem";
const KEY_FILE: &str = "tls-key.pem";

/// The certificate and key of the config, read anew; without them those made at the first start, kept in `state_dir`.
///
/// # Errors
/// A file cannot be read, holds something else, or cannot be made; the text names it.
pub fn identity(tls: &config::Tls, state_dir: &Path) -> io::Result<Identity> {
    match (&tls.cert, &tls.key) {
        (Some(certificate), Some(key)) => of_files(certificate, key),
        // The checker lets neither of them stand alone.
        _ => made(state_dir),
    }
}

fn of_files(certificate: &Path, key: &Path) -> io::Result<Identity> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(certificate, error))?;
    if chain.is_empty() {
        return Err(unreadable(certificate, pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
    Identity::new(chain, private)
        .map_err(|error| named(key, format!("does not go with the certificate {}: {error}", certificate.display())))
}

fn made(state_dir: &Path) -> io::Result<Identity> {
    let (certificate, key) = (state_dir.join(CERTIFICATE_FILE), state_dir.join(KEY_FILE));
    if !certificate.exists() || !key.exists() {
        let (certificate_pem, key_pem) = make_pair().map_err(io::Error::other)?;
        // The certificate goes first and comes last: where there is one, the key is its own.
        let _ = fs::remove_file(&certificate);
        for (file, text) in [(&key, &key_pem), (&certificate, &certificate_pem)] {
            match secret::write(state_dir, file, text) {
                Err(error) if config::is_full(&error) => {
                    let error = named(file, error);
                    tracing::error!("the certificate is another one after each start until it can be kept: {error}");
                    return of_texts(&certificate_pem, &key_pem).map_err(io::Error::other);
                }
                result => result.map_err(|error| named(file, error))?,
            }
        }
    }
    of_files(&certificate, &key)
}

fn of_texts(certificate: &str, key: &str) -> Result<Identity, Box<dyn Error + Send + Sync>> {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
    Ok(Identity::new(chain, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?)
}

/// A self-signed certificate and its key, as PEM. It is valid from 2000 to the end of 2099, for boards wake without a
/// clock.
fn make_pair() -> Result<(String, String), rcgen::Error> {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let is_name = |name: &String| {
        !name.is_empty()
            && name.len() < 64
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    let mut names = vec!["localhost".to_owned()];
    if let Some(host) = host.filter(is_name) {
        names.extend([format!("{host}.local"), host]);
    }
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name.push(DnType::CommonName, "Eyrie");
    parameters.not_before = date_time_ymd(2000, 1, 1);
    parameters.not_after = date_time_ymd(2099, 12, 31);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    Ok((parameters.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn unreadable(file: &Path, error: pem::Error) -> io::Error {
    match error {
        pem::Error::Io(error) => named(file, error),
        pem::Error::NoItemsFound => named(file, "holds none of what is looked for; expected PEM, `-----BEGIN …`"),
        error => named(file, format!("is no PEM file: {error}")),
    }
}

fn named(file: &Path, what: impl Display) -> io::Error {
    io::Error::other(format!("{}: {what}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_made_pair_is_kept_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("deep/state");
        let first = identity(&config::Tls::default(), &state_dir).unwrap().fingerprint;
        assert_eq!(identity(&config::Tls::default(), &state_dir).unwrap().fingerprint, first);
        for file in [CERTIFICATE_FILE, KEY_FILE] {
            assert_eq!(fs::metadata(state_dir.join(file)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // A power cut between the two files.
        fs::remove_file(state_dir.join(CERTIFICATE_FILE)).unwrap();
        assert_ne!(identity(&config::Tls::default(), &state_dir).unwrap().fingerprint, first);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let (certificate, key) = make_pair().unwrap();
        let (other, _) = make_pair().unwrap();
        let (certificate, key) = (write("cert", &certificate), write("key", &key));
        let (other, empty) = (write("other", &other), write("empty", ""));
        let absent = folder.path().join("absent");
        for (cert, key, expected) in [
            (&absent, &key, "absent: No such file"),
            (&certificate, &absent, "absent: No such file"),
            (&empty, &key, "empty: holds none"),
            (&key, &key, "key: holds none"),
            (&certificate, &empty, "empty: holds none"),
            (&certificate, &certificate, "cert: holds none"),
            (&other, &key, "key: does not go with the certificate"),
        ] {
            let tls = config::Tls { cert: Some(cert.clone()), key: Some(key.clone()) };
            let error = identity(&tls, folder.path()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} ≠ {expected}");
        }
        assert!(identity(&config::Tls { cert: Some(certificate), key: Some(key) }, folder.path()).is_ok());
    }
}
