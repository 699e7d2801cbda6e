//! The edge to Kubernetes: how objects are decoded, and whether their kind goes.

pub mod decoded;
pub mod kind;

pub use decoded::{Decoded, Undecodable};
