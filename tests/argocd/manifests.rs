//! Manifests as people write them, synced by Argo CD: each comes to what server-side apply makes of it, or is refused in
//! the API server's words, whether it is the first of its object or changes one.

use crossinvoke_harness::{
    ArgoCd, Bench, Context as _, Error, GitRepository, Result, Scenario, Setup,
    manifests::{CASES, Case, Outcome, manifest},
};
use serde_json::{Value, json};

use crate::{CONTROLLER, application::Application, example::documented};

pub(crate) async fn mean_the_same() -> Result<()> {
    let bench = Bench::start(CONTROLLER).await?;
    let argo = ArgoCd::start(bench.control_plane(), &json!({})).await?;
    let setup = Setup::default().without_controller();
    let scenario = Scenario::prepare(&bench, "manifests_in_argo_cd", setup).await?;
    scenario.run(async |scenario| of_manifests(scenario, &argo).await).await
}

async fn of_manifests(scenario: &Scenario<'_>, argo: &ArgoCd) -> Result<()> {
    let git = GitRepository::new()?;
    let names = |way: &'static str| (0..CASES.len()).map(move |index| format!("{way}-{index}"));
    for name in names("update") {
        git.write(&format!("{name}/invoke.yaml"), &manifest(&name, &[]))?;
    }
    let right = git.commit("Right ones")?;
    let mut changed = Vec::new();
    for name in names("update") {
        changed.push(application(scenario, argo, &git, &name).await?);
    }
    for application in &changed {
        application.synced(&right, "").await?;
    }
    for way in ["create", "update"] {
        for (name, (_, lines, _)) in names(way).zip(&CASES) {
            git.write(&format!("{name}/invoke.yaml"), &manifest(&name, lines))?;
        }
    }
    let odd = git.commit("As people write them")?;
    let mut refused = Vec::new();
    for ((application, name), case) in changed.iter().zip(names("update")).zip(&CASES) {
        let words = check(scenario, application, &odd, &name, case).await?;
        refused.extend(words.map(|words| (application, words)));
    }
    for (name, case) in names("create").zip(&CASES) {
        let application = application(scenario, argo, &git, &name).await?;
        check(scenario, &application, &odd, &name, case).await?;
    }
    for (application, words) in refused {
        told_again(application, &words).await?;
    }
    Ok(())
}

/// Later comparisons may take the refused change for one that is in place; a refresh tells of it again.
async fn told_again(application: &Application<'_>, words: &str) -> Result<()> {
    let before = application.until("it is there", |_| true).await?;
    application.until("it is compared again", |status| status["reconciledAt"] != before["reconciledAt"]).await?;
    let again = |status: &Value| status["sync"]["status"] == "Unknown" && told(status).contains(words);
    application.refreshed_until(&format!("it says again {words}"), again).await.map(drop)
}

/// The documented Application, for one folder of the repository.
async fn application<'a>(
    scenario: &Scenario<'_>,
    argo: &'a ArgoCd,
    git: &GitRepository,
    name: &str,
) -> Result<Application<'a>> {
    let mut application = documented(argo, git)?;
    application["metadata"]["name"] = json!(name);
    application["spec"]["source"]["path"] = json!(name);
    application["spec"]["destination"]["namespace"] = json!(scenario.namespace);
    Application::apply(&scenario.client, &scenario.kubectl(), argo, &application).await
}

/// What Argo CD made of the manifest is what server-side apply makes of the same under another name. Returns the words in
/// which it is refused.
async fn check(
    scenario: &Scenario<'_>,
    application: &Application<'_>,
    commit: &str,
    name: &str,
    (what, lines, outcome): &Case,
) -> Result<Option<String>> {
    let case = format!("{what}, {name}");
    let (changes, other) = (name.starts_with("update"), format!("{name}-kubectl"));
    if changes {
        server_side(scenario, &manifest(&other, &[])).await.context(&case)?;
    }
    let sent = server_side(scenario, &manifest(&other, lines)).await;
    let Outcome::Refused(parts) = outcome else {
        sent.context(&case)?;
        application.until(&format!("{case}: it is synced"), |status| is_synced(status, commit)).await?;
        assert_eq!(spec(scenario, name).await?, spec(scenario, &other).await?, "{case}");
        return Ok(None);
    };
    let Err(error) = sent else { return Err(Error::new(format!("{case}: kubectl could apply it"))) };
    let words = words(&error.to_string()).replace(&other, name);
    for part in *parts {
        assert!(words.contains(part), "{case}: {part:?} is not in {words}");
    }
    let says = format!("{case}: it says {words}");
    if changes {
        application.refreshed_until(&says, |status| told(status).contains(&words)).await?;
        assert_eq!(spec(scenario, name).await?, spec(scenario, &other).await?, "{case}: the right one stays");
    } else {
        application.until(&says, |status| told(status).contains(&words)).await?;
        assert!(scenario.invokes().get_opt(name).await.context("reading")?.is_none(), "{case}: it was taken");
    }
    Ok(Some(words))
}

async fn server_side(scenario: &Scenario<'_>, manifest: &str) -> Result<String> {
    let namespace = format!("--namespace={}", scenario.namespace);
    scenario.kubectl().run_with_input(&["apply", "--server-side", &namespace, "--filename=-"], manifest).await
}

fn is_synced(status: &Value, commit: &str) -> bool {
    status["sync"]["revision"] == commit
        && status["sync"]["status"] == "Synced"
        && status["operationState"]["phase"] == "Succeeded"
}

async fn spec(scenario: &Scenario<'_>, name: &str) -> Result<Value> {
    Ok(scenario.invokes().get(name).await.context("reading")?.data["spec"].clone())
}

/// What the API server says, out of all that kubectl says.
fn words(said: &str) -> String {
    let text = said.split_once('\n').map_or(said, |(_, text)| text).trim();
    let text = text.rsplit_once(" is invalid: ").map_or(text, |(_, text)| text);
    let text =
        text.strip_prefix("Error from server").and_then(|text| text.split_once(": ")).map_or(text, |(_, text)| text);
    text.replace("\\\"", "\"")
}

/// All that an Application says about its sync and its comparison.
fn told(status: &Value) -> String {
    let operation = &status["operationState"];
    let resources = operation["syncResult"]["resources"].as_array().into_iter().flatten();
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let texts = resources.chain([operation]).chain(conditions).map(|it| &it["message"]);
    let all = texts.filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
    all.replace("\\\"", "\"")
}
