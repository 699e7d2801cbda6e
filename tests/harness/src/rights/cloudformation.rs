//! What CloudFormation makes of a template: parameters, conditions and the intrinsic functions that ours use (AWS
//! CloudFormation User Guide, "Intrinsic function reference" and "Pseudo parameters reference"). Any other is refused.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// The resources of a stack, with everything resolved.
#[derive(Clone, Debug)]
pub struct Stack(BTreeMap<String, Value>);

impl Stack {
    /// A stack of a template with these parameters, in this partition and account.
    pub(super) fn of(
        template: &Value,
        given: &BTreeMap<&'static str, String>,
        (partition, account): (&str, &str),
    ) -> Result<Self> {
        let mut names = parameters(template, given)?;
        names.insert("AWS::Partition".to_owned(), json!(partition));
        names.insert("AWS::AccountId".to_owned(), json!(account));
        let mut scope = Scope { names, conditions: BTreeMap::new() };
        for (name, condition) in members(&template["Conditions"]) {
            let holds = scope.resolved(condition)?.and_then(|value| value.as_bool());
            let holds = holds.ok_or_else(|| Error::new(format!("condition {name} is not true or false")))?;
            scope.conditions.insert(name.clone(), holds);
        }
        let mut resources = BTreeMap::new();
        for (name, resource) in members(&template["Resources"]) {
            let condition = resource["Condition"].as_str();
            if condition.is_some_and(|condition| scope.conditions.get(condition) != Some(&true)) {
                continue;
            }
            resources.insert(name.clone(), resource.clone());
        }
        // The ARN of a managed policy is its Ref.
        for (name, resource) in &resources {
            if resource["Type"] == "AWS::IAM::ManagedPolicy" {
                let policy = scope.resolved(&resource["Properties"]["ManagedPolicyName"])?.unwrap_or_default();
                let policy = policy.as_str().ok_or_else(|| Error::new(format!("{name} has no name")))?;
                scope.names.insert(name.clone(), json!(format!("arn:{partition}:iam::{account}:policy/{policy}")));
            }
        }
        let resolved = resources
            .iter()
            .map(|(name, resource)| Ok((name.clone(), scope.resolved(&resource["Properties"])?.unwrap_or_default())));
        Ok(Self(resolved.collect::<Result<_>>()?))
    }

    /// The policy that the template is for.
    pub(crate) fn policy(&self) -> Result<Value> {
        let role = self.0.get("Role").map(|role| role["Policies"][0]["PolicyDocument"].clone());
        let own = || ["Policy", "Boundary"].iter().find_map(|name| self.document(name));
        role.or_else(own).ok_or_else(|| Error::new("the stack has no policy"))
    }

    /// The boundary that the stack makes.
    #[must_use]
    pub fn boundary(&self) -> Option<Value> {
        self.document("Boundary")
    }

    fn document(&self, name: &str) -> Option<Value> {
        self.0.get(name).map(|policy| policy["PolicyDocument"].clone())
    }

    /// The trust policy of its role.
    pub(crate) fn trust(&self) -> Result<Value> {
        let role = self.0.get("Role").ok_or_else(|| Error::new("the stack has no role"))?;
        Ok(role["AssumeRolePolicyDocument"].clone())
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Values of all parameters; a list is split at its commas.
fn parameters(template: &Value, given: &BTreeMap<&'static str, String>) -> Result<BTreeMap<String, Value>> {
    let declared = &template["Parameters"];
    if let Some(unknown) = given.keys().find(|name| declared[**name].is_null()) {
        return Err(Error::new(format!("the template has no parameter {unknown}")));
    }
    let mut values = BTreeMap::new();
    for (name, parameter) in members(declared) {
        let value = given.get(name.as_str()).map(String::as_str).or_else(|| parameter["Default"].as_str());
        let value = value.ok_or_else(|| Error::new(format!("parameter {name} must have a value")))?;
        let value = match parameter["Type"].as_str() {
            Some("CommaDelimitedList") => json!(value.split(',').collect::<Vec<_>>()),
            Some("String") => json!(value),
            other => return Err(Error::new(format!("parameter {name} has type {other:?}"))),
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

/// What names stand for.
struct Scope {
    names: BTreeMap<String, Value>,
    conditions: BTreeMap<String, bool>,
}

impl Scope {
    /// The value; `None` for `AWS::NoValue`.
    fn resolved(&self, value: &Value) -> Result<Option<Value>> {
        match value {
            Value::Array(items) => {
                let items = items.iter().map(|item| self.resolved(item)).collect::<Result<Vec<_>>>()?;
                Ok(Some(items.into_iter().flatten().collect()))
            }
            Value::Object(object) => {
                if let Some((name, argument)) = object.iter().next().filter(|_| object.len() == 1)
                    && (name == "Ref" || name.starts_with("Fn::"))
                {
                    return self.call(name, argument);
                }
                let mut resolved = Map::new();
                for (name, member) in object {
                    resolved.extend(self.resolved(member)?.map(|member| (name.clone(), member)));
                }
                Ok(Some(Value::Object(resolved)))
            }
            other => Ok(Some(other.clone())),
        }
    }

    fn call(&self, function: &str, argument: &Value) -> Result<Option<Value>> {
        let refused = || Error::new(format!("cannot resolve {function}: {argument}"));
        if function == "Ref" {
            let name = argument.as_str().ok_or_else(refused)?;
            return if name == "AWS::NoValue" {
                Ok(None)
            } else {
                self.names.get(name).cloned().map(Some).ok_or_else(refused)
            };
        }
        if function == "Fn::Sub" {
            return self.substituted(argument.as_str().ok_or_else(refused)?).map(|text| Some(json!(text)));
        }
        let arguments = argument.as_array().ok_or_else(refused)?;
        match (function, arguments.as_slice()) {
            ("Fn::If", [condition, then, otherwise]) => {
                let name = condition.as_str().ok_or_else(refused)?;
                self.resolved(if *self.conditions.get(name).ok_or_else(refused)? { then } else { otherwise })
            }
            ("Fn::Equals", [one, other]) => Ok(Some(json!(self.resolved(one)? == self.resolved(other)?))),
            ("Fn::Not", [one]) => {
                let value = self.resolved(one)?.and_then(|value| value.as_bool()).ok_or_else(refused)?;
                Ok(Some(json!(!value)))
            }
            ("Fn::Join", [delimiter, list]) => {
                let list = self.resolved(list)?.ok_or_else(refused)?;
                let texts: Option<Vec<&str>> =
                    list.as_array().map(|list| list.iter().filter_map(Value::as_str).collect());
                Ok(Some(json!(texts.ok_or_else(refused)?.join(delimiter.as_str().ok_or_else(refused)?))))
            }
            _ => Err(refused()),
        }
    }

    fn substituted(&self, text: &str) -> Result<String> {
        let Some((before, after)) = text.split_once("${") else { return Ok(text.to_owned()) };
        let (name, rest) = after.split_once('}').ok_or_else(|| Error::new(format!("a ${{ without }} in {text}")))?;
        let value = self.names.get(name).and_then(Value::as_str);
        let value = value.ok_or_else(|| Error::new(format!("{name} has no text, in {text}")))?;
        Ok(format!("{before}{value}{}", self.substituted(rest)?))
    }
}
