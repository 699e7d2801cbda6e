//! AWS behind an endpoint of one's own: a port that speaks TLS, with a certificate that only a private authority vouches for.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    error::{Context as _, Error, Result},
    pki,
};

/// Passes on what it decrypts. It ends when this is dropped.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    authority: PathBuf,
    connections: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl TlsFront {
    /// Starts one in front of an endpoint `http://HOST:PORT`, whose certificate is for `name`; the authority's is written
    /// into `folder`.
    ///
    /// # Errors
    /// If no certificate can be made, or no port is free.
    pub async fn start(folder: &Path, endpoint: &str, name: &str) -> Result<Self> {
        let behind =
            endpoint.strip_prefix("http://").ok_or_else(|| Error::new(format!("{endpoint} is not http://")))?;
        let (issuer, key) = (pki::authority()?, KeyPair::generate().context("a key")?);
        let params = CertificateParams::new(vec![name.to_owned()]).context("a certificate")?;
        let certificate = params.signed_by(&key, &issuer).context("a certificate")?;
        let authority = folder.join("tls-front-authority.pem");
        std::fs::write(&authority, issuer.pem()).context(format_args!("writing {}", authority.display()))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key))
            .context("a TLS server")?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port")?;
        let address = listener.local_addr().context("a port")?;
        let connections = Arc::<AtomicUsize>::default();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = tokio::spawn(serve(listener, acceptor, behind.to_owned(), connections.clone()));
        Ok(Self { address, authority, connections, server })
    }

    /// Where it is asked.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often somebody has connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The file with the authority's certificate.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.authority
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: String, connections: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        let (acceptor, behind) = (acceptor.clone(), behind.clone());
        // Whoever does not trust the certificate ends the connection; that is the test's business.
        tokio::spawn(async move {
            if let Ok(mut stream) = acceptor.accept(stream).await
                && let Ok(mut answers) = TcpStream::connect(behind).await
            {
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut answers).await;
            }
        });
    }
}
