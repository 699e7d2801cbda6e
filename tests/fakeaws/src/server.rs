//! HTTP: finds service, operation and caller of a request, applies the knobs, dispatches, and keeps the log.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{body::Bytes, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    admin,
    call_log::{Call, is_mutating},
    codepipeline,
    error::ServiceError,
    executor, iam, lambda,
    state::{Caller, Issued, Service, World},
    sts,
    wire::{
        Answer, Request, cbor, json,
        query::{self, Form, Xml},
        rest,
    },
};

/// The world behind its one lock. No lock is held while anything is awaited.
pub(crate) type Shared = Arc<Mutex<World>>;

/// Locks the world; a panic in another call does not make it unusable.
pub(crate) fn lock(world: &Shared) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is dropped on purpose")]
struct Dropped;

/// Serves until the future is dropped; open connections end with it.
pub(crate) async fn serve(listener: TcpListener, world: Shared) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::task::yield_now().await;
                continue;
            }
        };
        // An answer in two small segments would otherwise wait for the peer's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let world = Arc::clone(&world);
        connections.spawn(async move {
            // A call that has arrived is made, whether or not its caller still waits for the answer.
            let service = service_fn(move |request| {
                let answered = tokio::spawn(answer(Arc::clone(&world), request));
                async move { answered.await.unwrap_or(Err(Dropped)) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
}

async fn answer(
    world: Shared,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, Dropped> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes().to_vec();
    let request = Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
    };
    let answer = match request.path.strip_prefix("/_fakeaws/") {
        Some("settled") => {
            executor::settled(&world).await;
            Answer { status: 200, headers: Vec::new(), body: Vec::new() }
        }
        Some(command) => admin::over_http(&world, command, &request),
        None => call(&world, &request).await.ok_or(Dropped)?,
    };
    let mut response = hyper::Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(answer.body))).map_err(|_| Dropped)
}

/// The scope of a request: `Credential=KEY/date/region/service/aws4_request` in its Authorization header.
struct Scope {
    access_key: String,
    region: String,
    service: Service,
}

fn scope(request: &Request) -> Option<Scope> {
    let authorization = request.header("authorization")?;
    let (_, credential) = authorization.split_once("Credential=")?;
    let credential = credential.split(',').next()?.trim();
    let parts: Vec<&str> = credential.split('/').collect();
    let [access_key, _, region, service, _] = parts[..] else { return None };
    Some(Scope { access_key: access_key.to_owned(), region: region.to_owned(), service: Service::from_scope(service)? })
}

enum Input {
    Form(Form),
    Json(Result<Value, ServiceError>),
}

enum Output {
    Xml(Result<Xml, ServiceError>),
    Json(Result<Value, ServiceError>),
}

#[derive(Clone, Copy)]
enum Protocol {
    Query,
    Json,
    Cbor,
    Rest,
}

struct Decoded {
    protocol: Protocol,
    operation: String,
    input: Input,
    /// The input as text, for faults that look for one.
    text: String,
}

fn decode(service: Service, request: &Request) -> Result<Decoded, ServiceError> {
    let raw = || String::from_utf8_lossy(&request.body).into_owned();
    let json = |protocol, operation: String, input: Result<Value, ServiceError>| {
        let text = input.as_ref().map_or_else(|_| raw(), Value::to_string);
        Decoded { protocol, operation, input: Input::Json(input), text }
    };
    match service {
        Service::Sts | Service::Iam => {
            let form = Form::parse(request);
            let operation = form.get("Action").unwrap_or_default().to_owned();
            Ok(Decoded { protocol: Protocol::Query, operation, text: form.text(), input: Input::Form(form) })
        }
        Service::Lambda => {
            rest::decode(request).map(|(operation, input)| json(Protocol::Rest, operation.to_owned(), Ok(input)))
        }
        Service::CodePipeline => {
            if let Some(operation) = cbor::operation(request) {
                return Ok(json(Protocol::Cbor, operation, cbor::decode(&request.body)));
            }
            json::operation(request)
                .map(|operation| json(Protocol::Json, operation, json::decode(&request.body)))
                .ok_or_else(|| ServiceError::new("UnknownOperationException", "neither JSON 1.1 nor CBOR"))
        }
    }
}

fn encode(service: Service, decoded: &Decoded, output: &Output) -> Answer {
    match (decoded.protocol, output) {
        (Protocol::Json, Output::Json(outcome)) => json::encode(&decoded.operation, outcome),
        (Protocol::Cbor, Output::Json(outcome)) => cbor::encode(&decoded.operation, outcome),
        (Protocol::Rest | Protocol::Query, Output::Json(outcome)) => rest::encode(&decoded.operation, outcome),
        (_, Output::Xml(outcome)) => query::encode(service, &decoded.operation, outcome),
    }
}

impl Output {
    fn refused(protocol: Protocol, error: ServiceError) -> Self {
        match protocol {
            Protocol::Query => Self::Xml(Err(error)),
            _ => Self::Json(Err(error)),
        }
    }

    fn error(&self) -> Option<&ServiceError> {
        match self {
            Self::Xml(outcome) => outcome.as_ref().err(),
            Self::Json(outcome) => outcome.as_ref().err(),
        }
    }
}

/// Answers one AWS call; `None` closes the connection instead.
async fn call(world: &Shared, request: &Request) -> Option<Answer> {
    let Some(scope) = scope(request) else {
        let error = ServiceError::new(
            "MissingAuthenticationToken",
            "Request is missing Authentication Token, or names a service that fakeaws lacks",
        );
        return Some(query::encode(Service::Sts, "", &Err(error.with_status(403))));
    };
    let decoded = match decode(scope.service, request) {
        Ok(decoded) => decoded,
        Err(error) => return Some(rest::encode("", &Err(error))),
    };
    let (caller, verdict) = {
        let mut world = lock(world);
        let token = request.header("x-amz-security-token");
        let caller = world.authenticate(scope.service, &scope.region, &scope.access_key, token);
        let account = caller.as_ref().map_or("", |caller| caller.account.as_str());
        let verdict = world.knobs.judge(scope.service, &decoded.operation, account, &decoded.text);
        (caller, verdict)
    };
    if !verdict.delay.is_zero() {
        delay(verdict.delay).await;
    }
    let mut world = lock(world);
    world.authorised.clear();
    let output = match (&caller, &verdict.error) {
        (Err(error), _) | (_, Some(error)) => Output::refused(decoded.protocol, error.clone()),
        (Ok(caller), None) => dispatch(&mut world, caller, &decoded),
    };
    let dropped = verdict.dropped && output.error().is_none();
    let outcome = match output.error() {
        Some(error) => &error.code,
        None if dropped => "Dropped",
        None => "OK",
    };
    record(&mut world, (scope.service, &scope.region, &scope.access_key), &caller, &decoded.operation, outcome);
    drop(world);
    (!dropped).then(|| encode(scope.service, &decoded, &output))
}

/// Notes a call, with the rights that the world has noted for it, in the log.
fn record(
    world: &mut World,
    (service, region, access_key): (Service, &str, &str),
    caller: &Result<Caller, ServiceError>,
    operation: &str,
    outcome: &str,
) {
    let call = Call {
        time: world.now(),
        account: caller.as_ref().map(|caller| caller.account.clone()).unwrap_or_default(),
        caller: caller.as_ref().map_or_else(|_| access_key.to_owned(), |caller| caller.arn.clone()),
        service: service.prefix().to_owned(),
        region: region.to_owned(),
        operation: operation.to_owned(),
        resource: world.authorised.first().map(|right| right.resource.clone()),
        outcome: outcome.to_owned(),
        authorised: std::mem::take(&mut world.authorised),
        mutating: is_mutating(operation),
    };
    tracing::debug!(service = call.service, operation = call.operation, caller = call.caller, outcome = call.outcome);
    world.log.record(call);
}

/// A call that something inside the double makes, such as a scripted function: authenticated, subject to faults and
/// rate limits (except delays and dropped answers, which are matters of the wire), and logged, like any other.
pub(crate) fn call_inside<T>(
    world: &mut World,
    (service, region): (Service, &str),
    credentials: &Issued,
    (operation, input): (&str, &str),
    act: impl FnOnce(&mut World, &Caller) -> Result<T, ServiceError>,
) -> Result<T, ServiceError> {
    // The call over the wire that this one may be part of has its own rights.
    let outer = std::mem::take(&mut world.authorised);
    let caller = world.authenticate(service, region, &credentials.access_key, Some(&credentials.token));
    let outcome = caller.clone().and_then(|caller| {
        let now = world.now();
        let fault = world.knobs.judge(service, operation, &caller.account, input).error;
        fault.map_or_else(|| world.knobs.take_token(now, service, &caller.account), Err)?;
        act(world, &caller)
    });
    let code = outcome.as_ref().map_or_else(|error| error.code.clone(), |_| "OK".to_owned());
    record(world, (service, region, &credentials.access_key), &caller, operation, &code);
    world.authorised = outer;
    outcome
}

#[allow(clippy::disallowed_methods, reason = "an injected delay is real time that the caller has to wait")]
async fn delay(duration: std::time::Duration) {
    tokio::time::sleep(duration).await;
}

fn dispatch(world: &mut World, caller: &Caller, decoded: &Decoded) -> Output {
    let now = world.now();
    if let Err(error) = world.knobs.take_token(now, caller.service, &caller.account) {
        return Output::refused(decoded.protocol, error);
    }
    let operation = decoded.operation.as_str();
    match (&decoded.input, caller.service) {
        (Input::Form(form), Service::Sts) => Output::Xml(sts::handle(world, caller, operation, form)),
        (Input::Form(form), _) => Output::Xml(iam::handle(world, caller, operation, form)),
        (Input::Json(Err(error)), _) => Output::Json(Err(error.clone())),
        (Input::Json(Ok(body)), Service::Lambda) => Output::Json(lambda::handle(world, caller, operation, body)),
        (Input::Json(Ok(body)), _) => Output::Json(codepipeline::handle(world, caller, operation, body)),
    }
}
