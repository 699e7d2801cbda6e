//! What the scenarios and the demo of crossinvoke run on: a real control plane, the AWS double, a controller process.
//!
//! ```text
//! ControlPlane (supervisor → etcd, kube-apiserver, …)     FakeAws or Moto (accounts → three accounts, one pipeline)
//!          └────────────────── Scenario ──────────────────┘
//!                namespace, AwsAccounts, the chart's rights, ControllerProcess
//! ```
//!
//! Everything that is started ends with the process that started it, however that one ends.

pub mod accounts;
mod api_front;
mod argocd;
mod bench;
mod bound;
mod calls;
mod command;
mod control_plane;
mod controller_process;
mod deployment;
mod difference;
mod error;
mod executions;
mod hands;
mod helm;
mod http_client;
mod installed;
mod kubeconfig;
mod kubectl;
pub mod manifests;
mod moto;
pub mod objects;
mod person;
pub mod pipeline;
mod pki;
pub mod process;
pub mod rights;
mod scenario;
mod setup;
mod supervisor;
mod tls_front;
mod tools;
pub mod wait;

pub use self::{
    accounts::Accounts,
    api_front::ApiFront,
    argocd::{ARGOCD, ArgoCd, GitRepository},
    bench::Bench,
    calls::{Calls, Hop, Mark, is_of_controller},
    control_plane::ControlPlane,
    controller_process::{ControllerOptions, ControllerProcess, ENDS_WITHIN},
    deployment::{Deployment, example_handler},
    difference::difference,
    error::{Context, Error, Result},
    executions::{ActionExecution, Execution},
    hands::Hands,
    helm::{Helm, Release, chart},
    kubectl::{Kubectl, Watch},
    moto::{BotoAnswer, BotoCall, BotoError, Moto},
    scenario::Scenario,
    setup::Setup,
    supervisor::{Started, supervise_if_asked},
    tls_front::TlsFront,
    tools::{Tools, environment, repository},
};
