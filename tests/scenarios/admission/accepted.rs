//! Objects that are accepted: the bounds themselves, and every partition.

use super::{
    Case,
    Kind::{AwsAccount, CrossAccountInvoke},
    apply, create, update,
};

pub(super) fn cases() -> Vec<Case> {
    [invokes(), accounts(), updates(), emptied()].into_iter().flatten().collect()
}

fn invokes() -> Vec<Case> {
    let accepted = |name, object: String| create(CrossAccountInvoke, name, object);
    let long = |character: &str, count: usize| character.repeat(count);
    let tags: Vec<String> = (0..38).map(|number| format!("t{number}: ''")).collect();
    vec![
        accepted("smallest", "{}".to_owned()),
        accepted(
            "everything",
            "spec:
  devAccount: {region: eu-west-1}
  stage: {position: {after: Build}}
  action: {name: RunValidation, runOrder: 2, userParameters: '{\"v\":\"#{Source.CommitId}\"}', variablesNamespace: validation}
  function: {executionRole: 'arn:aws:iam::222222222222:role/service-role/MyFunction-role-1a2b'}
  invokeRole: {name: validate-invoke, tags: {team: payments}, trust: AccountRoot}
  interval: 1h30m"
                .to_owned(),
        ),
        accepted(
            "in-china",
            "spec:
  toolsAccount: {region: cn-north-1}
  function: {executionRole: 'arn:aws-cn:iam::222222222222:role/MyFunction'}"
                .to_owned(),
        ),
        accepted(
            "in-govcloud",
            "spec:
  toolsAccount: {region: us-gov-west-1}
  devAccount: {region: us-gov-east-1}
  function: {executionRole: 'arn:aws-us-gov:iam::222222222222:role/MyFunction'}"
                .to_owned(),
        ),
        accepted(
            "in-the-european-sovereign-cloud",
            "spec:
  toolsAccount: {region: eusc-de-east-1}
  function: {executionRole: 'arn:aws-eusc:iam::222222222222:role/MyFunction'}"
                .to_owned(),
        ),
        accepted(
            "in-an-isolated-partition",
            "spec:
  toolsAccount: {region: eu-isoe-west-1}
  function: {executionRole: 'arn:aws-iso-e:iam::222222222222:role/MyFunction'}"
                .to_owned(),
        ),
        accepted("account-with-leading-zero", "spec: {toolsAccount: {id: '012345678901'}}".to_owned()),
        accepted(
            "longest",
            format!(
                "metadata: {{name: {}}}\nspec:\n  pipeline: {{name: {}}}\n  stage: {{name: {}, position: {{before: {}}}}}\n  \
                 action: {{runOrder: 999, userParameters: {}, variablesNamespace: {}}}\n  function: {{name: {}}}\n  \
                 invokeRole: {{name: {}, tags: {{{}: {}, 'Größe 7_.:/=+-@': x, {}}}}}\n  interval: 24h",
                long("o", 100),
                long("p", 100),
                long("s", 100),
                long("b", 100),
                long("ü", 1000),
                long("n", 100),
                long("f", 64),
                long("r", 64),
                long("k", 128),
                long("v", 256),
                tags.join(", ")
            ),
        ),
        accepted("long-name-with-action-name", format!("metadata: {{name: {}}}\nspec: {{action: {{name: Run}}}}", long("o", 192))),
        accepted("empty-user-parameters", "spec: {action: {userParameters: ''}}".to_owned()),
        accepted("shortest-interval", "spec: {interval: 10s}".to_owned()),
        accepted("every-character-of-names", "spec: {pipeline: {name: 'aZ9.@-_'}, stage: {name: '@'}, invokeRole: {name: 'aZ9+=,.@_-'}}".to_owned()),
    ]
}

fn accounts() -> Vec<Case> {
    let accepted = |name, object: &str| create(AwsAccount, name, object);
    let many = |prefix: &str| (0..100).map(|number| format!("{prefix}{number}")).collect::<Vec<_>>().join(", ");
    let grants: Vec<String> = (0..100)
        .map(|number| {
            format!("{{name: g{number}, namespaces: {{names: [{}]}}, pipelines: [{}]}}", many("n"), many("p-*-"))
        })
        .collect();
    vec![
        accepted("smallest-account", "{}"),
        accepted(
            "every-part-of-an-account",
            "spec:
  roleARN: arn:aws:iam::990000000001:role/platform/crossinvoke
  externalID: crossinvoke-7Gq2+=,.@:/_-
  grants:
  - name: pipelines
    namespaces: {selector: {matchLabels: {team: payments}, matchExpressions: [{key: stage, operator: Exists}]}}
    pipelines: ['*', payments-*]
  - name: functions
    namespaces: {names: [payments]}
    functions: [MyFunction, 'payments-*']
    callers: ['111111111111']
    regions: [us-east-1, eusc-de-east-1]
    allow: [AccountRootTrust, NamedRole]
  invokeRoles:
    path: /teams/crossinvoke/
    permissionsBoundaryARN: arn:aws:iam::990000000001:policy/boundaries/invoke
    allowedTagKeys: [team, 'Kosten stelle']
    tags: {CostCenter: '4711', 'Größe': ''}
    toleratedPolicies: ['org-*', AWSRevokeOlderSessions, 'arn:aws:iam::aws:policy/*', 'arn:aws-cn:iam::*:policy/team/p']",
        ),
        accepted(
            "account-in-china",
            "spec: {roleARN: 'arn:aws-cn:iam::990000000001:role/crossinvoke', \
             invokeRoles: {path: /, permissionsBoundaryARN: 'arn:aws-cn:iam::aws:policy/ReadOnlyAccess'}}",
        ),
        accepted(
            "account-in-the-european-sovereign-cloud",
            "spec: {roleARN: 'arn:aws-eusc:iam::990000000001:role/crossinvoke', \
             invokeRoles: {permissionsBoundaryARN: 'arn:aws-eusc:iam::aws:policy/ReadOnlyAccess'}}",
        ),
        accepted(
            "account-in-govcloud",
            "spec: {roleARN: 'arn:aws-us-gov:iam::990000000001:role/crossinvoke', \
             invokeRoles: {permissionsBoundaryARN: 'arn:aws-us-gov:iam::990000000001:policy/invoke'}}",
        ),
        // The rules' cost is bounded at run time too.
        accepted("as-many-grants-as-there-may-be", &format!("spec: {{grants: [{}]}}", grants.join(", "))),
        accepted("longest-external-id", &format!("spec: {{externalID: {}}}", "x".repeat(1224))),
    ]
}

fn updates() -> Vec<Case> {
    vec![
        update(
            CrossAccountInvoke,
            "everything-else-may-change",
            "{}",
            "spec:
  pipeline: {name: other}
  stage: {name: Other, position: {before: Deploy}}
  action: {name: Other}
  function: {name: Other, executionRole: 'arn:aws:iam::222222222222:role/Other'}
  invokeRole: {name: other}
  interval: 20m",
        ),
        update(
            AwsAccount,
            "all-of-an-account-but-id-and-path-may-change",
            "spec: {externalID: first, invokeRoles: {path: /crossinvoke/}}",
            "spec: {externalID: null, roleARN: 'arn:aws:iam::990000000001:role/other', \
             invokeRoles: {path: /crossinvoke/, allowedTagKeys: [team]}}",
        ),
        update(
            AwsAccount,
            "invoke-roles-without-path-may-come-and-go",
            "spec: {invokeRoles: {}}",
            "spec: {invokeRoles: null}",
        ),
    ]
}

/// A server-side apply leaves null where it emptied an object; and people write null for absent.
fn emptied() -> Vec<Case> {
    let role = "spec: {invokeRole: {trust: AccountRoot, tags: {team: payments}}}";
    let grant = "spec: {grants: [{name: g, namespaces: {names: [payments]}, pipelines: [p], functions: [f]}]}";
    vec![
        apply(CrossAccountInvoke, "action-emptied", "spec: {action: {runOrder: 2}}", "spec: {action: {}}"),
        apply(CrossAccountInvoke, "invoke-role-emptied", role, "spec: {invokeRole: {}}"),
        apply(
            AwsAccount,
            "all-that-is-optional-of-a-grant-is-null",
            "{}",
            "spec:
  grants:
  - name: g
    namespaces: {names: null, selector: {matchLabels: null, matchExpressions: [{key: k, operator: Exists, values: null}]}}
    pipelines: [p]
    functions: null
    callers: null
    regions: null
    allow: null",
        ),
        apply(CrossAccountInvoke, "tags-emptied", role, "spec: {invokeRole: {tags: {}}}"),
        apply(
            AwsAccount,
            "invoke-roles-emptied",
            "spec: {invokeRoles: {allowedTagKeys: [team]}}",
            "spec: {invokeRoles: {}}",
        ),
        apply(AwsAccount, "grants-emptied", grant, "spec: {grants: []}"),
        apply(
            AwsAccount,
            "functions-emptied",
            grant,
            "spec: {grants: [{name: g, namespaces: {names: [payments]}, pipelines: [p], functions: []}]}",
        ),
    ]
}
