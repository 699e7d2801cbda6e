//! What the adapters send and how they read the answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    DEV, aws, change, dev_session, key, put, region,
    rights::{OPERATIONS, WITHOUT_OPERATION},
    stub::{Answer, Asked, Stub},
    update,
};
use crate::{
    aws::{AwsErrorKind, FunctionRead, Iam},
    domain::{
        ids::{Arn, RoleName},
        plan::NewRole,
    },
    engine::role::Change,
};

const ROLE: &str = "<Role><Path>/crossinvoke/x/</Path><RoleName>r</RoleName><RoleId>AROA1</RoleId>\
    <Arn>arn:aws:iam::222222222222:role/crossinvoke/x/r</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>\
    <AssumeRolePolicyDocument>%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D\
    </AssumeRolePolicyDocument><PermissionsBoundary><PermissionsBoundaryType>Policy</PermissionsBoundaryType>\
    <PermissionsBoundaryArn>arn:aws:iam::222222222222:policy/b</PermissionsBoundaryArn></PermissionsBoundary>\
    <Tags><member><Key>team</Key><Value>a+b</Value></member></Tags></Role>";

fn iam_answer(asked: &Asked) -> Answer {
    let paged = |list: &str, first: &str, last: &str| match asked.value("Marker").as_deref() {
        None => format!("<{list}>{first}</{list}><IsTruncated>true</IsTruncated><Marker>m/1+</Marker>"),
        Some("m/1+") => format!("<{list}>{last}</{list}><IsTruncated>false</IsTruncated>"),
        Some(other) => format!("unknown marker {other}"),
    };
    let result = match asked.operation.as_str() {
        "GetRole" | "CreateRole" => ROLE.to_owned(),
        "GetRolePolicy" => "<RoleName>r</RoleName><PolicyName>p</PolicyName>\
            <PolicyDocument>%7B%22a%22%3A%22x+y%20z%22%7D</PolicyDocument>"
            .to_owned(),
        "ListRoles" => {
            let role = |name: &str, trust: &str| {
                format!(
                    "<member><Path>/crossinvoke/x/</Path><RoleName>{name}</RoleName><RoleId>AROA1</RoleId>\
                     <Arn>arn:aws:iam::222222222222:role/crossinvoke/x/{name}</Arn>\
                     <CreateDate>2026-01-01T00:00:00Z</CreateDate>\
                     <AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument></member>"
                )
            };
            paged("Roles", &role("a", "%7B%22a%22%3A1%7D"), &role("b", "%7B"))
        }
        "ListRolePolicies" => paged("PolicyNames", "<member>a</member>", "<member>b</member>"),
        "ListAttachedRolePolicies" => {
            let policy = |name| {
                format!(
                    "<member><PolicyName>{name}</PolicyName><PolicyArn>arn:aws:iam::aws:policy/{name}</PolicyArn></member>"
                )
            };
            paged("AttachedPolicies", &policy("a"), &policy("b"))
        }
        "GetPolicy" => {
            "<Policy><Arn>arn:aws:iam::aws:policy/a</Arn><DefaultVersionId>v3</DefaultVersionId></Policy>".to_owned()
        }
        "GetPolicyVersion" if asked.value("VersionId").as_deref() == Some("v3") => {
            "<PolicyVersion><VersionId>v3</VersionId><Document>%7B%22a%22%3A%22x+y%22%7D</Document></PolicyVersion>"
                .to_owned()
        }
        _ => String::new(),
    };
    Answer::xml(&asked.operation, &result)
}

fn role() -> RoleName {
    "r".parse().unwrap()
}

fn new_role() -> NewRole {
    NewRole {
        path: "/crossinvoke/x/".parse().unwrap(),
        trust: json!({"Version": "2012-10-17", "Statement": []}),
        tags: BTreeMap::from([("team".to_owned(), "a+b".to_owned())]),
        boundary: Some("arn:aws:iam::222222222222:policy/b".parse().unwrap()),
    }
}

async fn iam(stub: &Stub) -> Iam {
    dev_session(stub).await.iam(&region())
}

#[tokio::test]
async fn a_role_is_read_whole() {
    let stub = Stub::start(iam_answer).await;
    let read = iam(&stub).await.get_role(&role()).await.unwrap().unwrap();
    assert_eq!(read.arn.as_str(), "arn:aws:iam::222222222222:role/crossinvoke/x/r");
    assert_eq!(read.path.as_str(), "/crossinvoke/x/");
    assert_eq!(read.trust, json!({"Version": "2012-10-17", "Statement": []}));
    assert_eq!(read.tags, new_role().tags);
    assert_eq!(read.boundary, new_role().boundary);
}

#[tokio::test]
async fn a_role_is_made_with_all_that_it_needs() {
    let stub = Stub::start(iam_answer).await;
    let iam = iam(&stub).await;
    change(&iam, Change::Create(new_role())).await.unwrap();
    let asked = stub.one("CreateRole");
    for (name, value) in [
        ("RoleName", "r"),
        ("Path", "/crossinvoke/x/"),
        ("AssumeRolePolicyDocument", r#"{"Version":"2012-10-17","Statement":[]}"#),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "a+b"),
        ("PermissionsBoundary", "arn:aws:iam::222222222222:policy/b"),
        ("Description", "Lets a CodePipeline in another account invoke a function; kept by crossinvoke"),
    ] {
        assert_eq!(asked.value(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn lists_are_read_to_their_last_page() {
    let stub = Stub::start(iam_answer).await;
    let iam = iam(&stub).await;
    assert_eq!(iam.list_role_policies(&role()).await.unwrap(), ["a", "b"]);
    let attached = iam.list_attached_role_policies(&role()).await.unwrap();
    assert_eq!(
        attached.iter().map(Arn::as_str).collect::<Vec<_>>(),
        ["arn:aws:iam::aws:policy/a", "arn:aws:iam::aws:policy/b"]
    );
}

#[tokio::test]
async fn of_a_managed_policy_the_default_version_is_read() {
    let stub = Stub::start(iam_answer).await;
    let policy = "arn:aws:iam::aws:policy/a".parse().unwrap();
    assert_eq!(iam(&stub).await.managed_policy(&policy).await.unwrap(), Some(json!({"a": "x+y"})));
}

#[tokio::test]
async fn what_does_not_exist_is_absent_and_its_deletion_done() {
    let stub = Stub::start(|asked| Answer::error(asked, 404, "NoSuchEntity", "not found")).await;
    let (iam, policy) = (iam(&stub).await, "arn:aws:iam::aws:policy/p".parse().unwrap());
    assert_eq!(iam.get_role(&role()).await.unwrap(), None);
    assert_eq!(iam.get_role_policy(&role(), "p").await.unwrap(), None);
    assert!(iam.list_role_policies(&role()).await.unwrap().is_empty());
    assert!(iam.list_attached_role_policies(&role()).await.unwrap().is_empty());
    assert_eq!(iam.managed_policy(&policy).await.unwrap(), None);
    for gone in [Change::DeletePolicy("p".to_owned()), Change::Detach(policy), Change::Delete] {
        change(&iam, gone).await.unwrap();
    }
    // A write to what is gone is no success.
    let error = change(&iam, put()).await.unwrap_err();
    assert_eq!(error.kind, AwsErrorKind::NotFound);
}

#[tokio::test]
async fn what_exists_is_deleted() {
    let stub = Stub::start(iam_answer).await;
    let (iam, policy) = (iam(&stub).await, "arn:aws:iam::aws:policy/p".parse().unwrap());
    for (goes, operation) in [
        (Change::DeletePolicy("p".to_owned()), "DeleteRolePolicy"),
        (Change::Detach(policy), "DetachRolePolicy"),
        (Change::Delete, "DeleteRole"),
    ] {
        change(&iam, goes).await.unwrap();
        assert_eq!(stub.one(operation).value("RoleName").as_deref(), Some("r"));
    }
}

#[tokio::test]
async fn an_unreadable_document_names_role_and_policy() {
    let stub = Stub::start(|asked| {
        let result = "<RoleName>r</RoleName><PolicyName>p</PolicyName><PolicyDocument>%7B</PolicyDocument>";
        Answer::xml(&asked.operation, result)
    })
    .await;
    let text = iam(&stub).await.get_role_policy(&role(), "p").await.unwrap_err().to_string();
    assert!(text.contains("account 222222222222") && text.contains("inline policy p of role r"), "{text}");
}

#[tokio::test]
async fn a_function_is_read_or_absent() {
    let stub = Stub::start(|_| {
        let (arn, role) = ("arn:aws:lambda:us-east-1:222222222222:function:f", "arn:aws:iam::222222222222:role/a/e");
        Answer::json(&json!({"FunctionArn": arn, "Role": role}))
    })
    .await;
    let read = dev_session(&stub).await.lambda(&region()).get_function(&"f".parse().unwrap()).await.unwrap().unwrap();
    let expected = FunctionRead {
        arn: "arn:aws:lambda:us-east-1:222222222222:function:f".parse().unwrap(),
        role: "arn:aws:iam::222222222222:role/a/e".parse().unwrap(),
    };
    assert_eq!(read, expected);
    let stub = Stub::start(|asked| Answer::error(asked, 404, "ResourceNotFoundException", "Function not found")).await;
    let lambda = dev_session(&stub).await.lambda(&region());
    assert_eq!(lambda.get_function(&"f".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn clients_sign_for_their_region() {
    let stub = Stub::start(|asked| Answer::error(asked, 404, "ResourceNotFoundException", "no")).await;
    let session = dev_session(&stub).await;
    session.lambda(&"ap-south-1".parse().unwrap()).get_function(&"f".parse().unwrap()).await.unwrap();
    session.codepipeline(&"eu-north-1".parse().unwrap()).get_pipeline(&"p".parse().unwrap()).await.unwrap();
    assert_eq!(stub.one("GetFunctionConfiguration").region, "ap-south-1");
    assert_eq!(stub.one("GetPipeline").region, "eu-north-1");
}

/// One of each.
pub(super) fn changes() -> [Change; 9] {
    let arn = || "arn:aws:iam::222222222222:policy/b".parse().unwrap();
    [
        Change::Create(new_role()),
        Change::SetTrust(json!({})),
        Change::SetTags(new_role().tags),
        Change::RemoveTags(vec!["team".to_owned()]),
        Change::SetBoundary(arn()),
        put(),
        Change::DeletePolicy("p".to_owned()),
        Change::Detach(arn()),
        Change::Delete,
    ]
}

/// Sends every operation there is; the answers do not matter.
async fn send_everything(stub: &Stub) -> BTreeSet<String> {
    let (aws, observed) = aws(stub);
    let session = aws.session(&key(DEV)).await.unwrap();
    let (iam, pipelines) = (session.iam(&region()), session.codepipeline(&region()));
    let (role, arn) = (role(), "arn:aws:iam::222222222222:policy/b".parse().unwrap());
    let _ = session.lambda(&region()).get_function(&"f".parse().unwrap()).await;
    let _ = session.lambda(&region()).functions_of_account(None, 50, |_| true).await;
    let _ = iam.roles_of_account(None, 100, |_| true).await;
    let _ = iam.get_role(&role).await;
    let _ = iam.list_roles(&new_role().path).await;
    let _ = iam.get_role_policy(&role, "p").await;
    let _ = iam.list_role_policies(&role).await;
    let _ = iam.list_attached_role_policies(&role).await;
    let _ = iam.managed_policy(&arn).await;
    for each in changes() {
        let _ = change(&iam, each).await;
    }
    let _ = pipelines.get_pipeline(&"p".parse().unwrap()).await;
    let declaration = json!({"name": "p", "roleArn": "arn:aws:iam::1:role/r"}).into();
    let _ = update(&pipelines, &declaration).await;
    let (history, oldest) = (crate::domain::history::History::default(), jiff::Timestamp::UNIX_EPOCH);
    let known = crate::aws::Known { declaration: &declaration, history, oldest };
    let _ = pipelines.occupancy(&pipelines.turn().await, &"p".parse().unwrap(), known).await;
    observed.all().iter().map(|call| call.split(' ').nth(1).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn roles_are_listed_to_the_last_page_and_an_unreadable_trust_policy_stops_nobody() {
    let stub = Stub::start(iam_answer).await;
    let session = dev_session(&stub).await;
    let roles = session.iam(&region()).list_roles(&"/crossinvoke/x/".parse().unwrap()).await.unwrap();
    let found: Vec<(&str, Value)> = roles.iter().map(|role| (role.arn.resource(), role.trust.clone())).collect();
    assert_eq!(found, [("role/crossinvoke/x/a", json!({"a": 1})), ("role/crossinvoke/x/b", Value::Null)]);
    assert_eq!(stub.asked()[2].value("PathPrefix").as_deref(), Some("/crossinvoke/x/"));
}

#[tokio::test]
async fn the_rights_are_those_of_the_operations_that_are_sent() {
    // The version of a policy is read only where the policy tells one.
    let stub = Stub::start(|asked| match asked.operation.as_str() {
        "GetPolicy" => iam_answer(asked),
        _ => Answer::error(asked, 400, "Refused", "no"),
    })
    .await;
    let mut sent = Box::pin(send_everything(&stub)).await;
    // It needs no permission (STS API reference, GetCallerIdentity).
    assert!(sent.remove("GetCallerIdentity"));
    let listed = OPERATIONS.iter().map(|(operation, ..)| operation.split(' ').next().unwrap().to_owned());
    assert_eq!(listed.collect::<BTreeSet<_>>(), sent);
}

#[test]
fn the_policy_files_grant_exactly_the_rights() {
    for (name, text) in [
        ("controller", include_str!("../../../deploy/iam/controller.json")),
        ("tools", include_str!("../../../deploy/iam/tools.json")),
        ("tools-bulk-reads", include_str!("../../../deploy/iam/tools-bulk-reads.json")),
        ("dev", include_str!("../../../deploy/iam/dev.json")),
        ("dev-bulk-reads", include_str!("../../../deploy/iam/dev-bulk-reads.json")),
        ("dev", include_str!("../../../deploy/iam/dev-without-boundary.json")),
    ] {
        let policy: Value = serde_json::from_str(text).unwrap();
        let mut granted = BTreeSet::new();
        for statement in policy["Statement"].as_array().unwrap() {
            if statement["Sid"] == "NeverOnItself" {
                assert_eq!(statement["Effect"], "Deny", "{name}");
                continue;
            }
            assert_eq!(statement["Effect"], "Allow", "{name}");
            for resource in strings(&statement["Resource"]) {
                let scoped = resource.starts_with("arn:${Partition}:") || resource.ends_with("Arn}");
                // These support no resource (Service Authorization Reference).
                let whole = statement["Action"] == "iam:ListRoles" || statement["Sid"] == "BulkReads";
                assert!(scoped || whole, "{name}: {resource}");
            }
            granted.extend(strings(&statement["Action"]));
        }
        // Those with bulk reads are the others, and something more.
        let plain = name.trim_end_matches("-bulk-reads");
        let is_in = |files: &[&str]| files.contains(&name) || files.contains(&plain);
        let needed = OPERATIONS.iter().filter(|(_, _, files)| is_in(files)).map(|(_, action, _)| *action);
        let others = WITHOUT_OPERATION.iter().filter(|(file, ..)| *file == plain).map(|(_, action, _)| *action);
        assert_eq!(granted, needed.chain(others).collect(), "{name}");
    }
}

fn strings(value: &Value) -> Vec<&str> {
    value
        .as_str()
        .map_or_else(|| value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect(), |one| vec![one])
}
