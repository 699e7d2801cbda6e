//! The `CustomResourceDefinition`s as they are installed.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use super::{AwsAccount, CrossAccountInvoke};

/// Both definitions by the name of their file in `crds/`.
#[must_use]
pub fn all() -> [(&'static str, CustomResourceDefinition); 2] {
    [("crossaccountinvokes.yaml", CrossAccountInvoke::crd()), ("awsaccounts.yaml", AwsAccount::crd())]
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
