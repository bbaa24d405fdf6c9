//! Certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use polyport_wire::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;
use crate::error::Error;
use crate::folder::{Folder, write_private};

/// Reads or makes the certificate of a listener.
pub(crate) fn acceptor(tls: &Tls, folder: Option<&Folder>) -> Result<TlsAcceptor, Error> {
    let (certificate, key) = match tls {
        Tls::Files { certificate, key } => (certificate.clone(), key.clone()),
        Tls::SelfSigned(_) => {
            let folder = folder.ok_or_else(|| {
                Error::new("tls = \"self-signed\" needs a data folder to keep the certificate in")
                    .hint("set `data`, or name files: tls = { certificate = \"…\", key = \"…\" }")
            })?;
            self_signed(folder)?
        }
    };
    load(&certificate, &key)
}

fn load(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let bad = |path: &Path, error: &dyn std::fmt::Display| {
        Error::new(format!("{}: {error}", path.display()))
            .hint("the certificate and its key are PEM files")
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| bad(certificate, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A certificate for this machine's own names, made once and kept in the data folder.
fn self_signed(folder: &Folder) -> Result<(PathBuf, PathBuf), Error> {
    let (certificate, key) = (folder.path("tls.crt"), folder.path("tls.key"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|error| Error::new(format!("cannot make a certificate: {error}")))?;
    write_private(&key, made.signing_key.serialize_pem().as_bytes())?;
    write_private(&certificate, made.cert.pem().as_bytes())?;
    Ok((certificate, key))
}
