//! The two accounts of one object: what is read there, and what may write there.

use super::context::{Context, session_key};
use crate::{
    aws::{AccountReader, AwsError, CodePipeline, Iam, Reader},
    domain::spec::{Access, Declared, Granted},
};

/// The tools and the dev account. Each was seen to be the declared one when its session was opened.
pub struct Sessions {
    /// For whoever reads.
    pub reads: Reads,
    /// For whoever writes.
    pub writes: Writes,
}

/// What one look reads in both accounts.
pub struct Reads {
    /// The tools account, in the pipeline's region.
    pub tools: AccountReader,
    /// The dev account, in the function's region.
    pub dev: AccountReader,
}

/// The clients that write.
pub struct Writes {
    /// The pipeline's service.
    pub codepipeline: CodePipeline,
    /// IAM of the tools account: the pipeline role.
    pub tools_iam: Iam,
    /// IAM of the dev account: invoke and execution role.
    pub dev_iam: Iam,
}

impl Sessions {
    /// Opens (or reuses) a session in both accounts.
    ///
    /// # Errors
    /// The role cannot be assumed, or it is of another account.
    pub async fn open(
        context: &Context,
        reader: &Reader,
        declared: &Declared,
        granted: &Granted,
    ) -> Result<Self, AwsError> {
        let open = async |access: &Access| context.aws.session(&session_key(access)).await;
        let (tools, dev) = (open(&granted.tools).await?, open(&granted.dev).await?);
        Ok(Self {
            reads: Reads {
                tools: reader.within(&tools, &declared.tools.region),
                dev: reader.within(&dev, &declared.dev.region),
            },
            writes: Writes {
                codepipeline: tools.codepipeline(&declared.tools.region),
                tools_iam: tools.iam(&declared.tools.region),
                dev_iam: dev.iam(&declared.dev.region),
            },
        })
    }
}

impl Reads {
    /// The same look, which from now on accepts only what is sent from now on.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self { tools: self.tools.fresh(), dev: self.dev.fresh() }
    }
}
