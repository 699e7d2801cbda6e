//! Trust policies.

use super::*;

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
    if let Some(id) = external_id {
        context.set("sts:ExternalId", id);
    }
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
    let context = Context::of_service();
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
        (trusting(name(), Some(json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}))), Err("aws:PrincipalOrgID")),
        (trusting(name(), Some(json!({"Bool": {"aws:PrincipalIsAWSService": "true"}}))), Ok(AllowAccount)),
    ];
    for (document, decision) in cases {
        check(&document.to_string(), trust(&document, &service, &request), decision);
    }
}
