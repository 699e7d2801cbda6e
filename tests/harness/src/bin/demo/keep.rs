//! `KEEP=1`: everything stays, with commands to try.

use crossinvoke_harness::{
    Bench, Deployment, Result, Scenario,
    accounts::{FUNCTION, PIPELINE},
    example_handler,
    pipeline::TICKET,
};
use fakeaws::Behaviour;

use crate::{
    screen::Screen,
    story::{NAME, NAMESPACE},
};

/// Prints what to try, and waits to be interrupted.
pub(crate) async fn stay(
    screen: &mut Screen,
    bench: &Bench,
    scenario: &Scenario<'_>,
    deployment: &Deployment,
) -> Result<()> {
    screen.step("It keeps running; in another terminal:", "Ctrl-C stops everything.");
    let (plane, accounts) = (bench.control_plane(), &scenario.accounts);
    let kubectl = plane.tools().kubectl.display();
    let (endpoint, region) = (scenario.aws_endpoint(), &accounts.region);
    let behaves = |behaviour: &Behaviour| {
        serde_json::json!({
            "command": "set-behaviour", "account": accounts.dev, "region": accounts.function_region, "name": FUNCTION,
            "behaviour": behaviour,
        })
    };
    let handler = example_handler(Some(deployment.certificate())).await?;
    // The first version of the AWS CLI reads only the second variable.
    screen.show(&format!(
        "export KUBECONFIG={kubeconfig}\n\
         {kubectl} apply --server-side -f {file}\n\
         {kubectl} get crossaccountinvokes,awsaccounts --all-namespaces\n\
         {kubectl} describe crossaccountinvoke {NAME} --namespace={NAMESPACE}\n\
         {kubectl} delete crossaccountinvoke {NAME} --namespace={NAMESPACE}\n\
         \n\
         # The AWS CLI against the double, as the root of the tools account ({dev_key}: the dev account's key):\n\
         export AWS_ENDPOINT_URL={endpoint} AWS_REGION={region} AWS_DEFAULT_REGION={region}\n\
         export AWS_ACCESS_KEY_ID={tools_key} AWS_SECRET_ACCESS_KEY=any\n\
         aws codepipeline get-pipeline --name {PIPELINE}\n\
         aws codepipeline start-pipeline-execution --name {PIPELINE} --variables name={variable},value={value}\n\
         aws codepipeline get-pipeline-state --name {PIPELINE}\n\
         aws codepipeline put-approval-result --pipeline-name {PIPELINE} --stage-name Build --action-name Approve \
         --result status=Approved,summary=go --token TOKEN_FROM_THE_STATE\n\
         aws codepipeline list-action-executions --pipeline-name {PIPELINE}\n\
         \n\
         # A function that reports a failure from now on, the handler of examples/ again, and all that AWS holds:\n\
         curl -s {endpoint}/_fakeaws/command -d '{fail}'\n\
         curl -s {endpoint}/_fakeaws/command -d '{back}'\n\
         curl -s {endpoint}/_fakeaws/snapshot",
        kubeconfig = plane.kubeconfig().display(),
        file = scenario.folder().join("validate.yaml").display(),
        variable = TICKET.0,
        value = TICKET.1,
        dev_key = accounts.root_key(&accounts.dev),
        tools_key = accounts.root_key(&accounts.tools),
        fail = behaves(&Behaviour::Fail { message: "not today".to_owned(), failure_type: "JobFailed".to_owned() }),
        back = behaves(&handler),
    ));
    std::future::pending().await
}
