//! `AwsAccount`s that are refused.

use super::{Case, Kind::AwsAccount, create, update};

pub(super) fn cases() -> Vec<Case> {
    [identity(), grants(), namespaces(), invoke_roles(), updates()].into_iter().flatten().collect()
}

fn refused(name: &'static str, object: impl Into<String>) -> Case {
    create(AwsAccount, name, object)
}

/// An account with one grant that is right but for this.
fn refused_grant(name: &'static str, change: &str) -> Case {
    let mut grant = super::yaml("{name: payments, namespaces: {names: [payments]}, pipelines: ['payments-*']}");
    crate::support::merge(&mut grant, &super::yaml(change));
    refused(name, format!("spec: {{grants: [{grant}]}}"))
}

fn identity() -> Vec<Case> {
    let external_id = |id: &str| format!("spec: {{externalID: '{id}'}}");
    vec![
        refused("account-id-too-long", "spec: {accountID: '9900000000012'}"),
        refused("account-id-is-a-number", "spec: {accountID: 990000000001}"),
        refused("account-id-missing", "spec: {accountID: null}"),
        refused("role-is-a-name", "spec: {roleARN: crossinvoke}"),
        refused("role-of-another-account", "spec: {roleARN: 'arn:aws:iam::222222222222:role/crossinvoke'}"),
        refused("role-is-a-policy", "spec: {roleARN: 'arn:aws:iam::990000000001:policy/crossinvoke'}"),
        refused("role-without-name", "spec: {roleARN: 'arn:aws:iam::990000000001:role/path/'}"),
        refused("external-id-too-short", external_id("x")),
        refused("external-id-too-long", external_id(&"x".repeat(1225))),
        refused("external-id-with-space", external_id("not so secret")),
    ]
}

fn grants() -> Vec<Case> {
    let many = |count: usize| (0..count).map(|number| format!("a{number}")).collect::<Vec<_>>().join(", ");
    let grants: Vec<String> = (0..101)
        .map(|number| format!("{{name: g{number}, namespaces: {{names: [payments]}}, pipelines: [p]}}"))
        .collect();
    let twice = "{name: payments, namespaces: {names: [payments]}, pipelines: [p]}";
    vec![
        refused_grant("grant-name-missing", "name: null"),
        refused_grant("grant-name-in-capitals", "name: Payments"),
        refused_grant("grant-name-empty", "name: ''"),
        refused("grant-name-twice", format!("spec: {{grants: [{twice}, {twice}]}}")),
        refused("grants-too-many", format!("spec: {{grants: [{}]}}", grants.join(", "))),
        refused_grant("grant-of-nothing", "pipelines: null"),
        refused_grant("grant-of-no-pipelines", "pipelines: []"),
        refused_grant("grant-of-functions-to-nobody", "{pipelines: null, functions: [MyFunction]}"),
        refused_grant("grant-of-callers-without-functions", "{pipelines: null, callers: ['111111111111']}"),
        refused_grant("grant-pipeline-empty", "pipelines: ['']"),
        refused_grant("grant-pipeline-is-a-regex", "pipelines: [good, 'payments-[a-z]+']"),
        refused_grant("grant-pipeline-too-long", &format!("pipelines: [{}]", "p".repeat(101))),
        refused_grant("grant-pipeline-twice", "pipelines: [p, p]"),
        refused_grant("grant-pipelines-too-many", &format!("pipelines: [{}]", many(101))),
        refused_grant("grant-function-is-an-arn", "functions: ['arn:aws:lambda:us-east-1:990000000001:function:f']"),
        refused_grant("grant-caller-is-a-wildcard", "callers: ['*']"),
        refused_grant("grant-caller-is-a-number", "callers: [111111111111]"),
        refused_grant("grant-of-no-region", "regions: []"),
        refused_grant("grant-region-is-a-pattern", "regions: [us-east-1, 'eu-*']"),
        refused_grant("grant-allows-the-unknown", "allow: [Everything]"),
    ]
}

fn namespaces() -> Vec<Case> {
    vec![
        refused_grant("namespaces-missing", "namespaces: null"),
        refused_grant("namespaces-of-nothing", "namespaces: {names: null}"),
        refused_grant("namespaces-without-names", "namespaces: {names: []}"),
        refused_grant("namespaces-by-wildcard", "namespaces: {names: ['*']}"),
        refused_grant("selector-empty", "namespaces: {names: null, selector: {}}"),
        refused_grant("selector-with-empty-labels", "namespaces: {selector: {matchLabels: {}, matchExpressions: []}}"),
        refused_grant(
            "selector-with-unknown-operator",
            "namespaces: {selector: {matchExpressions: [{key: team, operator: Equals, values: [payments]}]}}",
        ),
        refused_grant("selector-in-nothing", "namespaces: {selector: {matchExpressions: [{key: team, operator: In}]}}"),
        refused_grant(
            "selector-exists-with-values",
            "namespaces: {selector: {matchExpressions: [{key: team, operator: Exists, values: [payments]}]}}",
        ),
    ]
}

fn invoke_roles() -> Vec<Case> {
    let keys: Vec<String> = (0..51).map(|number| format!("t{number}")).collect();
    let path = |path: &str| format!("spec: {{invokeRoles: {{path: '{path}'}}}}");
    let boundary = |arn: &str| format!("spec: {{invokeRoles: {{permissionsBoundaryARN: '{arn}'}}}}");
    vec![
        refused("path-empty", path("")),
        refused("path-without-slash-in-front", path("crossinvoke/")),
        refused("path-without-slash-behind", path("/crossinvoke")),
        refused("path-with-empty-part", path("/crossinvoke//dev/")),
        refused("path-with-space", path("/cross invoke/")),
        refused("path-too-long", path(&format!("/{}/", "p".repeat(511)))),
        refused("boundary-is-a-name", boundary("invoke-boundary")),
        refused("boundary-is-a-role", boundary("arn:aws:iam::990000000001:role/invoke-boundary")),
        refused("boundary-of-another-account", boundary("arn:aws:iam::222222222222:policy/invoke-boundary")),
        refused("allowed-tag-key-of-aws", "spec: {invokeRoles: {allowedTagKeys: ['aws:team']}}"),
        refused("allowed-tag-key-of-ours", "spec: {invokeRoles: {allowedTagKeys: [team, crossinvoke.dev/owner]}}"),
        refused("allowed-tag-key-is-imposed", "spec: {invokeRoles: {allowedTagKeys: [team], tags: {team: x}}}"),
        refused("imposed-tag-of-aws", "spec: {invokeRoles: {tags: {'aws:team': x}}}"),
        refused("imposed-tag-value-with-quote", "spec: {invokeRoles: {tags: {team: pay'ments}}}"),
        refused(
            "imposed-tags-too-many",
            "spec: {invokeRoles: {tags: {a: '', b: '', c: '', d: '', e: '', f: '', g: '', h: '', i: ''}}}",
        ),
        refused("tolerated-is-everything", "spec: {invokeRoles: {toleratedPolicies: ['*']}}"),
        refused(
            "tolerated-is-a-role",
            "spec: {invokeRoles: {toleratedPolicies: ['arn:aws:iam::990000000001:role/r']}}",
        ),
        refused("tolerated-is-a-regex", "spec: {invokeRoles: {toleratedPolicies: ['org-[a-z]+']}}"),
        refused("allowed-tag-key-is-a-wildcard", "spec: {invokeRoles: {allowedTagKeys: ['*']}}"),
        refused(
            "allowed-tag-keys-too-many",
            format!("spec: {{invokeRoles: {{allowedTagKeys: [{}]}}}}", keys.join(", ")),
        ),
    ]
}

fn updates() -> Vec<Case> {
    let refused = |name, object, changed| update(AwsAccount, name, object, changed);
    let with_path = "spec: {invokeRoles: {path: /crossinvoke/}}";
    vec![
        refused("account-id-changed", "{}", "spec: {accountID: '990000000002'}"),
        refused("path-changed", with_path, "spec: {invokeRoles: {path: /other/}}"),
        refused("path-removed", with_path, "spec: {invokeRoles: {path: null}}"),
        refused("path-removed-with-invoke-roles", with_path, "spec: {invokeRoles: null}"),
        refused(
            "path-added",
            "spec: {invokeRoles: {allowedTagKeys: [team]}}",
            "spec: {invokeRoles: {path: /crossinvoke/}}",
        ),
        refused("path-added-with-invoke-roles", "{}", "spec: {invokeRoles: {path: /crossinvoke/}}"),
    ]
}
