//! Lambda: the look-up of a function and its execution role.

use aws_sdk_lambda::types::FunctionConfiguration;

use super::{
    AwsError, AwsErrorKind,
    call::Subject,
    page::{AnswerSize, Page},
    reader::Sent,
    session::Clients,
};
use crate::domain::ids::{Arn, FunctionName, Region};

/// A function as Lambda describes it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
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

    /// One page of all functions of the account in this region: those that are claimed. One that cannot be read is left
    /// out, as one that the answer lacks.
    ///
    /// # Errors
    /// As AWS answers.
    pub(super) async fn functions_of_account(
        &self,
        marker: Option<String>,
        most: u64,
        is_claimed: impl Fn(&str) -> bool,
    ) -> Result<Page<(FunctionName, FunctionRead)>, AwsError> {
        let call = self.subject.call("lambda", "ListFunctions", "all functions of the account");
        let size = AnswerSize::default();
        let request = self.client.list_functions().set_marker(marker);
        let request = request.max_items(i32::try_from(most).unwrap_or(50).clamp(1, 50));
        let answer = call.send(request.customize().interceptor(size.clone()).send()).await?;
        let next = answer.next_marker().filter(|marker| !marker.is_empty()).map(str::to_owned);
        let mut page = Page::of(answer.functions().len(), &size, next);
        for function in answer.functions() {
            let claimed = function.function_name().is_some_and(&is_claimed).then(|| listed(function)).flatten();
            if let Some(function) = claimed {
                page.keep(function);
            }
        }
        Ok(page)
    }
}

fn listed(function: &FunctionConfiguration) -> Option<(FunctionName, FunctionRead)> {
    let read = FunctionRead { arn: function.function_arn()?.parse().ok()?, role: function.role()?.parse().ok()? };
    Some((function.function_name()?.parse().ok()?, read))
}
