//! A database in a container that is made to be thrown away, to see whether a snapshot's would come up, or to move what is in
//! it to another one: how it is run, what it is asked.
//!
//! It runs as the real one does (its quadlet), with the same image and entry point, but for what it must not have: a
//! network, a secret, a place in photos.slice.

use super::DATABASE_PASSWORD;
use super::postgres::{AS_POSTGRES, data_folder};
use crate::model::{ImageRef, PostgresMajor, SnapshotId, Subvolume};

/// Longest life of its container, in seconds, whatever becomes of the agent.
const LIFE: u32 = 24 * 60 * 60;

/// What it may use. Its cache is small, since each page is read once; the rest is for looking at an index as a whole.
const MEMORY: &str = "1g";
const PROCESSES: u32 = 200;

/// Settings that differ from the real one's. What is written is thrown away, or is brought to its disk as a whole in the
/// end, so that nothing waits for a disk that others need; nobody else asks; nothing is shipped anywhere; and no statement
/// with a password in it is repeated.
const SETTINGS: [&str; 4] = ["fsync=off", "autovacuum=off", "archive_mode=off", "log_min_error_statement=panic"];

/// Exit code of a command of [`STRUCTURE`] or [`CHECKSUMS`] for "the image has no such program".
pub const NO_PROGRAM: i32 = 77;

/// The same for "the image has the program, and not the extension".
pub const NO_EXTENSION: i32 = 78;

/// One, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throwaway {
    /// Its container's name.
    pub name: String,
    image: ImageRef,
    /// Further options of `podman run`.
    options: Vec<String>,
    /// Settings of the server beside [`SETTINGS`].
    settings: Vec<String>,
    /// What ends well in its container once it takes statements.
    ready: &'static [&'static str],
}

impl Throwaway {
    /// The name of the container for a snapshot's.
    pub fn name(id: &SnapshotId) -> String {
        format!("photos-verify-{id}")
    }

    /// On the writable clone at `clone`. `memory` and `processes`: whether the host can limit them.
    pub fn new(
        id: &SnapshotId,
        image: &ImageRef,
        clone: &str,
        major: PostgresMajor,
        (memory, processes): (bool, bool),
    ) -> Self {
        let mut options = vec![mount(clone, data_folder(major))];
        if memory {
            // The second: of memory and swap together.
            options.extend([format!("--memory={MEMORY}"), format!("--memory-swap={MEMORY}")]);
        }
        if processes {
            options.push(format!("--pids-limit={PROCESSES}"));
        }
        let settings = ["listen_addresses=", "shared_buffers=128MB"].map(str::to_owned).into();
        Self { name: Self::name(id), image: image.clone(), options, settings, ready: &ANSWERS }
    }

    /// The name of the container of what takes the place of a snapshot's.
    pub fn successors_name(id: &SnapshotId) -> String {
        format!("photos-major-{id}")
    }

    /// What is moved: on the writable clone at `clone` of a snapshot's database. Nothing else runs, and so it has no limits.
    pub fn source(id: &SnapshotId, image: &ImageRef, clone: &str, major: PostgresMajor) -> Self {
        let data = data_folder(major);
        // Where its successor finds it, which has the clone mounted, too.
        let settings = vec!["listen_addresses=".to_owned(), format!("unix_socket_directories=/run/postgresql,{data}")];
        Self {
            name: Self::name(id),
            image: image.clone(),
            options: vec![mount(clone, data)],
            settings,
            ready: &ANSWERS,
        }
    }

    /// What it is moved to: a new cluster in the empty subvolume at `cluster`, which the image makes as it makes the real one
    /// (its quadlet). `source` is the clone of the one above.
    pub fn successor(id: &SnapshotId, image: &ImageRef, cluster: &str, major: PostgresMajor, source: &str) -> Self {
        let secret = format!("--secret={DATABASE_PASSWORD},type=mount,uid=999,gid=999,mode=0400");
        let password = format!("--env=POSTGRES_PASSWORD_FILE=/run/secrets/{DATABASE_PASSWORD}");
        let made = ["--env=POSTGRES_USER=postgres", "--env=POSTGRES_DB=immich", CHECKSUMMED].map(str::to_owned);
        let mounts = [mount(cluster, data_folder(major)), format!("{},ro", mount(source, SOURCE))];
        let options = mounts.into_iter().chain([secret, password]).chain(made).collect();
        // On an address, unlike the one that the entry point starts to make databases in. Half-written pages are as good as
        // nothing here.
        let settings = ["listen_addresses=127.0.0.1", "full_page_writes=off"].map(str::to_owned).into();
        Self { name: Self::successors_name(id), image: image.clone(), options, settings, ready: &LISTENS }
    }

    /// Podman's arguments for what ends well once it takes statements.
    pub fn ready(&self) -> Vec<String> {
        self.within(self.ready)
    }

    /// Podman's arguments to run one of the texts below in it.
    pub fn script(&self, text: &str) -> Vec<String> {
        self.within(&["bash", "-c", text])
    }

    fn within(&self, command: &[&str]) -> Vec<String> {
        let exec = ["exec", "--interactive", AS_POSTGRES, &self.name];
        exec.iter().chain(command).map(ToString::to_string).collect()
    }

    /// Podman's arguments to run the database; `command` is what the image runs by itself.
    pub fn run(&self, command: &[String]) -> Vec<String> {
        // The entry point becomes uid 999 with these, as in the quadlet.
        let capabilities = "--cap-add=CHOWN,DAC_OVERRIDE,FOWNER,SETGID,SETUID";
        let tmpfs = ["--tmpfs=/etc/postgresql:mode=1777", "--tmpfs=/run/postgresql:mode=1777"];
        let mut arguments = self.arguments();
        arguments.extend([capabilities, "--stop-signal=SIGINT"].into_iter().chain(tmpfs).map(str::to_owned));
        arguments.push(self.image.to_string());
        arguments.extend_from_slice(command);
        let settings = SETTINGS.map(str::to_owned).into_iter().chain(self.settings.iter().cloned());
        arguments.extend(settings.flat_map(|setting| ["-c".to_owned(), setting]));
        arguments
    }

    /// Podman's arguments to look at all pages of a database that was shut down.
    pub fn checksums(&self) -> Vec<String> {
        let mut arguments = self.arguments();
        arguments.extend(["--user=postgres", "--entrypoint=sh"].map(str::to_owned));
        arguments.extend([self.image.to_string(), "-c".to_owned(), CHECKSUMS.to_owned()]);
        arguments
    }

    /// Podman's arguments to look at the structure of all tables and indexes of the database that runs.
    pub fn structure(&self) -> Vec<String> {
        ["exec", AS_POSTGRES, &self.name, "sh", "-c", STRUCTURE].map(str::to_owned).into()
    }

    /// Podman's arguments to shut it down.
    pub fn stop(&self, seconds: u64) -> Vec<String> {
        ["stop".to_owned(), format!("--time={seconds}"), self.name.clone()].into()
    }

    fn arguments(&self) -> Vec<String> {
        let fixed = [
            "run",
            "--rm",
            "--pull=never",
            "--network=none",
            "--read-only",
            "--cap-drop=all",
            "--security-opt=no-new-privileges",
            "--security-opt=label=level:s0",
            "--log-driver=none",
            "--no-healthcheck",
            "--shm-size=128m",
        ];
        let own = [format!("--name={}", self.name), format!("--timeout={LIFE}")];
        fixed.map(str::to_owned).into_iter().chain(own).chain(self.options.iter().cloned()).collect()
    }
}

/// Not `--volume`, which splits at colons. The fields of a line of CSV.
fn mount(source: &str, target: &str) -> String {
    format!("--mount=type=bind,\"source={}\",target={target}", source.replace('"', "\"\""))
}

const ANSWERS: [&str; 4] = ["psql", "--no-psqlrc", "--username=postgres", "--dbname=postgres"];

const LISTENS: [&str; 3] = ["pg_isready", "--quiet", "--host=127.0.0.1"];

/// As in the quadlet: the folder has no copy on write, and so no checksums of BTRFS.
const CHECKSUMMED: &str = "--env=POSTGRES_INITDB_ARGS=--data-checksums";

/// Where a successor has the clone mounted of what it takes the place of, and with it the socket.
const SOURCE: &str = "/mnt";

/// `--heapallindexed`: every row is in every index; `--parent-check`: the levels of an index agree. The extension is
/// installed in the clone.
const STRUCTURE: &str = "\
command -v pg_amcheck >/dev/null || exit 77
known=$(psql --no-psqlrc --username=postgres --dbname=immich --tuples-only --no-align \
 --command=\"SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'\") || exit 1
[ \"$known\" = 1 ] || exit 78
exec pg_amcheck --username=postgres --database=immich --install-missing --heapallindexed --parent-check";

/// Unlike a running database, it reads every page of every file, those of vector indexes too.
const CHECKSUMS: &str = "\
command -v pg_checksums >/dev/null || exit 77
exec pg_checksums --check --pgdata=\"$PGDATA\"";

/// For [`super::session`]: what it says of itself and how many rows its main tables have, then a sample of the files
/// that its rows name; each in a JSON document a line. Tables and columns have had other names, so it is asked for those
/// that there are. Of a file that is offline, Immich itself knows that it is not there.
pub const ASK: &str = r"\pset tuples_only on
\pset format unaligned
SELECT json_build_object('facts', json_build_object('version', current_setting('server_version'),
 'checksums', current_setting('data_checksums') = 'on'));
\connect immich
SELECT format('SELECT json_build_object(''rows'', json_build_object(%L, count(*))) FROM public.%I', relname, relname)
 FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname IN
 ('user', 'users', 'library', 'libraries', 'asset', 'assets', 'album', 'albums', 'person', 'asset_face', 'asset_faces')
 ORDER BY relname \gexec
SELECT format('SELECT json_build_object(''path'', left(path, 5000)) FROM (
 (SELECT %2$I AS path FROM public.%1$I WHERE NOT %3$I ORDER BY %4$I DESC LIMIT 50) UNION
 (SELECT %2$I FROM public.%1$I WHERE NOT %3$I ORDER BY random() LIMIT 200)) AS sample WHERE path IS NOT NULL',
 relname, 'originalPath', 'isOffline', 'createdAt')
 FROM pg_class AS found WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
 AND relname IN ('asset', 'assets') AND 3 = (SELECT count(*) FROM pg_attribute WHERE attrelid = found.oid
 AND NOT attisdropped AND attname IN ('originalPath', 'isOffline', 'createdAt')) \gexec
";

/// Where the server sees subvolumes of the snapshot: a folder in its container, and what is mounted there. Deeper ones
/// come first.
const SERVER_SEES: [(&str, Subvolume); 4] = [
    ("/data/thumbs/", Subvolume::Thumbs),
    ("/data/encoded-video/", Subvolume::EncodedVideo),
    ("/data/", Subvolume::Media),
    ("/external/icloud/", Subvolume::Icloud),
];

/// The subvolume that a path of the database lies in, and the path in it; none for what the operator has mounted. The
/// path is as hostile as it was before.
pub fn seen_by_server(path: &str) -> Option<(Subvolume, &str)> {
    SERVER_SEES.iter().find_map(|(folder, subvolume)| Some((*subvolume, path.strip_prefix(folder)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throwaway(limits: (bool, bool)) -> Throwaway {
        let image = format!("ghcr.io/immich-app/postgres@sha256:{}", "0".repeat(64)).parse().unwrap();
        let id = "20261121T144512Z".parse().unwrap();
        Throwaway::new(&id, &image, "/srv/My Photos, 100%:x/postgres", "17".parse().unwrap(), limits)
    }

    #[test]
    fn it_has_no_network_no_secret_and_no_place_in_the_slice() {
        let throwaway = throwaway((true, true));
        for arguments in [throwaway.run(&["postgres".to_owned()]), throwaway.checksums()] {
            for needed in ["--rm", "--network=none", "--read-only", "--cap-drop=all", "--memory=1g", "--pids-limit=200"]
            {
                assert!(arguments.iter().any(|argument| argument == needed), "{needed}: {arguments:?}");
            }
            let text = arguments.join(" ");
            for forbidden in ["secret", "photos.slice", "publish", "privileged"] {
                assert!(!text.contains(forbidden), "{forbidden}: {text}");
            }
        }
    }

    #[test]
    fn it_runs_what_the_image_runs_with_settings_of_its_own() {
        let arguments = throwaway((false, false)).run(&["postgres".to_owned(), "-c".to_owned(), "x=y".to_owned()]);
        let at = arguments.iter().position(|argument| argument.starts_with("ghcr.io/")).unwrap();
        assert_eq!(arguments[at + 1..at + 6], ["postgres", "-c", "x=y", "-c", "fsync=off"]);
        assert!(arguments.contains(&"listen_addresses=".to_owned()));
        assert!(!arguments.iter().any(|argument| argument.starts_with("--memory")));
        let mount = "--mount=type=bind,\"source=/srv/My Photos, 100%:x/postgres\",target=/var/lib/postgresql/data";
        assert!(arguments.iter().any(|argument| argument == mount), "{arguments:?}");
    }

    #[test]
    fn a_successor_is_made_as_the_real_one_and_sees_what_it_takes_the_place_of() {
        let image: ImageRef = format!("ghcr.io/immich-app/postgres@sha256:{}", "1".repeat(64)).parse().unwrap();
        let id = "20261121T144512Z".parse().unwrap();
        let old = Throwaway::source(&id, &image, "/p/clone", "17".parse().unwrap());
        let new = Throwaway::successor(&id, &image, "/p/next/postgres", "18".parse().unwrap(), "/p/clone");
        assert_ne!(old.name, new.name);
        let (old, new) = (old.run(&[]), new.run(&[]));
        let base = include_str!("../../quadlets/immich-postgres.container");
        let keys = [("Environment", "--env="), ("Secret", "--secret=")];
        for (key, option) in keys {
            let lines = base.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            for line in lines {
                assert!(new.contains(&format!("{option}{line}")), "{line}: {new:?}");
            }
        }
        for (arguments, needed) in [
            (&old, "--mount=type=bind,\"source=/p/clone\",target=/var/lib/postgresql/data"),
            (&old, "unix_socket_directories=/run/postgresql,/var/lib/postgresql/data"),
            (&new, "--mount=type=bind,\"source=/p/next/postgres\",target=/var/lib/postgresql"),
            (&new, "--mount=type=bind,\"source=/p/clone\",target=/mnt,ro"),
        ] {
            assert!(arguments.iter().any(|argument| argument == needed), "{needed}: {arguments:?}");
        }
        assert!(!old.join(" ").contains("secret") && new.contains(&"--network=none".to_owned()));
    }

    #[test]
    fn a_path_of_the_database_is_found_in_its_subvolume() {
        for (path, place) in [
            ("/data/upload/a/b.jpg", Some((Subvolume::Media, "upload/a/b.jpg"))),
            ("/data/thumbs/a.webp", Some((Subvolume::Thumbs, "a.webp"))),
            ("/data/encoded-video/a.mp4", Some((Subvolume::EncodedVideo, "a.mp4"))),
            ("/data/thumbsup/a", Some((Subvolume::Media, "thumbsup/a"))),
            ("/external/icloud/2026/a.heic", Some((Subvolume::Icloud, "2026/a.heic"))),
            ("/data/../etc/passwd", Some((Subvolume::Media, "../etc/passwd"))),
            ("/data//etc/passwd", Some((Subvolume::Media, "/etc/passwd"))),
            ("/external/other/a", None),
            ("/database/a", None),
            ("upload/a", None),
            ("", None),
        ] {
            assert_eq!(seen_by_server(path), place, "{path}");
        }
    }
}
