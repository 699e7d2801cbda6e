//! Bulk reads over the wire: what is kept of a page, and when a scan takes the place of single reads.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;

use super::{
    DEV, aws, dev_session, key, region,
    stub::{Answer, Asked, Stub},
};
use crate::{
    aws::{Aws, Claimants, Claimed, Reader, Scanned},
    domain::{
        bulk_reads::{Mode, Why},
        ids::{ObjectKey, RoleName},
    },
};

const DOCUMENT: &str = "%7B%22a%22%3A%22x+y%20z%22%7D";

/// A role of the bulk answer with P1 and an attached policy; `more` is put behind.
fn detail(name: &str, more: &str) -> String {
    format!(
        "<member><Path>/x/</Path><RoleName>{name}</RoleName><RoleId>AROA1</RoleId>\
         <Arn>arn:aws:iam::{DEV}:role/x/{name}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>\
         <AssumeRolePolicyDocument>{DOCUMENT}</AssumeRolePolicyDocument><InstanceProfileList/>\
         <RolePolicyList><member><PolicyName>p</PolicyName><PolicyDocument>{DOCUMENT}</PolicyDocument></member>\
         </RolePolicyList><Tags><member><Key>team</Key><Value>a+b</Value></member></Tags>{more}</member>"
    )
}

const ATTACHED: &str = "<AttachedManagedPolicies><member><PolicyName>m</PolicyName>\
    <PolicyArn>arn:aws:iam::aws:policy/m</PolicyArn></member></AttachedManagedPolicies>";
const BOUNDARY: &str = "<PermissionsBoundary><PermissionsBoundaryType>Policy</PermissionsBoundaryType>\
    <PermissionsBoundaryArn>arn:aws:iam::222222222222:policy/b</PermissionsBoundaryArn></PermissionsBoundary>";

fn page(roles: &[String], next: Option<&str>) -> Answer {
    let roles = roles.concat();
    let next = next.map(|next| format!("<Marker>{next}</Marker>")).unwrap_or_default();
    let truncated = !next.is_empty();
    let body = format!("<RoleDetailList>{roles}</RoleDetailList><IsTruncated>{truncated}</IsTruncated>{next}");
    Answer::xml("GetAccountAuthorizationDetails", &body)
}

#[tokio::test]
async fn of_a_page_only_what_is_claimed_is_kept() {
    let stub =
        Stub::start(|_| page(&[detail("Mine", &(ATTACHED.to_owned() + BOUNDARY)), detail("theirs", "")], Some("m/1+")))
            .await;
    let iam = dev_session(&stub).await.iam(&region());
    let claimed = |name: &str| name.eq_ignore_ascii_case("mine");
    let (page, shows_boundaries) = iam.roles_of_account(Some("m/0+".to_owned()), 50, claimed).await.unwrap();
    let asked = stub.one("GetAccountAuthorizationDetails");
    for (name, value) in [("Filter.member.1", "Role"), ("MaxItems", "50"), ("Marker", "m/0+")] {
        assert_eq!(asked.value(name).as_deref(), Some(value), "{name}");
    }
    let [role] = page.claimed.as_slice() else { panic!("{page:?}") };
    let read = role.role.clone().unwrap();
    assert_eq!((role.name.as_str(), read.path.as_str()), ("Mine", "/x/"));
    assert_eq!((read.trust, read.tags["team"].as_str()), (json!({"a": "x+y z"}), "a+b"));
    assert_eq!(read.boundary.unwrap().as_str(), "arn:aws:iam::222222222222:policy/b");
    assert_eq!(role.inline.clone().unwrap()["p"], Some(json!({"a": "x+y z"})));
    assert_eq!(role.attached.clone().unwrap()[0].as_str(), "arn:aws:iam::aws:policy/m");
    assert_eq!((page.things, page.next.as_deref(), shows_boundaries), (2, Some("m/1+"), true));
    assert!(page.bytes > 1_000 && page.claimed_bytes == page.bytes / 2, "{page:?}");
}

/// A list that is missing is not an empty one, and what cannot be read is not there.
#[tokio::test]
async fn what_the_answer_lacks_is_none() {
    let stub = Stub::start(|_| {
        let without_tags = detail("r", "").split("<Tags>").next().unwrap().to_owned() + "</member>";
        page(&[without_tags.replacen(DOCUMENT, "%7B", 2)], None)
    })
    .await;
    let iam = dev_session(&stub).await.iam(&region());
    let (page, shows_boundaries) = iam.roles_of_account(None, 50, |_| true).await.unwrap();
    let [role] = page.claimed.as_slice() else { panic!("{page:?}") };
    assert_eq!((&role.role, &role.attached), (&None, &None));
    assert_eq!(role.inline.clone().unwrap()["p"], None);
    assert!(!shows_boundaries && page.next.is_none());
}

#[tokio::test]
async fn functions_are_listed_by_pages() {
    let stub = Stub::start(|_| {
        let function = |name: &str| {
            let arn = format!("arn:aws:lambda:us-east-1:{DEV}:function:{name}");
            json!({"FunctionName": name, "FunctionArn": arn, "Role": format!("arn:aws:iam::{DEV}:role/e")})
        };
        let list = [function("f"), function("theirs"), json!({"FunctionName": "broken"})];
        Answer::json(&json!({"Functions": list, "NextMarker": "next"}))
    })
    .await;
    let lambda = dev_session(&stub).await.lambda(&region());
    let page = lambda.functions_of_account(None, 50, |name| name != "theirs").await.unwrap();
    let [(name, function)] = page.claimed.as_slice() else { panic!("{page:?}") };
    assert_eq!((name.as_str(), function.role.as_str()), ("f", "arn:aws:iam::222222222222:role/e"));
    assert_eq!((page.things, page.next.as_deref()), (3, Some("next")));
}

/// Claims these roles, each with four reads.
struct Claims {
    mode: Mode,
    names: Vec<String>,
    judged: Mutex<Vec<Scanned>>,
}

impl Claimants for Claims {
    fn claimed(&self, of: &Scanned) -> (Mode, Claimed) {
        let names: HashSet<String> = match of {
            Scanned::Roles(_) => self.names.iter().cloned().collect(),
            Scanned::Functions(..) => HashSet::new(),
        };
        (self.mode, Claimed { calls: 4 * u64::try_from(names.len()).unwrap(), names })
    }

    fn judged(&self, of: &Scanned) {
        self.judged.lock().unwrap().push(of.clone());
    }
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn scanning(stub: &Stub, mode: Mode) -> (Aws, Arc<Claims>) {
    let (aws, _) = aws(stub);
    let names = NAMES.map(str::to_owned).to_vec();
    let claims = Arc::new(Claims { mode, names, judged: Mutex::default() });
    aws.readers().set_claimants(claims.clone(), Duration::from_mins(10));
    (aws, claims)
}

/// A look at each role that a scan may confirm; each role is another object's.
async fn look(aws: &Aws) -> Vec<Reader> {
    let session = aws.session(&key(DEV)).await.unwrap();
    let mut readers = Vec::new();
    for name in NAMES {
        let user = Arc::new(ObjectKey { namespace: "payments".to_owned(), name: name.to_owned() });
        let mut reader = aws.readers().look(Some(user), None);
        reader.confirm_by_scans(Duration::from_mins(10));
        let account = reader.within(&session, &region());
        let role: RoleName = name.parse().unwrap();
        account.get_role(&role).await.unwrap();
        account.get_role_policy(&role, "p").await.unwrap();
        account.list_role_policies(&role).await.unwrap();
        account.list_attached_role_policies(&role).await.unwrap();
        readers.push(reader);
    }
    readers
}

fn singly(asked: &Asked) -> Answer {
    let name = asked.value("RoleName").unwrap_or_default();
    let result = match asked.operation.as_str() {
        "GetRole" => detail(&name, "").replacen("<member>", "<Role>", 1).replace("</Tags></member>", "</Tags></Role>"),
        "GetRolePolicy" => {
            format!("<RoleName>{name}</RoleName><PolicyName>p</PolicyName><PolicyDocument>{DOCUMENT}</PolicyDocument>")
        }
        "ListRolePolicies" => {
            "<PolicyNames><member>p</member></PolicyNames><IsTruncated>false</IsTruncated>".to_owned()
        }
        _ => "<AttachedPolicies/><IsTruncated>false</IsTruncated>".to_owned(),
    };
    Answer::xml(&asked.operation, &result)
}

fn all(more: &str) -> Vec<String> {
    NAMES.iter().map(|name| detail(name, more)).collect()
}

const SINGLE: [&str; 4] = ["GetRole", "GetRolePolicy", "ListRolePolicies", "ListAttachedRolePolicies"];

fn counts(stub: &Stub) -> (usize, [usize; 4]) {
    (stub.count("GetAccountAuthorizationDetails"), SINGLE.map(|operation| stub.count(operation)))
}

#[tokio::test]
async fn one_scan_serves_all_looks_and_is_told_apart_from_single_reads() {
    let whole = ATTACHED.to_owned() + BOUNDARY;
    let stub = Stub::start(move |asked| match asked.operation.as_str() {
        "GetAccountAuthorizationDetails" => page(&all(&whole), None),
        _ => singly(asked),
    })
    .await;
    let (aws, claims) = scanning(&stub, Mode::Auto);
    let readers = look(&aws).await;
    assert_eq!(counts(&stub), (1, [0; 4]));
    assert!(readers.iter().all(Reader::used_stored));
    let of = Scanned::Roles(DEV.parse().unwrap());
    assert_eq!(*claims.judged.lock().unwrap(), std::slice::from_ref(&of));
    assert_eq!(aws.readers().judged(of.account()), [(of, Ok(()))]);
    // A scan serves each object once, and the next one is not due.
    let readers = look(&aws).await;
    assert_eq!(counts(&stub), (1, [6; 4]));
    assert!(!readers.iter().any(Reader::used_stored));
}

/// Without a boundary on any role it is not known whether boundaries are shown.
#[tokio::test]
async fn what_a_scan_does_not_tell_is_read_singly() {
    let stub = Stub::start(|asked| match asked.operation.as_str() {
        "GetAccountAuthorizationDetails" => {
            page(&[all(ATTACHED)[..5].to_vec(), vec![detail("theirs", "")]].concat(), None)
        }
        _ => singly(asked),
    })
    .await;
    let (aws, _) = scanning(&stub, Mode::Auto);
    look(&aws).await;
    assert_eq!(counts(&stub), (1, [6, 1, 1, 1]));
}

#[tokio::test]
async fn a_denied_scan_is_tried_again_once_the_account_was_looked_at() {
    let stub = Stub::start(|asked| match asked.operation.as_str() {
        "GetAccountAuthorizationDetails" => Answer::error(asked, 403, "AccessDenied", "is not authorized"),
        _ => singly(asked),
    })
    .await;
    let (aws, claims) = scanning(&stub, Mode::Auto);
    let account = DEV.parse().unwrap();
    look(&aws).await;
    assert_eq!(counts(&stub), (1, [6; 4]));
    assert_eq!(aws.readers().judged(&account), [(Scanned::Roles(account.clone()), Err(Why::Denied))]);
    // The session does not end for it.
    assert_eq!(stub.count("AssumeRole"), 1);
    aws.readers().forget_denials(&account);
    look(&aws).await;
    assert_eq!(counts(&stub), (2, [12; 4]));
    assert_eq!((claims.judged.lock().unwrap().len(), stub.count("AssumeRole")), (1, 1));
}

#[tokio::test]
async fn who_asks_for_single_reads_gets_them() {
    let stub = Stub::start(singly).await;
    let (aws, _) = scanning(&stub, Mode::Single);
    look(&aws).await;
    assert_eq!(counts(&stub), (0, [6; 4]));
}

/// A page full of others ends a scan that would cost more than half of what it replaces.
#[tokio::test]
async fn a_scan_that_would_not_pay_ends_with_its_first_page() {
    let stub = Stub::start(|asked| match asked.operation.as_str() {
        "GetAccountAuthorizationDetails" => {
            let others: Vec<String> = (0..12).map(|number| detail(&format!("other{number}"), "")).collect();
            page(&others, Some("next"))
        }
        _ => singly(asked),
    })
    .await;
    let (aws, _) = scanning(&stub, Mode::Auto);
    look(&aws).await;
    assert_eq!(counts(&stub), (1, [6; 4]));
    let account = DEV.parse().unwrap();
    assert_eq!(aws.readers().judged(&account), [(Scanned::Roles(account.clone()), Err(Why::NotCheaper))]);
}
