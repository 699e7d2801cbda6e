//! The edge to Kubernetes: how objects are decoded.

pub mod decoded;

pub use decoded::{Decoded, Undecodable};
