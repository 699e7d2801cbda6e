//! What the API server makes of the rendered objects.

use crossinvoke_harness::{Context as _, Result, Scenario, repository};
use serde_json::{Value, json};

use super::{by_helm, install};
use crate::suite::{Case, case};

pub(super) fn scenarios() -> Vec<Case> {
    vec![
        case("every_rendered_object_is_taken_under_strict_validation", by_helm, async |scenario| {
            strict_validation(scenario).await
        }),
        case("the_pod_is_admitted_under_restricted_pod_security", by_helm, async |scenario| {
            restricted_pod_security(scenario).await
        }),
    ]
}

async fn strict_validation(scenario: &Scenario<'_>) -> Result<()> {
    // The namespaces that the value sets watch.
    for namespace in ["payments", "orders"] {
        // Another scenario on this control plane may have made it.
        let manifest = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n");
        scenario.kubectl().apply(&manifest).await?;
    }
    let mut release = scenario.release();
    for set in ["required", "all-values", "namespaced"] {
        let file = repository().join(format!("tests/chart/{set}.yaml"));
        let text = std::fs::read_to_string(&file).context(file.display())?;
        release.values = serde_saphyr::from_str(&text).context(file.display())?;
        if set == "all-values" {
            // The Prometheus operator's kind is not in this cluster.
            release.values["podMonitor"]["enabled"] = json!(false);
        }
        let rendered = scenario.helm().template(&release, &[]).await?;
        let taken = dry_run(scenario, &rendered).await?;
        let kinds = rendered.lines().filter(|line| line.starts_with("kind: ")).count();
        assert_eq!(taken.lines().count(), kinds, "{set}: {taken}");
    }
    let rendered = scenario.helm().template(&release, &["templates/deployment.yaml"]).await?;
    let error = dry_run(scenario, &rendered.replace("replicas:", "replicaz:")).await.unwrap_err().to_string();
    assert!(error.contains("field not declared in schema"), "an unknown field is noticed: {error}");
    Ok(())
}

async fn dry_run(scenario: &Scenario<'_>, manifests: &str) -> Result<String> {
    let arguments = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-"];
    scenario.kubectl().run_with_input(&arguments, manifests).await
}

/// No controller makes pods of Deployments here, so the pod is sent as such a controller would send it.
async fn restricted_pod_security(scenario: &Scenario<'_>) -> Result<()> {
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    let (kubectl, namespace) = (scenario.kubectl(), &scenario.namespace);
    kubectl.run(&["label", "namespace", namespace, enforce]).await?;
    install(scenario).await?;
    let namespaced = format!("--namespace={namespace}");
    let deployment = kubectl.run(&["get", "deployment", "crossinvoke", &namespaced, "--output=json"]).await?;
    let deployment: Value = serde_json::from_str(&deployment).context("the Deployment")?;
    let template = &deployment["spec"]["template"];
    let metadata =
        json!({"name": "as-of-a-replica-set", "namespace": namespace, "labels": template["metadata"]["labels"]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]});
    dry_run(scenario, &pod.to_string()).await?;
    assert_eq!(pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true);
    // Each setting is needed: without it the pod is refused.
    for (at, setting, says) in [
        ("/spec/securityContext", "runAsNonRoot", "runAsNonRoot != true"),
        ("/spec/securityContext", "seccompProfile", "seccompProfile"),
        ("/spec/containers/0/securityContext", "allowPrivilegeEscalation", "allowPrivilegeEscalation != false"),
        ("/spec/containers/0/securityContext", "capabilities", "unrestricted capabilities"),
    ] {
        let mut weaker = pod.clone();
        let context = weaker.pointer_mut(at).and_then(Value::as_object_mut).unwrap();
        assert!(context.remove(setting).is_some(), "{setting} is not set");
        let error = dry_run(scenario, &weaker.to_string()).await.unwrap_err().to_string();
        assert!(error.contains(says), "without {setting}: {error}");
    }
    Ok(())
}
