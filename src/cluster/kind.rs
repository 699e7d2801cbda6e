//! Whether a kind is going, and everything of it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, Resource, ResourceExt, core::ObjectMeta};

use super::Decoded;
use crate::api::annotation;

/// The name of a kind's CustomResourceDefinition.
#[must_use]
pub fn name_of<K: Resource<DynamicType = ()>>() -> String {
    format!("{}.{}", K::plural(&()), K::group(&()))
}

/// Since when a kind has been going without anybody having confirmed that; `None` when it is not.
///
/// # Errors
/// The API server did not answer, or the controller may not ask.
pub async fn going_unconfirmed<K: Resource<DynamicType = ()>>(
    client: &Client,
) -> Result<Option<Timestamp>, kube::Error> {
    let definitions: Api<Decoded<CustomResourceDefinition>> = Api::all(client.clone());
    let definition = definitions.get_opt(&name_of::<K>()).await?;
    Ok(definition.and_then(|definition| unconfirmed(definition.meta())))
}

fn unconfirmed(definition: &ObjectMeta) -> Option<Timestamp> {
    let confirmed = definition.annotations.as_ref().and_then(|all| all.get(annotation::CONFIRM_REMOVAL));
    let going = definition.deletion_timestamp.as_ref()?;
    (confirmed.map(String::as_str) != Some("true")).then_some(going.0)
}

/// How far the clocks of two API servers may be apart; their deletion times have no fractions of a second either.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(1);

/// Whether an object goes because its kind goes, and not because somebody deleted it before. In doubt it does: then
/// somebody has to confirm, and otherwise all that the object stands for would be removed.
#[must_use]
pub fn takes_along(kind_goes_since: Option<Timestamp>, object: &impl ResourceExt) -> bool {
    let deleted = object.meta().deletion_timestamp.as_ref().map(|time| time.0);
    kind_goes_since.zip(deleted).is_some_and(|(kind, object)| kind.duration_since(object) <= CLOCKS_APART)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::CrossAccountInvoke;

    fn meta(deleted: Option<i64>, confirmed: Option<&str>) -> ObjectMeta {
        ObjectMeta {
            deletion_timestamp: deleted.map(|second| Time(Timestamp::from_second(second).unwrap())),
            annotations: confirmed.map(|value| [(annotation::CONFIRM_REMOVAL.to_owned(), value.to_owned())].into()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn a_kind_takes_its_objects_along_unless_that_was_confirmed() {
        let object = |deleted| {
            Decoded::<CrossAccountInvoke>(Err(super::super::Undecodable {
                metadata: meta(deleted, None),
                conditions: Vec::new(),
                account_id: None,
                reported: (None, None),
                error: String::new(),
            }))
        };
        for (kind_goes, confirmed, deleted, taken) in [
            (None, None, Some(105), false),
            (Some(105), None, Some(105), true),
            (Some(105), None, Some(106), true),
            (Some(105), None, Some(104), true),
            (Some(105), None, Some(45), true),
            (Some(105), None, Some(44), false),
            (Some(105), None, None, false),
            (Some(105), Some("true"), Some(106), false),
            (Some(105), Some("yes"), Some(106), true),
        ] {
            let since = unconfirmed(&meta(kind_goes, confirmed));
            assert_eq!(takes_along(since, &object(deleted)), taken, "{kind_goes:?} {confirmed:?} {deleted:?}");
        }
        assert_eq!(name_of::<CrossAccountInvoke>(), "crossaccountinvokes.crossinvoke.dev");
    }
}
