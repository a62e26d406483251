//! The database.

use super::unit::Unit;
use super::{Context, DATABASE_PASSWORD, Refusal};
use crate::model::{DatabaseStorage, PostgresMajor, Service, Subvolume};
use crate::quadlet::{OnFailure, Value};

const BASE: &str = include_str!("../../quadlets/immich-postgres.container");

/// The first major version whose image keeps its data in a folder per version, below the mount.
const PER_VERSION_FOLDERS: u32 = 18;

pub(super) fn unit(context: &Context<'_>) -> Result<Unit, Refusal> {
    let mut unit = Unit::service(BASE, Service::Postgres, context)?;
    unit.mount(context, Subvolume::Postgres, data_folder(context.images.major), "")?;
    if context.settings.postgres.storage == DatabaseStorage::Hdd {
        unit.environment("DB_STORAGE_TYPE", "HDD")?;
    }
    let set_password = ["exec", "--user=postgres", Service::Postgres.stem(), "sh", "-c", &password_script()];
    // A database that runs is worth more than a password that is set: the server says what is wrong with it.
    let command = Value::command(OnFailure::Ignore, &context.facts.programs.podman, set_password);
    unit.add("Service", "ExecStartPost", command)?;
    unit.commit(context, Subvolume::Postgres)?;
    Ok(unit)
}

/// Where the image declares its volume: it moved in PostgreSQL 18, and a mount at the old place would leave the
/// data in an anonymous volume, which Podman deletes with the container.
fn data_folder(major: PostgresMajor) -> &'static str {
    if major.get() >= PER_VERSION_FOLDERS { "/var/lib/postgresql" } else { "/var/lib/postgresql/data" }
}

/// Gives the role the password of the secret, over the local socket, after every start: a restored cluster knows
/// the password of its own time.
///
/// psql reads the file inside the container, so that the password is in no argument list; statements are not
/// logged in this session, whatever the cluster's configuration says.
fn password_script() -> String {
    let quiet = ["log_statement=none", "log_min_duration_statement=-1", "log_min_error_statement=panic"];
    let options = quiet.map(|option| format!("-c {option}")).join(" ");
    let read = format!("\\set password `cat /run/secrets/{DATABASE_PASSWORD}`");
    let set = "ALTER ROLE postgres PASSWORD :'password';";
    format!(
        "printf '%s\\n' '{}' '{}' | PGOPTIONS='{options}' psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
         --username=postgres --dbname=postgres",
        read,
        set.replace('\'', "'\\''"),
    )
}
