//! What the API server refuses at apply, in words: each rule names what is allowed and gives an example.
//!
//! Shapes are CEL rules and not `pattern` or `minLength`, because the API server's message for those is the bare regex
//! or number. Lengths bound the cost of the rules (the API server refuses a CRD whose rules could cost too much), so
//! they lie above what the rules allow: a value that is only a little too long gets the rule's words.
//!
//! Optional fields are nullable, and rules see null as absent: create and client-side apply would otherwise drop a null,
//! and server-side apply would refuse it.

use kube::core::Rule;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// A name or id outside lists: far above what any rule allows.
pub(super) const TEXT: usize = 1024;
/// An ARN (IAM API Reference, arnType), or an external id.
pub(super) const ARN: usize = 2048;
/// An entry of a list, of which there may be 100 times 100.
pub(super) const ENTRY: usize = 256;
/// Entries per list.
pub(super) const ENTRIES: usize = 100;
/// A region in a list of up to [`REGIONS`] in up to [`ENTRIES`] grants.
const REGION: usize = 64;
/// Regions per grant.
pub(super) const REGIONS: usize = 50;
/// Tags that an account imposes: with 40 of an object and two of ours they fill what IAM takes (IAM quotas, 50).
pub(super) const IMPOSED_TAGS: usize = 8;

/// Any partition: AWS adds some (aws-eusc, aws-iso-e), so no list of them holds.
const PARTITION: &str = "aws(-[a-z0-9]+)*";
/// Segments of an IAM path: printable ASCII (IAM API Reference, CreateRole).
const PATH: &str = "([!-.0-~]+/)*";

fn rule(expression: impl Into<String>, message: &str) -> Rule {
    Rule::new(expression).message(message)
}

fn matches(pattern: &str, message: &str) -> Rule {
    rule(format!("self.matches(r'{pattern}')"), message)
}

/// A twelve-digit account id.
pub(super) fn account_id() -> Rule {
    matches("^[0-9]{12}$", "must be twelve digits in quotes, for example \"111111111111\"")
}

/// A region code of any partition.
pub(super) fn region() -> Rule {
    matches("^[a-z]+(-[a-z]+)+-[0-9]+$", "must be the code of an AWS region, for example us-east-1 or eu-central-1")
}

/// CodePipeline's names (CodePipeline API Reference, PipelineDeclaration, StageDeclaration, ActionDeclaration).
pub(super) fn pipeline_name() -> Rule {
    matches("^[A-Za-z0-9.@_-]{1,100}$", "must be 1 to 100 of A-Z a-z 0-9 . @ - _, for example payments-release")
}

/// As [`pipeline_name`].
pub(super) fn stage_name() -> Rule {
    matches("^[A-Za-z0-9.@_-]{1,100}$", "must be 1 to 100 of A-Z a-z 0-9 . @ - _, for example Validate")
}

/// As [`pipeline_name`].
pub(super) fn action_name() -> Rule {
    matches("^[A-Za-z0-9.@_-]{1,100}$", "must be 1 to 100 of A-Z a-z 0-9 . @ - _, for example RunValidation")
}

/// ActionDeclaration's namespace.
pub(super) fn variables_namespace() -> Rule {
    matches("^[A-Za-z0-9@_-]{1,100}$", "must be 1 to 100 of A-Z a-z 0-9 @ - _, for example validation")
}

/// Namespaces that CodePipeline fills itself.
pub(super) fn variables_namespace_not_reserved() -> Rule {
    rule(
        "!(self in ['codepipeline', 'variables'])",
        "must not be codepipeline or variables, which CodePipeline reserves, for example validation",
    )
}

/// An object's name is the action's name when that is absent, but may be 253 characters long.
pub(super) fn object_name_fits_action() -> Rule {
    rule(
        "size(self.metadata.name) <= 100 || (has(self.spec.action) && has(self.spec.action.name))",
        "must be set when metadata.name, which is used when it is absent, has more than 100 characters, \
         for example RunValidation",
    )
    .field_path(".spec.action.name")
}

/// The role's owner tag holds namespace and name, and IAM takes 256 characters of a tag's value.
pub(super) fn object_name_fits_tag() -> Rule {
    rule(
        "size(self.metadata.name) <= 192",
        "metadata.name must have at most 192 characters, since a tag on the invoke role holds it with the namespace, for example validate",
    )
}

/// What people paste from the console.
pub(super) fn function_name_not_arn() -> Rule {
    rule(
        "!self.contains(':')",
        "must be the function's plain name, not an ARN and without alias or version, for example MyFunction; \
         its account and region are those of spec.devAccount",
    )
}

/// Lambda's names. What has a colon is told so by [`function_name_not_arn`] alone.
pub(super) fn function_name() -> Rule {
    rule(
        "self.contains(':') || self.matches('^[A-Za-z0-9_-]{1,64}$')",
        "must be 1 to 64 of A-Z a-z 0-9 - _, for example MyFunction",
    )
}

/// The place of a new stage.
pub(super) fn one_position() -> Rule {
    rule("has(self.after) != has(self.before)", "must hold exactly one of after and before, for example {after: Build}")
}

/// A stage cannot be placed next to itself.
pub(super) fn position_not_itself() -> Rule {
    rule(
        "!has(self.position) || ((!has(self.position.after) || self.position.after != self.name) \
         && (!has(self.position.before) || self.position.before != self.name))",
        "must name another stage of the pipeline than spec.stage.name, for example {after: Build}",
    )
    .field_path(".position")
}

/// CodePipeline's run order (CodePipeline User Guide, action structure requirements).
pub(super) fn run_order() -> Rule {
    rule("self >= 1 && self <= 999", "must be 1 to 999, for example 1")
}

/// The Lambda action's UserParameters.
pub(super) fn user_parameters() -> Rule {
    rule("size(self) <= 1000", "must have at most 1000 characters, for example '{\"suite\":\"smoke\"}'")
}

/// IAM's role names (IAM API Reference, CreateRole).
pub(super) fn role_name() -> Rule {
    matches(
        "^[A-Za-z0-9+=,.@_-]{1,64}$",
        "must be the role's name alone, without path or ARN: 1 to 64 of A-Z a-z 0-9 + = , . @ _ -, \
         for example validate-invoke",
    )
}

/// A given name must not take that of another object's role. IAM compares names without regard to case.
pub(super) fn role_name_not_derived() -> Rule {
    rule(
        "!self.lowerAscii().startsWith('crossinvoke-')",
        "must not begin with crossinvoke-, because the controller derives names that do; for example validate-invoke",
    )
}

fn role_arn_pattern() -> String {
    format!("^arn:{PARTITION}:iam::[0-9]{{12}}:role/{PATH}[A-Za-z0-9+=,.@_-]{{1,64}}$")
}

/// An IAM role's ARN.
pub(super) fn role_arn() -> Rule {
    matches(
        &role_arn_pattern(),
        "must be the ARN of an IAM role, for example arn:aws:iam::222222222222:role/service-role/MyFunction",
    )
}

/// A function and the role it runs as are in one account. What is no ARN is told so by [`role_arn`] alone.
/// `function` is a reserved word of CEL, which Kubernetes escapes.
pub(super) fn execution_role_in_dev_account() -> Rule {
    rule(
        format!(
            "!has(self.__function__.executionRole) || !self.__function__.executionRole.matches(r'{}') \
             || self.__function__.executionRole.split(':')[4] == self.devAccount.id",
            role_arn_pattern()
        ),
        "must be a role of the account in spec.devAccount.id, \
         for example arn:aws:iam::222222222222:role/service-role/MyFunction if that is \"222222222222\"",
    )
    .field_path(".function.executionRole")
}

/// Within one account no role has to be assumed.
pub(super) fn two_accounts() -> Rule {
    rule(
        "self.devAccount.id != self.toolsAccount.id",
        "must differ from spec.toolsAccount.id, for example \"222222222222\" if that is \"111111111111\": \
         within one account a pipeline needs no role to invoke a function",
    )
    .field_path(".devAccount.id")
}

/// Over the whole struct: a rule on an optional field is dodged by removing the field first.
pub(super) fn tools_account_immutable() -> Rule {
    rule(
        "self.toolsAccount == oldSelf.toolsAccount",
        "must stay as it was created (id and region): to move to another account or region, for example from us-east-1 \
         to us-west-2, delete this object and create a new one",
    )
    .field_path(".toolsAccount")
}

/// As [`tools_account_immutable`]. Null, which server-side apply stores for an empty `region:`, is no region either.
pub(super) fn dev_account_immutable() -> Rule {
    rule(
        "self.devAccount.id == oldSelf.devAccount.id && \
         (has(self.devAccount.region) && dyn(self.devAccount.region) != null ? self.devAccount.region : '') == \
         (has(oldSelf.devAccount.region) && dyn(oldSelf.devAccount.region) != null ? oldSelf.devAccount.region : '')",
        "must stay as it was created (id and region, an absent region too): to move to another account or region, \
         for example from us-east-1 to us-west-2, delete this object and create a new one",
    )
    .field_path(".devAccount")
}

/// 10s to 24h. More than five digits of any unit are out of these bounds, and too many would make `duration` fail
/// instead of refuse. A number gets these words too, see [`interval_schema`].
pub(super) fn interval() -> Rule {
    rule(
        "type(self) == string && self.matches('^(0*[0-9]{1,5}[smh])+$') && duration(self) >= duration('10s') && duration(self) <= duration('24h')",
        "must be 10s to 24h, as whole numbers with s, m or h, for example 10m or 1h30m",
    )
}

/// The longest interval: with [`interval`]'s pattern its sum stays far below what a duration can hold.
const INTERVAL: usize = 64;

/// A text, for which people write a number (`interval: 10`). A type would refuse that with "must be of type string", and
/// server-side apply in other words; this leaves the refusal to [`interval`], which says what to write.
pub(super) fn interval_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-int-or-string": true, "nullable": true, "maxLength": INTERVAL})
}

const TAG_CHARACTERS: &str = r"[\p{L}\p{Z}\p{N}_.:/=+@-]";
const TAG_KEY: &str = "1 to 128 letters, digits, spaces or _ . : / = + - @, and not begin with aws: or \
                       crossinvoke.dev/, for example team";

fn is_tag_key(variable: &str) -> String {
    // AWS reserves aws: in any case (IAM User Guide, tagging requirements); the other prefix is how we find our roles.
    format!(
        "{variable}.matches(r'^{TAG_CHARACTERS}{{1,128}}$') && !{variable}.matches('^(?i:aws:|crossinvoke[.]dev/)')"
    )
}

/// IAM's tag keys (IAM User Guide, tagging requirements).
pub(super) fn tag_keys() -> Rule {
    rule(format!("self.all(key, {})", is_tag_key("key")), &format!("keys must be {TAG_KEY}"))
}

/// IAM's tag values.
pub(super) fn tag_values() -> Value {
    entries(
        TEXT,
        &[rule(
            format!("self.matches(r'^{TAG_CHARACTERS}{{0,256}}$')"),
            "must be at most 256 letters, digits, spaces or _ . : / = + - @, for example payments",
        )],
    )
}

/// Keys that an `AwsAccount` lets objects set.
pub(super) fn allowed_tag_keys() -> Value {
    entries(ENTRY, &[rule(is_tag_key("self"), &format!("must be {TAG_KEY}"))])
}

/// What the platform sets, no object can set.
pub(super) fn imposed_tags_not_allowed() -> Rule {
    rule(
        "!has(self.tags) || !has(self.allowedTagKeys) || self.allowedTagKeys.all(k, !(k in self.tags))",
        "must not list a key of spec.invokeRoles.tags, for example team, which no object may set",
    )
    .field_path(".allowedTagKeys")
}

/// Policies that are left alone. `*` alone would leave everything alone.
pub(super) fn tolerated_policies() -> Value {
    entries(
        ENTRY,
        &[rule(
            format!(
                "self != '*' && self.matches(r'^([A-Za-z0-9+=,.@_*-]{{1,128}}|arn:{PARTITION}:iam::([0-9]{{12}}|aws|[*]):policy/[!-~]+)$')"
            ),
            "must be a policy's name or ARN, in which * stands for any characters, and more than *, for example org-baseline-*",
        )],
    )
}

/// Regions of a grant.
pub(super) fn regions() -> Value {
    entries(REGION, &[region()])
}

/// A grant that is narrowed to nothing is a mistake; absence opens every region.
pub(super) fn regions_not_empty() -> Rule {
    rule("size(self) > 0", "must not be empty: leave it out to open every region, for example [us-east-1]")
}

/// Twelve-digit account ids.
/// A number, which YAML reads without quotes, is left to the rule, as in [`interval_schema`]: it says what to write. The
/// ids that objects can be selected by must have a type, which refuses a number in words of its own.
pub(super) fn account_ids() -> Value {
    let rule = rule(
        "type(self) == string && self.matches('^[0-9]{12}$')",
        "must be twelve digits in quotes, for example \"111111111111\"",
    );
    json!({"x-kubernetes-int-or-string": true, "maxLength": ENTRY, "x-kubernetes-validations": [rule]})
}

/// Names of pipelines with wildcards.
pub(super) fn pipeline_globs() -> Value {
    entries(
        ENTRY,
        &[matches(
            "^[A-Za-z0-9.@_*-]{1,100}$",
            "must be a pipeline's name, in which * stands for any characters: 1 to 100 of A-Z a-z 0-9 . @ - _ *, \
         for example payments-*",
        )],
    )
}

/// Names of functions with wildcards.
pub(super) fn function_globs() -> Value {
    entries(
        ENTRY,
        &[matches(
            "^[A-Za-z0-9_*-]{1,100}$",
            "must be a function's plain name (no ARN), in which * stands for any characters: 1 to 100 of A-Z a-z 0-9 - _ *, \
         for example payments-*",
        )],
    )
}

/// Names of namespaces.
pub(super) fn namespace_names() -> Value {
    entries(
        ENTRY,
        &[matches(
            "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
            "must be the name of a namespace: 1 to 63 of a-z 0-9 -, beginning and ending with a letter or digit, \
         for example payments; many are chosen by their labels with selector",
        )],
    )
}

/// The schema of a list's or map's entries, so that a refusal names the entry and not only the list.
fn entries(longest: usize, rules: &[Rule]) -> Value {
    json!({"type": "string", "maxLength": longest, "x-kubernetes-validations": rules})
}

/// The account of an `AwsAccount`.
pub(super) fn account_id_immutable() -> Rule {
    rule(
        "self == oldSelf",
        "must stay as it was created: for another account, for example \"222222222222\", make another AwsAccount",
    )
}

/// The controller enters the account that it says it enters. What is no ARN is told so by [`role_arn`] alone.
pub(super) fn role_in_account() -> Rule {
    rule(
        format!(
            "!has(self.roleARN) || !self.roleARN.matches(r'{}') \
             || self.roleARN.split(':')[4] == self.accountID",
            role_arn_pattern()
        ),
        "must be a role of the account in spec.accountID, for example arn:aws:iam::222222222222:role/crossinvoke if that \
         is \"222222222222\"",
    )
    .field_path(".roleARN")
}

/// What the controller assumes.
pub(super) fn controller_role_arn() -> Rule {
    matches(
        &role_arn_pattern(),
        "must be the ARN of an IAM role, for example arn:aws:iam::222222222222:role/crossinvoke",
    )
}

/// STS's external ids (STS API Reference, AssumeRole).
pub(super) fn external_id() -> Rule {
    rule(
        "size(self) >= 2 && size(self) <= 1224 && self.matches('^[A-Za-z0-9+=,.@:/_-]*$')",
        "must be 2 to 1224 of A-Z a-z 0-9 + = , . @ : / _ -, for example crossinvoke-7Gq2",
    )
}

/// A grant's name.
pub(super) fn grant_name() -> Rule {
    matches(
        "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "must be 1 to 63 of a-z 0-9 -, beginning and ending with a letter or digit, for example payments",
    )
}

/// A grant that opens nothing is a mistake that would be found much later.
pub(super) fn grants_something() -> Rule {
    rule(
        "(has(self.pipelines) && size(self.pipelines) > 0) || (has(self.functions) && size(self.functions) > 0 \
         && has(self.callers) && size(self.callers) > 0)",
        "must grant something: pipelines, or functions together with callers, \
         for example pipelines: [\"payments-*\"], or functions: [MyFunction] with callers: [\"111111111111\"]",
    )
}

/// Nobody is granted anything by leaving something out.
pub(super) fn some_namespaces() -> Rule {
    rule(
        "(has(self.names) && size(self.names) > 0) || has(self.selector)",
        "must hold names or a selector, for example {names: [payments]}",
    )
}

/// In Kubernetes an empty selector chooses everything; a gate is not opened by an oversight.
pub(super) fn selector_not_empty() -> Rule {
    rule(
        "(has(self.matchLabels) && size(self.matchLabels) > 0) \
         || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
        "must not be empty, since that would choose every namespace; for example {matchLabels: {team: payments}}",
    )
}

/// Kubernetes' own type knows neither bounds nor the operators.
pub(super) fn bounded_selector(schema: &mut Schema) {
    let Some(properties) = schema.get_mut("properties") else { return };
    properties["matchLabels"]["nullable"] = json!(true);
    properties["matchLabels"]["maxProperties"] = json!(ENTRIES);
    properties["matchLabels"]["additionalProperties"]["maxLength"] = json!(ENTRY);
    let expressions = &mut properties["matchExpressions"];
    expressions["nullable"] = json!(true);
    expressions["maxItems"] = json!(ENTRIES);
    expressions["x-kubernetes-list-type"] = json!("atomic");
    let expression = &mut expressions["items"];
    expression["x-kubernetes-validations"] = json!([rule(
        "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
        "must have values with In and NotIn, and none with Exists and DoesNotExist, \
         for example {key: team, operator: In, values: [payments]}",
    )]);
    let properties = &mut expression["properties"];
    properties["key"]["maxLength"] = json!(ENTRY);
    properties["operator"]["enum"] = json!(["In", "NotIn", "Exists", "DoesNotExist"]);
    properties["values"]["nullable"] = json!(true);
    properties["values"]["maxItems"] = json!(ENTRIES);
    properties["values"]["x-kubernetes-list-type"] = json!("atomic");
    properties["values"]["items"]["maxLength"] = json!(ENTRY);
}

/// An IAM path (IAM API Reference, CreateRole).
pub(super) fn role_path() -> Rule {
    rule(
        format!("size(self) <= 512 && self.matches('^/{PATH}$')"),
        "must begin and end with /, with no empty part and at most 512 characters, for example /crossinvoke/",
    )
}

/// A role cannot be moved, and roles of the old path would not be found. Presence counts too, of the struct as well.
pub(super) fn role_path_immutable() -> Rule {
    rule(
        "(has(self.invokeRoles) && dyn(self.invokeRoles) != null && has(self.invokeRoles.path) && \
         dyn(self.invokeRoles.path) != null ? self.invokeRoles.path : '') == \
         (has(oldSelf.invokeRoles) && dyn(oldSelf.invokeRoles) != null && has(oldSelf.invokeRoles.path) && \
         dyn(oldSelf.invokeRoles.path) != null ? oldSelf.invokeRoles.path : '')",
        "must stay as it was created, an absent one too: IAM cannot move a role; for another path, \
         for example /crossinvoke/, delete the CrossAccountInvokes of the account and this object, and create it again",
    )
    .field_path(".invokeRoles.path")
}

fn policy_arn_pattern() -> String {
    format!("^arn:{PARTITION}:iam::([0-9]{{12}}|aws):policy/{PATH}[A-Za-z0-9+=,.@_-]{{1,128}}$")
}

/// A managed policy, the account's own or AWS's.
pub(super) fn policy_arn() -> Rule {
    matches(
        &policy_arn_pattern(),
        "must be the ARN of an IAM policy, \
         for example arn:aws:iam::222222222222:policy/invoke-boundary or arn:aws:iam::aws:policy/ReadOnlyAccess",
    )
}

/// A boundary cannot be another account's policy. What is no ARN is told so by [`policy_arn`] alone.
pub(super) fn boundary_in_account() -> Rule {
    let boundary = "self.invokeRoles.permissionsBoundaryARN";
    rule(
        format!(
            "!has(self.invokeRoles) || !has({boundary}) || !{boundary}.matches(r'{}') \
             || {boundary}.split(':')[4] in ['aws', self.accountID]",
            policy_arn_pattern()
        ),
        "must be a policy of AWS or of the account in spec.accountID, \
         for example arn:aws:iam::222222222222:policy/invoke-boundary if that is \"222222222222\"",
    )
    .field_path(".invokeRoles.permissionsBoundaryARN")
}
