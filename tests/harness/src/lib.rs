//! What the scenarios and the demo of crossinvoke run on: a real control plane, the AWS double, a controller process.
//!
//! ```text
//! ControlPlane (supervisor → etcd, kube-apiserver)      FakeAws (accounts → three accounts, one pipeline)
//!          └────────────────── Scenario ──────────────────┘
//!                namespace, AwsAccounts, the chart's rights, ControllerProcess
//! ```
//!
//! Everything that is started ends with the process that started it, however that one ends.

mod bound;
mod command;
mod control_plane;
mod error;
mod helm;
mod kubeconfig;
mod kubectl;
mod pki;
pub mod process;
mod supervisor;
mod tools;
pub mod wait;

pub use self::{
    control_plane::ControlPlane,
    error::{Context, Error, Result},
    helm::{Helm, Release, chart},
    kubectl::Kubectl,
    supervisor::{Started, supervise_if_asked},
    tools::{Tools, environment, repository},
};
