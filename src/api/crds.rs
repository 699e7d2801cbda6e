//! The `CustomResourceDefinition`s as they are installed.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use super::{AwsAccount, CrossAccountInvoke};

/// Both definitions by the name of their file in `crds/`.
#[must_use]
pub fn all() -> [(&'static str, CustomResourceDefinition); 2] {
    [
        ("crossaccountinvokes.yaml", without_nulls(CrossAccountInvoke::crd())),
        ("awsaccounts.yaml", without_nulls(AwsAccount::crd())),
    ]
}

/// Makes optional fields optional and nothing more: the derive makes each `nullable` too, and the API server would keep
/// `region: null`. Objects stay nullable, since a server-side apply that empties one (`action: {}`) leaves null behind,
/// which would be refused with words that nobody understands; rules see such a null as absent.
fn without_nulls(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|validation| validation.open_api_v3_schema.as_mut()) {
            remove_nullable(schema);
        }
    }
    definition
}

fn remove_nullable(schema: &mut JSONSchemaProps) {
    if schema.type_.as_deref() != Some("object") {
        schema.nullable = None;
    }
    for property in schema.properties.iter_mut().flat_map(BTreeMap::values_mut) {
        remove_nullable(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        remove_nullable(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        remove_nullable(values);
    }
}

/// One definition as YAML.
#[must_use]
pub fn yaml_of(definition: &CustomResourceDefinition) -> String {
    serde_saphyr::to_string(definition).expect("a definition of derived types renders")
}

/// Both definitions as one YAML stream.
#[must_use]
pub fn to_yaml() -> String {
    all().iter().fold(String::new(), |yaml, (_, definition)| yaml + "---\n" + &yaml_of(definition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_in_crds_are_what_the_types_say() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
        for (file, definition) in all() {
            let generated = yaml_of(&definition);
            let stored = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
            assert!(generated == stored, "crds/{file} is stale: run `make crds`");
        }
    }
}
