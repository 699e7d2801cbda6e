//! The API server behind a port of one's own, where requests and answers can be kept waiting: a list between two pages, a
//! watch that tells nothing any more while it stays open.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use crate::error::{Context as _, Error, Result};

/// What is kept waiting.
#[derive(Clone, Debug, Default)]
enum Kept {
    #[default]
    Nothing,
    /// Requests whose first line holds all of these.
    Requests(Vec<String>),
    /// The answers to such requests.
    Answers(Vec<String>),
}

impl Kept {
    fn keeps(&self, line: &str, answers: bool) -> bool {
        let (Self::Requests(parts) | Self::Answers(parts)) = self else { return false };
        matches!(self, Self::Answers(_)) == answers && parts.iter().all(|part| line.contains(part))
    }
}

#[derive(Debug, Default)]
struct State {
    kept: Kept,
    /// What has waited since the last release.
    waiting: usize,
    /// How often everything was released: who waits goes on even if more is kept at once.
    releases: usize,
}

/// Passes on what it is asked, without TLS on its own side. It ends when this is dropped.
#[derive(Debug)]
pub struct ApiFront {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    server: JoinHandle<()>,
}

impl ApiFront {
    /// Starts one in front of `https://HOST:PORT`, whose certificate this authority vouches for.
    ///
    /// # Errors
    /// If the authority cannot be read, or no port is free.
    pub async fn start(server: &str, authority: &Path) -> Result<Self> {
        let behind = server.strip_prefix("https://").ok_or_else(|| Error::new(format!("{server} is not https://")))?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).context("the authority")?).context("the authority")?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .context("a TLS client")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port")?;
        let address = listener.local_addr().context("a port")?;
        let state = Arc::<watch::Sender<State>>::default();
        let connector = TlsConnector::from(Arc::new(config));
        let server = tokio::spawn(serve(listener, connector, behind.to_owned(), state.clone()));
        Ok(Self { address, state, server })
    }

    /// Where it is asked.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on requests wait whose first line holds all of these.
    pub fn keep_requests(&self, parts: &[&str]) {
        self.keep(Kept::Requests(parts.iter().map(|part| (*part).to_owned()).collect()));
    }

    /// From now on answers wait to requests whose first line holds all of these.
    pub fn keep_answers(&self, parts: &[&str]) {
        self.keep(Kept::Answers(parts.iter().map(|part| (*part).to_owned()).collect()));
    }

    /// Lets everything go on.
    pub fn release(&self) {
        self.state.send_modify(|state| {
            *state = State { releases: state.releases + 1, ..State::default() };
        });
    }

    /// How many requests and answers wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state.borrow().waiting
    }

    fn keep(&self, kept: Kept) {
        self.state.send_modify(|state| state.kept = kept);
    }
}

impl Drop for ApiFront {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, connector: TlsConnector, behind: String, state: Arc<watch::Sender<State>>) {
    while let Ok((client, _)) = listener.accept().await {
        let (connector, behind, state) = (connector.clone(), behind.clone(), state.clone());
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(&behind).await else { return };
            let host = behind.split(':').next().unwrap_or_default().to_owned();
            let Ok(name) = ServerName::try_from(host) else { return };
            let Ok(server) = connector.connect(name, server).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = tokio::io::split(server);
            let line = Arc::new(Mutex::new(String::new()));
            // Whoever ends first ends both.
            tokio::select! {
                () = pass_on(from_client, to_server, &line, &state, false) => {}
                () = pass_on(from_server, to_client, &line, &state, true) => {}
            }
        });
    }
}

/// Passes on one side of a connection. Of HTTP/1.1 a connection has one request at a time.
async fn pass_on(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    line: &Mutex<String>,
    state: &watch::Sender<State>,
    answers: bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let chunk = &buffer[..read];
        if !answers && let Some(first) = request_line(chunk) {
            *line.lock().unwrap_or_else(PoisonError::into_inner) = first;
        }
        let line = line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut released = None;
        state.send_if_modified(|state| {
            if state.kept.keeps(&line, answers) {
                state.waiting += 1;
                released = Some(state.releases + 1);
            }
            false
        });
        if let Some(released) = released
            && state.subscribe().wait_for(|state| state.releases >= released).await.is_err()
        {
            return;
        }
        if to.write_all(chunk).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

/// The first line of a request, where a chunk begins with one.
fn request_line(chunk: &[u8]) -> Option<String> {
    let methods = ["GET ", "POST ", "PUT ", "PATCH ", "DELETE "];
    let is_request = methods.iter().any(|method| chunk.starts_with(method.as_bytes()));
    let end = chunk.iter().position(|byte| *byte == b'\r')?;
    is_request.then(|| String::from_utf8_lossy(&chunk[..end]).into_owned())
}
