//! The commented example, the schema and the parser know the same keys.

use std::collections::BTreeSet;

use photos_agent::config;
use serde_json::Value as Json;

use super::loaded;

/// The template with every key in force.
fn uncommented() -> String {
    let line = |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned();
    config::template().lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn as_it_is_shipped_it_says_nothing() {
    let shipped = loaded(&[config::template()]);
    assert_eq!(shipped.settings, loaded(&[""]).settings);
    assert_eq!(shipped.origins, loaded(&[""]).origins);
}

#[test]
fn with_every_key_in_force_it_says_the_defaults() {
    let (all, defaults) = (loaded(&[&uncommented()]), loaded(&[""]));
    let mut compared = 0;
    for setting in defaults.origins.iter().filter(|setting| setting.toml().is_some()) {
        assert_eq!(all.origins.get(&setting.key).unwrap().toml(), setting.toml(), "{}", setting.key);
        compared += 1;
    }
    assert!(compared >= 6);
}

#[test]
fn template_schema_and_parser_have_the_same_keys() {
    let from_template: BTreeSet<String> = loaded(&[&uncommented()]).origins.iter().map(key_of).collect();
    let unset: Vec<_> = loaded(&[&uncommented()]).origins.iter().filter(|s| s.toml().is_none()).map(key_of).collect();
    let account = "[[icloud.account]]\nname = \"anna\"\napple_id = \"anna@example.org\"\n";
    let from_parser: BTreeSet<String> = loaded(&[account]).origins.iter().map(key_of).collect();
    let mut from_schema = BTreeSet::new();
    collect(&config::schema(), "", &mut from_schema);
    assert_eq!(unset, [""; 0], "the template leaves a key out");
    assert_eq!(from_template, from_parser);
    assert_eq!(from_schema, from_parser);
}

fn key_of(setting: &config::Setting) -> String {
    if setting.key.starts_with("immich.environment") {
        return "immich.environment".to_owned();
    }
    setting.key.replace("icloud.account.anna.", "icloud.account.")
}

/// The keys of a schema. A section is an object that lists all it may hold.
fn collect(schema: &Json, path: &str, keys: &mut BTreeSet<String>) {
    // A section of which there may be several.
    let schema = if path == "icloud.account" { &schema["items"] } else { schema };
    let Some(properties) = schema["properties"].as_object() else {
        assert!(schema["description"].as_str().is_some_and(|text| text.ends_with('.')), "{path}");
        keys.insert(path.to_owned());
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "{path}");
    for (name, member) in properties {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        collect(member, &path, keys);
    }
}

#[test]
fn each_key_of_the_template_is_explained_in_one_line() {
    let lines: Vec<_> = config::template().lines().collect();
    for pair in lines.windows(2).filter(|pair| pair[1].starts_with('#') && !pair[1].starts_with("# ") && pair[1] != "#")
    {
        assert!(pair[0].starts_with("# ") && pair[0].ends_with('.'), "{}", pair[1]);
    }
}
