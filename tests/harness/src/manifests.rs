//! Manifests as people write them, which every tool that applies one has to treat the same.

/// What comes of a manifest.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// Refused; what the message must say.
    Refused(&'static [&'static str]),
    /// Taken, with the same meaning as the manifest without these lines.
    TakenAs(&'static [(&'static str, &'static str)]),
    /// Taken, and reported by the controller in these words.
    Reported(&'static str),
}

/// A right manifest, in which a case replaces lines.
const MANIFEST: &str = "apiVersion: crossinvoke.dev/v1alpha1
kind: CrossAccountInvoke
metadata:
  name: NAME
spec:
  toolsAccount:
    id: \"111111111111\"
    region: us-east-1
  devAccount:
    id: \"222222222222\"
  pipeline:
    name: payments-release
  stage:
    name: Validate
    position:
      after: Build
  function:
    name: MyFunction
";

/// What is odd, the lines to be replaced, and what comes of it.
pub type Case = (&'static str, &'static [(&'static str, &'static str)], Outcome);

/// What people write, and what comes of it.
pub const CASES: [Case; 11] = [
    // The type decides before any rule, since a field that lists can select by has to have one.
    ("a number", &[("id: \"111111111111\"", "id: 111111111111")], Outcome::Refused(&["toolsAccount.id", "string"])),
    (
        "an octal number",
        &[("id: \"222222222222\"", "id: 022222222222")],
        Outcome::Refused(&["devAccount.id", "string"]),
    ),
    (
        "an empty region",
        &[("id: \"222222222222\"", "id: \"222222222222\"\n    region: \"\"")],
        Outcome::Refused(&["devAccount.region", "us-east-1"]),
    ),
    ("no region", &[("id: \"222222222222\"", "id: \"222222222222\"\n    region:")], Outcome::TakenAs(&[])),
    (
        "a trailing space",
        &[("name: payments-release", "name: \"payments-release \"")],
        Outcome::Refused(&["pipeline.name", "\"payments-release \"", "for example payments-release"]),
    ),
    (
        "an ARN with an alias",
        &[("name: MyFunction", "name: arn:aws:lambda:us-east-1:222222222222:function:MyFunction:live")],
        Outcome::Refused(&["function.name", "plain name", "without alias", "MyFunction"]),
    ),
    ("one of two positions", &[("after: Build", "after: Build\n      before: null")], Outcome::TakenAs(&[])),
    ("an interval without a unit", &[("spec:", "spec:\n  interval: 10")], Outcome::Refused(&["spec.interval", "10m"])),
    ("an empty interval", &[("spec:", "spec:\n  interval:")], Outcome::TakenAs(&[])),
    (
        "choices and maps left empty",
        &[("spec:", "spec:\n  invokeRole:\n    trust:\n    tags:\n    name:\n  action:\n    name:\n    runOrder:")],
        Outcome::TakenAs(&[]),
    ),
    (
        "a variable without quotes",
        &[("spec:", "spec:\n  action:\n    userParameters: #{variables.suite}")],
        Outcome::Reported("quote values that begin with #"),
    ),
];

/// The right manifest under a name, with lines replaced.
#[must_use]
pub fn manifest(name: &str, lines: &[(&str, &str)]) -> String {
    let right = MANIFEST.replace("NAME", name);
    lines.iter().fold(right, |text, (line, other)| {
        assert!(text.contains(line), "{line:?} is not in {text}");
        text.replacen(line, other, 1)
    })
}
