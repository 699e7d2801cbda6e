//! Keys and certificates of one control plane: made anew every time, valid on loopback only.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::error::{Context as _, Result};

/// Files that etcd, kube-apiserver and kubeconfigs name.
#[derive(Debug)]
pub(crate) struct Pki {
    /// The authority that signed all certificates.
    pub(crate) authority: PathBuf,
    /// The certificate of both servers; etcd also checks it as a client's.
    pub(crate) server: Identity,
    /// A client in the group `system:masters`.
    pub(crate) admin: Identity,
    /// What service-account tokens are signed with.
    pub(crate) token_key: PathBuf,
    /// What they are checked with.
    pub(crate) token_public_key: PathBuf,
}

/// A certificate and its private key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pki {
    /// Makes everything in `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let authority = authority()?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut server = CertificateParams::new(names).context("server certificate")?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        let mut admin = CertificateParams::default();
        admin.distinguished_name.push(DnType::CommonName, "admin");
        // The group that kube-apiserver's built-in ClusterRoleBinding makes cluster-admin.
        admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
        let tokens = KeyPair::generate().context("service-account key")?;
        Ok(Self {
            authority: write(folder, "ca.crt", &authority.pem())?,
            server: signed(folder, "server", server, &authority)?,
            admin: signed(folder, "admin", admin, &authority)?,
            token_key: write(folder, "service-account.key", &tokens.serialize_pem())?,
            token_public_key: write(folder, "service-account.pub", &tokens.public_key_pem())?,
        })
    }
}

/// An authority that nobody trusts yet.
pub(crate) fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "crossinvoke-tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate().context("authority key")?;
    CertifiedIssuer::self_signed(params, key).context("authority certificate")
}

fn signed(
    folder: &Path,
    name: &str,
    mut params: CertificateParams,
    authority: &CertifiedIssuer<'_, KeyPair>,
) -> Result<Identity> {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate().context(format_args!("{name} key"))?;
    let certificate = params.signed_by(&key, authority).context(format_args!("{name} certificate"))?;
    Ok(Identity {
        certificate: write(folder, &format!("{name}.crt"), &certificate.pem())?,
        key: write(folder, &format!("{name}.key"), &key.serialize_pem())?,
    })
}

/// The folder is private to this user (`tempfile` makes it so), so the keys need no mode of their own.
fn write(folder: &Path, name: &str, content: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, content).context(format_args!("writing {}", path.display()))?;
    Ok(path)
}
