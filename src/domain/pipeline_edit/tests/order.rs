//! When our action runs.

use super::*;

const DEPLOYMENT: &str = "CloudFormation";

/// A stage Prod with these actions (name, category, number) behind the fixture's stages.
fn with_prod(actions: &[(&str, &str, i64)]) -> Json {
    with(&pipeline(), |pipeline| {
        let actions: Vec<Value> = actions
            .iter()
            .map(|(name, category, order)| {
                json!({"name": name, "runOrder": order, "actionTypeId":
                    {"category": category, "owner": "AWS", "provider": DEPLOYMENT, "version": "1"}})
            })
            .collect();
        pipeline["stages"].as_array_mut().unwrap().push(json!({"name": "Prod", "actions": actions}));
    })
}

fn in_prod(run_order: Option<u16>) -> DesiredAction {
    DesiredAction { stage: "Prod".parse().unwrap(), position: None, run_order, ..desired() }
}

fn number_of(declaration: &Json, stage: &str) -> Option<i64> {
    action_at(declaration, stage, "Run").map(crate::domain::pipeline_edit::order::number)
}

#[test]
fn among_other_peoples_actions_a_new_one_needs_a_number() {
    let prod = with_prod(&[("Prepare", "Build", 1), ("Deploy", "Deploy", 2)]);
    let refusal = converge(&prod, &region(), &in_prod(None), &owned()).unwrap_err();
    assert!(matches!(refusal, Refusal::InvalidPosition(_)));
    let text = refusal.to_string();
    assert!(text.starts_with("stage Prod has Prepare (1) and Deploy (2): set spec.action.runOrder"), "{text}");
    assert_eq!(number_of(&converged(&prod, &in_prod(Some(7))), "Prod"), Some(7));
    // One that is moved there is as new.
    let elsewhere = converged(&prod, &DesiredAction { run_order: None, ..desired() });
    let refusal = converge(&elsewhere, &region(), &in_prod(None), &made()).unwrap_err();
    assert!(matches!(refusal, Refusal::InvalidPosition(_)), "{refusal}");
}

#[test]
fn an_action_in_place_keeps_its_number_where_none_is_declared() {
    let prod = with_prod(&[("Prepare", "Build", 1), ("Deploy", "Deploy", 2)]);
    let placed = converged(&prod, &in_prod(Some(3)));
    assert_eq!(converge(&placed, &region(), &in_prod(None), &owned()).unwrap(), None);
    let moved = with(&placed, |moved| {
        moved["stages"][3]["actions"][2]["runOrder"] = json!(9);
        moved["stages"][3]["actions"][2]["configuration"]["FunctionName"] = json!("Evil");
    });
    let edited = converge(&moved, &region(), &in_prod(None), &owned()).unwrap().unwrap();
    assert_eq!(number_of(&edited.declaration, "Prod"), Some(9), "also when something else is corrected");
    let told = desired_members(&moved, &in_prod(None), &region());
    assert_eq!(told["runOrder"].meaning, "9", "and it is no drift");
    let corrected = converge(&moved, &region(), &in_prod(Some(3)), &owned()).unwrap().unwrap();
    assert_eq!(number_of(&corrected.declaration, "Prod"), Some(3), "a declared one is");
}

#[test]
fn alone_or_among_other_objects_actions_it_gets_the_first_number() {
    let open = DesiredAction { run_order: None, ..desired() };
    let once = converged(&pipeline(), &open);
    assert_eq!(number_of(&once, "Validate"), Some(1));
    let theirs = "arn:aws:iam::222222222222:role/crossinvoke/x/theirs";
    let shared = with(&once, |shared| {
        let action = &mut shared["stages"][2]["actions"][0];
        (action["name"], action["roleArn"]) = (json!("Theirs"), json!(theirs));
    });
    let owned = Owned { neighbours: BTreeSet::from([theirs.parse::<Arn>().unwrap().role().unwrap()]), ..owned() };
    let edited = converge(&shared, &region(), &open, &owned).unwrap().unwrap();
    assert_eq!(number_of(&edited.declaration, "Validate"), Some(1));
    assert_eq!(notes(&edited.declaration, &open, &owned), [], "two gates side by side hold back the same");
}

/// Approve, CreateChangeSet, ExecuteChangeSet and Notify: only before CreateChangeSet nothing is deployed yet.
#[test]
fn what_runs_beside_or_before_ours_is_told() {
    let prod = with_prod(&[
        ("Approve", "Approval", 1),
        ("CreateChangeSet", "Deploy", 2),
        ("ExecuteChangeSet", "Deploy", 3),
        ("Notify", "Invoke", 3),
    ]);
    let without_ship = with(&prod, |prod| drop(prod["stages"].as_array_mut().unwrap().remove(2)));
    let cases = [
        (1, vec![(NoteKind::RunsInParallel, "Prod/Run runs in parallel with Prod/Approve, ")]),
        (2, vec![(NoteKind::RunsInParallel, "Prod/Run runs in parallel with Prod/CreateChangeSet, ")]),
        (3, vec![(NoteKind::RunsInParallel, "Prod/Run runs in parallel with Prod/ExecuteChangeSet and Prod/Notify, ")]),
        (
            4,
            vec![(
                NoteKind::RunsAfterDeploy,
                "Prod/Run runs after every Deploy action (the last one is Prod/ExecuteChangeSet), ",
            )],
        ),
    ];
    for (run_order, expected) in cases {
        let desired = in_prod(Some(run_order));
        let placed = converged(&without_ship, &desired);
        let found = notes(&placed, &desired, &owned());
        assert_eq!(found.len(), expected.len(), "{run_order}: {found:?}");
        for (note, (kind, begin)) in found.iter().zip(expected) {
            assert_eq!(note.kind, kind, "{run_order}");
            assert!(note.sentence.starts_with(begin), "{run_order}: {}", note.sentence);
        }
    }
    // A stage of ours behind Build holds back what is deployed after it, until somebody moves it behind.
    let placed = converged(&pipeline(), &desired());
    assert_eq!(notes(&placed, &desired(), &owned()), []);
    let moved = with(&placed, |moved| moved["stages"].as_array_mut().unwrap().swap(2, 3));
    assert_eq!(notes(&moved, &desired(), &owned())[0].kind, NoteKind::RunsAfterDeploy);
    assert_eq!(NoteKind::RunsAfterDeploy.to_string(), "RunsAfterDeploy");
}
