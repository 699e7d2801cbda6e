//! Where the pinned tools are.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The executables that the tests run for real.
#[derive(Clone, Debug)]
pub struct Tools {
    /// etcd.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub kube_apiserver: PathBuf,
    /// kube-controller-manager.
    pub kube_controller_manager: PathBuf,
    /// kubectl.
    pub kubectl: PathBuf,
    /// helm.
    pub helm: PathBuf,
}

impl Tools {
    /// The tools of `make tools`. `KUBEBUILDER_ASSETS` replaces etcd, kube-apiserver and kubectl, as elsewhere in the
    /// ecosystem; it never brings helm, and rarely kube-controller-manager: those two stay ours.
    ///
    /// # Errors
    /// Names every missing tool and how to get it.
    pub fn find() -> Result<Self> {
        let built = repository().join("build/tools");
        let assets = environment("KUBEBUILDER_ASSETS").map(PathBuf::from);
        Self::find_in(assets.as_deref().unwrap_or(&built), &built)
    }

    fn find_in(control_plane: &Path, built: &Path) -> Result<Self> {
        let tools = Self {
            etcd: control_plane.join("etcd"),
            kube_apiserver: control_plane.join("kube-apiserver"),
            kube_controller_manager: built.join("kube-controller-manager"),
            kubectl: control_plane.join("kubectl"),
            helm: built.join("helm"),
        };
        let all = [&tools.etcd, &tools.kube_apiserver, &tools.kube_controller_manager, &tools.kubectl, &tools.helm];
        let missing: Vec<String> =
            all.iter().filter(|path| !path.is_file()).map(|path| path.display().to_string()).collect();
        if missing.is_empty() {
            return Ok(tools);
        }
        Err(Error::new(format!(
            "missing: {}; run `make tools` (minutes the first time), or set KUBEBUILDER_ASSETS to a folder with etcd, \
             kube-apiserver and kubectl",
            missing.join(", ")
        )))
    }
}

/// The root of the checkout that this crate was built in.
#[must_use]
pub fn repository() -> PathBuf {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    harness.ancestors().nth(2).map_or_else(|| harness.to_path_buf(), Path::to_path_buf)
}

/// An environment variable that is set and not empty.
#[allow(clippy::disallowed_methods, reason = "this is the harness's one reader of the environment")]
#[must_use]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tools_are_named_with_the_way_to_get_them() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("etcd"), "").unwrap();
        let error = Tools::find_in(folder.path(), folder.path()).unwrap_err().to_string();
        assert!(!error.contains(&folder.path().join("etcd").display().to_string()), "etcd is there: {error}");
        for part in ["kube-apiserver", "kube-controller-manager", "kubectl", "helm", "make tools"] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }

    #[test]
    fn helm_and_the_controller_manager_are_ours_even_with_another_control_plane() {
        let (assets, built) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["etcd", "kube-apiserver", "kubectl", "helm"] {
            std::fs::write(assets.path().join(name), "").unwrap();
        }
        let error = Tools::find_in(assets.path(), built.path()).unwrap_err().to_string();
        for ours in ["helm", "kube-controller-manager"] {
            assert!(error.contains(ours), "{error}");
            std::fs::write(built.path().join(ours), "").unwrap();
        }
        let tools = Tools::find_in(assets.path(), built.path()).unwrap();
        assert_eq!((tools.kubectl, tools.helm), (assets.path().join("kubectl"), built.path().join("helm")));
    }
}
