use super::{Decision, Principal, Request, TrustDecision, Unjudged};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

fn list(v: Option<&Value>) -> Vec<String> {
    match v {
        Some(Value::Array(a)) => a.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect(),
        Some(Value::String(s)) => vec![s.clone()],
        Some(o) => vec![o.to_string()],
        None => vec![],
    }
}
fn glob(p: &str, t: &str) -> bool {
    fn go(p: &[u8], t: &[u8]) -> bool {
        match p.first() {
            None => t.is_empty(),
            Some(b'*') => (0..=t.len()).any(|n| go(&p[1..], &t[n..])),
            Some(b'?') => !t.is_empty() && go(&p[1..], &t[1..]),
            Some(c) => t.first() == Some(c) && go(&p[1..], &t[1..]),
        }
    }
    go(p.as_bytes(), t.as_bytes())
}
fn statements(d: &Value) -> Vec<&Map<String, Value>> {
    match d.get("Statement") {
        Some(Value::Array(a)) => a.iter().filter_map(Value::as_object).collect(),
        Some(Value::Object(o)) => vec![o],
        _ => vec![],
    }
}
fn condition(s: &Map<String, Value>, ctx: &BTreeMap<String, Vec<String>>) -> Result<bool, Unjudged> {
    let Some(c) = s.get("Condition").and_then(Value::as_object) else { return Ok(true) };
    let mut all = true;
    for (op, keys) in c {
        for (key, values) in keys.as_object().ok_or_else(|| Unjudged(op.clone()))? {
            let k = key.to_lowercase();
            if !["aws:principalarn", "aws:principalaccount", "sts:externalid", "iam:passedtoservice"]
                .contains(&k.as_str())
            {
                return Err(Unjudged(format!("the condition key {key}")));
            }
            let values = list(Some(values));
            let actual = ctx.get(&k);
            let (base, if_exists) = op.strip_suffix("IfExists").map_or((op.as_str(), false), |b| (b, true));
            let any = |f: &dyn Fn(&str, &str) -> bool| {
                actual.is_some_and(|a| a.iter().any(|a| values.iter().any(|v| f(v, a))))
            };
            let r = match base {
                "StringEquals" | "Bool" => any(&|v, a| v == a),
                "StringLike" | "ArnEquals" | "ArnLike" => any(&|v, a| glob(v, a)),
                "StringNotEquals" => !any(&|v, a| v == a),
                "StringNotLike" | "ArnNotEquals" | "ArnNotLike" => !any(&|v, a| glob(v, a)),
                "Null" => values.iter().any(|v| (v == "true") == actual.is_none()),
                other => return Err(Unjudged(format!("the condition operator {other}"))),
            };
            all &= r || (if_exists && actual.is_none());
        }
    }
    Ok(all)
}
fn action(s: &Map<String, Value>, r: &Request<'_>) -> bool {
    let m = |k: &str| list(s.get(k)).iter().any(|p| glob(&p.to_lowercase(), &r.action.to_lowercase()));
    if s.contains_key("NotAction") { !m("NotAction") } else { m("Action") }
}
fn resource(s: &Map<String, Value>, r: &Request<'_>) -> bool {
    let m = |k: &str| list(s.get(k)).iter().any(|p| glob(p, r.resource));
    if s.contains_key("NotResource") { !m("NotResource") } else { m("Resource") }
}
fn one(ds: &[&Value], r: &Request<'_>) -> Result<Decision, Unjudged> {
    let mut out = Decision::ImplicitDeny;
    for d in ds {
        for s in statements(d) {
            if action(s, r) && resource(s, r) && condition(s, r.context)? {
                if s.get("Effect").and_then(Value::as_str) == Some("Deny") {
                    return Ok(Decision::ExplicitDeny);
                }
                out = Decision::Allow;
            }
        }
    }
    Ok(out)
}
pub(crate) fn identity(ds: &[&Value], b: Option<&Value>, r: &Request<'_>) -> Result<Decision, Unjudged> {
    let d = one(ds, r)?;
    let Some(b) = b else { return Ok(d) };
    Ok(match (d, one(&[b], r)?) {
        (Decision::ExplicitDeny, _) | (_, Decision::ExplicitDeny) => Decision::ExplicitDeny,
        (Decision::Allow, Decision::Allow) => Decision::Allow,
        _ => Decision::ImplicitDeny,
    })
}
pub(crate) fn trust(d: &Value, p: &Principal<'_>, r: &Request<'_>) -> Result<TrustDecision, Unjudged> {
    let mut out = TrustDecision::ImplicitDeny;
    for s in statements(d) {
        if !action(s, r) || !condition(s, r.context)? {
            continue;
        }
        let mut hit = None;
        match s.get("Principal") {
            Some(Value::String(x)) if x == "*" => hit = Some(TrustDecision::AllowAccount),
            Some(Value::Object(o)) => {
                for (k, v) in o {
                    for v in list(Some(v)) {
                        if k == "Service" {
                            if p.service == Some(v.as_str()) {
                                hit = hit.or(Some(TrustDecision::AllowAccount));
                            }
                        } else if k == "AWS" && p.service.is_none() {
                            if v == p.arn || Some(v.as_str()) == p.session_arn {
                                hit = Some(TrustDecision::AllowPrincipal);
                            } else if v == "*" || v == p.account || v.ends_with(&format!(":{}:root", p.account)) {
                                hit = hit.or(Some(TrustDecision::AllowAccount));
                            }
                        }
                    }
                }
            }
            other => return Err(Unjudged(format!("the principal {other:?}"))),
        }
        if let Some(h) = hit {
            if s.get("Effect").and_then(Value::as_str) == Some("Deny") {
                return Ok(TrustDecision::ExplicitDeny);
            }
            if out != TrustDecision::AllowPrincipal {
                out = h;
            }
        }
    }
    Ok(out)
}
