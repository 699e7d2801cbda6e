//! One seed: its objects, its pipeline, and what happens to them.

use std::{collections::BTreeMap, time::Duration};

use crossinvoke::api::annotation;
use crossinvoke_harness::{Calls, Context as _, Error, Result, Scenario, accounts::Accounts, objects};
use fakeaws::{Admin, Effect, Fault};
use jiff::Timestamp;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    checks::{Span, foreign},
    history::{Edit, History, Step, Wish, WriteFault},
    pipeline,
    seen::Seen,
};

/// How long the machine may need for what so many seeds wait for.
const WITHIN: Duration = Duration::from_mins(3);

/// Together these take less than an attempt may: an answer that takes longer is lost, and its update is made after that.
const DELAYS: u8 = 3;

/// How the controller ends, before another one begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Killed,
    Stopped,
}

pub(super) struct Replay {
    pub(super) seed: u64,
    pub(super) pipeline: String,
    pub(super) accounts: Accounts,
    namespace: String,
    pub(super) aws: Admin,
    objects: Api<DynamicObject>,
    seen: Seen,
    ends: UnboundedSender<End>,
    /// How many updates were delayed.
    delays: u8,
    /// What each existing object declares.
    pub(super) wishes: BTreeMap<usize, Wish>,
    /// The execution that runs, if one does.
    running: Option<(String, Timestamp)>,
    /// When executions ran.
    pub(super) spans: Vec<Span>,
    /// When nothing was left to be done, and all was looked at again.
    pub(super) quiet: Option<Span>,
    /// What is not ours, as somebody else left it.
    pub(super) truth: Value,
}

impl Replay {
    pub(super) fn new(scenario: &Scenario<'_>, seed: u64, ends: UnboundedSender<End>, watched: &Seen) -> Self {
        Self {
            seed,
            pipeline: pipeline(seed),
            accounts: scenario.accounts.clone(),
            namespace: scenario.namespace.clone(),
            aws: scenario.aws().clone(),
            objects: scenario.invokes(),
            seen: watched.clone(),
            ends,
            delays: 0,
            wishes: BTreeMap::new(),
            running: None,
            spans: Vec::new(),
            quiet: None,
            truth: Value::Null,
        }
    }

    /// Takes all steps, waits until it has what it declares, sees that it stays so, and takes it away again.
    pub(super) async fn run(mut self) -> Result<Self> {
        let Err(error) = self.course().await else { return Ok(self) };
        let calls = Calls(self.calls(&self.aws.calls().context("the call log")?).cloned().collect());
        let steps: Vec<String> = History::of_seed(self.seed).steps.iter().map(ToString::to_string).collect();
        Err(Error::new(format!("seed {}: {error}\n{}\n{calls}", self.seed, steps.join("\n"))))
    }

    async fn course(&mut self) -> Result<()> {
        self.truth = foreign(&self.declaration()?.unwrap_or_default(), self.is_ours());
        for timed in History::of_seed(self.seed).steps {
            self.step(timed.step).await.context(timed)?;
        }
        self.execute(Step::Finish)?;
        self.aws.clear_faults_containing(&self.pipeline).context("the end of the trouble")?;
        self.touch("end").await?;
        self.until_right("end").await?;
        let began = now();
        self.touch("quiet").await?;
        self.until_right("quiet").await?;
        self.quiet = Some(Span { began, ended: now() });
        for object in std::mem::take(&mut self.wishes).into_keys() {
            self.objects.delete(&self.name_of(object), &DeleteParams::default()).await.context("deleting")?;
        }
        let own = format!("s{:03}-", self.seed);
        self.seen
            .until("its objects are gone", WITHIN, |objects| {
                let left: Vec<&String> = objects.keys().filter(|name| name.starts_with(&own)).collect();
                if left.is_empty() { Ok(()) } else { Err(format!("{left:?} are left")) }
            })
            .await?;
        self.nothing_is_left()
    }

    /// Waits until it has what it declares, and all its objects were looked at for this reason.
    async fn until_right(&self, asked: &str) -> Result<()> {
        let what = format!("it is right ({asked})");
        self.seen.until(&what, WITHIN, |objects| self.is_right(objects, asked)).await
    }

    async fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Declare(object, wish) => self.declare(object, wish).await,
            Step::Delete(object) => self.delete(object).await,
            Step::Person(edit) => {
                self.edit(edit)?;
                match edit {
                    Edit::TakeOursOut(object) | Edit::ChangeOurs(object) if self.wishes.contains_key(&object) => {
                        self.touch_one(object, &format!("edit {}", now())).await
                    }
                    _ => Ok(()),
                }
            }
            Step::Start | Step::Finish | Step::Fail { .. } | Step::Stop | Step::Stopped => self.execute(step),
            Step::NextWrite(fault) => self.fault_of_a_write(fault),
            Step::NextCallFails => self.fault("GetPipeline", Effect::fail("InternalFailure", "internal failure", 500)),
            Step::Crash => self.ends.send(End::Killed).context("killing the controller"),
            Step::Restart => self.ends.send(End::Stopped).context("stopping the controller"),
            Step::DeletePipeline
            | Step::MakePipeline
            | Step::Grant(..)
            | Step::Lag { .. }
            | Step::Latency(_)
            | Step::RoleRefused(..)
            | Step::ActionRefused(..)
            | Step::Stall(_) => Ok(()),
        }
    }

    pub(super) fn name_of(&self, object: usize) -> String {
        format!("s{:03}-o{object}", self.seed)
    }

    /// Whether an action is one of an object of this seed, by the role that it runs as.
    pub(super) fn is_ours(&self) -> impl Fn(&Value) -> Option<usize> + use<> {
        let names: Vec<(usize, String)> =
            (0..8).map(|object| (object, format!("-{}-", self.name_of(object)))).collect();
        move |action| {
            let role = action["roleArn"].as_str()?;
            names.iter().find(|(_, name)| role.contains(name.as_str())).map(|(object, _)| *object)
        }
    }

    async fn declare(&mut self, object: usize, wish: Wish) -> Result<()> {
        let name = self.name_of(object);
        let there = self.objects.get_opt(&name).await.context("reading")?;
        if there.is_some_and(|there| there.metadata.deletion_timestamp.is_some()) {
            return Ok(());
        }
        let mut invoke = objects::cross_account_invoke(&self.accounts, &self.namespace, &name);
        let position = (wish.stage == "Made").then(|| json!({"after": "Build"}));
        invoke["spec"]["pipeline"]["name"] = json!(self.pipeline);
        invoke["spec"]["stage"] = json!({"name": wish.stage, "position": position});
        invoke["spec"]["action"] =
            json!({"name": action_of(object, wish), "runOrder": 1, "userParameters": wish.parameters.to_string()});
        // Whatever is looked at again has a reason.
        invoke["spec"]["interval"] = json!("1h");
        let parameters = PatchParams::apply("person").force();
        self.objects.patch(&name, &parameters, &Patch::Apply(&invoke)).await.context("applying")?;
        self.wishes.insert(object, wish);
        Ok(())
    }

    async fn delete(&mut self, object: usize) -> Result<()> {
        if self.wishes.remove(&object).is_some() {
            self.objects.delete(&self.name_of(object), &DeleteParams::default()).await.context("deleting")?;
        }
        Ok(())
    }

    /// Has its objects looked at.
    async fn touch(&self, value: &str) -> Result<()> {
        for object in self.wishes.keys() {
            self.touch_one(*object, value).await?;
        }
        Ok(())
    }

    async fn touch_one(&self, object: usize, value: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {annotation::RECONCILE_REQUESTED_AT: value}}}));
        self.objects.patch(&self.name_of(object), &PatchParams::default(), &patch).await.context("annotating").map(drop)
    }

    pub(super) fn declaration(&self) -> Result<Option<Value>> {
        self.aws.pipeline(&self.accounts.tools, &self.accounts.region, &self.pipeline).context("the pipeline")
    }

    /// A person writes, which ends what runs.
    fn write(&mut self, declaration: Value) -> Result<()> {
        self.ran();
        self.truth = foreign(&declaration, self.is_ours());
        self.aws
            .replace_pipeline(&self.accounts.tools, &self.accounts.region, declaration)
            .context("replacing")
            .map(drop)
    }

    fn edit(&mut self, edit: Edit) -> Result<()> {
        let Some(mut declaration) = self.declaration()? else { return Ok(()) };
        let ours = self.is_ours();
        let stages = declaration["stages"].as_array_mut().unwrap();
        let approval = |name: String| {
            let kind = json!({"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"});
            json!({"name": name, "actionTypeId": kind, "runOrder": 1, "configuration": {}, "inputArtifacts": [],
                   "outputArtifacts": []})
        };
        match edit {
            Edit::TakeOursOut(object) => {
                for stage in stages.iter_mut() {
                    stage["actions"].as_array_mut().unwrap().retain(|action| ours(action) != Some(object));
                }
                stages.retain(|stage| stage["actions"].as_array().is_some_and(|actions| !actions.is_empty()));
            }
            Edit::ChangeOurs(object) => {
                let actions = stages.iter_mut().flat_map(|stage| stage["actions"].as_array_mut().unwrap());
                for action in actions.filter(|action| ours(action) == Some(object)) {
                    action["configuration"]["FunctionName"] = json!("another");
                }
            }
            Edit::Configure(number) => {
                let actions = build(stages);
                let list = actions.iter_mut().find(|action| action["name"] == "Checklist").unwrap();
                list["configuration"]["Banner"] = json!(number.to_string());
            }
            Edit::Add(number) => {
                let (actions, name) = (build(stages), format!("Extra-{number}"));
                if actions.iter().all(|action| action["name"] != name.as_str()) {
                    actions.push(approval(name));
                }
            }
            Edit::TakeOut => {
                let actions = build(stages);
                let last =
                    actions.iter().rposition(|it| it["name"].as_str().is_some_and(|name| name.starts_with("Extra-")));
                last.map(|last| actions.remove(last));
            }
            Edit::Occupy => {
                let actions = build(stages);
                if actions.iter().all(|action| action["name"] != "Check") {
                    actions.push(approval("Check".to_owned()));
                }
            }
        }
        self.write(declaration)
    }

    fn execute(&mut self, step: Step) -> Result<()> {
        let running = self.running.as_ref().map(|(id, _)| id.clone());
        match (step, running) {
            (Step::Start, None) => {
                let id = self.put_execution(None, "InProgress", Some("Build"))?;
                self.running = Some((id, now()));
            }
            (Step::Stop, Some(id)) => drop(self.put_execution(Some(&id), "Stopping", Some("Build"))?),
            (Step::Finish, Some(id)) => self.over(&id, "Succeeded", None)?,
            (Step::Fail { .. }, Some(id)) => self.over(&id, "Failed", Some("Build"))?,
            (Step::Stopped, Some(id)) => self.over(&id, "Stopped", None)?,
            _ => {}
        }
        Ok(())
    }

    fn over(&mut self, id: &str, status: &str, stage: Option<&str>) -> Result<()> {
        self.ran();
        self.put_execution(Some(id), status, stage).map(drop)
    }

    /// Up to now the execution ran, and what ends it comes after.
    fn ran(&mut self) {
        if let Some((_, began)) = self.running.take() {
            self.spans.push(Span { began, ended: now() });
        }
    }

    fn put_execution(&self, id: Option<&str>, status: &str, stage: Option<&str>) -> Result<String> {
        let of = (self.accounts.tools.as_str(), self.accounts.region.as_str(), self.pipeline.as_str());
        self.aws.put_execution(of, id, status, stage).context("an execution")
    }

    /// An update that AWS never took is looked for during seven minutes, which is left to the simulation.
    fn fault_of_a_write(&mut self, fault: WriteFault) -> Result<()> {
        let effect = match fault {
            // What reaches nobody cannot be caused from here.
            WriteFault::LostBefore | WriteFault::Void => return Ok(()),
            WriteFault::LostAfter => Effect::DropAfterApplying,
            // All that is set before the next update hits that one, and delays add up.
            WriteFault::Late(_) if self.delays == DELAYS => return Ok(()),
            WriteFault::Late(_) => {
                self.delays += 1;
                Effect::Delay { milliseconds: 1_500 }
            }
            WriteFault::Throttled => Effect::fail("ThrottlingException", "Rate exceeded", 400),
        };
        self.fault("UpdatePipeline", effect)
    }

    /// Something goes wrong with the next such call on its pipeline.
    fn fault(&self, operation: &str, effect: Effect) -> Result<()> {
        self.aws.fault(Fault::next(operation, effect).containing(&self.pipeline)).context("a fault")
    }
}

#[allow(clippy::disallowed_methods, reason = "it is compared with the times of the double's call log")]
fn now() -> Timestamp {
    Timestamp::now()
}

pub(super) fn action_of(object: usize, wish: Wish) -> String {
    if wish.shared_name { "Check".to_owned() } else { format!("Check-{object}") }
}

fn build(stages: &mut [Value]) -> &mut Vec<Value> {
    stages.iter_mut().find(|stage| stage["name"] == "Build").and_then(|stage| stage["actions"].as_array_mut()).unwrap()
}
