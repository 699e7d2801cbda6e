//! `CrossAccountInvoke`s that are refused.

use super::{Case, Kind::CrossAccountInvoke, create, update};

pub(super) fn cases() -> Vec<Case> {
    [accounts(), names(), stage_and_action(), function(), invoke_role(), interval(), updates()]
        .into_iter()
        .flatten()
        .collect()
}

fn refused(name: &'static str, object: impl Into<String>) -> Case {
    create(CrossAccountInvoke, name, object)
}

fn accounts() -> Vec<Case> {
    vec![
        refused("tools-account-id-too-short", "spec: {toolsAccount: {id: '11111111111'}}"),
        refused("tools-account-id-with-hyphens", "spec: {toolsAccount: {id: '1111-1111-1111'}}"),
        refused("tools-account-id-is-a-number", "spec: {toolsAccount: {id: 111111111111}}"),
        refused("tools-account-id-missing", "spec: {toolsAccount: {id: null}}"),
        refused("tools-account-id-with-newline", "spec: {toolsAccount: {id: \"111111111111\\n\"}}"),
        refused("tools-account-region-missing", "spec: {toolsAccount: {region: null}}"),
        refused("tools-account-region-is-a-zone", "spec: {toolsAccount: {region: us-east-1a}}"),
        refused("tools-account-region-is-a-city", "spec: {toolsAccount: {region: Frankfurt}}"),
        refused("dev-account-id-empty", "spec: {devAccount: {id: ''}}"),
        refused("dev-account-region-empty", "spec: {devAccount: {region: ''}}"),
        refused("dev-account-is-tools-account", "spec: {devAccount: {id: '111111111111'}}"),
        refused("dev-account-missing", "spec: {devAccount: null}"),
        refused("spec-missing", "spec: null"),
    ]
}

fn names() -> Vec<Case> {
    vec![
        refused("pipeline-name-empty", "spec: {pipeline: {name: ''}}"),
        refused("pipeline-name-too-long", format!("spec: {{pipeline: {{name: {}}}}}", "p".repeat(101))),
        refused("pipeline-name-with-space", "spec: {pipeline: {name: payments release}}"),
        refused("pipeline-name-is-an-arn", "spec: {pipeline: {name: 'arn:aws:codepipeline:us-east-1:111111111111:p'}}"),
        refused("pipeline-missing", "spec: {pipeline: null}"),
        refused("stage-name-with-slash", "spec: {stage: {name: Validate/1}}"),
        refused("stage-name-too-long", format!("spec: {{stage: {{name: {}}}}}", "s".repeat(101))),
        refused("action-name-empty", "spec: {action: {name: ''}}"),
        refused("action-name-with-umlaut", "spec: {action: {name: Prüfung}}"),
        refused(
            "object-name-too-long-for-an-action",
            format!("metadata: {{name: {}}}\nspec: {{action: {{runOrder: 2}}}}", "o".repeat(101)),
        ),
        refused(
            "object-name-too-long-for-a-tag",
            format!("metadata: {{name: {}}}\nspec: {{action: {{name: Run}}}}", "o".repeat(193)),
        ),
    ]
}

fn stage_and_action() -> Vec<Case> {
    vec![
        refused("position-of-nothing", "spec: {stage: {position: {}}}"),
        refused("position-after-and-before", "spec: {stage: {position: {after: Build, before: Deploy}}}"),
        refused("position-after-itself", "spec: {stage: {position: {after: Validate}}}"),
        refused("position-before-itself", "spec: {stage: {position: {before: Validate}}}"),
        refused("position-after-bad-name", "spec: {stage: {position: {after: 'Build & Test'}}}"),
        refused("position-before-empty", "spec: {stage: {position: {before: ''}}}"),
        refused("run-order-zero", "spec: {action: {runOrder: 0}}"),
        refused("run-order-too-high", "spec: {action: {runOrder: 1000}}"),
        refused("run-order-is-text", "spec: {action: {runOrder: '1'}}"),
        refused("user-parameters-too-long", format!("spec: {{action: {{userParameters: {}}}}}", "x".repeat(1001))),
        refused("user-parameters-are-a-map", "spec: {action: {userParameters: {suite: smoke}}}"),
        refused("variables-namespace-with-dot", "spec: {action: {variablesNamespace: validation.out}}"),
        refused("variables-namespace-empty", "spec: {action: {variablesNamespace: ''}}"),
        refused("variables-namespace-codepipeline", "spec: {action: {variablesNamespace: codepipeline}}"),
        refused("variables-namespace-variables", "spec: {action: {variablesNamespace: variables}}"),
    ]
}

fn function() -> Vec<Case> {
    vec![
        refused(
            "function-is-an-arn",
            "spec: {function: {name: 'arn:aws:lambda:us-east-1:222222222222:function:MyFunction'}}",
        ),
        refused("function-with-alias", "spec: {function: {name: 'MyFunction:live'}}"),
        refused("function-with-dot", "spec: {function: {name: my.function}}"),
        refused("function-too-long", format!("spec: {{function: {{name: {}}}}}", "f".repeat(65))),
        refused("function-name-missing", "spec: {function: {name: null}}"),
        refused("execution-role-is-a-name", "spec: {function: {executionRole: MyFunctionRole}}"),
        refused("execution-role-is-a-user", "spec: {function: {executionRole: 'arn:aws:iam::222222222222:user/me'}}"),
        refused(
            "execution-role-is-a-session",
            "spec: {function: {executionRole: 'arn:aws:sts::222222222222:assumed-role/MyFunction/me'}}",
        ),
        refused(
            "execution-role-of-no-partition",
            "spec: {function: {executionRole: 'arn:amazon:iam::222222222222:role/MyFunction'}}",
        ),
        refused(
            "execution-role-of-tools-account",
            "spec: {function: {executionRole: 'arn:aws:iam::111111111111:role/MyFunction'}}",
        ),
    ]
}

fn invoke_role() -> Vec<Case> {
    let many: Vec<String> = (0..41).map(|number| format!("t{number}: v")).collect();
    vec![
        refused("invoke-role-is-an-arn", "spec: {invokeRole: {name: 'arn:aws:iam::222222222222:role/validate'}}"),
        refused("invoke-role-with-path", "spec: {invokeRole: {name: /crossinvoke/validate}}"),
        refused("invoke-role-too-long", format!("spec: {{invokeRole: {{name: {}}}}}", "r".repeat(65))),
        refused("invoke-role-with-derived-name", "spec: {invokeRole: {name: crossinvoke-payments-validate}}"),
        refused("invoke-role-with-derived-name-in-capitals", "spec: {invokeRole: {name: CrossInvoke-payments}}"),
        refused("tag-of-aws", "spec: {invokeRole: {tags: {'AWS:cloudformation:stack': x}}}"),
        refused("tag-of-ours", "spec: {invokeRole: {tags: {crossinvoke.dev/owner: other/object}}}"),
        refused("tag-key-empty", "spec: {invokeRole: {tags: {'': x}}}"),
        refused("tag-key-too-long", format!("spec: {{invokeRole: {{tags: {{{}: x}}}}}}", "k".repeat(129))),
        refused("tag-key-with-comma", "spec: {invokeRole: {tags: {'a,b': x}}}"),
        refused("tag-value-with-quote", "spec: {invokeRole: {tags: {team: pay'ments}}}"),
        refused("tag-value-too-long", format!("spec: {{invokeRole: {{tags: {{team: {}}}}}}}", "v".repeat(257))),
        refused("tag-value-is-a-number", "spec: {invokeRole: {tags: {team: 7}}}"),
        refused("tags-too-many", format!("spec: {{invokeRole: {{tags: {{{}}}}}}}", many.join(", "))),
        refused("trust-unknown", "spec: {invokeRole: {trust: Everybody}}"),
    ]
}

fn interval() -> Vec<Case> {
    vec![
        refused("interval-too-short", "spec: {interval: 9s}"),
        refused("interval-too-long", "spec: {interval: 24h1s}"),
        refused("interval-is-a-number", "spec: {interval: 10}"),
        refused("interval-of-days", "spec: {interval: 1d}"),
        refused("interval-of-nothing", "spec: {interval: ''}"),
        refused("interval-with-fraction", "spec: {interval: 1.5h}"),
        refused("interval-negative", "spec: {interval: '-10m'}"),
        refused("interval-without-unit", "spec: {interval: '600'}"),
        refused("interval-beyond-counting", "spec: {interval: 99999999999999999999h}"),
        refused("interval-summed-beyond-counting", format!("spec: {{interval: {}}}", "99999h".repeat(10))),
    ]
}

fn updates() -> Vec<Case> {
    let refused = |name, object, changed| update(CrossAccountInvoke, name, object, changed);
    let with_region = "spec: {devAccount: {region: us-east-1}}";
    vec![
        refused("tools-account-id-changed", "{}", "spec: {toolsAccount: {id: '333333333333'}}"),
        refused("tools-account-region-changed", "{}", "spec: {toolsAccount: {region: eu-west-1}}"),
        refused("dev-account-id-changed", "{}", "spec: {devAccount: {id: '333333333333'}}"),
        refused("dev-account-region-added", "{}", "spec: {devAccount: {region: us-east-1}}"),
        refused("dev-account-region-removed", with_region, "spec: {devAccount: {region: null}}"),
        refused("dev-account-region-changed", with_region, "spec: {devAccount: {region: eu-west-1}}"),
        refused("dev-account-removed", "{}", "spec: {devAccount: null}"),
    ]
}
