//! What `--json` prints is what docs/schema says, and the schemas would notice if it were not.

#![cfg(test)]

use std::path::Path;

use serde_json::{Value, json};

use super::cli::Sealed;

/// The schema of documents of this kind.
fn schema(kind: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(format!("{kind}.json"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What is wrong with a document, by the schemas of all kinds and of its own.
fn wrong(document: &Value) -> Vec<String> {
    let kinds = ["envelope", document["kind"].as_str().unwrap()];
    let of = |kind: &str| {
        let validator = jsonschema::validator_for(&schema(kind)).unwrap();
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect::<Vec<_>>()
    };
    kinds.into_iter().flat_map(of).collect()
}

#[test]
fn documents_are_what_their_schemas_say() {
    let right = Sealed::configured("[storage]\nroot = \"/srv/photos\"\n");
    let wrong_config = Sealed::configured("root = 1\n");
    let mut kinds = Vec::new();
    for (sealed, arguments) in [
        (&right, &["plan"][..]),
        (&right, &["status"]),
        (&right, &["doctor"]),
        (&right, &["config", "init"]),
        (&right, &["config", "init", "--stdout"]),
        (&right, &["secret", "list"]),
        (&wrong_config, &["plan"]),
        (&wrong_config, &["config", "check"]),
    ] {
        let done = sealed.run(&[arguments, &["--json"]].concat());
        let document: Value = serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}"));
        assert_eq!(wrong(&document), Vec::<String>::new(), "{arguments:?}: {document}");
        kinds.push(document["kind"].as_str().unwrap().to_owned());
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["doctor", "error", "plan", "status", "written"]);
}

#[test]
fn a_field_that_is_missing_new_or_of_another_type_is_noticed() {
    let sealed = Sealed::new();
    let document: Value = serde_json::from_str(&sealed.run(&["plan", "--json"]).out).unwrap();
    let mut missing = document.clone();
    missing.as_object_mut().unwrap().remove("steps");
    let mut new = document.clone();
    new["surprise"] = json!(1);
    let mut other = document.clone();
    other["empty"] = json!("yes");
    let mut version = document.clone();
    version["schema"] = json!(2);
    for changed in [missing, new, other, version] {
        assert_ne!(wrong(&changed), Vec::<String>::new(), "{changed}");
    }
    assert_eq!(wrong(&document), Vec::<String>::new());
}
