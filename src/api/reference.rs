//! docs/conditions.md and the table in Argo CD's health script, generated from the reasons, and Argo CD's customizations,
//! of which one kind's are the source.

use std::{fmt::Display, path::PathBuf};

use strum::{EnumMessage, IntoEnumIterator};

use super::{
    condition,
    reason::{BulkReadsReason, ContestedReason, DriftReason, GrantsReason, Reason, ReasonClass},
};

/// A condition as the documentation describes it.
struct Described {
    kind: &'static str,
    objects: &'static str,
    present: &'static str,
    says: &'static str,
    reasons: Vec<[String; 4]>,
}

/// Every condition. A new one is a constant of [`condition`] and an entry here; a new reason is a variant with a comment
/// and a message.
fn conditions() -> Vec<Described> {
    let of_class = |class| rows(Reason::iter().filter(move |reason| reason.class() == class), |it| ready_status(*it));
    vec![
        Described {
            kind: condition::READY,
            objects: "both",
            present: "always",
            says: "Sums up. Its message names account and resource, what is missing and what to do.",
            reasons: rows(Reason::iter(), |reason| ready_status(*reason)),
        },
        Described {
            kind: condition::RECONCILING,
            objects: "both",
            present: "while it is True",
            says: "The controller is at work, or AWS could not be looked at twice in a row; Ready stays True meanwhile if \
                   nothing is known to be wrong.",
            reasons: of_class(ReasonClass::Reconciling),
        },
        Described {
            kind: condition::STALLED,
            objects: "both",
            present: "while it is True",
            says: "Somebody has to act. It is never True together with Reconciling.",
            reasons: of_class(ReasonClass::Stalled),
        },
        Described {
            kind: condition::DRIFTED,
            objects: "CrossAccountInvoke",
            present: "once everything was in place",
            says: "AWS differs from what was last seen in place; status.drift.items has each difference.",
            reasons: rows(DriftReason::iter(), |reason| reason.status()),
        },
        Described {
            kind: condition::CONTESTED,
            objects: "CrossAccountInvoke",
            present: "while it is True",
            says: "Something else undoes what the controller corrects; status.contested has what and how often.",
            reasons: rows(ContestedReason::iter(), |_| "True"),
        },
        Described {
            kind: condition::GRANTS_MATCHED,
            objects: "AwsAccount",
            present: "always",
            says: "The grants reach a namespace. It has no effect on Ready.",
            reasons: rows(GrantsReason::iter(), |it| if *it == GrantsReason::Matched { "True" } else { "False" }),
        },
        Described {
            kind: condition::BULK_READS,
            objects: "AwsAccount",
            present: "once it is known, or asked for single reads",
            says: "Roles or functions of the account are read all at once. It has no effect on Ready.",
            reasons: rows(BulkReadsReason::iter(), |it| if *it == BulkReadsReason::Active { "True" } else { "False" }),
        },
    ]
}

fn ready_status(reason: Reason) -> &'static str {
    match reason.class() {
        ReasonClass::Ready => "True",
        ReasonClass::Reconciling => "Unknown",
        ReasonClass::Stalled => "False",
    }
}

/// Name, status, meaning and remedy of each reason.
fn rows<R: Display + EnumMessage>(
    reasons: impl Iterator<Item = R>,
    status: impl Fn(&R) -> &'static str,
) -> Vec<[String; 4]> {
    let text = |text: Option<&'static str>| text.unwrap_or_default().replace('`', "");
    reasons
        .map(|it| [it.to_string(), status(&it).to_owned(), text(it.get_documentation()), text(it.get_message())])
        .collect()
}

/// docs/conditions.md.
fn markdown() -> String {
    let mut text = "# Conditions and reasons\n\nGenerated from the code by `make conditions`.\n\n\
                    | condition | of | present | says |\n|---|---|---|---|\n"
        .to_owned();
    for it in conditions() {
        text.extend(["| `", it.kind, "` | ", it.objects, " | ", it.present, " | ", it.says, " |\n"]);
    }
    // Reconciling and Stalled have reasons of Ready.
    for it in conditions().iter().filter(|it| ![condition::RECONCILING, condition::STALLED].contains(&it.kind)) {
        text.extend([
            "\n## Reasons of ",
            it.kind,
            "\n\n| reason | status | meaning | what to do |\n|---|---|---|---|\n",
        ]);
        for [reason, status, meaning, remedy] in &it.reasons {
            text.extend(["| `", reason.as_str(), "` | ", status, " | ", meaning, " | ", remedy, " |\n"]);
        }
    }
    text
}

/// The health script with the table of what each reason of `Ready` says, between the two lines that mark it.
fn with_health_of_reasons(script: &str) -> Option<String> {
    const BEGIN: &str = "-- Generated from the reasons by `make conditions`: begin\n";
    const END: &str = "-- Generated from the reasons: end\n";
    let (before, rest) = script.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let line = |reason: Reason| format!("  {reason} = \"{}\",\n", health(reason));
    let lines: String = Reason::iter().map(line).collect();
    Some([before, BEGIN, "local health_of = {\n", &lines, "}\n", END, after].concat())
}

/// What Argo CD shows of an object whose `Ready` has this reason.
fn health(reason: Reason) -> &'static str {
    match reason.class() {
        ReasonClass::Ready => "Healthy",
        ReasonClass::Reconciling => "Progressing",
        ReasonClass::Stalled => "Degraded",
    }
}

/// The customizations as values of the Argo CD Helm chart; each key is one of the ConfigMap argocd-cm.
fn values(files: impl Fn(&str, &str) -> String) -> String {
    let indented = |text: &str, by: usize| -> String {
        let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{:by$}{line}\n", "") };
        text.lines().map(line).collect()
    };
    let mut text =
        "# Values of the Argo CD Helm chart; without it, put the keys below cm into the ConfigMap argocd-cm.\n\
                    # Generated by `make conditions` from the files in resource_customizations.\nconfigs:\n  cm:\n"
            .to_owned();
    for kind in KINDS {
        text.extend(["    resource.customizations.health.crossinvoke.dev_", kind, ": |\n"]);
        text += &indented(&files(kind, "health.lua"), 6);
        text.extend(["    resource.customizations.actions.crossinvoke.dev_", kind, ": |\n      discovery.lua: |\n"]);
        text += &indented(&files(kind, "actions/discovery.lua"), 8);
        text += "      definitions:\n        - name: check-now\n          action.lua: |\n";
        text += &indented(&files(kind, "actions/check-now/action.lua"), 12);
    }
    text
}

const KINDS: [&str; 2] = ["CrossAccountInvoke", "AwsAccount"];

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn customization(kind: &str, file: &str) -> String {
    format!("deploy/argocd/resource_customizations/crossinvoke.dev/{kind}/{file}")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap_or_default()
}

/// Compares a generated file, or writes it where `UPDATE_GOLDENS=1` asks for that.
fn check(file: &str, generated: &str) {
    #[allow(clippy::disallowed_methods, reason = "how all generated files are written")]
    if std::env::var("UPDATE_GOLDENS").is_ok_and(|value| value == "1") {
        std::fs::write(path(file), generated).expect("it can be written");
    }
    assert!(read(file) == generated, "{file} is stale: run `make conditions`");
}

#[test]
fn the_generated_files_are_what_the_reasons_say() {
    check("docs/conditions.md", &markdown());
    let script = customization(KINDS[0], "health.lua");
    check(&script, &with_health_of_reasons(&read(&script)).expect("the lines that mark the table, in their order"));
    // The scripts are the same for both kinds.
    for file in ["health.lua", "actions/discovery.lua", "actions/check-now/action.lua"] {
        check(&customization(KINDS[1], file), &read(&customization(KINDS[0], file)));
    }
    check("deploy/argocd/values.yaml", &values(|kind, file| read(&customization(kind, file))));
}

#[test]
fn every_condition_and_reason_says_what_it_means_and_what_to_do() {
    let described: Vec<&str> = conditions().iter().map(|it| it.kind).collect();
    let constants = include_str!("condition.rs").lines().filter_map(|line| line.strip_prefix("pub const "));
    let types: Vec<&str> = constants.filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!(described, types, "conditions() describes every constant of condition.rs");
    for it in conditions() {
        for [reason, _, meaning, remedy] in it.reasons {
            assert!(meaning.ends_with('.'), "{reason} has no comment that says what it means");
            assert!(remedy.ends_with('.'), "{reason} has no strum message that says what to do");
        }
    }
}

#[test]
fn every_enum_of_reasons_is_documented() {
    let enums =
        include_str!("reason.rs").lines().filter(|line| line.starts_with("pub enum ") && line.contains("Reason"));
    // ReasonClass is not a reason.
    assert_eq!(enums.count() - 1, 5, "describe the new enum in conditions()");
}
