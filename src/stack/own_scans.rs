//! What Immich scans by itself where photographs come from iCloud: nothing. Its own schedule and watcher are off, for the whole
//! server, and what is left of a scan does not outlive the server that it was asked of.
//!
//! They look at nothing before they scan, and what they do not see they trash. The setting lives in the database, and goes
//! back with it; a scan is many jobs in the queue, which lies on a disk and goes back, too. So both are seen to before every start
//! of the server, whoever starts it, after whatever was put back or exchanged.

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

/// Takes the jobs of scans out of the queue `library`, by `BullMQ`'s names below Immich's prefix. Whether it is paused stays, and so do
/// jobs that delete a library: somebody has asked for that, they look at no file, and without its schedule Immich would not ask again.
const FORGET: &str = "local q='immich_bull:library:' local n=0 \
    local stay={LibraryDelete=true,LibraryDeleteCheck=true} \
    local function gone(id) local job=redis.call('HMGET',q..id,'name','deid') if stay[job[1]] then return false end \
    redis.call('DEL',q..id,q..id..':lock',q..id..':logs',q..id..':dependencies',q..id..':processed') \
    if job[2] then redis.call('DEL',q..'de:'..job[2]) end n=n+1 return true end \
    for _,list in ipairs({'wait','paused','active'}) do local ids=redis.call('LRANGE',q..list,0,-1) redis.call('DEL',q..list) \
    for _,id in ipairs(ids) do if not gone(id) then redis.call('RPUSH',q..list,id) end end end \
    for _,set in ipairs({'delayed','prioritized','waiting-children'}) do for _,id in ipairs(redis.call('ZRANGE',q..set,0,-1)) do \
    if gone(id) then redis.call('ZREM',q..set,id) end end end redis.call('DEL',q..'stalled') \
    return n>0 and 'jobs of scans that had not ended, taken out of the queue: '..n or ''";

/// A command before the server's start. Where it fails, the server does not start: its database is not there.
pub(super) fn switch_off(podman: &HostPath) -> Result<Value, Invalid> {
    let statement = format!("--command={STATEMENT}");
    let psql = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--username=postgres", "--dbname=immich"];
    let exec = ["exec", "--user=postgres", Service::Postgres.stem()];
    let arguments = exec.into_iter().chain(psql).chain([statement.as_str()]);
    Value::command(OnFailure::Fail, podman, arguments)
}

/// Another one. A scan was allowed for the tree that was seen, by a server that saw it: after a restart it may be another tree, and after
/// a restore the queue may be that of another time. Where it fails, the server does not start: without its queue Immich does nothing
/// anyway, systemd tries again, and a server that came up before its queue was looked at would work off what is in it.
pub(super) fn forget(podman: &HostPath) -> Result<Value, Invalid> {
    // Without -e, an error of the script would be no error of the command.
    let arguments = ["exec", Service::Redis.stem(), "valkey-cli", "-e", "EVAL", FORGET, "0"];
    Value::command(OnFailure::Fail, podman, arguments)
}

/// Whether a unit of this text does so.
pub fn are_switched_off(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("ExecStartPre=") && line.contains("{library,scan,enabled}"))
}
