//! Kubeconfig files: who talks to which server.

use std::path::Path;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::error::{Context as _, Result};

/// How a kubeconfig's user proves who it is.
pub(crate) enum User<'a> {
    /// By a client certificate.
    Certificate {
        /// PEM file.
        certificate: &'a Path,
        /// PEM file.
        key: &'a Path,
    },
    /// By a bearer token.
    Token(&'a str),
}

/// Writes a kubeconfig; JSON is YAML.
pub(crate) fn write(path: &Path, server: &str, authority: &Path, user: &User<'_>) -> Result<()> {
    let user = match user {
        User::Certificate { certificate, key } => json!({"client-certificate": certificate, "client-key": key}),
        User::Token(token) => json!({"token": token}),
    };
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "crossinvoke", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": "crossinvoke", "user": user}],
        "contexts": [{"name": "crossinvoke", "context": {"cluster": "crossinvoke", "user": "crossinvoke"}}],
        "current-context": "crossinvoke",
    });
    let text = serde_json::to_string_pretty(&content).context("a kubeconfig")?;
    std::fs::write(path, text).context(format_args!("writing {}", path.display()))
}

/// A client for the server and user of a kubeconfig file.
pub(crate) async fn client(path: &Path) -> Result<Client> {
    // A second provider in the dependency tree would leave rustls without a default one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let what = format!("kubeconfig {}", path.display());
    let kubeconfig = Kubeconfig::read_from(path).context(&what)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.context(&what)?;
    Client::try_from(config).context(&what)
}
