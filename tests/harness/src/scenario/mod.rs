//! One scenario: a namespace, three AWS accounts and a controller of its own, on the shared control plane.

mod kubernetes_objects;

use std::panic::AssertUnwindSafe;

use fakeaws::{Admin, Command, FakeAws};
use futures::FutureExt as _;
use kube::Client;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    accounts::Accounts,
    api_front::ApiFront,
    bench::{Bench, SERVICE_ACCOUNT},
    calls::{Calls, Mark},
    controller_process::{ControllerOptions, ControllerProcess},
    difference::difference,
    error::{Context as _, Error, Result},
    hands::Hands,
    helm::Helm,
    kubectl::Kubectl,
    moto::Moto,
    objects,
    setup::Setup,
    wait::{DEADLINE, eventually},
};

/// A running scenario.
pub struct Scenario<'bench> {
    pub(crate) bench: &'bench Bench,
    /// The namespace, which is also the prefix of the `AwsAccount`s' names.
    pub namespace: String,
    /// The namespace of the release, which is the scenario's unless it is to have its own.
    pub release_namespace: String,
    /// The installation id of its controller.
    pub installation_id: String,
    /// Its AWS accounts.
    pub accounts: Accounts,
    /// An administrator's client; of this scenario's runtime.
    pub client: Client,
    pub(crate) aws: Aws<'bench>,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    /// Whether the controller watches all namespaces.
    pub(crate) everywhere: bool,
    pub(crate) controller: Option<ControllerProcess>,
    front: Option<ApiFront>,
    folder: TempDir,
}

/// What stands in for AWS.
pub(crate) enum Aws<'bench> {
    Double(FakeAws),
    Moto(&'bench Moto),
}

impl<'bench> Scenario<'bench> {
    /// The usual scenario of this name; it must be unique in the test binary.
    ///
    /// # Errors
    /// If any part of it cannot be made or started.
    pub async fn new(bench: &'bench Bench, name: &str) -> Result<Self> {
        Self::with(bench, name, Setup::default()).await
    }

    /// A scenario of this name that differs from the usual one.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub async fn with(bench: &'bench Bench, name: &str, mut setup: Setup) -> Result<Self> {
        let (change, without_controller) = (setup.aws_accounts.take(), setup.without_controller);
        let mut scenario = Self::prepare(bench, name, setup).await?;
        let mut tools = objects::tools_account(&scenario.accounts, &scenario.namespace);
        let mut dev = objects::dev_account(&scenario.accounts, &scenario.namespace);
        if let Some(change) = change {
            change(&mut tools, &mut dev);
        }
        scenario.apply(&tools).await?;
        scenario.apply(&dev).await?;
        if !without_controller {
            scenario.start_controller().await?;
        }
        Ok(scenario)
    }

    /// The AWS double, the namespace and the controller's rights; no object of ours, and no controller yet.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub async fn prepare(bench: &'bench Bench, name: &str, setup: Setup) -> Result<Self> {
        let mut accounts = setup.accounts.unwrap_or_else(|| Accounts::of_scenario(name, &installation_id_of(name)));
        if let Some(adjust) = setup.adjust {
            adjust(&mut accounts);
        }
        let mut seed = accounts.seed()?;
        if let Some(change) = setup.seed {
            change(&accounts, &mut seed);
        }
        let aws = if setup.on_moto {
            let moto = bench.moto()?;
            moto.seed(&seed)?;
            Aws::Moto(moto)
        } else {
            Aws::Double(FakeAws::start(seed).await.context("starting the AWS double")?)
        };
        let namespace = name.replace('_', "-");
        let release_namespace =
            if setup.in_a_namespace_of_its_own { format!("{namespace}-system") } else { namespace.clone() };
        let scenario = Self {
            bench,
            client: bench.control_plane().client().await?,
            aws,
            folder: tempfile::tempdir().context("a folder")?,
            release_namespace: release_namespace.clone(),
            namespace,
            installation_id: accounts.installation_id.clone(),
            accounts,
            flags: setup.flags,
            environment: Vec::new(),
            everywhere: setup.everywhere,
            controller: None,
            front: None,
        };
        scenario.kubectl().run(&["create", "namespace", &scenario.namespace]).await?;
        if release_namespace != scenario.namespace {
            scenario.kubectl().run(&["create", "namespace", &release_namespace]).await?;
        }
        if !setup.without_rights {
            scenario.give_rights().await?;
        }
        Ok(scenario)
    }

    /// The controller's rights exactly as the chart renders them for what it watches.
    async fn give_rights(&self) -> Result<()> {
        let rights = ["templates/serviceaccount.yaml", "templates/rbac.yaml"];
        let manifests = self.helm().template(&self.release(), &rights).await?;
        self.kubectl().apply(&manifests).await?;
        Ok(())
    }

    /// An administrator's kubectl.
    #[must_use]
    pub fn kubectl(&self) -> Kubectl {
        self.bench.control_plane().kubectl()
    }

    /// An administrator's helm.
    #[must_use]
    pub fn helm(&self) -> Helm {
        self.bench.control_plane().helm()
    }

    /// What happens to AWS behind the controller's back, and what it was asked. moto can do and tell less:
    /// [`Self::hands`] and [`Self::configuration`] work with both.
    #[must_use]
    pub fn aws(&self) -> &Admin {
        self.double().expect("the scenario is not on moto")
    }

    /// The AWS double, if the scenario has one.
    #[must_use]
    pub fn double(&self) -> Option<&Admin> {
        match &self.aws {
            Aws::Double(double) => Some(double.admin()),
            Aws::Moto(_) => None,
        }
    }

    /// What the controller of this scenario has written in Kubernetes so far, by the API server's audit log.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn kubernetes_writes(&self) -> Result<Vec<String>> {
        let own = self.kubernetes_events()?.into_iter();
        let writes = own.filter(|event| !["get", "list", "watch"].iter().any(|verb| event["verb"] == *verb));
        Ok(writes.map(|event| format!("{} {}", event["verb"], event["objectRef"])).collect())
    }

    /// When the controller of this scenario called a verb of a resource in a namespace.
    ///
    /// # Errors
    /// If the audit log cannot be read.
    pub fn kubernetes_calls(&self, verb: &str, resource: &str, namespace: &str) -> Result<Vec<String>> {
        let calls = self.kubernetes_events()?.into_iter().filter(|event| {
            let object = &event["objectRef"];
            event["verb"] == verb && object["resource"] == resource && object["namespace"] == namespace
        });
        Ok(calls.filter_map(|event| event["requestReceivedTimestamp"].as_str().map(str::to_owned)).collect())
    }

    /// The audit events of the controller of this scenario.
    fn kubernetes_events(&self) -> Result<Vec<Value>> {
        let log = std::fs::read_to_string(&self.bench.control_plane().started().audit_log).context("the audit log")?;
        let user = format!("system:serviceaccount:{}:{SERVICE_ACCOUNT}", self.release_namespace);
        // The last line may not be written whole yet.
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(events.filter(|event| event["user"]["username"] == user.as_str()).collect())
    }

    /// A folder that goes away with the scenario.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// moto, whether or not the scenario is on it.
    ///
    /// # Errors
    /// If it does not start.
    pub fn moto(&self) -> Result<&Moto> {
        self.bench.moto()
    }

    /// `http://127.0.0.1:port` of the AWS double, or of moto.
    #[must_use]
    pub fn aws_endpoint(&self) -> String {
        match &self.aws {
            Aws::Double(double) => double.endpoint(),
            Aws::Moto(moto) => moto.endpoint().to_owned(),
        }
    }
}

/// The controller.
impl Scenario<'_> {
    /// Starts the controller with a fresh token of its `ServiceAccount`.
    ///
    /// # Errors
    /// If it does not start; with its log.
    pub async fn start_controller(&mut self) -> Result<()> {
        let kubeconfig = self.folder.path().join("controller.kubeconfig");
        let plane = self.bench.control_plane();
        let server = self.front.as_ref().map_or_else(|| plane.started().server.clone(), ApiFront::endpoint);
        plane.write_kubeconfig_for(&kubeconfig, &server, &self.release_namespace, SERVICE_ACCOUNT).await?;
        let options = ControllerOptions {
            program: self.bench.controller().to_path_buf(),
            namespaces: if self.everywhere { Vec::new() } else { vec![self.namespace.clone()] },
            installation_id: self.installation_id.clone(),
            flags: self.flags.clone(),
            environment: self.environment.clone(),
            kubeconfig,
            aws_endpoint: self.aws_endpoint(),
            access_key: self.accounts.controller_key(),
            region: self.accounts.region.clone(),
            home: self.folder.path().to_path_buf(),
        };
        self.controller = Some(ControllerProcess::start(&options).await?);
        Ok(())
    }

    /// Replaces the flags of controllers that are started from here on.
    pub fn set_flags<'a>(&mut self, flags: impl IntoIterator<Item = &'a str>) {
        self.flags = flags.into_iter().map(str::to_owned).collect();
    }

    /// Replaces the further environment variables of controllers that are started from here on.
    pub fn set_environment<'a>(&mut self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.environment = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }

    /// Puts a port in front of the API server for controllers that are started from here on.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn put_front(&mut self) -> Result<()> {
        self.front = Some(self.bench.control_plane().front().await?);
        Ok(())
    }

    /// The port in front of the API server.
    ///
    /// # Errors
    /// If there is none.
    pub fn front(&self) -> Result<&ApiFront> {
        self.front.as_ref().ok_or_else(|| Error::new("no front was put before the API server"))
    }

    /// The running controller.
    ///
    /// # Errors
    /// If none was started.
    pub fn controller(&mut self) -> Result<&mut ControllerProcess> {
        self.controller.as_mut().ok_or_else(|| Error::new("no controller runs"))
    }

    /// Stops the controller as Kubernetes would, and starts it again.
    ///
    /// # Errors
    /// If it does not end in time, or does not start.
    pub async fn restart_controller(&mut self) -> Result<()> {
        self.controller()?.stop().await?;
        self.start_controller().await
    }

    /// Kills the controller as a lost node would, and starts it again.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn kill_and_restart_controller(&mut self) -> Result<()> {
        self.controller()?.kill()?;
        self.start_controller().await
    }
}

/// AWS.
impl Scenario<'_> {
    /// What AWS holds: roles, policies, pipelines, functions.
    ///
    /// # Errors
    /// If AWS does not answer.
    pub fn configuration(&self) -> Result<Value> {
        match &self.aws {
            Aws::Double(double) => double.admin().configuration().context("the snapshot"),
            Aws::Moto(moto) => moto.configuration(&self.accounts),
        }
    }

    /// Somebody else's hands in AWS.
    #[must_use]
    pub fn hands(&self) -> Hands<'_> {
        Hands(self)
    }

    pub(crate) fn change(&self, command: Command) -> Result<()> {
        match &self.aws {
            Aws::Double(double) => double.admin().run(command).map(drop).context("a change"),
            Aws::Moto(moto) => moto.change(command),
        }
    }

    /// Checks that AWS holds what it held before.
    ///
    /// # Errors
    /// Names every difference.
    pub fn assert_as_before(&self, before: &Value) -> Result<()> {
        let lines = difference(before, &self.configuration()?);
        if lines.is_empty() {
            return Ok(());
        }
        Err(Error::new(format!("AWS is not as it was before:\n{}", lines.join("\n"))))
    }

    /// The present end of the call log.
    ///
    /// # Errors
    /// If the double does not answer.
    pub fn mark(&self) -> Result<Mark> {
        Ok(Mark(self.aws().calls().context("the call log")?.len()))
    }

    /// Waits until one whole look at AWS is over (it ends with the read of the assume policy, after which a controller
    /// that is in sync rests) and returns how many reads it made since the mark.
    ///
    /// # Errors
    /// After a minute, with the calls so far.
    pub async fn reads_of_one_cycle(&self, mark: Mark) -> Result<usize> {
        let done = async || {
            let calls = self.calls_since(mark).map_err(|error| error.to_string())?;
            // The last two reads of a look are those of the callback and the assume policy.
            if calls.of("GetRolePolicy") >= 3 { Ok(calls.reads()) } else { Err(calls.to_string()) }
        };
        eventually("one look at AWS", DEADLINE, done).await
    }

    /// The calls since a mark.
    ///
    /// # Errors
    /// If the double does not answer.
    pub fn calls_since(&self, mark: Mark) -> Result<Calls> {
        let calls = self.aws().calls().context("the call log")?;
        Ok(Calls(calls.into_iter().skip(mark.0).collect()))
    }
}

/// How a scenario ends.
impl Scenario<'_> {
    /// Runs the scenario's body, then stops the controller; on failure prints all that helps to understand it.
    ///
    /// # Errors
    /// What the body fails with, a panic included, or a controller that ended or does not end in time.
    pub async fn run(mut self, body: impl AsyncFnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let outcome = AssertUnwindSafe(async { body(&mut self).await }).catch_unwind().await;
        let outcome = match outcome {
            Ok(Ok(())) => self.finish().await,
            Ok(Err(error)) => Err(error),
            Err(panic) => Err(Error::new(panic_text(panic.as_ref()))),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => Err(Error::new(format!("{error}\n{}", self.state().await))),
        }
    }

    async fn finish(&mut self) -> Result<()> {
        let Some(controller) = &mut self.controller else { return Ok(()) };
        match controller.ended()? {
            // A scenario that ended it on purpose has waited for that.
            Some(status) if !status.success() => Err(Error::new(format!("the controller ended by itself: {status}"))),
            Some(_) => Ok(()),
            None => controller.stop().await.map(|_| ()),
        }
    }

    /// Objects, events, the ends of the controller's log and of the call log.
    pub async fn state(&self) -> String {
        let kubectl = self.kubectl();
        let namespace = format!("--namespace={}", self.namespace);
        let shown = |outcome: Result<String>| outcome.unwrap_or_else(|error| error.to_string());
        let invokes = shown(kubectl.run(&["get", "crossaccountinvokes", &namespace, "--output=yaml"]).await);
        let (tools, dev) = (format!("{}-tools", self.namespace), format!("{}-dev", self.namespace));
        let accounts =
            shown(kubectl.run(&["get", "awsaccounts", &tools, &dev, "--ignore-not-found", "--output=yaml"]).await);
        let events = shown(kubectl.run(&["get", "events", &namespace]).await);
        let log = self.controller.as_ref().map_or_else(|| "none runs".to_owned(), |running| running.log_tail(80));
        // moto keeps no log; the controller's own is above.
        let calls = self.double().and_then(|double| double.calls().ok()).unwrap_or_default();
        let calls = Calls(calls[calls.len().saturating_sub(40)..].to_vec());
        format!(
            "--- objects\n{invokes}\n--- accounts\n{accounts}\n--- events\n{events}\n--- controller\n{log}\n\
             --- AWS calls\n{calls}"
        )
    }
}

/// Ten characters, as the chart would derive them.
fn installation_id_of(name: &str) -> String {
    let hash = name.bytes().fold(0x9e37_79b9_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    format!("{:010x}", hash & 0xff_ffff_ffff)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "the scenario panicked".to_owned())
}
