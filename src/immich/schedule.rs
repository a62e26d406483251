//! Immich's own scan schedule and watcher, which exist only for the whole server and look at nothing before they scan: off.
//!
//! The setting lives in the database, so that a restore brings back the one of its moment: the server's unit switches it off
//! again before each start (`stack`). Here it is switched off in a server that runs.

use serde_json::Value;

use crate::host::immich::Client;
use crate::immich::Error;
use crate::model::Refusal;

/// The two switches.
const SWITCHES: [&str; 2] = ["/library/scan/enabled", "/library/watch/enabled"];

/// Switches them off. Returns whether one was on. All else of the configuration stays, known here or not.
pub(super) async fn switch_off(client: &Client) -> Result<bool, Error> {
    let Some(wanted) = switched_off(client.config().await?)? else { return Ok(false) };
    if client.has_config_file().await? {
        let why = "scans libraries by itself, and its configuration is a file (IMMICH_CONFIG_FILE), which is yours";
        let remedy = "put this into the file and restart immich-server: \
                      \"library\": { \"scan\": { \"enabled\": false }, \"watch\": { \"enabled\": false } }";
        return Err(Refusal::new("Immich", why, remedy).into());
    }
    client.set_config(wanted).await?;
    Ok(true)
}

/// The configuration with both off; none where they are. Where one of them is not in it, Immich may scan by another one.
fn switched_off(mut config: Value) -> Result<Option<Value>, Refusal> {
    let mut was_on = false;
    for switch in SWITCHES {
        let Some(found) = config.pointer_mut(switch) else {
            let why = format!("does not say whether it scans libraries by itself: its configuration has no {switch}");
            let remedy = "nothing is scanned by a photos-agent that does not know how this release is told not to: \
                          install a newer one, or report it";
            return Err(Refusal::new("Immich", why, remedy));
        };
        if *found != Value::Bool(false) {
            *found = Value::Bool(false);
            was_on = true;
        }
    }
    Ok(was_on.then_some(config))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_two_switches_change() {
        let config = |scan: bool, watch: bool| {
            json!({
                "library": { "scan": { "enabled": scan, "cronExpression": "0 0 * * *" }, "watch": { "enabled": watch } },
                "of a later release": { "a": [1, 0.01, null] },
            })
        };
        for (scan, watch) in [(true, false), (false, true), (true, true)] {
            assert_eq!(switched_off(config(scan, watch)).unwrap(), Some(config(false, false)));
        }
        assert_eq!(switched_off(config(false, false)).unwrap(), None);
        for (other, missing) in [
            (json!({ "library": {} }), "/library/scan/enabled"),
            (json!({ "library": { "scan": { "enabled": false }, "watch": {} } }), "/library/watch/enabled"),
            (json!([]), "/library/scan/enabled"),
        ] {
            let refusal = switched_off(other).unwrap_err();
            assert!(refusal.why.ends_with(missing), "{refusal}");
        }
    }
}
