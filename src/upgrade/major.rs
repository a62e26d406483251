//! A newer major version of PostgreSQL: what is looked into and pulled before the stack is stopped for it. How it is done is
//! `apply::major`'s.

use serde::Serialize;

use crate::apply::upgrade::{Change, begin_upgrade, give_up};
use crate::apply::{self, ApplyError, LOCK, Operation, Progress, Report, Then, conclude, vitals};
use crate::host::{Host, lock, size, storage};
use crate::model::{Component, ImageRef, PostgresMajor, Refusal, Side, Subvolume};
use crate::observe::{chain, facts};
use crate::plan::upgrade::{MajorQuestion, to_major};
use crate::snapshot::Applied;
use crate::upgrade::run::{Wish, check, failed, side_of, take_snapshot, tell};
use crate::upgrade::{preflight, pull};

/// One that was made.
#[derive(Debug, Serialize)]
pub struct Moved {
    /// What ran.
    pub from: PostgresMajor,
    /// What runs.
    pub to: PostgresMajor,
    /// The operation.
    pub report: Report,
}

/// Changes it; none: it is of that version already.
pub async fn change_major(
    host: &Host,
    wish: &Wish,
    wanted: PostgresMajor,
    progress: &mut dyn Progress,
) -> Result<Option<Moved>, ApplyError> {
    let _lock = lock::take(&host.root.join(LOCK), &wish.command, lock::PATIENCE).await?;
    let applied = preflight::well(host, &wish.files).await?;
    let Some((cluster, image)) = target(host, &applied, wanted)? else { return Ok(None) };
    refuse_too_large(host, &applied).await?;
    let from = side_of(host, &applied)?;
    let pulled = pull::these(host, [&image], progress).await.map_err(|error| tell(host, wish, error))?;
    let mut to = from.clone();
    to.in_force.written.insert(Component::Postgres, image);
    to.images.extend(pulled);
    pull::prove(host, &applied, progress).await.map_err(|error| tell(host, wish, error))?;
    let then = Then { in_force: Some(to.in_force.clone()), images: to.images.clone(), cluster: Some(wanted) };
    check(host, &applied, &then).await?;
    let mut operation = Operation::begin(&host.root, &wish.command)?;
    let done = carry_out(host, wish, &applied, (cluster, wanted), (from, to), &mut operation, progress);
    let result = Box::pin(done).await;
    let report = conclude(host, &applied.loaded, operation, result)?;
    Ok(Some(Moved { from: cluster, to: wanted, report }))
}

/// From which version, and to which image; none where there is nothing to do.
fn target(
    host: &Host,
    applied: &Applied,
    wanted: PostgresMajor,
) -> Result<Option<(PostgresMajor, ImageRef)>, ApplyError> {
    let settings = &applied.loaded.settings;
    let cluster = facts(&host.root, settings)?.cluster;
    let runs = &applied.desired.runs;
    let question = MajorQuestion {
        wanted,
        cluster,
        runs: &runs.release,
        database: runs.written.get(&Component::Postgres),
        catalogue: &settings.catalogue,
        written: settings.postgres.major,
        named: settings.images.get(&Component::Postgres),
    };
    Ok(cluster.zip(to_major(&question).map_err(ApplyError::Refused)?))
}

/// The new cluster takes about as much as the old one, and as much again may be written while it is filled.
async fn refuse_too_large(host: &Host, applied: &Applied) -> Result<(), ApplyError> {
    let Some(disk) = applied.desired.disks.iter().find(|disk| disk.subvolumes.contains(&Subvolume::Postgres)) else {
        return Ok(());
    };
    let base = host.root.join(disk.base.as_path());
    let free = storage::space(&base).map_err(|error| failed("measure the disk", error.into()))?;
    let cluster = host.root.join(disk.live().join(Subvolume::Postgres.name()).as_path());
    let taken = size::size_below(cluster.clone()).await.map_err(|source| {
        let error = storage::StorageError::Io { doing: "measure", path: cluster, source };
        failed("measure the database", error.into())
    })?;
    let needed = taken.saturating_mul(2);
    if free.free >= needed {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let why =
        format!("has {} MiB free, and about twice the {} MiB of the database are needed", mib(free.free), mib(taken));
    let remedy = "photos-agent snapshot prune, photos-agent snapshot list (replaced-...), or free space otherwise";
    Err(ApplyError::Refused(vec![Refusal::new(disk.base.as_str(), why, remedy)]))
}

async fn carry_out(
    host: &Host,
    wish: &Wish,
    applied: &Applied,
    majors: (PostgresMajor, PostgresMajor),
    (from, to): (Side, Side),
    operation: &mut Operation<'_>,
    progress: &mut dyn Progress,
) -> Result<(apply::Survey, jiff::Timestamp), ApplyError> {
    let loaded = &applied.loaded;
    let before = vitals().await.map_err(|source| failed("ask the database", source))?;
    let settings = &loaded.settings.upgrade;
    let (settle, timeout) = (settings.settle.length(), settings.timeout.length());
    let change = Change { from, to, loaded: loaded.clone(), before, settle, timeout };
    let reason = format!("before PostgreSQL {}", majors.1);
    let stopped = async {
        begin_upgrade(&change, host, operation, progress).await?;
        take_snapshot(host, wish, applied, &change, reason, operation, progress).await
    };
    match stopped.await {
        Ok(back) => Box::pin(apply::major::change(host, loaded, back, majors, operation, progress)).await,
        Err(error) => {
            if let Err(left) = give_up(host, loaded, operation, progress).await {
                tracing::error!("the stack did not come up again: {}", chain(&left));
            }
            Err(error)
        }
    }
}
