//! Everything that speaks to AWS. SDK types end here.

mod codepipeline;
mod error;
mod iam;
mod lambda;
mod observe_calls;
mod raw_json;
pub mod rights;
mod session;

pub use codepipeline::{CodePipeline, Execution, PipelineRead};
pub use error::{AwsError, AwsErrorKind, Call, kind_of};
pub use iam::{Iam, NewRole, RoleRead};
pub use lambda::{FunctionRead, Lambda};
pub use observe_calls::CallObserver;
pub use session::{Aws, AwsConfig, Session, SessionKey, load_base_config};
