//! role.json: which secret the database's role was last given while the database ran.

use serde::{Deserialize, Serialize};

use crate::model::{RolePassword, Root};
use crate::record::{RecordError, SCHEMA, read, state, write};

#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    #[serde(flatten)]
    role: RolePassword,
}

const NAME: &str = "role.json";

/// The last one; none where there was none.
pub fn role_password(root: &Root) -> Result<Option<RolePassword>, RecordError> {
    Ok(read::<File>(&state(root, NAME))?.map(|file| file.role))
}

/// Records it, durable on return.
pub fn set_role_password(root: &Root, role: RolePassword) -> Result<(), RecordError> {
    write(&state(root, NAME), &File { schema: SCHEMA, role })
}
