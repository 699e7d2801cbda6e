//! Everything that speaks to AWS. SDK types end here.

mod budgets;
mod call;
mod codepipeline;
mod codes;
mod error;
mod https;
mod iam;
mod in_flight;
mod lambda;
mod observe_calls;
mod page;
mod permitted;
mod raw_json;
mod reader;
mod session;
mod settings;
#[cfg(test)]
mod tests;

pub use budgets::Budgets;
pub use codepipeline::{CodePipeline, Known, PipelineRead};
pub use error::{AwsError, AwsErrorKind, DenyingPolicy};
pub use https::CertificateFault;
pub use iam::{Iam, RoleListed, RoleRead};
pub use in_flight::{Count, InFlight, Limits, Turn};
pub use lambda::FunctionRead;
pub use observe_calls::CallObserver;
pub use reader::{
    AccountReader, Answers, Claimants, Claimed, Question, Reader, Readers, ScanOutcome, Scanned, Source, User,
};
pub use session::{Aws, AwsConfig, Session, SessionKey, load_base_config};
