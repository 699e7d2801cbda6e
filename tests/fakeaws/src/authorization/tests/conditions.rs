//! Conditions.

use std::collections::BTreeMap;

use super::*;

/// Each condition on a statement that allows everything.
fn conditions(cases: Vec<(Value, Verdict)>) {
    // A key is judged because it is modelled, not because a caller happens to bring it.
    let context = context(&[("sts:externalid", "true"), ("test:flag", "true")]);
    for (condition, verdict) in cases {
        let document =
            policy(json!([{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition.clone()}]));
        let request = Request { action: "sts:AssumeRole", resource: INVOKE, context: &context };
        check(&condition.to_string(), identity(&[&document], None, &request), expected(verdict));
    }
}

#[test]
fn conditions_compare_texts_and_arns() {
    let account = "aws:PrincipalAccount";
    conditions(vec![
        (json!({"StringEquals": {"aws:PrincipalAccount": "111111111111"}}), Allow),
        (json!({"StringEquals": {"AWS:principalaccount": "111111111111"}}), Allow),
        (json!({"StringEquals": {account: ["222222222222", "111111111111"]}}), Allow),
        (json!({"StringEquals": {account: "222222222222"}}), Implicit),
        (json!({"StringEquals": {account: "1111*"}}), Implicit),
        (json!({"StringEquals": {"aws:PrincipalArn": ROLE.to_uppercase()}}), Implicit),
        (json!({"StringNotEquals": {account: "222222222222"}}), Allow),
        (json!({"StringNotEquals": {account: ["222222222222", "111111111111"]}}), Implicit),
        (json!({"StringLike": {account: "1111*"}}), Allow),
        (json!({"StringNotLike": {account: "1111*"}}), Implicit),
        (json!({"ArnEquals": {"aws:PrincipalArn": ROLE}}), Allow),
        (json!({"ArnEquals": {"aws:PrincipalArn": SESSION}}), Implicit),
        (json!({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/pipeline"}}), Implicit),
        (json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*/pipeline"}}), Allow),
        (json!({"ArnNotEquals": {"aws:PrincipalArn": ROLE}}), Implicit),
        (json!({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::222222222222:*"}}), Allow),
        (json!({"StringEqualsIgnoreCase": {"aws:PrincipalArn": ROLE.to_uppercase()}}), Allow),
        (json!({"StringEqualsIgnoreCase": {"aws:PrincipalArn": ["x", ROLE]}}), Allow),
        (json!({"StringEqualsIgnoreCase": {"aws:PrincipalArn": SESSION}}), Implicit),
        (json!({"StringEqualsIgnoreCase": {account: "1111*"}}), Implicit),
        (json!({"StringEqualsIgnoreCase": {"iam:PassedToService": "x"}}), Implicit),
        (json!({"StringEqualsIgnoreCaseIfExists": {"iam:PassedToService": "x"}}), Allow),
        (json!({"StringEqualsIgnoreCaseIfExists": {account: "x"}}), Implicit),
    ]);
}

#[test]
fn conditions_on_flags_and_absent_keys() {
    let account = "aws:PrincipalAccount";
    conditions(vec![
        (json!({"Bool": {"sts:ExternalId": true}}), Allow),
        (json!({"Bool": {"sts:ExternalId": "false"}}), Implicit),
        (json!({"Bool": {"iam:PassedToService": "false"}}), Implicit),
        (json!({"BoolIfExists": {"iam:PassedToService": "false"}}), Allow),
        (json!({"Null": {"iam:PassedToService": true}}), Allow),
        (json!({"Null": {"iam:PassedToService": "false"}}), Implicit),
        (json!({"Null": {"aws:PrincipalArn": "false"}}), Allow),
        // Absent keys: positive operators fail, negative ones hold, …IfExists holds.
        (json!({"StringEquals": {"iam:PassedToService": "codepipeline.amazonaws.com"}}), Implicit),
        (json!({"StringNotEquals": {"iam:PassedToService": "codepipeline.amazonaws.com"}}), Allow),
        (json!({"StringEqualsIfExists": {"iam:PassedToService": "codepipeline.amazonaws.com"}}), Allow),
        (json!({"StringLike": {"iam:PassedToService": "*"}}), Implicit),
        (json!({"StringNotLike": {"iam:PassedToService": "*"}}), Allow),
        (json!({"ArnLike": {"iam:PassedToService": "arn:*:*:*:*:*"}}), Implicit),
        (json!({"ArnNotEquals": {"iam:PassedToService": ROLE}}), Allow),
        (json!({"StringEqualsIfExists": {account: "222222222222"}}), Implicit),
        (json!({"StringNotEqualsIfExists": {account: "111111111111"}}), Implicit),
        (json!({"ArnLikeIfExists": {"aws:PrincipalArn": "arn:aws:iam::2*:*"}}), Implicit),
        // All operators and all keys have to hold.
        (json!({"StringEquals": {account: "111111111111"}, "Null": {"iam:PassedToService": "false"}}), Implicit),
        (json!({"StringEquals": {account: "111111111111", "aws:PrincipalArn": "x"}}), Implicit),
        (json!({"StringEquals": {account: "111111111111"}, "ArnLike": {"aws:PrincipalArn": ROLE}}), Allow),
        (json!({}), Allow),
    ]);
}

#[test]
fn conditions_that_cannot_be_judged() {
    let account = "aws:PrincipalAccount";
    conditions(vec![
        (json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:*:role/service-role/pipeline"}}), Refused("arn:aws:*")),
        (json!({"StringNotEqualsIgnoreCase": {account: "x"}}), Refused("StringNotEqualsIgnoreCase")),
        (json!({"Bool": {"sts:ExternalId": "maybe"}}), Refused("maybe")),
        (json!({"NullIfExists": {"aws:PrincipalArn": "false"}}), Refused("NullIfExists")),
        (json!({"StringEquals": {"aws:PrincipalTag/": "a"}}), Refused("aws:PrincipalTag/")),
        // Whether the resource has tags, and whether the request brings any, this request does not say.
        (json!({"StringEquals": {"aws:ResourceTag/team": "a"}}), Refused("aws:ResourceTag/team")),
        (json!({"Null": {"iam:ResourceTag/team": "true"}}), Refused("iam:ResourceTag/team")),
        (json!({"StringNotEquals": {"aws:RequestTag/team": "a"}}), Refused("aws:RequestTag/team")),
        (json!({"ForAllValues:StringEquals": {"aws:TagKeys": "team"}}), Refused("aws:TagKeys")),
        (json!({"StringEquals": {"aws:ResourceOrgID": "o-1"}}), Refused("aws:ResourceOrgID")),
        (json!({"ForSomeValues:StringEquals": {account: "1"}}), Refused("ForSomeValues:StringEquals")),
        (json!({"ForAnyValue:Null": {account: "true"}}), Refused("ForAnyValue:Null")),
        (json!({"Null": {"aws:TokenIssueTime": "true"}}), Refused("aws:TokenIssueTime")),
        (json!({"StringEqualz": {account: "1"}}), Refused("StringEqualz")),
        (json!({"StringEqualz": {}}), Refused("StringEqualz")),
        (json!({"NullIfExists": {}}), Refused("NullIfExists")),
        (json!({"StringEquals": {"test:flag": "true"}}), Refused("test:flag")),
        (json!({"ArnLike": {"aws:SourceArn": "arn:aws:codepipeline:*:*:*"}}), Refused("aws:SourceArn")),
        (json!({"StringNotEqualsIfExists": {"aws:SourceAccount": "1"}}), Refused("aws:SourceAccount")),
        (json!({"StringEquals": {account: "${aws:PrincipalAccount}"}}), Refused("${aws:PrincipalAccount}")),
        (json!({"StringEquals": {account: []}}), Refused(account)),
        (json!("text"), Refused("text")),
    ]);
}

/// Each condition, in the context of a call that brings tags.
fn conditions_in(context: &Context, cases: Vec<(Value, Verdict)>) {
    for (condition, verdict) in cases {
        let document =
            policy(json!([{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition.clone()}]));
        let request = Request { action: "iam:TagRole", resource: INVOKE, context };
        check(&condition.to_string(), identity(&[&document], None, &request), expected(verdict));
    }
}

#[test]
fn several_values_of_one_key_need_a_quantifier() {
    let mut context = context(&[]);
    context.set_request_tags(&[("team", "payments"), ("Stage", "prod")]);
    let keys = "aws:TagKeys";
    conditions_in(
        &context,
        vec![
            (json!({"StringEquals": {keys: "team"}}), Refused(keys)),
            (json!({"ForAllValues:StringEquals": {keys: ["team", "Stage", "other"]}}), Allow),
            (json!({"ForAllValues:StringEquals": {keys: ["team", "stage"]}}), Implicit),
            (json!({"ForAllValues:StringEqualsIgnoreCase": {keys: ["team", "stage"]}}), Allow),
            (json!({"ForAllValues:StringLike": {keys: "*a*"}}), Allow),
            (json!({"ForAllValues:StringNotLike": {keys: "aws:*"}}), Allow),
            (json!({"ForAllValues:StringNotEquals": {keys: ["team", "x"]}}), Implicit),
            (json!({"ForAnyValue:StringEquals": {keys: ["team", "x"]}}), Allow),
            (json!({"ForAnyValue:StringEquals": {keys: ["x", "y"]}}), Implicit),
            (json!({"ForAnyValue:StringNotEquals": {keys: "team"}}), Allow),
            (json!({"ForAnyValue:StringNotEquals": {keys: ["team", "Stage"]}}), Implicit),
            (json!({"Null": {keys: "false"}}), Allow),
            // A key with one value takes a quantifier too.
            (json!({"ForAnyValue:StringEquals": {"aws:PrincipalAccount": "111111111111"}}), Allow),
            (json!({"ForAllValues:StringEquals": {"aws:PrincipalAccount": "222222222222"}}), Implicit),
        ],
    );
}

#[test]
fn no_value_fits_every_and_not_any() {
    let mut context = context(&[]);
    context.set_request_tags(&[]);
    conditions_in(
        &context,
        vec![
            (json!({"ForAllValues:StringEquals": {"aws:TagKeys": "team"}}), Allow),
            (json!({"ForAllValues:StringNotEquals": {"aws:TagKeys": "team"}}), Allow),
            (json!({"ForAnyValue:StringEquals": {"aws:TagKeys": "team"}}), Implicit),
            (json!({"ForAnyValue:StringNotEquals": {"aws:TagKeys": "team"}}), Implicit),
            (json!({"ForAnyValue:StringEqualsIfExists": {"aws:TagKeys": "team"}}), Allow),
            (json!({"Null": {"aws:TagKeys": "true"}}), Allow),
        ],
    );
}

#[test]
fn tags_of_request_resource_and_principal() {
    let mut context = context(&[("aws:PrincipalTag/Team", "payments"), ("aws:PrincipalOrgID", "o-1")]);
    context.set_request_tags(&[("team", "payments")]);
    context.set_resource_tags(&BTreeMap::from([("Stage".to_owned(), "prod".to_owned())]));
    context.set_resource_account("222222222222", Some("o-2"));
    conditions_in(
        &context,
        vec![
            (json!({"StringEquals": {"aws:RequestTag/team": "payments"}}), Allow),
            // Names of keys have no case, values have.
            (json!({"StringEquals": {"aws:requesttag/TEAM": "payments"}}), Allow),
            (json!({"StringEquals": {"aws:RequestTag/team": "Payments"}}), Implicit),
            (json!({"StringEquals": {"aws:RequestTag/other": "payments"}}), Implicit),
            (json!({"Null": {"aws:RequestTag/other": "true"}}), Allow),
            (json!({"StringEquals": {"aws:ResourceTag/stage": "prod"}}), Allow),
            (json!({"StringEquals": {"iam:ResourceTag/Stage": "prod"}}), Allow),
            (json!({"StringEquals": {"iam:ResourceTag/team": "payments"}}), Implicit),
            (json!({"StringNotEquals": {"aws:ResourceTag/team": "payments"}}), Allow),
            (json!({"StringEquals": {"aws:PrincipalTag/team": "payments"}}), Allow),
            (json!({"Null": {"aws:PrincipalTag/stage": "true"}}), Allow),
            (json!({"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}), Implicit),
            (json!({"StringEquals": {"aws:ResourceOrgID": "o-2", "aws:ResourceAccount": "222222222222"}}), Allow),
            (json!({"BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}), Allow),
        ],
    );
}

/// A statement about something else is no obstacle: what its condition asks for matters only if the rest fits.
#[test]
fn a_key_that_a_request_leaves_open_counts_only_where_action_and_resource_fit() {
    let context = context(&[]);
    let with = |action: &str, resource: &str| {
        policy(json!([
            {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"},
            {"Effect": "Deny", "Action": action, "Resource": resource,
             "Condition": {"StringNotEquals": {"aws:ResourceTag/team": "payments"}}},
        ]))
    };
    // A key that does not fit decides, whatever the open one would be.
    let with_account = |account: &str| {
        let mut document = with("lambda:*", "*");
        document["Statement"][1]["Condition"]["StringEquals"] = json!({"aws:PrincipalAccount": account});
        document
    };
    let function = "arn:aws:lambda:us-east-1:222222222222:function:f";
    let request = Request { action: "lambda:GetFunction", resource: function, context: &context };
    for (document, expected) in [
        (with("iam:*", "*"), Ok(Decision::Allow)),
        (with("lambda:*", "arn:aws:lambda:*:*:function:g"), Ok(Decision::Allow)),
        (with("lambda:*", "*"), Err("aws:ResourceTag/team")),
        (with_account("222222222222"), Ok(Decision::Allow)),
        (with_account("111111111111"), Err("aws:ResourceTag/team")),
    ] {
        check(&document.to_string(), identity(&[&document], None, &request), expected);
    }
}
