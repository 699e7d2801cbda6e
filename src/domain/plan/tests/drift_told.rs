//! Each part removed or changed is told in a sentence.

use super::*;
use crate::domain::observed::{ExtraPolicy, ExtraPolicyName};

/// What somebody does in AWS.
type Deed = fn(&mut World);

fn own_role(world: &mut World) -> &mut Option<InvokeRole> {
    world.observed.roles.get_mut(&"derived".parse::<RoleName>().unwrap()).unwrap()
}

fn deeds() -> Vec<(&'static str, Deed)> {
    vec![
        ("T1 removed", |world| *own_role(world) = None),
        ("T1 trusts another account", |world| {
            own_role(world).as_mut().unwrap().trust =
                policy::trust_account_root("aws", &"333333333333".parse().unwrap());
        }),
        ("T1 trusts another account as well", |world| {
            let other = policy::trust_account_root("aws", &"333333333333".parse().unwrap());
            let trust = &mut own_role(world).as_mut().unwrap().trust;
            trust["Statement"].as_array_mut().unwrap().push(other["Statement"][0].clone());
        }),
        ("a policy was added to the role", |world| {
            own_role(world).as_mut().unwrap().extra_policies =
                vec![ExtraPolicy { name: ExtraPolicyName::Inline("more".to_owned()), grants: true, denies: false }];
        }),
        ("sessions were revoked", |world| {
            own_role(world).as_mut().unwrap().extra_policies =
                vec![ExtraPolicy { name: ExtraPolicyName::Inline("revoke".to_owned()), grants: false, denies: true }];
        }),
        ("a policy that allows and denies was added", |world| {
            own_role(world).as_mut().unwrap().extra_policies = vec![ExtraPolicy {
                name: ExtraPolicyName::Inline("org-baseline".to_owned()),
                grants: true,
                denies: true,
            }];
        }),
        ("P1 removed", |world| own_role(world).as_mut().unwrap().invoke_policy = None),
        ("P2 removed", |world| world.observed.callback.values_mut().for_each(|policy| *policy = None)),
        ("P3 removed", |world| world.observed.assume.values_mut().for_each(|policy| *policy = None)),
        ("P4 removed", |world| {
            change(world, PIPELINES[0], |pipeline| drop(pipeline["stages"].as_array_mut().unwrap().remove(2)));
        }),
        ("P4 changed", |world| {
            change(world, PIPELINES[0], |pipeline| {
                let action = &mut pipeline["stages"][2]["actions"][0];
                action["runOrder"] = json!(7);
                action["configuration"]["UserParameters"] = json!("secret");
            });
        }),
    ]
}

/// Somebody's deed in AWS, and what is told of it.
#[test]
fn each_part_removed_or_changed_is_told_in_a_sentence() {
    let everything = || json!({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let told = |deed: &dyn Fn(&mut World)| {
        let mut world = World::new();
        world.converge(&declared, &Others::default());
        deed(&mut world);
        world.compare(&declared, &Others::default());
        let said = world.drift.said(crate::api::ReasonClass::Ready).unwrap();
        let items: Vec<String> = world
            .drift
            .status()
            .unwrap_or_default()
            .items
            .iter()
            .map(|item| {
                format!(
                    "    {:?} {:?} {}: {:?} -> {:?}\n",
                    item.handling, item.kind, item.field, item.desired, item.observed
                )
            })
            .collect();
        format!("  {} {}\n{}", said.0, said.1, items.concat())
    };
    let mut all: Vec<String> = deeds().iter().map(|(what, deed)| format!("{what}\n{}", told(deed))).collect();
    let wider = |world: &mut World| {
        own_role(world).as_mut().unwrap().invoke_policy = Some(everything());
        world.observed.callback.values_mut().for_each(|policy| *policy = Some(everything()));
        world.observed.assume.values_mut().for_each(|policy| *policy = Some(everything()));
    };
    all.push(format!("P1, P2, P3 replaced\n{}", told(&wider)));
    insta::assert_snapshot!("drift_in_words", all.concat());
}

#[test]
fn a_shared_policy_of_another_form_is_told_without_the_roles_of_others() {
    let declared = declared(&Choice { pipeline: 0, stage: true, action: true, function: 0, named: false });
    let foreign = |role: &str| {
        json!({"Statement": [{"Effect": "Allow", "Action": ["sts:AssumeRole", "s3:GetObject"],
            "Resource": ["arn:aws:iam::222222222222:role/crossinvoke/installed/derived", role]}]})
    };
    let observed = |role: &str| {
        let mut world = World::new();
        world.converge(&declared, &Others::default());
        world.observed.assume.insert(pipeline_role("release").role().unwrap(), Some(foreign(role)));
        let all = world.with(&declared, &Others::default(), described);
        let assume = all.into_iter().find(|part| part.item.part == Part::AssumePolicy).unwrap();
        assume.observed.unwrap()["policyDocument"].clone()
    };
    let (one, other) = ("arn:aws:iam::333333333333:role/theirs", "arn:aws:iam::333333333333:role/others");
    let length = foreign(one).to_string().len();
    assert_eq!(observed(one).shown, format!("a document of another form, {length} characters"));
    assert_eq!(observed(one).shown, observed(other).shown);
    assert_ne!(observed(one).meaning, observed(other).meaning, "it is compared by what it says");
}
