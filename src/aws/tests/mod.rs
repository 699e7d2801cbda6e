//! The adapter over the real wire.
