//! What a handler looks at: a website on loopback over TLS, with a certificate that only the handler trusts.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// What every path of a website answers.
#[derive(Clone, Debug)]
pub enum Page {
    /// This status and text.
    Text(StatusCode, String),
    /// A redirect to this address.
    Redirect(String),
    /// One byte of a page now and then, for ever.
    Drip,
}

/// One request that was made of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// The path.
    pub path: String,
    /// The header `Idempotency-Key`.
    pub key: Option<String>,
}

/// A website. It ends when this is dropped.
#[derive(Debug)]
pub struct Website {
    address: SocketAddr,
    certificate: PathBuf,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    page: Page,
    asked: Vec<Asked>,
}

impl Website {
    /// Starts one on a free port; its certificate is written into `folder`.
    ///
    /// # Errors
    /// Says what could not be made.
    pub async fn start(folder: &Path, page: Page) -> Result<Self, String> {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]);
        let made = made.map_err(|error| format!("a certificate: {error}"))?;
        let certificate = folder.join("website.pem");
        std::fs::write(&certificate, made.cert.pem()).map_err(|error| format!("{}: {error}", certificate.display()))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key))
            .map_err(|error| format!("a TLS server: {error}"))?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("a port: {error}"))?;
        let address = listener.local_addr().map_err(|error| format!("a port: {error}"))?;
        let shared = Arc::new(Mutex::new(Shared { page, asked: Vec::new() }));
        let server = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&shared)));
        Ok(Self { address, certificate, shared, server })
    }

    /// The URL of a path of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The file with the certificate that a handler must trust.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Answers this from now on.
    pub fn answer(&self, page: Page) {
        lock(&self.shared).page = page;
    }

    /// What it was asked for so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared).asked.clone()
    }
}

impl Drop for Website {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Mutex<Shared>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        // Whoever does not trust the certificate ends the connection; that is the test's business.
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let drips = matches!(lock(&shared).page, Page::Drip);
                if drips { drip(stream).await } else { answer(stream, shared).await }
            }
        });
    }
}

async fn answer(stream: TlsStream<TcpStream>, shared: Arc<Mutex<Shared>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&mut lock(&shared), &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn respond(shared: &mut Shared, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    shared.asked.push(Asked { path: request.uri().path().to_owned(), key });
    let mut response = Response::new(Full::default());
    match &shared.page {
        Page::Text(status, text) => {
            *response.status_mut() = *status;
            *response.body_mut() = Full::from(text.clone());
        }
        Page::Redirect(to) => {
            *response.status_mut() = StatusCode::FOUND;
            if let Ok(to) = to.parse() {
                response.headers_mut().insert(header::LOCATION, to);
            }
        }
        Page::Drip => {}
    }
    response
}

/// Each byte comes long before a time-out of a socket, which begins again with it.
#[allow(clippy::disallowed_methods, reason = "a slow server is one that waits")]
async fn drip(mut stream: TlsStream<TcpStream>) {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
    let mut next = head.as_bytes().to_vec();
    while stream.write_all(&next).await.is_ok() && stream.flush().await.is_ok() {
        next = b".".to_vec();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // Nothing is left half done under it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
