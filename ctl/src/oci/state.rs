//! A container's state as an OCI runtime writes it to a hook's standard input, and the annotations in it.
//! Tolerant: runtimes differ in what they leave out and add, so only what is needed is looked at.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::bundle::Bundle;

/// The annotation that lists the networks.
pub(super) const NETWORKS: &str = "org.vswitch.networks";
/// The annotation that names the container.
pub(super) const NAME: &str = "org.vswitch.name";
/// The annotation for published ports.
pub(super) const PUBLISH: &str = "org.vswitch.publish";
/// What the annotations for labels begin with.
const LABEL: &str = "org.vswitch.label.";

/// The state of a container (runtime-spec, "State"), as far as the hook needs it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct State {
    /// The container's ID, unique on this host.
    pub id: String,
    /// The container's first process as the runtime sees it; absent or 0 once it has ended.
    #[serde(default)]
    pub pid: Option<i64>,
    /// The absolute path of the bundle.
    #[serde(default)]
    pub bundle: Option<PathBuf>,
    /// The annotations. `None` when the runtime leaves them out; see [`State::with_annotations`].
    #[serde(default)]
    pub annotations: Option<HashMap<String, Value>>,
}

impl State {
    /// Reads a state from what the runtime wrote.
    ///
    /// # Errors
    /// [`Error::State`] when it is not a JSON object with an `id`.
    pub fn parse(bytes: &[u8]) -> Result<State, Error> {
        let state: State = serde_json::from_slice(bytes).map_err(Error::State)?;
        if state.id.is_empty() { Err(Error::Id) } else { Ok(state) }
    }

    /// The same state with the annotations of the bundle's `config.json` where the runtime has left them out.
    ///
    /// # Errors
    /// [`Error::Config`] when they are needed and cannot be read: then nobody knows what the container asks for.
    pub fn with_annotations(mut self) -> Result<State, Error> {
        if self.annotations.is_none()
            && let Some(bundle) = &self.bundle
        {
            self.annotations = Some(Bundle::read(bundle)?.annotations.unwrap_or_default());
        }
        Ok(self)
    }

    /// The process, when there is one.
    pub fn process(&self) -> Option<u32> {
        self.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)
    }

    /// The annotation `key`; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Annotation`] when it is not a string.
    pub(super) fn annotation(&self, key: &'static str) -> Result<Option<&str>, Error> {
        match self.annotations.as_ref().and_then(|annotations| annotations.get(key)) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::NotText { key: key.into() }),
        }
    }

    /// The container's labels: annotations `org.vswitch.label.KEY`.
    ///
    /// # Errors
    /// [`Error::Annotation`] when one is not a string.
    pub(super) fn labels(&self) -> Result<BTreeMap<String, String>, Error> {
        let own = self.annotations.iter().flatten();
        let labels = own.filter_map(|(key, value)| Some((key, key.strip_prefix(LABEL)?, value)));
        let read = |(key, label, value): (&String, &str, &Value)| match value {
            Value::String(text) => Ok((label.to_owned(), text.clone())),
            _ => Err(Error::NotText { key: key.clone() }),
        };
        labels.map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn runc_and_crun_and_podman_are_understood() {
        let runc = br#"{"ociVersion":"1.2.0","id":"c1","status":"creating","pid":42,"bundle":"/b",
                        "annotations":{"org.vswitch.networks":"RED"}}"#;
        let state = State::parse(runc).unwrap();
        assert_eq!((state.id.as_str(), state.process()), ("c1", Some(42)));
        assert_eq!(state.annotation(NETWORKS).unwrap(), Some("RED"));
        assert_eq!(state.annotation(NAME).unwrap(), None);
        assert!(state.labels().unwrap().is_empty());
        let labelled = br#"{"id":"c1","annotations":{"org.vswitch.label.tier":"front","org.vswitch.label.x/y":""}}"#;
        let labels = [("tier".to_owned(), "front".to_owned()), ("x/y".to_owned(), String::new())];
        assert_eq!(State::parse(labelled).unwrap().labels().unwrap(), labels.into());
        let odd = State::parse(br#"{"id":"c1","annotations":{"org.vswitch.label.tier":7}}"#).unwrap();
        assert!(odd.labels().unwrap_err().to_string().contains("org.vswitch.label.tier: not a string"));

        let crun =
            br#"{"ociVersion":"1.0","id":"c1","pid":0,"root":"/r","bundle":"/b","status":"stopped","annotations":{}}"#;
        assert_eq!(State::parse(crun).unwrap().process(), None);

        let podman = br#"{"ociVersion":"1.2.0","id":"c1","status":"stopped","bundle":"/b","annotations":null}"#;
        let state = State::parse(podman).unwrap();
        assert_eq!((state.process(), state.annotations), (None, None));
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for bad in
            [&b""[..], b"[]", b"{}", b"{\"id\":7}", b"{\"id\":\"\"}", b"{\"id\":\"a\",\"annotations\":[]}", b"\xff"]
        {
            assert!(State::parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        let state = State::parse(br#"{"id":"a","pid":-4,"annotations":{"org.vswitch.networks":["RED"]}}"#).unwrap();
        assert_eq!(state.process(), None);
        assert!(matches!(state.annotation(NETWORKS), Err(Error::NotText { key }) if key == NETWORKS));
    }

    #[test]
    fn missing_annotations_come_from_the_bundle() {
        let bundle = tempfile::tempdir().unwrap();
        let state = State { id: "a".into(), pid: None, bundle: Some(bundle.path().into()), annotations: None };
        assert!(matches!(state.clone().with_annotations(), Err(Error::Config { .. })));
        let config = bundle.path().join("config.json");
        std::fs::write(&config, "{").unwrap();
        assert!(state.clone().with_annotations().is_err());
        std::fs::write(&config, r#"{"ociVersion":"1.0.0","hooks":{}}"#).unwrap();
        assert_eq!(state.clone().with_annotations().unwrap().annotations, Some(HashMap::new()));
        std::fs::write(&config, r#"{"annotations":{"org.vswitch.networks":"BLUE"}}"#).unwrap();
        let found = state.clone().with_annotations().unwrap();
        assert_eq!(found.annotation(NETWORKS).unwrap(), Some("BLUE"));
        // Those of the state count when it has them.
        let own = State { annotations: Some(HashMap::new()), ..state };
        assert_eq!(own.with_annotations().unwrap().annotations, Some(HashMap::new()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_state_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = State::parse(&bytes);
        }
    }
}
