//! A double in this process.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    admin::Admin,
    executor,
    server::{self, Shared},
    snapshot::Seed,
    state::World,
};

/// A running double. It stops, closes its connections and kills its functions' processes when this is dropped.
#[derive(Debug)]
pub struct FakeAws {
    address: SocketAddr,
    world: Shared,
    admin: Admin,
    server: JoinHandle<std::convert::Infallible>,
    executor: JoinHandle<std::convert::Infallible>,
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
        let executor = tokio::spawn(executor::run(Arc::clone(&world), format!("http://{address}")));
        Ok(Self { address, admin: Admin::in_process(Arc::clone(&world)), world, server, executor })
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

    /// Waits until every function that was invoked has ended and no pipeline can go on by itself: what is left waits
    /// for a call, for an admin command or for time to pass. Over HTTP this is `GET /_fakeaws/settled`.
    pub async fn settled(&self) {
        executor::settled(&self.world).await;
    }
}

impl Drop for FakeAws {
    fn drop(&mut self) {
        self.server.abort();
        self.executor.abort();
    }
}
