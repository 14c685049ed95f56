//! What `kubectl kustomize` makes of a folder of `k8s/`, and the settings that a node gets from it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use signalbox_gateway::config::{Config, Sources, load};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubernetes.py");

/// The rendered manifests of one folder.
pub(crate) struct Manifests(Vec<Value>);

impl Manifests {
    /// Renders `k8s/FOLDER`.
    pub(crate) fn of(folder: &str) -> Self {
        Self::read(folder, &[])
    }

    /// The same; every manifest has to be valid.
    pub(crate) fn judged(folder: &str) -> Self {
        Self::read(folder, &["--judge"])
    }

    fn read(folder: &str, judging: &[&str]) -> Self {
        let root = Path::new(ROOT);
        let rendered = Command::new("kubectl")
            .args(["kustomize", "--load-restrictor=LoadRestrictionsRootOnly"])
            .arg(root.join("k8s").join(folder))
            .output()
            .expect("tools/needs installs kubectl for the tests");
        let told = String::from_utf8_lossy(&rendered.stderr);
        assert!(rendered.status.success() && told.is_empty(), "{folder} can't be rendered:\n{told}");
        let mut reader = Command::new(root.join("target/venv/bin/python"))
            .arg(READER)
            .args(judging)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tools/needs installs Python for the tests");
        // It reads all before it writes; the pipe closes with the end of the statement.
        reader.stdin.take().unwrap().write_all(&rendered.stdout).unwrap();
        let read = reader.wait_with_output().unwrap();
        assert!(read.status.success(), "{folder}:\n{}", String::from_utf8_lossy(&read.stderr));
        Self(serde_json::from_slice(&read.stdout).unwrap())
    }

    /// All of one kind.
    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |manifest| manifest["kind"] == kind)
    }

    /// The only one of this kind and name; generated names begin with it.
    pub(crate) fn one(&self, kind: &str, name: &str) -> &Value {
        let is_named = |manifest: &&Value| {
            let full = manifest["metadata"]["name"].as_str().unwrap();
            full == name || full.strip_prefix(name).is_some_and(|hash| hash.starts_with('-'))
        };
        let found: Vec<_> = self.all(kind).filter(is_named).collect();
        assert_eq!(found.len(), 1, "{kind} {name}: {found:?}");
        found[0]
    }

    /// The pods of the nodes.
    pub(crate) fn pod(&self) -> &Value {
        &self.one("Deployment", "signalbox")["spec"]["template"]["spec"]
    }

    /// The container of a node.
    pub(crate) fn container(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    /// The labels of the nodes' pods.
    pub(crate) fn labels(&self) -> &Value {
        &self.one("Deployment", "signalbox")["spec"]["template"]["metadata"]["labels"]
    }

    /// What is in the Secret's `key`.
    pub(crate) fn secret(&self, key: &str) -> String {
        self.one("Secret", "signalbox")["stringData"][key].as_str().unwrap().to_owned()
    }

    /// The configuration of a node in such a pod, read as the node reads it.
    pub(crate) fn config(&self) -> Config {
        let settings = self.one("ConfigMap", "signalbox")["data"].as_object().unwrap();
        let mut variables: Vec<(String, String)> =
            settings.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        let own = self.container()["env"].as_array().unwrap().iter();
        variables.extend(own.filter_map(|variable| {
            let value = variable["value"].as_str()?.replace("$(POD_IP)", "10.1.2.3");
            Some((variable["name"].as_str().unwrap().to_owned(), value))
        }));
        // What is mounted in the pod lies in a folder here.
        let mounted = tempfile::tempdir().unwrap();
        for (_, value) in &mut variables {
            if let Some(key) = value.strip_prefix(SECRETS) {
                let file: PathBuf = mounted.path().join(key);
                std::fs::write(&file, self.secret(key)).unwrap();
                *value = file.to_str().unwrap().to_owned();
            }
        }
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let loaded = load(&Sources { variables, ..Sources::default() });
        loaded.unwrap_or_else(|bad| panic!("a node would refuse it: {bad}")).config
    }
}

/// Where the Secret is mounted.
pub(crate) const SECRETS: &str = "/run/secrets/signalbox/";
