//! The pipeline of the tools account: one of type V2 as teams have them today, with all that an edit must leave alone.
//!
//! ```text
//! Source   connection source with a namespace, and an older source with a token
//! Build    CodeBuild, then Commands, a stack and a custom action, then an approval; tried again when it fails
//! Deploy   conditions before and after; rolled back when it fails
//! ```

use serde_json::{Value, json};

use crate::accounts::{Accounts, CHECKS_ROLE, PIPELINE};

/// The variable that a release must be started with: it has no default value.
pub const TICKET: (&str, &str) = ("Ticket", "CHG-1001");

/// The secrets of the pipeline, which no API shows. Beside them is a value that really is four asterisks.
pub const SECRETS: [&str; 2] = ["ghp_0123456789abcdef", "checklist-token-77"];

impl Accounts {
    /// The declaration of the pipeline.
    #[must_use]
    pub fn pipeline(&self) -> Value {
        let bucket = |region: &str| json!({"type": "S3", "location": format!("codepipeline-{region}-{}", self.tools)});
        let mut stores = json!({&self.region: bucket(&self.region), "eu-central-1": bucket("eu-central-1")});
        stores["ap-southeast-2"] = bucket("ap-southeast-2");
        let key = format!("arn:{}:kms:{}:{}:key/3f2e1d0c", self.partition, self.region, self.tools);
        stores[&self.region]["encryptionKey"] = json!({"id": key, "type": "KMS"});
        json!({
            "name": PIPELINE,
            "roleArn": self.pipeline_role_arn(),
            "artifactStores": stores,
            "pipelineType": "V2",
            "executionMode": "QUEUED",
            "variables": [
                {"name": "Suite", "defaultValue": "smoke", "description": "Which tests run"},
                {"name": TICKET.0, "description": "The change request"},
            ],
            "triggers": [{"providerType": "CodeStarSourceConnection", "gitConfiguration": {
                "sourceActionName": "Source",
                "push": [
                    {
                        "branches": {"includes": ["main", "release/*"], "excludes": ["wip/**"]},
                        "filePaths": {"includes": ["services/payments/**"], "excludes": ["**/*.md"]},
                    },
                    {"tags": {"includes": ["v*"]}},
                ],
                "pullRequest": [{"events": ["OPEN", "UPDATED"], "branches": {"includes": ["main"]}}],
            }}],
            "stages": [self.source(), self.build(), self.deploy()],
        })
    }

    fn source(&self) -> Value {
        let connection = format!(
            "arn:{}:codeconnections:{}:{}:connection/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
            self.partition, self.region, self.tools
        );
        json!({"name": "Source", "actions": [
            action("Source", ["Source", "AWS", "CodeStarSourceConnection"], 1, json!({
                "configuration": {
                    "ConnectionArn": connection, "FullRepositoryId": "example/payments", "BranchName": "main",
                    "DetectChanges": "false",
                },
                "inputArtifacts": [],
                "outputArtifacts": [{"name": "SourceOutput"}],
                "namespace": "SourceVariables",
            })),
            action("Rules", ["Source", "ThirdParty", "GitHub"], 1, json!({
                "configuration": {
                    "Owner": "example", "Repo": "rules", "Branch": "main", "OAuthToken": SECRETS[0],
                    "PollForSourceChanges": "false",
                },
                "inputArtifacts": [],
                "outputArtifacts": [{"name": "RulesOutput"}],
            })),
        ]})
    }

    fn build(&self) -> Value {
        let stack = self.iam_arn(&self.tools, "role/payments-cloudformation");
        let environment = json!([{"name": "COMMIT", "value": "#{SourceVariables.CommitId}", "type": "PLAINTEXT"}]);
        json!({
            "name": "Build",
            "onFailure": {"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}},
            "actions": [
                action("Build", ["Build", "AWS", "CodeBuild"], 1, json!({
                    "configuration": {"ProjectName": "payments", "EnvironmentVariables": environment.to_string()},
                    "inputArtifacts": [{"name": "SourceOutput"}],
                    "outputArtifacts": [{"name": "BuildOutput"}],
                })),
                action("Package", ["Compute", "AWS", "Commands"], 2, json!({
                    "commands": ["make package SUITE=$SUITE", "sha256sum dist/*.zip > dist/sums.txt"],
                    "environmentVariables": [
                        {"name": "SUITE", "value": "#{variables.Suite}", "type": "PLAINTEXT"},
                        {"name": "REGISTRY", "value": "payments/registry", "type": "SECRETS_MANAGER"},
                    ],
                    "inputArtifacts": [{"name": "BuildOutput"}],
                    "outputArtifacts": [{"name": "PackageOutput", "files": ["dist/*.zip", "dist/sums.txt"]}],
                    "outputVariables": ["VERSION"],
                    "namespace": "PackageVariables",
                    "timeoutInMinutes": 30,
                })),
                action("Stack", ["Deploy", "AWS", "CloudFormation"], 2, json!({
                    "configuration": {
                        "ActionMode": "CHANGE_SET_REPLACE", "StackName": "payments", "ChangeSetName": "release",
                        "RoleArn": stack, "TemplatePath": "BuildOutput::template.yaml",
                    },
                    "inputArtifacts": [{"name": "BuildOutput"}],
                    "outputArtifacts": [],
                })),
                action("Checklist", ["Test", "Custom", "Checklist"], 2, json!({
                    "configuration": {"ApiToken": SECRETS[1], "Banner": "****"},
                    "inputArtifacts": [{"name": "BuildOutput"}],
                    "outputArtifacts": [],
                })),
                action("Approve", ["Approval", "AWS", "Manual"], 3, json!({
                    "configuration": {
                        "CustomData": "#{variables.Ticket}: #{SourceVariables.CommitId} as #{PackageVariables.VERSION}",
                    },
                    "inputArtifacts": [],
                    "outputArtifacts": [],
                    "timeoutInMinutes": 4320,
                })),
            ],
        })
    }

    fn deploy(&self) -> Value {
        let rule = |name: &str, provider: &str, members: Value| {
            let mut rule = json!({"name": name, "ruleTypeId":
                {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"}});
            extend(&mut rule, members);
            rule
        };
        let alarm = rule(
            "Errors",
            "CloudWatchAlarm",
            json!({
                "configuration": {"AlarmName": "payments-errors", "WaitTime": "5"},
            }),
        );
        let window = rule(
            "Window",
            "DeploymentWindow",
            json!({
                "configuration": {"Cron": "* 8-17 ? * MON-THU *", "TimeZone": "Etc/UTC"},
            }),
        );
        let smoke = rule(
            "Smoke",
            "LambdaInvoke",
            json!({
                "configuration": {"FunctionName": "payments-smoke", "UserParameters": "#{PackageVariables.VERSION}"},
                "roleArn": self.iam_arn(&self.tools, &format!("role/{CHECKS_ROLE}")),
                "region": self.region,
                "timeoutInMinutes": 10,
            }),
        );
        json!({
            "name": "Deploy",
            "beforeEntry": {"conditions": [{"result": "FAIL", "rules": [window]}]},
            "onFailure": {"result": "ROLLBACK", "conditions": [{"result": "ROLLBACK", "rules": [alarm]}]},
            "onSuccess": {"conditions": [{"result": "FAIL", "rules": [smoke]}]},
            "actions": [action("Deploy", ["Deploy", "AWS", "S3"], 1, json!({
                "configuration": {"BucketName": format!("payments-{}", self.tools), "Extract": "true"},
                "inputArtifacts": [{"name": "PackageOutput"}],
                "outputArtifacts": [],
            }))],
        })
    }
}

fn action(name: &str, [category, owner, provider]: [&str; 3], run_order: u16, members: Value) -> Value {
    let mut action = json!({
        "name": name,
        "actionTypeId": {"category": category, "owner": owner, "provider": provider, "version": "1"},
        "runOrder": run_order,
    });
    extend(&mut action, members);
    action
}

fn extend(holder: &mut Value, members: Value) {
    if let (Some(holder), Value::Object(members)) = (holder.as_object_mut(), members) {
        holder.extend(members);
    }
}
