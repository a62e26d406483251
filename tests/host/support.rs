//! A disposable host as a value: boots when it is made, is gone when it is dropped.
//!
//! What a test says to it are shell commands, since that is what a person would type. A host whose
//! test failed prints its last words; `KEEP_HOSTS=1` leaves it for a look (`testhost exec NAME ...`).

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// One host.
pub struct Host {
    name: String,
}

/// What a command on a host came to.
#[derive(Debug, Clone)]
pub struct Done {
    /// Exit code; of a signal, 128 and its number.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Done {
    /// Both outputs, for messages.
    pub fn all(&self) -> String {
        format!("exit {}\n{}{}", self.code, self.out, self.err)
    }
}

/// The deb that `make package` built.
pub fn deb() -> PathBuf {
    let path = std::env::var_os("PHOTOS_AGENT_DEB").map(PathBuf::from);
    path.expect("PHOTOS_AGENT_DEB names the deb under test: run these tests with `make host`")
}

/// The rpm beside it.
pub fn rpm() -> PathBuf {
    let path = std::env::var_os("PHOTOS_AGENT_RPM").map(PathBuf::from);
    path.expect("PHOTOS_AGENT_RPM names the rpm under test: run these tests with `make host`")
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/testhost")
}

fn testhost(arguments: &[&str]) -> Done {
    let output = Command::new(script()).args(arguments).stdin(Stdio::null()).output().expect("testhost runs");
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn testhost_ok(arguments: &[&str]) -> String {
    let done = testhost(arguments);
    assert!(done.code == 0, "testhost {}: {}", arguments.join(" "), done.all());
    done.out
}

impl Host {
    /// A host on which nothing was ever pulled or applied; the deb is installed.
    pub fn fresh(test: &str) -> Self {
        Self::boot(test, &[]).with_deb()
    }

    /// The same, with all images in Podman's store.
    pub fn with_images(test: &str) -> Self {
        Self::boot(test, &["--images"]).with_deb()
    }

    /// The same, before anything was installed.
    pub fn bare(test: &str) -> Self {
        Self::boot(test, &["--images"])
    }

    /// A host that was converged with the default configuration, agent not enabled, and booted again.
    ///
    /// Made once per deb, and kept in the hosts' cache.
    pub fn converged(test: &str) -> Self {
        let host = Self::from_saved(test, "converged", "", || {
            let host = Self::with_images("converging");
            host.ok("photos-agent apply");
            host
        });
        host.wait_for("photos-agent status", 90);
        host
    }

    /// A host with the disks of the one that `make` returned, once per deb and `recipe` (what `make` does, as far as its
    /// caller does not see to a new `kind` with it), kept in the hosts' cache.
    pub fn from_saved(test: &str, kind: &'static str, recipe: &str, make: impl FnOnce() -> Self) -> Self {
        static SAVED: Mutex<BTreeMap<&str, Arc<OnceLock<String>>>> = Mutex::new(BTreeMap::new());
        let this = SAVED.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().clone();
        // The second that needs it waits for the first.
        let saved = this.get_or_init(|| Self::save(kind, recipe, make));
        Self::boot(test, &["--from", saved])
    }

    fn save(kind: &str, recipe: &str, make: impl FnOnce() -> Self) -> String {
        let deb = std::fs::read(deb()).expect("the deb is there");
        let template = std::fs::read(script().with_file_name("recipe")).expect("the recipe is there");
        let hash = Sha256::new().chain_update(deb).chain_update(template).chain_update(recipe).finalize();
        let saved = format!("{kind}-{}", hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>());
        if testhost(&["saved", &saved]).code != 0 {
            let host = make();
            testhost_ok(&["save", &host.name, &saved]);
            std::mem::forget(host);
        }
        saved
    }

    fn boot(test: &str, options: &[&str]) -> Self {
        // Neither two runs on one machine nor two tests that begin alike meet.
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("t{}-{}-{test}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut arguments = vec!["up", name.as_str()];
        arguments.extend(options);
        testhost_ok(&arguments);
        Self { name }
    }

    fn with_deb(self) -> Self {
        self.copy(&deb(), "/root/photos-agent.deb");
        self.ok("apt-get install -qq -y -o Dpkg::Use-Pty=0 /root/photos-agent.deb >/dev/null");
        self
    }

    /// Copies a file of this machine.
    pub fn copy(&self, from: &Path, to: &str) {
        testhost_ok(&["cp", &self.name, &from.to_string_lossy(), to]);
    }

    /// Copies a folder to another host, under the same path.
    pub fn hand(&self, folder: &str, other: &Self) {
        let exec = |name: &str, command: String| {
            let mut child = Command::new(script());
            child.args(["exec", name, "sh", "-c", &command]);
            child
        };
        let mut packed =
            exec(&self.name, format!("tar -C / -c '.{folder}'")).stdout(Stdio::piped()).spawn().expect("it runs");
        let taken = exec(&other.name, "tar -C / -x".to_owned()).stdin(packed.stdout.take().expect("a pipe")).status();
        assert!(taken.expect("it runs").success() && packed.wait().expect("it ends").success(), "hand {folder}");
    }

    /// Runs a shell command.
    pub fn run(&self, command: &str) -> Done {
        testhost(&["exec", &self.name, "sh", "-c", command])
    }

    /// Runs a shell command that must succeed, and returns its output without the last line break.
    pub fn ok(&self, command: &str) -> String {
        let done = self.run(command);
        assert!(done.code == 0, "{command}: {}", done.all());
        done.out.trim_end_matches('\n').to_owned()
    }

    /// Runs a shell command that must end with this exit code.
    pub fn fails(&self, code: i32, command: &str) -> Done {
        let done = self.run(command);
        assert!(done.code == code, "{command}: wanted exit {code}, got {}", done.all());
        done
    }

    /// Starts a shell command and leaves it running: kill it, or wait for it.
    pub fn start(&self, command: &str) -> std::process::Child {
        Command::new(script())
            .args(["exec", &self.name, "sh", "-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("testhost runs")
    }

    /// Writes a file and its missing folders.
    pub fn write(&self, path: &str, text: &str) {
        let write = format!("mkdir -p \"$(dirname '{path}')\" && cat > '{path}'");
        let mut child = Command::new(script())
            .args(["exec", &self.name, "sh", "-c", &write])
            .stdin(Stdio::piped())
            .spawn()
            .expect("testhost runs");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("the host reads");
        assert!(child.wait().expect("testhost ends").success(), "write {path}");
    }

    /// The configuration of the agent.
    pub fn configure(&self, text: &str) {
        self.write("/etc/photos-agent/config.toml", text);
    }

    /// Waits until a command succeeds, at most so many seconds; returns how long it took.
    pub fn wait_for(&self, command: &str, seconds: u64) -> Duration {
        let begun = Instant::now();
        loop {
            let done = self.run(command);
            if done.code == 0 {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < Duration::from_secs(seconds), "{command}, for {seconds} s: {}", done.all());
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Asserts that there is nothing to do and all is well.
    pub fn assert_converged(&self) {
        let done = self.run("photos-agent plan");
        assert!(done.code == 0, "a second plan is empty: {}", done.all());
        // A health check that a busy machine was late with is made again.
        self.wait_for("photos-agent status", 30);
    }

    /// Shuts down cleanly and boots.
    pub fn reboot(&self) {
        testhost_ok(&["reboot", &self.name]);
    }

    /// SIGKILLs everything and boots; the page cache survives.
    pub fn crash(&self) {
        testhost_ok(&["crash", &self.name]);
    }

    /// The same, without what had not reached the disks.
    pub fn cut_power(&self) {
        testhost_ok(&["powercut", &self.name]);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // So few that those of a second one are read, too.
            let words = self.run(
                "photos-agent status; photos-agent plan; journalctl -q --no-pager -n 200 -o short-precise \
                 | grep -Ev '/libpod/|conmon|health_status' | tail -n 20 | cut -c 1-240",
            );
            eprintln!("--- last words of host {} ---\n{}", self.name, words.all());
        }
        if std::env::var_os("KEEP_HOSTS").is_none() {
            testhost(&["down", &self.name]);
        }
    }
}
