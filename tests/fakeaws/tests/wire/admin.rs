//! The admin path, in process and over HTTP.

use fakeaws::{Admin, Effect, FakeAws, Fault, RoleSeed, Seed};
use serde_json::{Value, json};

use crate::support::{DEV, DEV_ROOT, TOOLS, allow, decoded, iam, make_role, refusal, seed, start, sts, trust};

#[tokio::test]
async fn a_snapshots_configuration_is_a_seed() {
    let aws = start().await;
    let configuration = aws.admin().configuration().unwrap();
    let again: Seed = serde_json::from_value(configuration.clone()).unwrap();
    let again = FakeAws::start(again).await.unwrap();
    assert_eq!(again.admin().configuration().unwrap(), configuration);
    let given = serde_json::to_value(seed()).unwrap();
    for (account, role) in [(DEV, "crossinvoke"), (TOOLS, "pipeline")] {
        let part = |whole: &Value| whole["accounts"][account]["roles"][role]["inlinePolicies"].clone();
        assert_eq!(part(&configuration), part(&given));
    }
}

#[tokio::test]
async fn what_is_made_and_removed_again_leaves_the_configuration_as_it_was() {
    let aws = start().await;
    let before = aws.admin().configuration().unwrap();
    let iam = iam(&aws, DEV_ROOT);
    make_role(&iam, "made").await;
    assert_ne!(aws.admin().configuration().unwrap(), before);
    iam.delete_role().role_name("made").send().await.unwrap();
    let after = aws.admin().configuration().unwrap();
    assert_eq!(after.to_string(), before.to_string(), "as text, too: a diff shall be empty");
}

#[tokio::test]
async fn a_role_can_be_changed_behind_the_clients_back() {
    let aws = start().await;
    let admin = aws.admin();
    let iam = iam(&aws, DEV_ROOT);
    admin.put_role(DEV, "made", RoleSeed::trusting(trust(json!({"AWS": TOOLS})))).unwrap();
    admin.put_inline_policy(DEV, "made", "p", allow("s3:*", "*")).unwrap();
    admin.put_tag(DEV, "made", "team", "payments").unwrap();
    admin.put_trust(DEV, "made", trust(json!({"AWS": "arn:aws:iam::111111111111:role/crossinvoke"}))).unwrap();
    let answer = iam.get_role().role_name("made").send().await.unwrap();
    let role = answer.role().unwrap();
    assert_eq!(role.tags().len(), 1);
    let shown = decoded(role.assume_role_policy_document().unwrap());
    assert_eq!(shown["Statement"][0]["Principal"]["AWS"], "arn:aws:iam::111111111111:role/crossinvoke");
    assert_eq!(admin.role(DEV, "made").unwrap().unwrap().inline_policies["p"], allow("s3:*", "*"));
    admin.remove_tag(DEV, "made", "team").unwrap();
    admin.remove_inline_policy(DEV, "made", "p").unwrap();
    let listed = iam.list_role_policies().role_name("made").send().await.unwrap();
    assert!(listed.policy_names().is_empty());
    admin.remove_role(DEV, "made").unwrap();
    assert_eq!(refusal(iam.get_role().role_name("made").send().await).1, "NoSuchEntity");
    assert!(admin.role(DEV, "made").unwrap().is_none());
    let error = admin.remove_role(DEV, "made").unwrap_err().to_string();
    assert!(error.contains("no role made in account 222222222222"), "{error}");
}

#[tokio::test]
async fn calls_are_counted_per_account_and_operation() {
    let aws = start().await;
    let admin = aws.admin();
    sts(&aws, DEV_ROOT).get_caller_identity().send().await.unwrap();
    let iam = iam(&aws, DEV_ROOT);
    for _ in 0..2 {
        let _ = iam.get_role().role_name("nobody").send().await;
    }
    let counters = admin.counters().unwrap();
    assert_eq!(json!(counters), json!({DEV: {"iam:GetRole": 2, "sts:GetCallerIdentity": 1}}));
    admin.reset_counters().unwrap();
    assert!(admin.counters().unwrap().is_empty());
    assert_eq!(admin.calls().unwrap().len(), 3, "the log stays");
    admin.clear_calls().unwrap();
    assert!(admin.calls().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_handle_works_over_http() {
    let aws = start().await;
    let far = Admin::connect(&aws.endpoint()).unwrap();
    far.put_tag(DEV, "execution", "team", "payments").unwrap();
    assert_eq!(far.snapshot().unwrap(), aws.admin().snapshot().unwrap());
    far.fault(Fault::next("GetRole", Effect::fail("ServiceFailure", "no", 500))).unwrap();
    let outcome = iam(&aws, DEV_ROOT).get_role().role_name("execution").send().await;
    assert_eq!(refusal(outcome).1, "ServiceFailure");
    assert_eq!(far.calls().unwrap(), aws.admin().calls().unwrap());
    assert_eq!(far.counters().unwrap(), aws.admin().counters().unwrap());
    let error = far.remove_role("999999999999", "r").unwrap_err().to_string();
    assert!(error.ends_with("no account 999999999999"), "{error}");
    assert!(Admin::connect("https://elsewhere").is_err());
}

#[tokio::test]
async fn a_seed_that_aws_could_not_hold_is_refused_with_the_place() {
    let cases = [
        (json!({"accounts": {"1": {}}}), "twelve digits"),
        (json!({"accounts": {DEV: {"roles": {"r": {"trust": trust(json!({"AWS": "999999999999"}))}}}}}), "role r"),
        (json!({"accounts": {DEV: {"roles": {"r": {"trust": {}}}}}}), "role r"),
        (json!({"accounts": {DEV: {}}, "keys": {"AKIA": "arn:aws:iam::222222222222:role/r"}}), "key AKIA"),
    ];
    for (seed, part) in cases {
        let error = FakeAws::start(serde_json::from_value(seed).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_seed_may_describe_a_broken_trust() {
    let dead = "AROADEADDEADDEADDEADD";
    let role = json!({"trust": trust(json!({"AWS": dead}))});
    let seed = json!({
        "accounts": {DEV: {"roles": {"orphan": role}}},
        "keys": {DEV_ROOT: "arn:aws:iam::222222222222:root"},
    });
    let aws = FakeAws::start(serde_json::from_value(seed).unwrap()).await.unwrap();
    let answer = iam(&aws, DEV_ROOT).get_role().role_name("orphan").send().await.unwrap();
    let shown = decoded(answer.role().unwrap().assume_role_policy_document().unwrap());
    assert_eq!(shown["Statement"][0]["Principal"]["AWS"], dead);
}

#[tokio::test]
async fn arns_follow_the_partition_of_the_account() {
    for partition in ["aws-cn", "aws-us-gov"] {
        let seed = json!({
            "accounts": {DEV: {"partition": partition}},
            "keys": {DEV_ROOT: format!("arn:{partition}:iam::222222222222:root")},
        });
        let aws = FakeAws::start(serde_json::from_value(seed).unwrap()).await.unwrap();
        let iam = iam(&aws, DEV_ROOT);
        let document = trust(json!({"AWS": DEV})).to_string();
        let made = iam.create_role().role_name("made").assume_role_policy_document(document).send().await.unwrap();
        assert_eq!(made.role().unwrap().arn(), format!("arn:{partition}:iam::222222222222:role/made"));
        let shown = decoded(made.role().unwrap().assume_role_policy_document().unwrap());
        let root = format!("arn:{partition}:iam::222222222222:root");
        assert_eq!(shown["Statement"][0]["Principal"]["AWS"], root.as_str());
    }
}
