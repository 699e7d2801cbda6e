//! The conditions of an account, where nothing else of its status is to be written.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::super::{caches::GuardedAccount, context::Context, reconcile::Error};
use crate::{
    api::Reason,
    domain::conditions::{self, Known, Look},
};

/// Writes the conditions and nothing else of a status of which the rest may not be known here. False when a newer account is
/// on its way to us.
pub(super) async fn record(
    account: &GuardedAccount,
    known: &[Condition],
    context: &Context,
    verdict: (Reason, &str),
) -> Result<bool, Error> {
    let generation = account.meta().generation.unwrap_or_default();
    let conditions = next(known, verdict, generation, Context::now());
    if conditions == known {
        return Ok(true);
    }
    let patch = json!({
        "metadata": {"resourceVersion": account.resource_version()},
        "status": {"observedGeneration": generation, "conditions": conditions},
    });
    let api: Api<GuardedAccount> = Api::all(context.client.clone());
    match api.patch_status(&account.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(Error::Kubernetes(Box::new(error))),
    }
}

/// What is said beside Ready was true of an earlier generation, which each condition names.
fn next(known: &[Condition], (reason, message): (Reason, &str), generation: i64, now: Timestamp) -> Vec<Condition> {
    use crate::api::condition::{BULK_READS, GRANTS_MATCHED};
    let look = Look::certain(reason, message, generation, now);
    let mut conditions = conditions::after(&Known { conditions: known, ..Known::default() }, &look);
    conditions
        .extend(known.iter().filter(|known| [GRANTS_MATCHED, BULK_READS].contains(&known.type_.as_str())).cloned());
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_beside_ready_stays_and_nothing_is_written_twice() {
        let now = Timestamp::from_second(1_000).unwrap();
        let known = |kind: &str| Condition {
            type_: kind.to_owned(),
            status: "True".to_owned(),
            reason: "Matched".to_owned(),
            message: String::new(),
            observed_generation: Some(1),
            last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now),
        };
        let first = next(&[known("Ready"), known("GrantsMatched")], (Reason::InvalidSpec, "why"), 2, now);
        let types: Vec<&str> = first.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(types, ["Ready", "Stalled", "GrantsMatched"]);
        assert_eq!((first[0].status.as_str(), first[0].reason.as_str()), ("False", "InvalidSpec"));
        assert_eq!(first[2], known("GrantsMatched"));
        assert_eq!(next(&first, (Reason::InvalidSpec, "why"), 2, Timestamp::from_second(2_000).unwrap()), first);
    }
}
