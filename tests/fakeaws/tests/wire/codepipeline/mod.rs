//! CodePipeline over the wire.
#![allow(clippy::doc_markdown, reason = "CodePipeline is a name")]

mod access;
mod declarations;
mod executions;
mod namespaces;
mod places;
mod protocols;
mod structure;
mod support;
mod today;
mod versions;
