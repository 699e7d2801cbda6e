//! The admin path.

use crate::{
    server::Shared,
    wire::{Answer, Request},
};

/// Answers a request under `/_fakeaws/`.
pub(crate) fn over_http(_world: &Shared, _command: &str, _request: &Request) -> Answer {
    Answer { status: 404, headers: Vec::new(), body: Vec::new() }
}
