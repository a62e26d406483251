//! What a host decides, and why.

use std::cmp::Reverse;

use super::{Card, Choice, DEFAULT_FOLDER, DEFAULT_PORT, Pool, Seen};
use crate::config::value::quoted;

/// Under which a second filesystem is not worth a database of its own, in bytes: one of a few hundred thousand pictures
/// takes a few GiB, and a newer PostgreSQL needs twice that.
const ROOM_FOR_DATABASES: u64 = 16 << 30;

/// One choice for each key that a host can decide, in the order of the file.
pub fn choose(seen: &Seen) -> Vec<Choice> {
    let pool = best(&seen.pools);
    let mut choices = vec![root(pool, &seen.pools)];
    choices.extend(databases(pool, &seen.pools));
    choices.push(listen(seen));
    choices.push(timezone(seen));
    choices.push(storage(pool));
    choices.extend(seen.graphics.iter().map(card));
    choices
}

/// A stack that is there already, else the most room, and of equals the default.
fn best(pools: &[Pool]) -> Option<&Pool> {
    pools.iter().min_by_key(|pool| (!pool.has_stack, Reverse(pool.free >> 30), !pool.is_default))
}

fn root(best: Option<&Pool>, pools: &[Pool]) -> Choice {
    let key = "storage.root";
    let Some(best) = best else {
        let because = format!(
            "no BTRFS filesystem that can be written was found, and {DEFAULT_FOLDER} has to lie on one. \
             \"Add a disk\" in the operator guide says how."
        );
        return Choice::left(key, because);
    };
    let free = best.free >> 30;
    let because = match (best.has_stack, pools.len()) {
        (true, _) => format!("a photo stack lies in {} already.", best.folder),
        (_, 1) => format!("it is on the only BTRFS filesystem, with {free} GiB free."),
        (_, several) => format!("of {several} BTRFS filesystems this one has the most room: {free} GiB free."),
    };
    if best.is_default { Choice::left(key, because) } else { Choice::set(key, quoted(best.folder.as_str()), because) }
}

/// Suggested, not chosen: two disks have to be there together, and a person should want that.
fn databases(best: Option<&Pool>, pools: &[Pool]) -> Option<Choice> {
    let best = best.filter(|best| best.turns == Some(true))?;
    let faster = |pool: &&Pool| pool.turns == Some(false) && pool.free >= ROOM_FOR_DATABASES && *pool != best;
    let flash = pools.iter().filter(faster).max_by_key(|pool| pool.free)?;
    let because = format!(
        "{} is on a disk that turns. The database would be faster in {}, on flash with {} GiB free. That is for you \
         to say, since both disks have to be there then, for every start and every snapshot.",
        best.folder,
        flash.folder,
        flash.free >> 30,
    );
    Some(Choice { suggested: Some(quoted(flash.folder.as_str())), ..Choice::left("storage.databases", because) })
}

fn listen(seen: &Seen) -> Choice {
    let key = "immich.listen";
    let Some(by) = &seen.taken_by else { return Choice::left(key, format!("port {DEFAULT_PORT} is free.")) };
    let taken = format!("{by} has port {DEFAULT_PORT} already");
    match seen.free_port {
        Some(port) => Choice::set(key, quoted(&format!("127.0.0.1:{port}")), format!("{taken}; {port} is free.")),
        None => Choice::left(key, format!("{taken}, and none of the next ones is free: choose another.")),
    }
}

/// Stays at the default, which follows the host when that moves.
fn timezone(seen: &Seen) -> Choice {
    let because = match &seen.timezone {
        Some(name) => format!("the host has its own, {name}, and the server follows it."),
        None => "the host has none of its own, so days begin by UTC. Name yours, or set the host's: \
                 timedatectl set-timezone."
            .to_owned(),
    };
    Choice::left("immich.timezone", because)
}

fn storage(best: Option<&Pool>) -> Choice {
    let key = "postgres.storage";
    match best.and_then(|pool| pool.turns) {
        Some(true) => Choice::set(key, quoted("hdd"), "the database lies on a disk that turns."),
        Some(false) => Choice::left(key, "the database lies on flash."),
        None => Choice::left(
            key,
            "the kernel does not tell what the database lies on; write \"hdd\" for a disk that turns.",
        ),
    }
}

/// Stays at the default, which follows what is plugged in.
fn card(card: &Card) -> Choice {
    Choice { suggested: card.suggested.as_deref().map(quoted), ..Choice::left(card.key, card.because.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(folder: &str, gib: u64, turns: Option<bool>) -> Pool {
        let is_default = folder == DEFAULT_FOLDER;
        Pool { folder: folder.parse().unwrap(), is_default, has_stack: false, free: gib << 30, turns }
    }

    fn of(choices: &[Choice], key: &str) -> (Option<String>, String) {
        let choice = choices.iter().find(|choice| choice.key == key);
        choice.map_or((None, String::new()), |choice| (choice.value.clone(), choice.because.clone()))
    }

    #[test]
    fn the_library_goes_where_a_stack_is_or_else_where_most_room_is() {
        let (flash, turns) = (Some(false), Some(true));
        let stack = |pool: Pool| Pool { has_stack: true, ..pool };
        let default = |gib| pool(DEFAULT_FOLDER, gib, flash);
        for (pools, root, because) in [
            (vec![], None, "no BTRFS"),
            (vec![default(10)], None, "the only"),
            (vec![default(10), pool("/srv/pool/photos", 900, turns)], Some("\"/srv/pool/photos\""), "900 GiB"),
            (vec![pool("/srv/pool/photos", 900, turns), default(901)], None, "901 GiB"),
            // What differs by less than a GiB is the same.
            (vec![pool("/a", 10, flash), default(10)], None, "10 GiB"),
            (vec![stack(pool("/a", 1, flash)), default(900)], Some("\"/a\""), "already"),
            (vec![pool("/mnt/a \"b\"", 1, flash)], Some(r#""/mnt/a \"b\"""#), "the only"),
        ] {
            let choices = choose(&Seen { pools: pools.clone(), ..Seen::default() });
            let (value, why) = of(&choices, "storage.root");
            assert_eq!(value.as_deref(), root, "{pools:?}");
            assert!(why.contains(because), "{why}");
        }
    }

    #[test]
    fn a_disk_that_turns_is_told_to_the_database_and_flash_is_suggested() {
        let (flash, turns) = (Some(false), Some(true));
        for (pools, storage, suggested) in [
            (vec![pool("/hdd", 900, turns)], Some("\"hdd\""), None),
            (vec![pool("/ssd", 900, flash)], None, None),
            (vec![pool("/odd", 900, None)], None, None),
            (vec![], None, None),
            (vec![pool("/hdd", 900, turns), pool("/ssd", 100, flash)], Some("\"hdd\""), Some("\"/ssd\"")),
            (vec![pool("/hdd", 900, turns), pool("/ssd", 15, flash)], Some("\"hdd\""), None),
            (vec![pool("/ssd", 900, flash), pool("/ssd2", 100, flash)], None, None),
        ] {
            let choices = choose(&Seen { pools: pools.clone(), ..Seen::default() });
            assert_eq!(of(&choices, "postgres.storage").0.as_deref(), storage, "{pools:?}");
            let databases = choices.iter().find(|choice| choice.key == "storage.databases");
            assert_eq!(databases.and_then(|choice| choice.value.as_ref()), None, "not without being asked");
            assert_eq!(databases.and_then(|choice| choice.suggested.as_deref()), suggested, "{pools:?}");
        }
    }

    #[test]
    fn a_port_that_somebody_has_is_left_to_him() {
        let seen = |taken: Option<&str>, free_port| Seen {
            taken_by: taken.map(str::to_owned),
            free_port,
            timezone: Some("Europe/Oslo".to_owned()),
            ..Seen::default()
        };
        let listen = |seen: &Seen| of(&choose(seen), "immich.listen");
        assert_eq!(listen(&seen(None, Some(2283))).0, None);
        let (value, why) = listen(&seen(Some("docker-proxy (process 7)"), Some(2284)));
        assert_eq!(value.as_deref(), Some("\"127.0.0.1:2284\""));
        assert!(why.contains("docker-proxy") && why.contains("2284"), "{why}");
        assert_eq!(listen(&seen(Some("x"), None)).0, None);
        assert!(of(&choose(&seen(None, None)), "immich.timezone").1.contains("Europe/Oslo"));
        assert!(of(&choose(&Seen::default()), "immich.timezone").1.contains("timedatectl"));
    }
}
