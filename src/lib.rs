//! crossinvoke: a Kubernetes controller that lets a `CodePipeline` stage invoke a Lambda function in another AWS account.
//!
//! | room | what may happen there |
//! |---|---|
//! | [`api`] | the contract with users: the two kinds, conditions, reasons; nothing is done |
//! | [`domain`] | pure decisions: no client, no SDK, no clock, no environment |
//! | [`engine`] | state machines: inputs and the time go in, effects come out; so far those of a pipeline and of a role; the index, and the queue of objects |
//! | [`shell`] | carries out the effects: one task for each of them, with the SDK and the clock |
//! | [`aws`] | everything that speaks to AWS; SDK types end here |
//! | [`cluster`] | everything that decodes Kubernetes objects |
//! | [`controller`] | watches, the reconcile and its stages, Kubernetes writes |
//! | [`telemetry`], [`http`] | logs, metrics, health |
//! | [`cli`] | options |

pub mod api;
pub mod aws;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod domain;
pub mod engine;
pub mod http;
pub mod shell;
pub mod telemetry;
