//! Immich's own scan schedule and watcher, for the whole server: off where photographs come from iCloud.
//!
//! They look at nothing before they scan, and what they do not see they trash. The setting lives in the database, and goes
//! back with it: so it is switched off before every start of the server, whoever starts it, after whatever was put back.

use crate::model::{HostPath, Invalid, Service};
use crate::quadlet::{OnFailure, Value};

/// Immich keeps only what differs from its defaults, as one document. All else in it stays; a database without Immich's tables
/// has no libraries either. Nothing is written where both are off.
const STATEMENT: &str = "DO $$BEGIN IF to_regclass('system_metadata') IS NOT NULL THEN \
    INSERT INTO system_metadata AS m (key, value) \
    VALUES ('system-config', '{\"library\":{\"scan\":{\"enabled\":false},\"watch\":{\"enabled\":false}}}'::jsonb) \
    ON CONFLICT (key) DO UPDATE SET value = m.value || jsonb_build_object('library', \
    coalesce(m.value->'library', '{}'::jsonb) || jsonb_build_object(\
    'scan', coalesce(m.value#>'{library,scan}', '{}'::jsonb) || '{\"enabled\":false}'::jsonb, \
    'watch', coalesce(m.value#>'{library,watch}', '{}'::jsonb) || '{\"enabled\":false}'::jsonb)) \
    WHERE (m.value#>>'{library,scan,enabled}') IS DISTINCT FROM 'false' \
    OR (m.value#>>'{library,watch,enabled}') IS DISTINCT FROM 'false'; END IF; END$$";

/// A command before the server's start. Where it fails, the server does not start: its database is not there.
pub(super) fn switch_off(podman: &HostPath) -> Result<Value, Invalid> {
    let statement = format!("--command={STATEMENT}");
    let psql = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--username=postgres", "--dbname=immich"];
    let exec = ["exec", "--user=postgres", Service::Postgres.stem()];
    let arguments = exec.into_iter().chain(psql).chain([statement.as_str()]);
    Value::command(OnFailure::Fail, podman, arguments)
}

/// Whether a unit of this text does so.
pub fn are_switched_off(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("ExecStartPre=") && line.contains("{library,scan,enabled}"))
}
