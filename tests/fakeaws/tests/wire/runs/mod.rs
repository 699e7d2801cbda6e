//! Pipelines that run: through stages, into functions of other accounts, and back.
#![allow(clippy::doc_markdown, reason = "CodePipeline is a name")]

mod approvals;
mod callbacks;
mod clocks;
mod conditions;
mod events;
mod example;
mod handlers;
mod history;
mod hops;
mod limits;
mod modes;
mod passing;
mod processes;
mod retries;
mod states;
mod stopping;
mod support;
