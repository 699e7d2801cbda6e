//! A release that is installed, and its controller run as a kubelet would run it.
//!
//! Without a kubelet there is no pod, so what only a pod can have is replaced: its image by the built binary, its network
//! by a free port on loopback, its mounted token by a kubeconfig with a token of the same `ServiceAccount`. Arguments,
//! environment and probes are those of the Deployment that the API server has.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Container, EnvVar, HTTPGetAction, PodSpec, Probe, Secret},
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Api, Client, api::ListParams};
use serde_json::{Value, json};

use crate::{
    bench,
    controller_process::ControllerProcess,
    error::{Context as _, Error, Result},
    helm::Release,
    scenario::Scenario,
    wait::{DEADLINE, eventually},
};

/// The Secret with the controller's AWS credentials.
const CREDENTIALS: &str = "aws";

/// The argument that says where the controller listens.
const LISTENS: &str = "--http-addr=";

/// Where it listens without that argument.
const DEFAULT_PORT: i32 = 8080;

impl Scenario<'_> {
    /// The release that a user of this scenario's accounts would install: it watches the scenario's namespace, and
    /// speaks to the AWS double with the credentials of [`Self::credentials`].
    #[must_use]
    pub fn release(&self) -> Release {
        let mut release = bench::release(&self.release_namespace);
        release.values["installationID"] = json!(self.installation_id);
        if !self.everywhere {
            release.values["watchNamespaces"] = json!([self.namespace]);
        }
        release.values["aws"] = json!({"endpoint": self.aws_endpoint(), "region": self.accounts.region});
        release.values["extraEnvFrom"] = json!([{"secretRef": {"name": CREDENTIALS}}]);
        release
    }

    /// The Secret with the controller's AWS credentials, for who has neither IRSA nor Pod Identity.
    #[must_use]
    pub fn credentials(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": CREDENTIALS, "namespace": self.release_namespace},
            "stringData": {
                "AWS_ACCESS_KEY_ID": self.accounts.controller_key(),
                "AWS_SECRET_ACCESS_KEY": "any-secret-will-do",
            },
        })
    }

    /// Starts the controller of an installed release as a kubelet would, and waits until its probes succeed.
    ///
    /// # Errors
    /// If the Deployment asks for what cannot be, the controller does not start or does not become ready.
    pub async fn start_installed_controller(&mut self, release: &Release) -> Result<()> {
        let deployment = deployment(&self.client, release).await?;
        let pod = Pod::of(&self.client, &release.namespace, &deployment).await?;
        let kubeconfig = self.folder().join("installed.kubeconfig");
        let plane = self.bench.control_plane();
        plane.write_service_account_kubeconfig(&kubeconfig, &release.namespace, &pod.service_account).await?;
        let mut environment = pod.environment;
        environment.push(("KUBECONFIG".to_owned(), kubeconfig.display().to_string()));
        environment.push(("HOME".to_owned(), self.folder().display().to_string()));
        let controller = ControllerProcess::start_with(self.bench.controller(), pod.arguments, environment).await?;
        let controller = self.controller.insert(controller);
        for path in [pod.liveness, pod.readiness] {
            until_probed(controller, &path).await?;
        }
        Ok(())
    }
}

/// Waits until a probe succeeds.
async fn until_probed(controller: &ControllerProcess, path: &str) -> Result<()> {
    let what = format!("GET {path} answers 200");
    let probed = eventually(&what, DEADLINE, async || match controller.get(path).await {
        Ok((200, _)) => Ok(()),
        Ok((status, body)) => Err(format!("{status} {body}")),
        Err(error) => Err(error.to_string()),
    });
    probed.await.map_err(|error| Error::new(format!("{error}; its log:\n{}", controller.log_tail(40))))
}

/// The one Deployment of a release.
///
/// # Errors
/// If there is none, or more than one.
async fn deployment(client: &Client, release: &Release) -> Result<Deployment> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), &release.namespace);
    let ours = ListParams::default().labels(&format!("app.kubernetes.io/instance={}", release.name));
    let mut found = api.list(&ours).await.context("listing Deployments")?.items;
    match (found.pop(), found.is_empty()) {
        (Some(deployment), true) => Ok(deployment),
        _ => Err(Error::new(format!("not one Deployment of release {}", release.name))),
    }
}

/// What a kubelet would make of a pod template with one container.
struct Pod {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    service_account: String,
    liveness: String,
    readiness: String,
}

impl Pod {
    async fn of(client: &Client, namespace: &str, deployment: &Deployment) -> Result<Self> {
        let spec = deployment.spec.template.spec.as_ref();
        let spec = spec.ok_or_else(|| Error::new("the Deployment has no pod template"))?;
        if spec.automount_service_account_token == Some(false) {
            return Err(Error::new("the pod would have no token: automountServiceAccountToken is false"));
        }
        let container = only_container(spec)?;
        let (arguments, port) = arguments(container)?;
        Ok(Self {
            arguments,
            environment: environment(client, namespace, container).await?,
            service_account: spec.service_account_name.clone().unwrap_or_else(|| "default".to_owned()),
            liveness: probed(container, container.liveness_probe.as_ref(), port)?,
            readiness: probed(container, container.readiness_probe.as_ref(), port)?,
        })
    }
}

fn only_container(spec: &PodSpec) -> Result<&Container> {
    match spec.containers.as_slice() {
        [container] if container.command.is_none() => Ok(container),
        [_] => Err(Error::new("the container has a command, which would replace the image's")),
        more => Err(Error::new(format!("one container was expected, not {}", more.len()))),
    }
}

/// The container's arguments with an address on loopback, and the port that they had.
fn arguments(container: &Container) -> Result<(Vec<String>, i32)> {
    let mut arguments = container.args.clone().unwrap_or_default();
    let at = arguments.iter().position(|argument| argument.starts_with(LISTENS));
    let port = match at.map(|at| arguments.remove(at)) {
        Some(listens) => {
            let port = listens.rsplit(':').next().and_then(|port| port.parse().ok());
            port.ok_or_else(|| Error::new(format!("no port in {listens}")))?
        }
        None => DEFAULT_PORT,
    };
    arguments.push(format!("{LISTENS}127.0.0.1:0"));
    Ok((arguments, port))
}

/// The path of an HTTP probe, which must be of the port on which the controller listens.
fn probed(container: &Container, probe: Option<&Probe>, listens: i32) -> Result<String> {
    let Some(HTTPGetAction { path: Some(path), port, .. }) = probe.and_then(|probe| probe.http_get.as_ref()) else {
        return Err(Error::new(format!("no HTTP probe: {probe:?}")));
    };
    let port = match port {
        IntOrString::Int(port) => Some(*port),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            ports.find(|port| port.name.as_ref() == Some(name)).map(|port| port.container_port)
        }
    };
    if port == Some(listens) {
        return Ok(path.clone());
    }
    Err(Error::new(format!("the probe of {path} asks port {port:?}, but the controller listens on {listens}")))
}

/// The container's environment: `envFrom` in its order, then `env`, which wins.
async fn environment(client: &Client, namespace: &str, container: &Container) -> Result<Vec<(String, String)>> {
    let mut environment = Vec::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let data = match (&source.secret_ref, &source.config_map_ref) {
            (Some(secret), None) => secret_data(client, namespace, &secret.name).await?,
            (None, Some(map)) => config_data(client, namespace, &map.name).await?,
            other => return Err(Error::new(format!("envFrom is neither a Secret nor a ConfigMap: {other:?}"))),
        };
        environment.extend(data.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
    }
    for variable in container.env.iter().flatten() {
        environment.push((variable.name.clone(), value_of(client, namespace, variable).await?));
    }
    Ok(environment)
}

async fn value_of(client: &Client, namespace: &str, variable: &EnvVar) -> Result<String> {
    let Some(source) = &variable.value_from else { return Ok(variable.value.clone().unwrap_or_default()) };
    let (data, key) = match (&source.secret_key_ref, &source.config_map_key_ref) {
        (Some(secret), None) => (secret_data(client, namespace, &secret.name).await?, &secret.key),
        (None, Some(map)) => (config_data(client, namespace, &map.name).await?, &map.key),
        other => {
            return Err(Error::new(format!("{} is neither of a Secret nor a ConfigMap: {other:?}", variable.name)));
        }
    };
    let value = data.into_iter().find_map(|(name, value)| (name == *key).then_some(value));
    value.ok_or_else(|| Error::new(format!("{}: there is no key {key}", variable.name)))
}

async fn secret_data(client: &Client, namespace: &str, name: &str) -> Result<Vec<(String, String)>> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let data = api.get(name).await.context(format_args!("Secret {name}"))?.data.unwrap_or_default();
    let text = |value: Vec<u8>| String::from_utf8(value).context(format_args!("Secret {name}"));
    data.into_iter().map(|(key, value)| Ok((key, text(value.0)?))).collect()
}

async fn config_data(client: &Client, namespace: &str, name: &str) -> Result<Vec<(String, String)>> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let data = api.get(name).await.context(format_args!("ConfigMap {name}"))?.data.unwrap_or_default();
    Ok(data.into_iter().collect())
}
