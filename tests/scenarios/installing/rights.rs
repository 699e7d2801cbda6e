//! Who may do what in Kubernetes by the chart's roles, as the API server's authorizer judges it.

use crossinvoke_harness::{Context as _, Result, Scenario, chart};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use super::{beside_the_crds, by_helm, install};
use crate::suite::{Case, case};

const GROUP: &str = "crossinvoke.dev";
/// What the default roles let their holders do with an object, on top of each other.
const VIEW: [&str; 3] = ["get", "list", "watch"];
const EDIT: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

pub(super) fn scenarios() -> Vec<Case> {
    vec![
        case("a_release_that_watches_namespaces_reports_events_there_only", by_helm, async |scenario| {
            install(scenario).await?;
            let user = controller(scenario);
            let here = scenario.namespace.as_str();
            // A namespace that is deleted loses its Role before its objects have gone.
            for (namespace, allowed) in [(here, true), ("default", true)] {
                expect(scenario, &user, allowed, namespace, GROUP, "crossaccountinvokes", &["get", "list", "patch"])
                    .await?;
                expect(scenario, &user, allowed, namespace, GROUP, "crossaccountinvokes/status", &["update", "patch"])
                    .await?;
            }
            // Events about AwsAccounts are in this namespace.
            for namespace in [here, "default"] {
                expect(scenario, &user, true, namespace, "events.k8s.io", "events", &["create"]).await?;
            }
            expect(scenario, &user, false, "kube-system", "events.k8s.io", "events", &["create"]).await?;
            nothing_more(scenario, &user).await?;
            // This release has an id, so it derives none.
            expect(scenario, &user, false, "kube-system", "", "namespaces", &["get"]).await
        }),
        case("a_release_that_watches_all_namespaces_has_rights_everywhere", by_helm, async |scenario| {
            let mut release = beside_the_crds(scenario);
            release.values["watchNamespaces"] = json!([]);
            scenario.helm().install(&release, &chart(), &[]).await?;
            let user = controller(scenario);
            for namespace in [scenario.namespace.as_str(), "default"] {
                expect(scenario, &user, true, namespace, GROUP, "crossaccountinvokes", &["get", "list", "patch"])
                    .await?;
                expect(scenario, &user, true, namespace, "events.k8s.io", "events", &["create"]).await?;
            }
            nothing_more(scenario, &user).await
        }),
        case("users_of_a_namespace_get_its_invokes_and_no_accounts", by_helm, async |scenario| users(scenario).await),
    ]
}

/// What no release may do, whatever it watches.
async fn nothing_more(scenario: &Scenario<'_>, user: &str) -> Result<()> {
    let here = scenario.namespace.as_str();
    for (group, resource) in [(GROUP, "crossaccountinvokes"), (GROUP, "awsaccounts"), ("", "namespaces")] {
        expect(scenario, user, false, here, group, resource, &["create", "update", "delete"]).await?;
    }
    expect(scenario, user, false, here, "", "secrets", &["get", "list"]).await?;
    expect(scenario, user, false, here, GROUP, "awsaccounts", &["get"]).await?;
    expect(scenario, user, true, here, GROUP, "awsaccounts", &["list", "watch", "patch"]).await?;
    expect(scenario, user, true, here, GROUP, "awsaccounts/status", &["update"]).await?;
    expect(scenario, user, true, here, "", "namespaces", &["list", "watch"]).await
}

/// The cluster's view, edit and admin get the rules of the roles that are labelled for them. The controller that copies
/// them is not part of this control plane, so the roles are bound themselves.
async fn users(scenario: &Scenario<'_>) -> Result<()> {
    install(scenario).await?;
    let kubectl = scenario.kubectl();
    let namespace = format!("--namespace={}", scenario.namespace);
    for aggregate in ["view", "edit", "admin"] {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{aggregate}=true");
        let ours = format!("app.kubernetes.io/instance=crossinvoke,{label}");
        let roles = kubectl.run(&["get", "clusterroles", &format!("--selector={ours}"), "--output=json"]).await?;
        let roles: Value = serde_json::from_str(&roles).context("the roles")?;
        let roles = roles["items"].as_array().cloned().unwrap_or_default();
        // Other scenarios on this control plane have roles of theirs.
        let prefix = format!("{}:", scenario.namespace);
        let names = roles.iter().filter_map(|role| role["metadata"]["name"].as_str());
        for role in names.filter(|name| name.starts_with(&prefix)) {
            let (binding, user) = (role.replace(':', "-") + "-" + aggregate, format!("--user={}", user(aggregate)));
            let role = format!("--clusterrole={role}");
            kubectl.run(&["create", "rolebinding", &binding, &role, &user, &namespace]).await?;
        }
    }
    let here = scenario.namespace.as_str();
    for (aggregate, may_edit) in [("view", false), ("edit", true), ("admin", true)] {
        let user = user(aggregate);
        expect(scenario, &user, true, here, GROUP, "crossaccountinvokes", &VIEW).await?;
        expect(scenario, &user, may_edit, here, GROUP, "crossaccountinvokes", &EDIT).await?;
        expect(scenario, &user, false, here, GROUP, "crossaccountinvokes/status", &["update", "patch"]).await?;
        expect(scenario, &user, false, here, GROUP, "awsaccounts", &[&VIEW[..], &EDIT[..]].concat()).await?;
        expect(scenario, &user, false, "default", GROUP, "crossaccountinvokes", &VIEW).await?;
    }
    Ok(())
}

fn user(aggregate: &str) -> String {
    format!("has-{aggregate}")
}

fn controller(scenario: &Scenario<'_>) -> String {
    format!("system:serviceaccount:{}:crossinvoke", scenario.namespace)
}

/// Checks what the authorizer says of each verb; `resource` may have a subresource.
async fn expect(
    scenario: &Scenario<'_>,
    user: &str,
    allowed: bool,
    namespace: &str,
    group: &str,
    resource: &str,
    verbs: &[&str],
) -> Result<()> {
    let api: Api<SubjectAccessReview> = Api::all(scenario.client.clone());
    let (name, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    for verb in verbs {
        let attributes = ResourceAttributes {
            namespace: Some(namespace.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(name.to_owned()),
            subresource: Some(subresource.to_owned()),
            verb: Some((*verb).to_owned()),
            name: (resource == "namespaces").then(|| namespace.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let review = api.create(&PostParams::default(), &review).await.context("asking the authorizer")?;
        let status = review.status.unwrap_or_default();
        assert_eq!(status.allowed, allowed, "{user}: {verb} {resource} in {namespace}: {status:?}");
    }
    Ok(())
}
