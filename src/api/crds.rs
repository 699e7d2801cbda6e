//! The `CustomResourceDefinition`s as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt;
use serde_json::json;

use super::{AwsAccount, CrossAccountInvoke};

/// Both definitions by the name of their file in `crds/`.
#[must_use]
pub fn all() -> [(&'static str, CustomResourceDefinition); 2] {
    let all = [("crossaccountinvokes.yaml", CrossAccountInvoke::crd()), ("awsaccounts.yaml", AwsAccount::crd())];
    all.map(|(file, definition)| (file, with_a_status_before_the_first_look(definition)))
}

/// Lets the API server show a status that is about no generation until the controller has written one: kstatus (Flux, kpt)
/// takes an object without `status.observedGeneration` for finished.
fn with_a_status_before_the_first_look(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let schemas = definition.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    for schema in schemas.filter_map(|validation| validation.open_api_v3_schema.as_mut()) {
        if let Some(status) = schema.properties.as_mut().and_then(|properties| properties.get_mut("status")) {
            status.default = Some(JSON(json!({"observedGeneration": -1})));
            // The default then takes the place of null as well.
            status.nullable = None;
        }
    }
    definition
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
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};

    use super::*;

    /// Optional properties below a schema that are not nullable, and required ones that are. The API server puts a default
    /// in the place of null by itself.
    fn misfits(schema: &JSONSchemaProps, path: &str, found: &mut Vec<String>) {
        let required = schema.required.clone().unwrap_or_default();
        for (name, property) in schema.properties.iter().flatten() {
            let path = format!("{path}.{name}");
            let takes_null = property.nullable == Some(true) || property.default.is_some();
            if required.contains(name) == takes_null {
                found.push(path.clone());
            }
            misfits(property, &path, found);
        }
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
            misfits(items, &format!("{path}[]"), found);
        }
    }

    /// A null is kept by create and client-side apply, and taken by server-side apply, only where a field is nullable.
    #[test]
    fn every_optional_field_of_a_spec_and_no_required_one_is_nullable() {
        for (file, definition) in all() {
            for version in definition.spec.versions {
                let schema = version.schema.and_then(|validation| validation.open_api_v3_schema).unwrap();
                let mut found = Vec::new();
                misfits(&schema.properties.unwrap()["spec"], "spec", &mut found);
                assert_eq!(found, Vec::<String>::new(), "{file}");
            }
        }
    }

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
