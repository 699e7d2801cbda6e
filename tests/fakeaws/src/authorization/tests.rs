//! Tables of policies and what IAM makes of them.
#![allow(clippy::needless_pass_by_value, reason = "json!(…) arguments read better without a reference")]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

const ROLE: &str = "arn:aws:iam::111111111111:role/service-role/pipeline";
const OTHER: &str = "arn:aws:iam::111111111111:role/service-role/other";
const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/pipeline/1624294113598";
const INVOKE: &str = "arn:aws:iam::222222222222:role/crossinvoke/invoke";

fn context(extra: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
    let always = [("aws:principalarn", ROLE), ("aws:principalaccount", "111111111111")];
    always.iter().chain(extra).map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect()
}

fn policy(statements: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn allow(action: &str, resource: &str) -> Value {
    policy(json!([{"Effect": "Allow", "Action": action, "Resource": resource}]))
}

#[derive(Debug)]
enum Verdict {
    Allow,
    Implicit,
    Explicit,
    /// The error holds this text.
    Unjudged(&'static str),
}
use Verdict::{Allow, Explicit, Implicit, Unjudged as Refused};

fn check<T: std::fmt::Debug + PartialEq>(name: &str, outcome: Result<T, Unjudged>, expected: Result<T, &str>) {
    match (outcome, expected) {
        (Ok(outcome), Ok(expected)) => assert_eq!(outcome, expected, "{name}"),
        (Err(Unjudged(text)), Err(part)) => assert!(text.contains(part), "{name}: {text}"),
        (outcome, expected) => panic!("{name}: {outcome:?}, expected {expected:?}"),
    }
}

/// `sts:AssumeRole` on the invoke role by identity policies alone.
fn on_invoke(policies: &[Value], boundary: Option<&Value>) -> Result<Decision, Unjudged> {
    let context = context(&[]);
    let request = Request { action: "sts:AssumeRole", resource: INVOKE, context: &context };
    identity(&policies.iter().collect::<Vec<_>>(), boundary, &request)
}

#[test]
fn identity_policies() {
    let deny = policy(json!([{"Effect": "Deny", "Action": "sts:*", "Resource": "*"}]));
    let statement = |action: Value, resource: Value| {
        let mut statement = json!({"Effect": "Allow"});
        for part in [action, resource] {
            for (name, value) in part.as_object().unwrap() {
                statement[name] = value.clone();
            }
        }
        vec![policy(json!([statement]))]
    };
    let act = || json!({"Action": "sts:AssumeRole"});
    let on = || json!({"Resource": INVOKE});
    let cases: Vec<(&str, Vec<Value>, Verdict)> = vec![
        ("no policy", vec![], Implicit),
        ("exact", vec![allow("sts:AssumeRole", INVOKE)], Allow),
        ("another action", vec![allow("sts:TagSession", INVOKE)], Implicit),
        ("another resource", vec![allow("sts:AssumeRole", "arn:aws:iam::222222222222:role/invoke")], Implicit),
        ("action names have no case", vec![allow("STS:assumerole", INVOKE)], Allow),
        ("resources have case", vec![allow("sts:AssumeRole", &INVOKE.replace("invoke", "Invoke"))], Implicit),
        ("star action", vec![allow("sts:*", INVOKE)], Allow),
        ("star in the middle", vec![allow("sts:Ass*ole", INVOKE)], Allow),
        ("question mark", vec![allow("sts:Assume????", INVOKE)], Allow),
        ("question mark is exactly one", vec![allow("sts:AssumeRole?", INVOKE)], Implicit),
        ("star resource", vec![allow("sts:AssumeRole", "arn:aws:iam::*:role/crossinvoke/*")], Allow),
        ("everything", vec![allow("*", "*")], Allow),
        (
            "lists",
            statement(json!({"Action": ["s3:*", "sts:AssumeRole"]}), json!({"Resource": ["arn:x", INVOKE]})),
            Allow,
        ),
        ("NotAction that leaves it out", statement(json!({"NotAction": ["s3:*", "iam:*"]}), on()), Allow),
        ("NotAction that holds it", statement(json!({"NotAction": ["s3:*", "sts:*"]}), on()), Implicit),
        ("NotResource that leaves it out", statement(act(), json!({"NotResource": "arn:aws:iam::3*"})), Allow),
        ("NotResource that holds it", statement(act(), json!({"NotResource": ["arn:x", INVOKE]})), Implicit),
        (
            "one statement, not a list",
            vec![json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})],
            Allow,
        ),
        ("no statement at all", vec![policy(json!([]))], Implicit),
        ("deny in another policy", vec![allow("*", "*"), deny.clone()], Explicit),
        ("deny before allow", vec![deny.clone(), allow("*", "*")], Explicit),
        ("deny alone", vec![deny], Explicit),
        (
            "deny of something else",
            vec![allow("*", "*"), policy(json!([{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]))],
            Allow,
        ),
        (
            "Sid and Id say nothing",
            vec![json!({"Id": "i", "Statement": [{"Sid": "s", "Effect": "Allow", "Action": "*", "Resource": "*"}]})],
            Allow,
        ),
        ("a principal", statement(act(), json!({"Resource": "*", "Principal": "*"})), Refused("Principal")),
        ("no resource", statement(act(), json!({})), Refused("Resource")),
        ("Action and NotAction", statement(json!({"Action": "s3:*", "NotAction": "s3:*"}), on()), Refused("NotAction")),
        ("a typing error", statement(act(), json!({"Resource": "*", "Conditions": {}})), Refused("Conditions")),
        (
            "an effect of our own",
            vec![policy(json!([{"Effect": "Maybe", "Action": "*", "Resource": "*"}]))],
            Refused("Maybe"),
        ),
        ("another version", vec![json!({"Version": "2026-01-01", "Statement": []})], Refused("2026-01-01")),
        (
            "a policy variable",
            vec![allow("sts:AssumeRole", "arn:aws:iam::*:role/${aws:username}")],
            Refused("${aws:username}"),
        ),
        ("an empty list", statement(json!({"Action": []}), on()), Refused("Action")),
        ("a number for an action", statement(json!({"Action": 1}), on()), Refused("Action")),
        ("no document", vec![json!("text")], Refused("no object")),
    ];
    for (name, policies, verdict) in cases {
        check(name, on_invoke(&policies, None), expected(verdict));
    }
}

fn expected(verdict: Verdict) -> Result<Decision, &'static str> {
    match verdict {
        Allow => Ok(Decision::Allow),
        Implicit => Ok(Decision::ImplicitDeny),
        Explicit => Ok(Decision::ExplicitDeny),
        Refused(part) => Err(part),
    }
}

#[test]
fn what_cannot_be_judged_is_an_error_whatever_else_is_said() {
    let strange = json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*",
        "Condition": {"IpAddress": {"aws:PrincipalArn": "10.0.0.0/8"}}});
    let plain = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let deny = json!({"Effect": "Deny", "Action": "*", "Resource": "*"});
    for statements in [json!([plain, strange]), json!([strange, plain]), json!([deny, strange]), json!([strange])] {
        check("in one document", on_invoke(&[policy(statements.clone())], None), Err("IpAddress"));
        check("in another document", on_invoke(&[allow("*", "*"), policy(statements.clone())], None), Err("IpAddress"));
        check("in a boundary", on_invoke(&[allow("*", "*")], Some(&policy(statements))), Err("IpAddress"));
    }
}

#[test]
fn boundaries() {
    let deny = policy(json!([{"Effect": "Deny", "Action": "sts:*", "Resource": "*"}]));
    let cases = [
        ("both allow", vec![allow("sts:*", "*")], allow("sts:AssumeRole", "*"), Decision::Allow),
        ("the boundary alone", vec![], allow("*", "*"), Decision::ImplicitDeny),
        ("a boundary that does not allow", vec![allow("*", "*")], allow("s3:*", "*"), Decision::ImplicitDeny),
        ("a boundary that denies", vec![allow("*", "*")], deny.clone(), Decision::ExplicitDeny),
        ("a policy that denies", vec![deny], allow("*", "*"), Decision::ExplicitDeny),
    ];
    for (name, policies, boundary, decision) in cases {
        check(name, on_invoke(&policies, Some(&boundary)), Ok(decision));
    }
}

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
        (json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}), Refused("aws:PrincipalOrgID")),
        (json!({"StringEqualsIfExists": {"aws:PrincipalTag/team": "a"}}), Refused("aws:PrincipalTag/team")),
        (json!({"Null": {"aws:TokenIssueTime": "true"}}), Refused("aws:TokenIssueTime")),
        (json!({"ForAnyValue:StringEquals": {account: "1"}}), Refused("ForAnyValue:StringEquals")),
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

#[test]
fn several_values_of_one_key_are_not_judged() {
    let mut context = context(&[]);
    context.insert("sts:externalid".to_owned(), vec!["a".to_owned(), "b".to_owned()]);
    let condition = json!({"StringEquals": {"sts:ExternalId": "a"}});
    let document = policy(json!([{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}]));
    let request = Request { action: "sts:AssumeRole", resource: INVOKE, context: &context };
    check("several", identity(&[&document], None, &request), Err("sts:ExternalId"));
}

fn trusting(principal: Value, condition: Option<Value>) -> Value {
    let mut statement = json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"});
    if let Some(condition) = condition {
        statement["Condition"] = condition;
    }
    policy(json!([statement]))
}

fn pipeline_role() -> Principal<'static> {
    Principal { account: "111111111111", arn: ROLE, session_arn: Some(SESSION), service: None }
}

fn as_pipeline(document: &Value, external_id: Option<&str>) -> Result<TrustDecision, Unjudged> {
    asked_by(&pipeline_role(), document, external_id)
}

/// `sts:AssumeRole` on the invoke role by its trust policy.
fn asked_by(principal: &Principal<'_>, document: &Value, external_id: Option<&str>) -> Result<TrustDecision, Unjudged> {
    let mut context = context(&[("aws:principalarn", principal.arn), ("aws:principalaccount", principal.account)]);
    context.extend(external_id.map(|id| ("sts:externalid".to_owned(), vec![id.to_owned()])));
    trust(document, principal, &Request { action: "sts:AssumeRole", resource: INVOKE, context: &context })
}

const ROOT: &str = "arn:aws:iam::111111111111:root";
use TrustDecision::{AllowAccount, AllowPrincipal, ExplicitDeny, ImplicitDeny};

/// A name, a trust policy, and what comes of it for each of three principals.
type TrustForm = (&'static str, Value, [Result<TrustDecision, &'static str>; 3]);

/// The forms that a trust policy for a pipeline's role is found in, each asked by that role, by another role of its
/// account and by one of another account.
#[test]
fn the_trust_forms_that_are_in_use() {
    let root_if = |condition: Value| trusting(json!({"AWS": ROOT}), Some(condition));
    let unjudged = |key: &'static str| [Err(key), Err(key), Err(key)];
    let cases: Vec<TrustForm> = vec![
        ("root alone", trusting(json!({"AWS": ROOT}), None), [Ok(AllowAccount), Ok(AllowAccount), Ok(ImplicitDeny)]),
        ("role ARN", trusting(json!({"AWS": ROLE}), None), [Ok(AllowPrincipal), Ok(ImplicitDeny), Ok(ImplicitDeny)]),
        (
            "root and principal ARN",
            root_if(json!({"ArnEquals": {"aws:PrincipalArn": ROLE}})),
            [Ok(AllowAccount), Ok(ImplicitDeny), Ok(ImplicitDeny)],
        ),
        (
            "root and the principal ARN of the other role",
            root_if(json!({"ArnEquals": {"aws:PrincipalArn": OTHER}})),
            [Ok(ImplicitDeny), Ok(AllowAccount), Ok(ImplicitDeny)],
        ),
        (
            "source ARN",
            root_if(json!({"ArnEquals": {"aws:SourceArn": "arn:aws:codepipeline:*:*:*"}})),
            unjudged("aws:SourceArn"),
        ),
        (
            "source account",
            root_if(json!({"StringEquals": {"aws:SourceAccount": "111111111111"}})),
            unjudged("aws:SourceAccount"),
        ),
        ("session name", root_if(json!({"StringLike": {"sts:RoleSessionName": "*"}})), unjudged("sts:RoleSessionName")),
        (
            "external id",
            root_if(json!({"StringEquals": {"sts:ExternalId": "x"}})),
            [Ok(ImplicitDeny), Ok(ImplicitDeny), Ok(ImplicitDeny)],
        ),
    ];
    let principals = [
        pipeline_role(),
        Principal { arn: OTHER, session_arn: None, ..pipeline_role() },
        Principal {
            account: "333333333333",
            arn: "arn:aws:iam::333333333333:role/service-role/pipeline",
            session_arn: None,
            service: None,
        },
    ];
    for (name, document, decisions) in cases {
        for (principal, decision) in principals.iter().zip(decisions) {
            check(&format!("{name}, {}", principal.arn), asked_by(principal, &document, None), decision);
        }
    }
}

#[test]
fn an_external_id_has_to_be_the_one_of_the_trust() {
    let document = trusting(json!({"AWS": ROOT}), Some(json!({"StringEquals": {"sts:ExternalId": "x"}})));
    let cases = [(None, ImplicitDeny), (Some("x"), AllowAccount), (Some("y"), ImplicitDeny), (Some("X"), ImplicitDeny)];
    for (sent, decision) in cases {
        check(&format!("{sent:?}"), as_pipeline(&document, sent), Ok(decision));
    }
}

#[test]
fn trust_principals() {
    let cases: Vec<(Value, Result<TrustDecision, &str>)> = vec![
        (json!("*"), Ok(AllowAccount)),
        (json!({"AWS": "*"}), Ok(AllowAccount)),
        (json!({"AWS": "111111111111"}), Ok(AllowAccount)),
        (json!({"AWS": "222222222222"}), Ok(ImplicitDeny)),
        (json!({"AWS": "arn:aws:iam::222222222222:root"}), Ok(ImplicitDeny)),
        (json!({"AWS": "arn:aws-cn:iam::111111111111:root"}), Ok(ImplicitDeny)),
        (json!({"AWS": SESSION}), Ok(AllowPrincipal)),
        (json!({"AWS": SESSION.replace("1624", "1625")}), Ok(ImplicitDeny)),
        (json!({"AWS": "arn:aws:iam::111111111111:role/pipeline"}), Ok(ImplicitDeny)),
        (json!({"AWS": "arn:aws:iam::111111111111:user/pipeline"}), Ok(ImplicitDeny)),
        (json!({"AWS": ["arn:aws:iam::222222222222:root", ROLE]}), Ok(AllowPrincipal)),
        (json!({"AWS": [ROLE, ROOT]}), Ok(AllowPrincipal)),
        (json!({"Service": "codepipeline.amazonaws.com", "AWS": ROOT}), Ok(AllowAccount)),
        (json!({"Service": ["codepipeline.amazonaws.com"], "Federated": "cognito", "AWS": ROLE}), Ok(AllowPrincipal)),
        (json!({"Service": "codepipeline.amazonaws.com"}), Ok(ImplicitDeny)),
        (json!({"AWS": "AROAABCDEFGHIJKLMNOPQ"}), Ok(ImplicitDeny)),
        (json!({"AWS": ["AROAABCDEFGHIJKLMNOPQ", "111111111111"]}), Ok(AllowAccount)),
        (json!({"AWS": "arn:aws:iam::111111111111:role/*"}), Err("wildcard")),
        (json!({"AWS": "arn:aws:sts::111111111111:federated-user/x"}), Err("federated-user")),
        (json!({"AWS": "somebody"}), Err("somebody")),
        (json!({"CanonicalUser": "x"}), Err("CanonicalUser")),
        (json!({}), Err("principal")),
        (json!("arn:aws:iam::111111111111:root"), Err("principal")),
    ];
    for (principal, decision) in cases {
        check(&principal.to_string(), as_pipeline(&trusting(principal.clone(), None), None), decision);
    }
}

#[test]
fn trust_statements() {
    let allow_root = json!({"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole"});
    let deny_role = json!({"Effect": "Deny", "Principal": {"AWS": ROLE}, "Action": "sts:*"});
    let allow_role =
        json!({"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": ["sts:TagSession", "sts:AssumeRole"]});
    let tag_only = json!({"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:TagSession"});
    let not_tag = json!({"Effect": "Allow", "Principal": {"AWS": ROOT}, "NotAction": "sts:TagSession"});
    let with = |name: &str, value: Value| {
        let mut statement = allow_root.clone();
        statement[name] = value;
        statement
    };
    let unprincipled = json!({"Effect": "Allow", "NotPrincipal": {"AWS": ROOT}, "Action": "sts:AssumeRole"});
    let cases: Vec<(Value, Result<TrustDecision, &str>)> = vec![
        (json!([]), Ok(ImplicitDeny)),
        (json!([tag_only]), Ok(ImplicitDeny)),
        (json!([not_tag]), Ok(AllowAccount)),
        (json!([allow_root, allow_role]), Ok(AllowPrincipal)),
        (json!([allow_role, allow_root]), Ok(AllowPrincipal)),
        (json!([allow_root, deny_role]), Ok(ExplicitDeny)),
        (json!([deny_role, allow_role]), Ok(ExplicitDeny)),
        (json!(allow_root), Ok(AllowAccount)),
        (json!([allow_root, unprincipled]), Err("NotPrincipal")),
        (json!([with("Resource", json!("*"))]), Err("Resource")),
        (json!([allow_root, {"Effect": "Allow", "Action": "sts:AssumeRole"}]), Err("Principal")),
        (
            json!([allow_root, {"Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:SourceIdentity": "x"}}}]),
            Err("sts:SourceIdentity"),
        ),
    ];
    for (statements, decision) in cases {
        check(&statements.to_string(), as_pipeline(&policy(statements.clone()), None), decision);
    }
}

#[test]
fn a_service_is_trusted_by_its_name() {
    let context = BTreeMap::new();
    let request = Request { action: "sts:AssumeRole", resource: ROLE, context: &context };
    let service = Principal { account: "", arn: "", session_arn: None, service: Some("codepipeline.amazonaws.com") };
    let name = || json!({"Service": ["lambda.amazonaws.com", "codepipeline.amazonaws.com"]});
    let cases = [
        (trusting(name(), None), Ok(AllowAccount)),
        (trusting(json!({"Service": "lambda.amazonaws.com"}), None), Ok(ImplicitDeny)),
        (trusting(json!({"AWS": ROOT}), None), Ok(ImplicitDeny)),
        (trusting(json!("*"), None), Err("*")),
        (trusting(name(), Some(json!({"StringEquals": {"aws:SourceAccount": "1"}}))), Err("aws:SourceAccount")),
        (trusting(name(), Some(json!({"StringEquals": {"sts:ExternalId": "x"}}))), Ok(ImplicitDeny)),
        (trusting(name(), Some(json!({"ArnLike": {"aws:PrincipalArn": ROLE}}))), Err("aws:PrincipalArn")),
    ];
    for (document, decision) in cases {
        check(&document.to_string(), trust(&document, &service, &request), decision);
    }
}
