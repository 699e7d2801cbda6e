//! Tables of policies and what IAM makes of them.
#![allow(clippy::needless_pass_by_value, reason = "json!(…) arguments read better without a reference")]

mod conditions;
mod layers;
mod trust;

use serde_json::{Value, json};

use super::*;

const ROLE: &str = "arn:aws:iam::111111111111:role/service-role/pipeline";
const OTHER: &str = "arn:aws:iam::111111111111:role/service-role/other";
const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/pipeline/1624294113598";
const INVOKE: &str = "arn:aws:iam::222222222222:role/crossinvoke/invoke";

fn context(extra: &[(&str, &str)]) -> Context {
    let mut context = Context::default();
    let always = [("aws:PrincipalArn", ROLE), ("aws:PrincipalAccount", "111111111111")];
    for (key, value) in always.iter().chain(extra) {
        context.set(key, *value);
    }
    context
}

fn plain(document: &Value) -> Policy<'_> {
    Policy { arn: None, document }
}

/// Identity policies and a boundary alone.
fn identity(policies: &[&Value], boundary: Option<&Value>, request: &Request<'_>) -> Result<Decision, Unjudged> {
    let policies = Policies {
        identity: Some(policies.iter().map(|document| plain(document)).collect()),
        boundary: boundary.map(plain),
        ..Policies::default()
    };
    Ok(match denial(&policies, request)? {
        None => Decision::Allow,
        Some(denial) if denial.is_explicit => Decision::ExplicitDeny,
        Some(_) => Decision::ImplicitDeny,
    })
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
