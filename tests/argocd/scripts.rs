//! The tests in deploy/argocd, which are in Argo CD's own format, run by Argo CD.

use std::{fs, path::Path};

use crossinvoke_harness::{ArgoCd, Bench, Context as _, Result, repository};
use serde_json::{Value, json};

use crate::CONTROLLER;

pub(crate) async fn agree() -> Result<()> {
    let bench = Bench::without_crds(CONTROLLER).await?;
    let argo = ArgoCd::start(bench.control_plane(), &json!({})).await?;
    for kind in ["CrossAccountInvoke", "AwsAccount"] {
        let folder = repository().join("deploy/argocd/resource_customizations/crossinvoke.dev").join(kind);
        let tests = read(&folder.join("health_test.yaml"))?;
        let tests = tests["tests"].as_array().cloned().unwrap_or_default();
        assert_eq!(tests.len(), fs::read_dir(folder.join("testdata")).context("test data")?.count(), "each is tested");
        for test in tests {
            let input = folder.join(test["inputPath"].as_str().unwrap_or_default()).display().to_string();
            let found = argo.resource_overrides(&["health", &input]).await?;
            let expected = &test["healthStatus"];
            let text = |member: &str| expected[member].as_str().unwrap_or_default().to_owned();
            assert_eq!(found.trim(), format!("STATUS: {}\nMESSAGE: {}", text("status"), text("message")), "{input}");
        }
        actions(&argo, &folder.join("actions")).await?;
    }
    Ok(())
}

async fn actions(argo: &ArgoCd, folder: &Path) -> Result<()> {
    let tests = read(&folder.join("action_test.yaml"))?;
    for test in tests["discoveryTests"].as_array().into_iter().flatten() {
        let input = folder.join(test["inputPath"].as_str().unwrap_or_default()).display().to_string();
        let listed = argo.resource_overrides(&["list-actions", &input]).await?;
        let words: Vec<&str> = listed.split_whitespace().collect();
        let disabled = test["result"][0]["disabled"].to_string();
        assert_eq!(words, ["NAME", "DISABLED", "check-now", &disabled], "{input}");
    }
    for test in tests["actionTests"].as_array().into_iter().flatten() {
        let path = |member: &str| folder.join(test[member].as_str().unwrap_or_default());
        let (input, output) = (path("inputPath"), read(&path("expectedOutputPath"))?);
        let action = test["action"].as_str().unwrap_or_default();
        let changed = argo.resource_overrides(&["run-action", &input.display().to_string(), action]).await?;
        let added: Vec<&str> = changed.lines().filter(|line| line.starts_with('>')).collect();
        let annotations = output["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
        for name in annotations.keys() {
            assert!(added.iter().any(|line| line.contains(name.as_str())), "{name}: {changed}");
        }
        assert!(!changed.lines().any(|line| line.starts_with('<')), "it takes nothing away: {changed}");
    }
    Ok(())
}

fn read(file: &Path) -> Result<Value> {
    let text = fs::read_to_string(file).context(file.display())?;
    serde_saphyr::from_str(&text).context(file.display())
}
