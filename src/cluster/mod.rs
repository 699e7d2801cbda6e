//! The edge to Kubernetes: how objects are decoded, and whether their kind goes, what a watch brings and what of it is
//! news.

pub mod decoded;
pub mod digest;
pub mod kind;
pub mod watch;

pub use decoded::{Decoded, Undecodable};
