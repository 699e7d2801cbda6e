//! The clients of one object's two accounts.

use super::context::{Context, session_key};
use crate::{
    aws::{AwsError, CodePipeline, Iam, Lambda, Session},
    domain::spec::{Access, Declared, Granted},
};

/// Clients in the tools and the dev account. Each account was seen to be the declared one when its session was opened.
pub struct Sessions {
    /// The pipeline's service.
    pub codepipeline: CodePipeline,
    /// IAM of the tools account: the pipeline role.
    pub tools_iam: Iam,
    /// IAM of the dev account: invoke and execution role.
    pub dev_iam: Iam,
    /// The function's service.
    pub lambda: Lambda,
    /// The dev account as a whole, for functions in other regions.
    pub dev_session: Session,
}

impl Sessions {
    /// Opens (or reuses) a session in both accounts.
    ///
    /// # Errors
    /// The role cannot be assumed, or it is of another account.
    pub async fn open(context: &Context, declared: &Declared, granted: &Granted) -> Result<Self, AwsError> {
        let open = async |access: &Access| context.aws.session(&session_key(access)).await;
        let (tools, dev) = (open(&granted.tools).await?, open(&granted.dev).await?);
        Ok(Self {
            codepipeline: tools.codepipeline(&declared.tools.region),
            tools_iam: tools.iam(&declared.tools.region),
            dev_iam: dev.iam(&declared.dev.region),
            lambda: dev.lambda(&declared.dev.region),
            dev_session: dev,
        })
    }
}
