//! Lambda: the look-up of a function and its execution role.

use super::{AwsError, AwsErrorKind, call::Subject, reader::Sent, session::Clients};
use crate::domain::ids::{Arn, FunctionName, Region};

/// A function as Lambda describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FunctionRead {
    /// Its ARN, unqualified.
    pub arn: Arn,
    /// Its execution role.
    pub role: Arn,
}

/// Lambda in one account and region.
#[derive(Clone, Debug)]
pub(super) struct Lambda {
    client: aws_sdk_lambda::Client,
    subject: Subject,
}

impl Lambda {
    pub(super) fn new(clients: &Clients, region: &Region) -> Self {
        let config =
            aws_sdk_lambda::config::Builder::from(&clients.reading(region)).interceptor(clients.observe("lambda"));
        Self { client: aws_sdk_lambda::Client::from_conf(config.build()), subject: clients.subject().clone() }
    }

    /// The same client, which says when its call leaves.
    pub(super) fn marking(&self, sent: Sent) -> Self {
        Self { subject: self.subject.marking(sent), ..self.clone() }
    }

    /// The function; `None` when it does not exist.
    ///
    /// # Errors
    /// As AWS answers.
    pub(super) async fn get_function(&self, name: &FunctionName) -> Result<Option<FunctionRead>, AwsError> {
        let call = self.subject.call("lambda", "GetFunctionConfiguration", format!("function {name}"));
        let request = self.client.get_function_configuration().function_name(name.as_str());
        let answer = match call.send(request.send()).await {
            Ok(answer) => answer,
            Err(error) if error.kind == AwsErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let arn = |text: Option<&str>, what: &str| {
            text.and_then(|text| text.parse().ok())
                .ok_or_else(|| call.unusable(format!("the answer has no usable {what}")))
        };
        Ok(Some(FunctionRead { arn: arn(answer.function_arn(), "FunctionArn")?, role: arn(answer.role(), "Role")? }))
    }
}
