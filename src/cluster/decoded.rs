//! One object that cannot be read stops no other: a list always decodes, item by item.
//!
//! `metadata.managedFields` is skipped before anything is decoded. Anyone who may write an object may write it, with a
//! time that no clock has or nested deeper than any parser goes; it is also the larger part of most objects, and nothing
//! here reads it. Annotations are dropped except those that the controller reads.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::Resource;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::api::{AwsAccount, annotation};

/// The annotations that are kept.
const READ: [&str; 3] =
    [annotation::RECONCILE_REQUESTED_AT, annotation::FLUX_RECONCILE_REQUESTED_AT, annotation::CONFIRM_REMOVAL];

/// An object, or what could be read of one that does not decode. Decoding it never fails for anything but JSON that is
/// not an object.
#[derive(Clone, Debug)]
pub struct Decoded<K>(pub Result<K, Undecodable>);

/// What could be read of an object that does not decode.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct Undecodable {
    /// Name, namespace, UID, generation, deletion and finalizers, as far as they are readable.
    pub metadata: ObjectMeta,
    /// The conditions of its status, as far as they are readable.
    pub conditions: Vec<Condition>,
    /// The account id that its spec has, if it is an `AwsAccount`.
    pub account_id: Option<String>,
    /// The installation that its status names, and when that one looked last.
    pub reported: (Option<String>, Option<Time>),
    /// What is wrong with it, without the values that it holds.
    pub error: String,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Decoded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = deserializer.deserialize_map(Members(PhantomData::<Object>))?;
        Ok(Self(K::deserialize(&object).map_err(|error| Undecodable::of(&object, &error))))
    }
}

impl<K: Resource> Resource for Decoded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(kind)
    }

    fn group(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::group(kind)
    }

    fn version(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::version(kind)
    }

    fn plural(kind: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(kind)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|undecodable| &undecodable.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|undecodable| &mut undecodable.metadata, K::meta_mut)
    }
}

impl Undecodable {
    fn of(object: &Value, error: &serde_json::Error) -> Self {
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        Self {
            metadata: metadata(&object["metadata"]),
            conditions: conditions.into_iter().flatten().filter_map(|item| Condition::deserialize(item).ok()).collect(),
            account_id: object.pointer("/spec/accountID").and_then(text),
            reported: (read(&object["status"], "installationID"), read(&object["status"], "lastCheckedAt")),
            error: without_values(&error.to_string()),
        }
    }
}

impl Decoded<AwsAccount> {
    /// The account id, of one that does not decode as well.
    #[must_use]
    pub fn account_id(&self) -> Option<&str> {
        match &self.0 {
            Ok(account) => Some(&account.spec.account_id),
            Err(undecodable) => undecodable.account_id.as_deref(),
        }
    }
}

/// Member by member, where the whole does not decode.
fn metadata(metadata: &Value) -> ObjectMeta {
    ObjectMeta::deserialize(metadata).unwrap_or_else(|_| ObjectMeta {
        name: read(metadata, "name"),
        namespace: read(metadata, "namespace"),
        uid: read(metadata, "uid"),
        resource_version: read(metadata, "resourceVersion"),
        generation: read(metadata, "generation"),
        creation_timestamp: read(metadata, "creationTimestamp"),
        // That it is being deleted matters, since when does not.
        deletion_timestamp: present(metadata, "deletionTimestamp")
            .map(|time| Time::deserialize(time).unwrap_or(Time(Timestamp::UNIX_EPOCH))),
        finalizers: read::<Vec<Value>>(metadata, "finalizers").map(|names| names.iter().filter_map(text).collect()),
        labels: strings(metadata, "labels"),
        annotations: strings(metadata, "annotations"),
        ..ObjectMeta::default()
    })
}

fn present<'a>(value: &'a Value, member: &str) -> Option<&'a Value> {
    value.get(member).filter(|member| !member.is_null())
}

fn read<T: DeserializeOwned>(value: &Value, member: &str) -> Option<T> {
    present(value, member).and_then(|member| T::deserialize(member).ok())
}

fn strings(value: &Value, member: &str) -> Option<BTreeMap<String, String>> {
    let members = present(value, member)?.as_object()?;
    Some(members.iter().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// serde quotes strings that it did not expect, and a value can be a secret.
fn without_values(error: &str) -> String {
    let mut words = String::new();
    let mut quoted = false;
    let mut escaped = false;
    for character in error.chars() {
        match character {
            '"' if !escaped => {
                words.push_str(if quoted { "…\"" } else { "\"" });
                quoted = !quoted;
            }
            _ if !quoted => words.push(character),
            _ => {}
        }
        escaped = quoted && character == '\\' && !escaped;
    }
    words
}

/// Which members of a JSON object are left out, and what becomes of the others.
trait Pruned {
    /// Takes one member.
    fn member<'de, A: MapAccess<'de>>(name: &str, members: &mut A) -> Result<Option<Value>, A::Error>;
}

/// A Kubernetes object.
struct Object;

impl Pruned for Object {
    fn member<'de, A: MapAccess<'de>>(name: &str, members: &mut A) -> Result<Option<Value>, A::Error> {
        if name == "metadata" {
            return members.next_value::<Nested<Metadata>>().map(|metadata| Some(metadata.0));
        }
        members.next_value().map(Some)
    }
}

/// Its metadata.
struct Metadata;

impl Pruned for Metadata {
    fn member<'de, A: MapAccess<'de>>(name: &str, members: &mut A) -> Result<Option<Value>, A::Error> {
        match name {
            // Skipped and not parsed: what is in it has no bounds.
            "managedFields" => members.next_value::<IgnoredAny>().map(|_| None),
            "annotations" => members.next_value().map(|annotations| match annotations {
                Value::Object(mut annotations) => {
                    let applied = annotations.remove(annotation::LAST_APPLIED).as_ref().and_then(lost_null);
                    annotations.retain(|name, _| READ.contains(&name.as_str()));
                    annotations.extend(applied.map(|applied| (annotation::LAST_APPLIED.to_owned(), applied)));
                    Some(Value::Object(annotations))
                }
                _ => None,
            }),
            _ => members.next_value().map(Some),
        }
    }
}

/// Of a manifest that was applied client-side only this is kept: that it has null where kubectl then leaves the field out.
/// The whole of it would double the memory of each object.
fn lost_null(applied: &Value) -> Option<Value> {
    let applied: Value = serde_json::from_str(applied.as_str()?).ok()?;
    let is_null = applied.pointer("/spec/action/userParameters").is_some_and(Value::is_null);
    is_null.then(|| Value::String(r#"{"spec":{"action":{"userParameters":null}}}"#.to_owned()))
}

struct Nested<P>(Value, PhantomData<P>);

impl<'de, P: Pruned> Deserialize<'de> for Nested<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData::<P>)).map(|value| Self(value, PhantomData))
    }
}

struct Members<P>(PhantomData<P>);

impl<'de, P: Pruned> Visitor<'de> for Members<P> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if let Some(value) = P::member(&name, &mut members)? {
                object.insert(name, value);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Namespace;
    use kube::{ResourceExt, core::ObjectList, core::WatchEvent};
    use serde_json::json;

    use super::*;
    use crate::api::CrossAccountInvoke;

    fn invoke(name: &str) -> Value {
        json!({
            "apiVersion": "crossinvoke.dev/v1alpha1",
            "kind": "CrossAccountInvoke",
            "metadata": {"name": name, "namespace": "payments", "uid": format!("uid-of-{name}"), "generation": 3},
            "spec": {
                "toolsAccount": {"id": "111111111111", "region": "us-east-1"},
                "devAccount": {"id": "222222222222"},
                "pipeline": {"name": "payments-release"},
                "stage": {"name": "Validate"},
                "function": {"name": "MyFunction"},
                "action": {"userParameters": "a-secret"},
            },
        })
    }

    fn list<K: DeserializeOwned + Clone>(items: &[Value]) -> Vec<Decoded<K>> {
        let text = json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}).to_string();
        serde_json::from_str::<ObjectList<Decoded<K>>>(&text).unwrap().items
    }

    #[test]
    fn managed_fields_keep_no_object_of_any_kind_from_being_read() {
        let late = json!([{"manager": "x", "operation": "Update", "time": "9999-12-31T23:59:59Z"}]);
        let odd = json!("not a list");
        let account = json!({"metadata": {"name": "dev"}, "spec": {"accountID": "222222222222"}});
        for fields in [late, odd] {
            let with = |mut object: Value| {
                object["metadata"]["managedFields"] = fields.clone();
                object
            };
            assert!(list::<CrossAccountInvoke>(&[with(invoke("one")), invoke("two")]).iter().all(|it| it.0.is_ok()));
            assert!(list::<AwsAccount>(&[with(account.clone())])[0].0.is_ok());
            assert!(list::<Namespace>(&[with(json!({"metadata": {"name": "payments"}}))])[0].0.is_ok());
            let event = json!({"type": "MODIFIED", "object": with(invoke("one"))}).to_string();
            let event: WatchEvent<Decoded<CrossAccountInvoke>> = serde_json::from_str(&event).unwrap();
            assert!(
                matches!(event, WatchEvent::Modified(Decoded(Ok(object))) if object.meta().managed_fields.is_none())
            );
        }
    }

    #[test]
    fn managed_fields_deeper_than_any_parser_goes_are_skipped() {
        let depth = 1_000;
        let fields = r#"{"f:a":"#.repeat(depth) + "{}" + &"}".repeat(depth);
        let object = invoke("one")
            .to_string()
            .replace(r#""name":"one","#, &format!(r#""name":"one","managedFields":[{{"fieldsV1":{fields}}}],"#));
        assert!(object.contains("managedFields"));
        let text = format!(r#"{{"metadata":{{}},"items":[{object},{}]}}"#, invoke("two"));
        let objects = serde_json::from_str::<ObjectList<Decoded<CrossAccountInvoke>>>(&text).unwrap().items;
        assert_eq!(objects.iter().filter(|object| object.0.is_ok()).count(), 2);
    }

    #[test]
    fn annotations_that_nobody_reads_are_dropped() {
        let mut object = invoke("one");
        object["metadata"]["annotations"] = json!({
            "kubectl.kubernetes.io/last-applied-configuration": "a-secret",
            "crossinvoke.dev/reconcile-requested-at": "now",
        });
        let read = &list::<CrossAccountInvoke>(&[object])[0];
        assert_eq!(read.annotations().keys().collect::<Vec<_>>(), ["crossinvoke.dev/reconcile-requested-at"]);
    }

    #[test]
    fn of_a_manifest_applied_client_side_only_a_null_that_kubectl_loses_is_kept() {
        let of = |parameters: &str| {
            let applied =
                format!(r#"{{"spec":{{"pipeline":{{"name":"p"}},"action":{{"userParameters":{parameters}}}}}}}"#);
            let mut object = invoke("one");
            object["metadata"]["annotations"] = json!({annotation::LAST_APPLIED: applied});
            list::<CrossAccountInvoke>(&[object])[0].annotations().get(annotation::LAST_APPLIED).cloned()
        };
        assert_eq!(of("null").as_deref(), Some(r#"{"spec":{"action":{"userParameters":null}}}"#));
        assert_eq!(of("\"text\""), None);
    }

    #[test]
    fn what_does_not_decode_is_one_object_of_which_the_readable_is_known() {
        let mut wrong_spec = invoke("one");
        wrong_spec["spec"]["stage"] = json!("a-secret");
        wrong_spec["status"] = json!({"conditions": [
            {"type": "Ready", "status": "False", "reason": "InvalidSpec", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            {"type": "Stalled", "lastTransitionTime": "9999-12-31T23:59:59Z"},
        ]});
        let mut wrong_metadata = invoke("two");
        wrong_metadata["metadata"]["deletionTimestamp"] = json!("9999-12-31T23:59:59Z");
        wrong_metadata["metadata"]["finalizers"] = json!(["crossinvoke.dev/aws-resources", 7]);
        wrong_metadata["metadata"]["labels"] = json!({"team": "payments", "number": 7});
        let read = list::<CrossAccountInvoke>(&[wrong_spec, wrong_metadata, invoke("three")]);
        let undecodable: Vec<&Undecodable> = read.iter().filter_map(|object| object.0.as_ref().err()).collect();
        assert_eq!(undecodable.len(), 2);
        assert_eq!(undecodable[0].conditions.len(), 1);
        for (undecodable, name) in undecodable.iter().zip(["one", "two"]) {
            let metadata = &undecodable.metadata;
            assert_eq!(metadata.name.as_deref(), Some(name));
            assert_eq!(metadata.namespace.as_deref(), Some("payments"));
            assert_eq!(metadata.uid, Some(format!("uid-of-{name}")));
            assert_eq!(metadata.generation, Some(3));
            assert!(!undecodable.error.contains("a-secret"), "{undecodable}");
        }
        let metadata = &undecodable[1].metadata;
        assert!(metadata.deletion_timestamp.is_some());
        assert_eq!(metadata.finalizers.as_deref(), Some(&["crossinvoke.dev/aws-resources".to_owned()][..]));
        assert_eq!(
            metadata.labels.as_ref().and_then(|labels| labels.get("team")).map(String::as_str),
            Some("payments")
        );
    }

    #[test]
    fn of_an_account_that_does_not_decode_the_account_id_and_who_reports_it_are_known() {
        let account = |spec: Value| {
            json!({"metadata": {"name": "dev"}, "spec": spec,
                "status": {"installationID": "prod", "lastCheckedAt": "2026-01-01T00:00:00Z"}})
        };
        let read = list::<AwsAccount>(&[
            account(json!({"accountID": "222222222222"})),
            account(json!({"accountID": "333333333333", "reads": "Later"})),
            account(json!({"accountID": 7})),
        ]);
        let ids: Vec<Option<&str>> = read.iter().map(Decoded::account_id).collect();
        assert_eq!(ids, [Some("222222222222"), Some("333333333333"), None]);
        let undecodable = read[1].0.as_ref().unwrap_err();
        assert!(undecodable.error.contains("Later"), "{undecodable}");
        assert_eq!(undecodable.reported.0.as_deref(), Some("prod"));
        assert!(undecodable.reported.1.is_some());
    }

    #[test]
    fn values_do_not_get_into_what_is_wrong() {
        for (error, expected) in [
            (
                r#"invalid type: string "a-secret", expected struct Stage"#,
                r#"invalid type: string "…", expected struct Stage"#,
            ),
            (r#"invalid value: string "a \"b\" c", expected x"#, r#"invalid value: string "…", expected x"#),
            (r#"invalid value: string "a\\", expected "b""#, r#"invalid value: string "…", expected "…""#),
            ("missing field `stage`", "missing field `stage`"),
        ] {
            assert_eq!(without_values(error), expected);
        }
    }
}
