//! The controller as a process: the built binary with the rights of the chart, never an administrator's.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};

use crate::{
    bound,
    error::{Context as _, Error, Result},
    process,
    wait::eventually,
};

/// What is promised for SIGTERM.
pub const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// From start to the line that says the HTTP address.
const LISTENS_WITHIN: Duration = Duration::from_secs(30);

/// How to run a controller.
#[derive(Clone, Debug)]
pub struct ControllerOptions {
    /// The built binary.
    pub program: PathBuf,
    /// Namespaces to watch.
    pub namespaces: Vec<String>,
    /// The installation id.
    pub installation_id: String,
    /// Further flags of `crossinvoke run`.
    pub flags: Vec<String>,
    /// The kubeconfig of its `ServiceAccount`.
    pub kubeconfig: PathBuf,
    /// The AWS endpoint, `http://127.0.0.1:port`.
    pub aws_endpoint: String,
    /// The access key; any secret goes with it.
    pub access_key: String,
    /// The default region.
    pub region: String,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
    /// A folder that stands in for the home directory, so that nobody's AWS profile is read.
    pub home: PathBuf,
}

/// A running controller. It is killed when this is dropped, and when this process ends in any way.
#[derive(Debug)]
pub struct ControllerProcess {
    child: Child,
    http: SocketAddr,
    log: Log,
    readers: Vec<JoinHandle<()>>,
}

/// The lines that a process wrote, on both outputs.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        // A reader that panicked has pushed whole lines or none.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn follow(&self, output: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                log.lines().push(without_colours(&line));
            }
        })
    }

    fn tail(&self, count: usize) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

impl ControllerProcess {
    /// Starts the controller and waits until it says where it listens.
    ///
    /// # Errors
    /// If it cannot be run, ends, or does not say its address; with its log.
    pub async fn start(options: &ControllerOptions) -> Result<Self> {
        let further = options.environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let usual = environment(options).into_iter().map(|(name, value)| (OsString::from(name), value));
        Self::start_with(&options.program, arguments(options), usual.chain(further)).await
    }

    /// Starts a controller with exactly these arguments and this environment, and waits until it says where it listens.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        environment: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
    ) -> Result<Self> {
        let what = || format!("starting {}", program.display());
        let mut command = bound::command(program).context(what())?;
        command
            .args(arguments)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = bound::spawn(command).context(what())?;
        let log = Log::default();
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|output| log.follow(output)));
        readers.extend(child.stderr.take().map(|output| log.follow(output)));
        // Made before it listens, so that a failure kills it.
        let mut controller = Self { child, http: SocketAddr::from(([127, 0, 0, 1], 0)), log, readers };
        controller.http = controller.address().await?;
        Ok(controller)
    }

    async fn address(&mut self) -> Result<SocketAddr> {
        let found = eventually("the controller says http_addr=…", LISTENS_WITHIN, || {
            let ended = self.child.try_wait().ok().flatten();
            let address = self.log.lines().iter().find_map(|line| http_address(line));
            std::future::ready(match (address, ended) {
                (Some(address), _) => Ok(Ok(address)),
                (None, Some(status)) => Ok(Err(status)),
                (None, None) => Err("no such line".to_owned()),
            })
        })
        .await;
        match found {
            Ok(Ok(address)) => Ok(address),
            Ok(Err(status)) => {
                self.read_to_end();
                Err(Error::new(format!("the controller ended ({status}):\n{}", self.log_tail(40))))
            }
            Err(error) => Err(Error::new(format!("{error}; its log:\n{}", self.log_tail(40)))),
        }
    }

    /// Has the whole log of a controller that has ended; its last lines may still be on their way.
    fn read_to_end(&mut self) {
        for reader in self.readers.drain(..) {
            // One that panicked has read nothing more.
            let _ = reader.join();
        }
    }

    /// Where `/livez`, `/readyz` and `/metrics` are.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it wrote, a line each.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lines().clone()
    }

    /// The end of what it wrote.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        self.log.tail(lines)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If the operating system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("looking at the controller")
    }

    /// GETs a path of its HTTP server; returns status and body.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        crate::http_client::get(self.http, path).await
    }

    /// The sum of a metric's samples whose line begins so, for example
    /// `crossinvoke_reconciles_total{kind="CrossAccountInvoke"`; 0 while there is none.
    ///
    /// # Errors
    /// If `/metrics` does not answer.
    pub async fn metric(&self, begins: &str) -> Result<f64> {
        let (_, text) = self.get("/metrics").await?;
        let samples = text.lines().filter(|line| line.starts_with(begins));
        Ok(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// The memory that it occupies, in KiB (`VmRSS` of proc(5)).
    ///
    /// # Errors
    /// If the operating system does not say.
    pub fn memory(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.id());
        let status = std::fs::read_to_string(&path).context(&path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok());
        number.ok_or_else(|| Error::new(format!("no VmRSS in {path}")))
    }

    /// The CPU time that it has used so far (`utime` and `stime` of proc(5), in hundredths of a second).
    ///
    /// # Errors
    /// If the operating system does not say.
    pub fn cpu(&self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.id());
        let stat = std::fs::read_to_string(&path).context(&path)?;
        // The name of the program, which may hold spaces, ends at the last parenthesis; utime is the 14th member.
        let ticks = stat.rsplit_once(") ").and_then(|(_, rest)| {
            let mut members = rest.split(' ').skip(11);
            Some(members.next()?.parse::<u64>().ok()? + members.next()?.parse::<u64>().ok()?)
        });
        ticks.map(|ticks| Duration::from_millis(ticks * 10)).ok_or_else(|| Error::new(format!("no CPU time in {path}")))
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// If it takes longer than is promised ([`ENDS_WITHIN`]); with the end of its log.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        process::terminate(self.id())?;
        let ended = eventually("the controller ends after SIGTERM", ENDS_WITHIN, || {
            let status = self.child.try_wait();
            std::future::ready(match status {
                Ok(Some(status)) => Ok(status),
                Ok(None) => Err("it runs".to_owned()),
                Err(error) => Err(error.to_string()),
            })
        });
        let status = ended.await.map_err(|error| Error::new(format!("{error}; its log:\n{}", self.log_tail(40))))?;
        self.read_to_end();
        Ok(status)
    }

    /// Ends it without asking (SIGKILL), as a lost node would.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("killing the controller")?;
        self.child.wait().context("killing the controller")?;
        self.read_to_end();
        Ok(())
    }
}

impl Drop for ControllerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}

fn arguments(options: &ControllerOptions) -> Vec<OsString> {
    let mut arguments: Vec<OsString> =
        vec!["run".into(), "--installation-id".into(), options.installation_id.clone().into()];
    for namespace in &options.namespaces {
        arguments.extend(["--watch-namespace".into(), namespace.into()]);
    }
    arguments.extend(["--http-addr".into(), "127.0.0.1:0".into()]);
    // Most scenarios have one object, for which waiting for more would only take time.
    if !options.flags.iter().any(|flag| flag.starts_with("--collect")) {
        arguments.push("--collect=0s".into());
    }
    // Nearly every scenario of drift undoes something more than once.
    if !options.flags.iter().any(|flag| flag.starts_with("--correction-window")) {
        arguments.push("--correction-window=0s".into());
    }
    // A look that many objects have a reason for is waited for by most scenarios that cause one.
    if !options.flags.iter().any(|flag| flag.starts_with("--spread-looks")) {
        arguments.push("--spread-looks=false".into());
    }
    // The double answers at once and has no limits, unless a scenario gives it some.
    if !options.flags.iter().any(|flag| flag.starts_with("--aws-budget")) {
        arguments
            .extend(["iam", "lambda", "codepipeline", "sts"].map(|of| format!("--aws-budget={of}=1000/10000").into()));
    }
    arguments.extend(options.flags.iter().map(Into::into));
    arguments
}

/// All that it knows of the world: nothing of the tester's own AWS or Kubernetes set-up reaches it.
fn environment(options: &ControllerOptions) -> Vec<(&'static str, OsString)> {
    let path = |path: &Path| path.as_os_str().to_owned();
    vec![
        ("HOME", path(&options.home)),
        ("KUBECONFIG", path(&options.kubeconfig)),
        ("AWS_ENDPOINT_URL", options.aws_endpoint.clone().into()),
        ("AWS_ACCESS_KEY_ID", options.access_key.clone().into()),
        ("AWS_SECRET_ACCESS_KEY", "any-secret-will-do".into()),
        ("AWS_REGION", options.region.clone().into()),
        // Without keys the SDK would look for an instance's role, and wait for an answer.
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ("RUST_BACKTRACE", "1".into()),
    ]
}

/// A line without the escape sequences (ECMA-48, `ESC [ … letter`) that a logger writes for a terminal.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or_default());
    }
    plain
}

/// The address in a log line, text or JSON: `… http_addr=127.0.0.1:PORT …` or `…"http_addr":"127.0.0.1:PORT"…`.
fn http_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http_addr")?;
    let value = rest.trim_start_matches(['"', '=', ':', ' ']);
    let end = value.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c))).unwrap_or(value.len());
    value[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_text_and_json_logs() {
        let table = [
            ("2026-01-01T00:00:00Z  INFO crossinvoke: listening http_addr=127.0.0.1:4711", Some("127.0.0.1:4711")),
            ("INFO listening http_addr=\"127.0.0.1:4711\" other=1", Some("127.0.0.1:4711")),
            (r#"{"fields":{"http_addr":"127.0.0.1:4711","message":"listening"}}"#, Some("127.0.0.1:4711")),
            ("INFO listening http_addr=[::1]:80", Some("[::1]:80")),
            (
                "\x1b[2mnow\x1b[0m \x1b[32m INFO\x1b[0m on \x1b[3mhttp_addr\x1b[0m\x1b[2m=\x1b[0m127.0.0.1:80",
                Some("127.0.0.1:80"),
            ),
            ("INFO listening on 127.0.0.1:4711", None),
            ("INFO http_addr=unknown", None),
        ];
        for (line, expected) in table {
            assert_eq!(
                http_address(&without_colours(line)),
                expected.map(|address| address.parse().unwrap()),
                "{line}"
            );
        }
    }
}
