//! The fold: the order in which claims are handed over makes no difference, and what is folded stays so.

use crossinvoke::domain::{
    fold::{self, Claim, Fold, Folded},
    ids::Region,
    observed::Pipeline,
    pipeline_edit::Json,
};
use libtest_mimic::{Failed, Trial};

use super::{
    aws::Aws,
    history::{Random, Wish},
    objects::{Object, Objects},
};

const CASES: u64 = 60;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("every permutation of a fold", || {
        for case in 0..CASES {
            let (read, claims) = case_of(case);
            every_permutation(case, &read.declaration, &claims)?;
            folded_again(case, &read.declaration, &claims)?;
        }
        Ok(())
    })]
}

fn region() -> Region {
    "eu-west-1".parse().expect("a region")
}

/// Two to six objects; some of them are in the pipeline already, some are leaving.
fn case_of(case: u64) -> (Pipeline, Vec<Claim>) {
    let mut random = Random::new(case);
    let mut objects = Objects::default();
    for index in 0..2 + random.index(5) {
        let stage = ["Build", "Deploy", "Made"][random.index(3)];
        let wish = Wish { stage, shared_name: random.one_in(3), parameters: 1 };
        let mut object = Object::new(index, 0, random.below(3), wish);
        object.record(stage == "Made" && !random.one_in(4));
        objects.0.insert(index, object);
    }
    let mut read = Aws::new().newest().expect("it was just made").read();
    let there: Vec<Claim> = claims(&objects, &read).into_iter().filter(|_| random.one_in(2)).collect();
    read.declaration = fold::fold(&read.declaration, &region(), &there).declaration.into();
    for object in objects.0.values_mut() {
        match random.below(4) {
            0 => object.leaving = true,
            1 => object.declare(Wish { stage: ["Build", "Deploy", "Made"][random.index(3)], ..object.wish }),
            _ => {}
        }
    }
    let claims = claims(&objects, &read);
    (read, claims)
}

fn claims(objects: &Objects, read: &Pipeline) -> Vec<Claim> {
    let claim = |object: &Object| object.claim(object.goal(&objects.others(object)), read, false);
    objects.0.values().map(claim).collect()
}

fn every_permutation(case: u64, declaration: &Json, claims: &[Claim]) -> Result<(), Failed> {
    let expected = fold::fold(declaration, &region(), claims);
    let mut order: Vec<usize> = (0..claims.len()).collect();
    let mut counts = vec![0; claims.len()];
    let mut at = 0;
    // Heap's algorithm.
    while at < order.len() {
        if counts[at] < at {
            order.swap(if at % 2 == 0 { 0 } else { counts[at] }, at);
            let folded = fold::fold(declaration, &region(), order.iter().map(|index| &claims[*index]));
            if folded != expected {
                return Err(format!("case {case}: in the order {order:?} it is {}", told(&folded)).into());
            }
            counts[at] += 1;
            at = 0;
        } else {
            counts[at] = 0;
            at += 1;
        }
    }
    Ok(())
}

/// What was folded in is in place, and what was refused is refused again: otherwise there would be a version more.
fn folded_again(case: u64, declaration: &Json, claims: &[Claim]) -> Result<(), Failed> {
    let first = fold::fold(declaration, &region(), claims);
    let again = fold::fold(&first.declaration, &region(), claims);
    if again.changed().next().is_some() || again.declaration != first.declaration {
        return Err(format!("case {case}: {}, and then {}", told(&first), told(&again)).into());
    }
    let is_same = |uid: &String| {
        matches!(first.folded.get(uid), Some(Folded::Refused(_) | Folded::Unrecorded))
            == matches!(again.folded.get(uid), Some(Folded::Refused(_) | Folded::Unrecorded))
    };
    match claims.iter().find(|claim| !is_same(&claim.basis.uid)) {
        Some(claim) => {
            Err(format!("case {case}: {}: {}, and then {}", claim.basis.uid, told(&first), told(&again)).into())
        }
        None => Ok(()),
    }
}

fn told(fold: &Fold) -> String {
    format!("{:?} in {}", fold.folded, fold.declaration.canonical())
}
