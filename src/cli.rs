//! The command line: `run`, `crds` and `iam`.

pub mod iam;

use std::{net::SocketAddr, time::Duration};

use clap::{ArgAction, Parser, Subcommand};

use crate::{
    domain::{account_status, budget::Budget, ids::InstallationId, validate::parse_interval},
    http::debug,
    telemetry::logging::LogFormat,
};

/// Lets a `CodePipeline` stage invoke a Lambda function in another AWS account, and keeps it so.
#[derive(Debug, Parser)]
#[command(name = "crossinvoke", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the controller, with the kubeconfig or the in-cluster configuration and AWS's standard environment.
    Run(Box<Run>),
    /// Print the CustomResourceDefinitions.
    Crds,
    /// Print the IAM policies that the controller needs.
    Iam(Box<iam::Iam>),
}

/// Options of `run`.
#[derive(Clone, Debug, Parser)]
pub struct Run {
    /// Watch only this namespace; may be given several times. Without it all namespaces are watched.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE")]
    pub watch_namespaces: Vec<String>,
    /// The id in every policy name and tag this installation writes. Default: derived from cluster and release.
    #[arg(long, env = "CROSSINVOKE_INSTALLATION_ID")]
    pub installation_id: Option<InstallationId>,
    /// Namespace of the Helm release, for the default installation id.
    #[arg(long, default_value = "crossinvoke")]
    pub release_namespace: String,
    /// Name of the Helm release, for the default installation id.
    #[arg(long, default_value = "crossinvoke")]
    pub release_name: String,
    /// Where /livez, /readyz and /metrics are served; port 0 takes a free one, which is printed. Default: [::]:8080, or
    /// 0.0.0.0:8080 where IPv6 is off.
    #[arg(long)]
    pub http_addr: Option<SocketAddr>,
    /// Where /debug/targets tells how the workers of pipelines and roles stand: an address of this machine only, such as 127.0.0.1:6060.
    /// Without it, nowhere.
    #[arg(long, value_parser = debug::loopback)]
    pub debug_addr: Option<SocketAddr>,
    /// Whether /metrics has a series for each object and account.
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub metrics_per_object: bool,
    /// Looks at objects of the same two accounts that ask AWS at a time; what waits for others is none of them.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,
    /// How long the AWS part of one reconcile may take.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub aws_timeout: Duration,
    /// How long one reconcile may take in all; must exceed --aws-timeout, so that its status is always written.
    #[arg(long, default_value = "75s", value_parser = duration)]
    pub reconcile_timeout: Duration,
    /// How long one attempt of one AWS call may take.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub aws_attempt_timeout: Duration,
    /// How long an assumed-role session lasts: 15m to 1h, since chained sessions end after one hour.
    #[arg(long, default_value = "1h", value_parser = session_duration)]
    pub aws_session_duration: Duration,
    /// How many calls of a service are sent in each account: RATE a second, and BURST at once after a quiet time. May be given
    /// several times. Default: iam=20/100, lambda=10/50, codepipeline=10/100, sts=5/20. Where AWS throttles, the rate is
    /// halved, to one a second at least, and a tenth of it comes back each minute.
    #[arg(long = "aws-budget", value_name = "SERVICE=RATE/BURST")]
    pub aws_budgets: Vec<Budget>,
    /// How long a role that CodePipeline does not accept yet is put down to IAM's propagation after our last change.
    #[arg(long, default_value = "120s", value_parser = duration)]
    pub iam_propagation_timeout: Duration,
    /// How long a pipeline's update waits for more objects that want something of it; 0s for not at all.
    #[arg(long, default_value = "3s", value_parser = up_to_a_minute)]
    pub collect: Duration,
    /// How long it waits at most; not less than --collect.
    #[arg(long, default_value = "30s", value_parser = up_to_a_minute)]
    pub collect_max: Duration,
    /// How long after an execution failed or was stopped the pipeline is not updated, so that somebody can retry it; 0s for
    /// not at all, 24h at most.
    #[arg(long, default_value = "1h", value_parser = hold)]
    pub hold_after_failure: Duration,
    /// How far apart two corrections of one pipeline are at least, while somebody keeps undoing them; it doubles with each up to
    /// --correction-window-max. The first one never waits. 0s for not at all.
    #[arg(long, default_value = "10m", value_parser = window)]
    pub correction_window: Duration,
    /// How far apart they are at most.
    #[arg(long, default_value = "1h", value_parser = window)]
    pub correction_window_max: Duration,
    /// When a pipeline with a running execution is looked at again.
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub idle_poll: Duration,
    /// How often an AwsAccount is looked at: at most every 30m, since another installation reports it after two hours of silence.
    #[arg(long, default_value = "10m", value_parser = account_interval)]
    pub account_interval: Duration,
    /// How far apart two reads of everything in an AwsAccount are, where these replace single reads. A look finds one that no
    /// earlier look has used, and reads nothing singly, where this is less than nine tenths of its interval.
    #[arg(long, default_value = "8m", value_parser = duration)]
    pub bulk_reads_every: Duration,
    /// First delay after a throttled or unavailable AWS; it doubles, with full jitter.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub backoff_first: Duration,
    /// Longest such delay.
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub backoff_cap: Duration,
    /// A stalled object is looked at again after its interval, or after this if that is sooner.
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub stalled_retry: Duration,
    /// A stalled AwsAccount is looked at again after this for ten minutes, since whoever sets an account up waits for it.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub account_retry: Duration,
    /// Whether objects in place are looked at over a tenth of their interval after a start, a changed AwsAccount or a changed
    /// namespace, and not all at once. What has still to be made, was changed or is asked for never waits.
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub spread_looks: bool,
    /// How long drift that was put right stays in the status.
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub drift_retention: Duration,
    /// Whether invoke roles may also lambda:ListFunctions, which AWS's guide asks for.
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub grant_list_functions: bool,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What is logged, as a filter: info, debug, crossinvoke=debug,kube=warn.
    #[arg(long, default_value = "info,aws_config=warn,aws_smithy_runtime=warn", env = "CROSSINVOKE_LOG")]
    pub log_level: String,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_interval(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("{text:?} is not a duration such as 15s, 2m or 1h30m"))
}

fn up_to_a_minute(text: &str) -> Result<Duration, String> {
    bounded(text, Duration::from_mins(1), "0s to 60s")
}

fn hold(text: &str) -> Result<Duration, String> {
    bounded(text, Duration::from_hours(24), "0s to 24h")
}

fn window(text: &str) -> Result<Duration, String> {
    bounded(text, Duration::from_hours(24), "0s to 24h")
}

fn bounded(text: &str, most: Duration, range: &str) -> Result<Duration, String> {
    parse_interval(text).filter(|duration| *duration <= most).ok_or_else(|| format!("it must be {range}, such as 3s"))
}

fn session_duration(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_mins(15)..=Duration::from_hours(1);
    duration(text).and_then(|duration| {
        if allowed.contains(&duration) { Ok(duration) } else { Err("it must be 15m to 1h".to_owned()) }
    })
}

fn account_interval(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|interval| {
        if interval <= account_status::LONGEST_INTERVAL {
            Ok(interval)
        } else {
            Err("it must be at most 30m".to_owned())
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_chart_lets_the_controller_end_on_its_own() {
        let cli = Cli::try_parse_from(["crossinvoke", "run", "--installation-id", "abc"]).unwrap();
        let Command::Run(run) = cli.command else { panic!("not run") };
        let ends_within = crate::controller::ends_within(run.aws_attempt_timeout).as_secs();
        let grace = |file: &str, before: &str| -> u64 {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/crossinvoke").join(file);
            let text = std::fs::read_to_string(path).unwrap();
            let rest = text.split_once(before).unwrap().1;
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
        };
        assert!(grace("values.yaml", "\nterminationGracePeriodSeconds: ") > ends_within);
        let least = "\"description\": \"At least the ";
        assert!(grace("values.schema.json", least) > ends_within);
        let refused = grace("values.schema.json", "\"const\": \"at least 15, since the controller waits ");
        assert_eq!(refused, ends_within);
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let cli = Cli::try_parse_from(["crossinvoke", "run", "--installation-id", "abc"]).unwrap();
        let Command::Run(run) = cli.command else { panic!("not run") };
        let seconds = [
            run.aws_timeout,
            run.reconcile_timeout,
            run.aws_attempt_timeout,
            run.aws_session_duration,
            run.iam_propagation_timeout,
            run.idle_poll,
            run.account_interval,
            run.backoff_first,
            run.backoff_cap,
            run.stalled_retry,
            run.account_retry,
            run.drift_retention,
            run.collect,
            run.collect_max,
            run.hold_after_failure,
            run.bulk_reads_every,
            run.correction_window,
            run.correction_window_max,
        ]
        .map(|duration| duration.as_secs());
        assert_eq!(seconds, [60, 75, 10, 3600, 120, 15, 600, 1, 300, 300, 30, 3600, 3, 30, 3600, 480, 600, 3600]);
        assert_eq!((run.concurrency, run.grant_list_functions, run.metrics_per_object), (8, true, true));
        assert!(run.spread_looks);
    }

    #[test]
    fn an_invalid_option_says_what_is_expected() {
        let error = Cli::try_parse_from(["crossinvoke", "run", "--idle-poll", "soon"]).unwrap_err().to_string();
        assert!(error.contains("is not a duration such as 15s"), "{error}");
        let error =
            Cli::try_parse_from(["crossinvoke", "run", "--debug-addr", "0.0.0.0:6060"]).unwrap_err().to_string();
        assert!(error.contains("can be reached from elsewhere"), "{error}");
        let error = Cli::try_parse_from(["crossinvoke", "run", "--aws-budget", "iam=20"]).unwrap_err().to_string();
        assert!(error.contains("SERVICE=RATE/BURST"), "{error}");
        let error = Cli::try_parse_from(["crossinvoke", "run", "--account-interval", "90m"]).unwrap_err().to_string();
        assert!(error.contains("at most 30m"), "{error}");
        assert!(Cli::try_parse_from(["crossinvoke", "run", "--account-interval", "30m"]).is_ok());
        let error = Cli::try_parse_from(["crossinvoke", "run", "--installation-id", "Bad_Id"]).unwrap_err().to_string();
        assert!(error.contains("lower-case letters, digits and hyphens"), "{error}");
    }
}
