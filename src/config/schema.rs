//! The JSON Schema of one configuration file, for editors that check while one types.
//!
//! Made from the list of keys. It says of a value what a pattern can say; the rest is said when the
//! file is read.

use serde_json::{Map, Value as Json, json};

use super::keys::{self, ACCOUNT, Key, Kind};

/// JSON Schema (2020-12) of one configuration file.
pub fn schema() -> Json {
    let mut root = section("");
    if let Some(members) = root.as_object_mut() {
        members.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        members.insert("title".to_owned(), json!("Configuration of photos-agent"));
        members
            .insert("description".to_owned(), json!("config.toml, or a file in config.d. Every key may be left out."));
    }
    root
}

fn section(path: &str) -> Json {
    let member = |name: &str| {
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let of = || if path == ACCOUNT { accounts() } else { section(&path) };
        (name.to_owned(), keys::find(&path).map_or_else(of, of_key))
    };
    let properties: Map<String, Json> = keys::below(path).into_iter().map(member).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// The accounts of one file.
fn accounts() -> Json {
    let mut account = section(ACCOUNT);
    if let Some(members) = account.as_object_mut() {
        members.insert("required".to_owned(), json!(["name", "apple_id"]));
    }
    json!({ "type": "array", "description": "Accounts of iCloud.", "items": account })
}

fn of_key(key: &Key) -> Json {
    let mut schema = of_kind(key.kind);
    if let Some(members) = schema.as_object_mut() {
        let about = match key.unset {
            "" => key.about.clone(),
            unset => format!("{} Without it: {unset}.", key.about),
        };
        members.insert("description".to_owned(), json!(about));
        if let Some(default) = &key.default {
            members.insert("default".to_owned(), json!(default));
        }
    }
    schema
}

fn of_kind(kind: Kind) -> Json {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match kind {
        Kind::Secret => text("^[A-Za-z0-9][A-Za-z0-9_.-]*$"),
        Kind::Program => {
            json!({ "oneOf": [of_kind(Kind::Path), { "type": "array", "minItems": 1, "items": { "type": "string" } }] })
        }
        Kind::Path => text("^(/[^/:\\u0000-\\u001f\\u007f]+)+$"),
        Kind::Subnet => text("^[0-9]+\\.[0-9]+\\.[0-9]+\\.[0-9]+/(1[6-9]|2[0-8])$"),
        Kind::Release => text("^v[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?$"),
        Kind::Listen => text("^([0-9.]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5}$"),
        Kind::TimeZone => text("^[A-Za-z0-9_+/-]+$"),
        Kind::Image => text("^[^/@\\s]+/[^@\\s]+(:[A-Za-z0-9_.-]+|@sha256:[0-9a-f]{64})$"),
        Kind::Memory => text("^[0-9]+[KMGT%]?$"),
        Kind::Processor => text("^[0-9]+%$"),
        Kind::Disk => json!({ "type": "string", "enum": ["ssd", "hdd"] }),
        // A word, or weekdays, a date and a time; what they are is said when the file is read.
        Kind::Schedule | Kind::Calendar => text("^[A-Za-z0-9*:.,/~_+ -]+$"),
        Kind::Span => text("^[0-9]+ ?[a-z]+( ?[0-9]+ ?[a-z]+)*$"),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0, "maximum": 9999 }),
        Kind::Major => json!({ "type": "integer", "minimum": 14, "maximum": 18 }),
        Kind::Networks => json!({
            "type": "array",
            "uniqueItems": true,
            "items": { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]*$" },
        }),
        Kind::Icloudpd => of_kind(Kind::Image),
        Kind::Share => text("^[0-9]{1,3}(\\.[0-9])?%$"),
        Kind::Account => text("^[a-z][a-z0-9-]{0,31}$"),
        Kind::AppleId => text("^([^@\\s-][^@\\s]*@[^@\\s]+|\\+?[0-9]{6,15})$"),
        Kind::Email => text("^[^@\\s-][^@\\s]*@[^@\\s]+$"),
        Kind::Created => text("^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{1,5}d)$"),
        Kind::Folders => text("^(none|[^/.].*\\{0?:[^}]*%.*)$|^\\{0?:[^}]*%"),
        Kind::Render => text("^/dev/dri/(renderD1[2-9][0-9]|by-path/pci-[0-9a-f:.]+-render)$"),
        Kind::Gfx => text("^[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]{1,2}$"),
        Kind::Number(least) => json!({ "type": "integer", "minimum": least, "maximum": 10_000_000 }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Words(words) => {
            json!({ "type": "array", "uniqueItems": true, "items": { "type": "string", "enum": words } })
        }
        Kind::Libraries => json!({
            "type": "array",
            "uniqueItems": true,
            "minItems": 1,
            "items": { "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_-]*$" },
        }),
        Kind::Albums => json!({ "type": "array", "uniqueItems": true, "items": { "type": "string", "minLength": 1 } }),
        Kind::Environment => json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
            "additionalProperties": { "type": "string", "pattern": "^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$" },
        }),
    }
}
