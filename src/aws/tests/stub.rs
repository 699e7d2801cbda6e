//! An HTTP server that answers as it is told, and says who it is when STS is asked.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;

/// One request as it came over the wire.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) service: String,
    pub(super) region: String,
    pub(super) access_key: String,
    pub(super) operation: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Asked {
    /// A value of a form.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.into_iter().find(|(key, _)| *key == name)?.1.replace('+', " ");
        Some(percent_decode_str(&found).decode_utf8().unwrap().into_owned())
    }
}

/// What the stub does with a request.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Reply { status: u16, kind: &'static str, body: String },
    Never,
}

impl Answer {
    pub(super) fn json(body: &impl ToString) -> Self {
        Self::Reply { status: 200, kind: "application/x-amz-json-1.1", body: body.to_string() }
    }

    /// A successful answer of IAM or STS.
    pub(super) fn xml(operation: &str, result: &str) -> Self {
        let body = format!(
            "<{operation}Response><{operation}Result>{result}</{operation}Result><ResponseMetadata>\
             <RequestId>r</RequestId></ResponseMetadata></{operation}Response>"
        );
        Self::Reply { status: 200, kind: "text/xml", body }
    }

    /// An error in the words of the service that was asked.
    pub(super) fn error(asked: &Asked, status: u16, code: &str, message: &str) -> Self {
        if matches!(asked.service.as_str(), "iam" | "sts") {
            let body = format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                 <RequestId>r</RequestId></ErrorResponse>"
            );
            return Self::Reply { status, kind: "text/xml", body };
        }
        let body = serde_json::json!({"__type": code, "message": message}).to_string();
        Self::Reply { status, kind: "application/x-amz-json-1.1", body }
    }
}

type Script = dyn Fn(&Asked) -> Answer + Send + Sync;

struct Shared {
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
    issued: AtomicUsize,
    connections: AtomicUsize,
}

/// A running stub; it ends with the test's runtime.
pub(super) struct Stub {
    pub(super) endpoint: String,
    shared: Arc<Shared>,
}

impl Stub {
    /// Starts a stub that answers what is no matter of identity with `script`.
    pub(super) async fn start(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_raw(move |asked| match asked.service.as_str() {
            "sts" => sts(asked),
            _ => script(asked),
        })
        .await
    }

    /// Starts a stub that answers everything with `script`.
    pub(super) async fn start_raw(script: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let (script, asked) = (Box::new(script), Mutex::default());
        let shared = Arc::new(Shared { script, asked, issued: AtomicUsize::new(0), connections: AtomicUsize::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let counter = shared.clone();
        let listener = listener.tap_io(move |_| {
            counter.connections.fetch_add(1, Ordering::SeqCst);
        });
        let router = Router::new().fallback(serve).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { endpoint, shared }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(super) fn count(&self, operation: &str) -> usize {
        self.asked().iter().filter(|asked| asked.operation == operation).count()
    }

    /// The only request for an operation.
    pub(super) fn one(&self, operation: &str) -> Asked {
        let mut found: Vec<_> = self.asked().into_iter().filter(|asked| asked.operation == operation).collect();
        assert_eq!(found.len(), 1, "{operation}");
        found.remove(0)
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

/// AssumeRole issues a key that holds the role's account; GetCallerIdentity reads it there.
pub(super) fn sts(asked: &Asked) -> Answer {
    if asked.operation == "AssumeRole" {
        let role = asked.value("RoleArn").unwrap();
        let account = role.split(':').nth(4).unwrap();
        let issued = format!(
            "<Credentials><AccessKeyId>ASIA{account}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
             <SessionToken>t</SessionToken><Expiration>2199-01-01T00:00:00Z</Expiration></Credentials>"
        );
        return Answer::xml("AssumeRole", &issued);
    }
    let account = asked.access_key.strip_prefix("ASIA").map_or("999999999999", |rest| &rest[..12]);
    let arn = format!("arn:aws:sts::{account}:assumed-role/crossinvoke/crossinvoke-test");
    Answer::xml("GetCallerIdentity", &format!("<Arn>{arn}</Arn><UserId>AROA:s</UserId><Account>{account}</Account>"))
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = taken_apart(request).await;
    let number = {
        let mut all = shared.asked.lock().unwrap();
        all.push(asked.clone());
        all.len()
    };
    let mut answer = (shared.script)(&asked);
    if let Answer::Reply { body, .. } = &mut answer
        && asked.operation == "AssumeRole"
    {
        // Each session has a key of its own.
        let number = shared.issued.fetch_add(1, Ordering::SeqCst);
        *body = body.replace("</AccessKeyId>", &format!("{number:04}</AccessKeyId>"));
    }
    match answer {
        Answer::Reply { status, kind, body } => {
            let status = axum::http::StatusCode::from_u16(status).unwrap();
            let id = format!("6f5b0c3e-{number:04}");
            (status, [("content-type", kind.to_owned()), ("x-amzn-requestid", id)], body).into_response()
        }
        Answer::Never => std::future::pending().await,
    }
}

async fn taken_apart(request: Request) -> Asked {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: BTreeMap<_, _> = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let scope = headers["authorization"].split("Credential=").nth(1).unwrap().split(',').next().unwrap();
    let scope: Vec<String> = scope.split('/').map(str::to_owned).collect();
    let operation = match headers.get("x-amz-target") {
        Some(target) => target.rsplit('.').next().unwrap().to_owned(),
        None if parts.uri.path().ends_with("/configuration") => "GetFunctionConfiguration".to_owned(),
        None => body.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default().to_owned(),
    };
    let [access_key, _, region, service, _] = scope.try_into().unwrap();
    Asked { service, region, access_key, operation, headers, body }
}
