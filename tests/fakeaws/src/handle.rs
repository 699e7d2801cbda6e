//! A double in this process.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{net::TcpListener, task::JoinHandle};

use crate::{admin::Admin, server, snapshot::Seed, state::World};

/// A running double. It stops, and closes its connections, when this is dropped.
#[derive(Debug)]
pub struct FakeAws {
    address: SocketAddr,
    admin: Admin,
    server: JoinHandle<std::convert::Infallible>,
}

impl FakeAws {
    /// Starts a double on a free loopback port, served by the current Tokio runtime.
    ///
    /// # Errors
    /// If no port can be had, or the seed describes what AWS could not hold (the text says where).
    pub async fn start(seed: Seed) -> io::Result<Self> {
        Self::start_at(seed, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// The same on an address of your choice.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_at(seed: Seed, address: SocketAddr) -> io::Result<Self> {
        let world = World::from_seed(seed).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let world = Arc::new(Mutex::new(world));
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(server::serve(listener, Arc::clone(&world)));
        Ok(Self { address, admin: Admin::in_process(world), server })
    }

    /// What goes into `AWS_ENDPOINT_URL`: `http://127.0.0.1:port`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The handle on its state, knobs and log.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }
}

impl Drop for FakeAws {
    fn drop(&mut self) {
        self.server.abort();
    }
}
