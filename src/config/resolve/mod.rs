//! From what all files say together to [`Settings`]: defaults, and the checks that need two values.

mod icloud;

use std::collections::BTreeMap;

use crate::catalogue::Catalogue;
use crate::model::{Component, EnvironmentName, HostPath, NetworkName, Release, TimeSpan};

use super::folders::{self, Claim};
use super::keys;
use super::meaning::{self, Refusal};
use super::merged::Merged;
use super::nearest::nearest;
use super::problems::{Problem, Problems};
use super::settings::{
    Hardware, Immich, Keep, Limits, Network, Notify, NotifyCommand, Postgres, Remote, Settings, Snapshots, Storage,
    Upgrade,
};
use super::value::{Entry, Value, quoted};

/// A value is missing because it is wrong; that is reported where it was read.
#[derive(Debug, Clone, Copy)]
struct Reported;

/// The settings; `None` if anything is wrong, which `problems` then says.
pub(super) fn resolve(merged: &Merged, catalogue: &Catalogue, problems: &mut Problems) -> Option<Settings> {
    let mut resolver = Resolver { merged, catalogue, problems };
    // All parts are resolved before the first that is wrong ends it.
    let storage = resolver.storage();
    let network = resolver.network();
    let immich = resolver.immich();
    let postgres = resolver.postgres();
    let hardware = resolver.hardware();
    let snapshots = resolver.snapshots();
    let upgrade = resolver.upgrade();
    let notify = resolver.notify();
    let icloud = resolver.icloud();
    let images = resolver.each_component(|resolver, component| {
        resolver.optional(&format!("images.{}", component.key()), meaning::plain)
    });
    let resources = resolver.each_component(Resolver::limits);
    let all = || -> Result<Settings, Reported> {
        Ok(Settings {
            storage: storage?,
            network: network?,
            immich: immich?,
            postgres: postgres?,
            hardware: hardware?,
            snapshots: snapshots?,
            upgrade: upgrade?,
            notify: notify?,
            icloud: icloud?,
            images: images?,
            resources: resources?,
            catalogue: catalogue.clone(),
        })
    };
    all().ok()
}

struct Resolver<'a> {
    merged: &'a Merged,
    catalogue: &'a Catalogue,
    problems: &'a mut Problems,
}

impl Resolver<'_> {
    fn storage(&mut self) -> Result<Storage, Reported> {
        let root = self.required("storage.root", meaning::folder);
        let databases = self.optional("storage.databases", meaning::folder);
        let ml_cache = self.optional("storage.ml_cache", meaning::folder);
        let chosen = [
            ("storage.root", root.as_ref().ok(), false),
            ("storage.databases", databases.as_ref().ok().and_then(Option::as_ref), false),
            ("storage.ml_cache", ml_cache.as_ref().ok().and_then(Option::as_ref), true),
        ];
        let mut earlier: Vec<Claim<'_>> = Vec::new();
        for (key, folder, whole) in chosen {
            let Some(folder) = folder else { continue };
            let claim = Claim { key, folder, whole };
            for other in &earlier {
                if let Some(taken) = folders::overlap(other, &claim) {
                    self.overlapping(&claim, other, &taken);
                }
            }
            earlier.push(claim);
        }
        Ok(Storage { root: root?, databases: databases?, ml_cache: ml_cache? })
    }

    fn overlapping(&mut self, claim: &Claim<'_>, other: &Claim<'_>, taken: &HostPath) {
        let (key, folder, first) = (claim.key, claim.folder, other.key);
        let help = if folder == other.folder {
            format!("`{first}` is \"{folder}\" too: leave `{key}` out, or name another folder")
        } else {
            format!("`{first}` is \"{}\"", other.folder)
        };
        let expected = format!("a folder apart from \"{taken}\", which belongs to `{first}`");
        let problem = Problem::of_key("bad value for", key).expected(expected).found(format!("\"{folder}\""));
        self.report(key, problem.help(Some(help)));
    }

    fn network(&mut self) -> Result<Network, Reported> {
        let subnet = self.required("network.subnet", meaning::plain);
        let server_networks = self.server_networks();
        Ok(Network { subnet: subnet?, server_networks: server_networks? })
    }

    fn server_networks(&mut self) -> Result<Vec<NetworkName>, Reported> {
        let key = "network.server_networks";
        let names = match self.value(key)? {
            Some(Value::List(names)) => names,
            _ => Vec::new(),
        };
        names.iter().map(|name| self.read(key, name, meaning::network)).collect()
    }

    fn immich(&mut self) -> Result<Immich, Reported> {
        let version = self.required("immich.version", meaning::release);
        if let Ok(version) = &version {
            self.version_is_known(version);
        }
        let listen = self.required("immich.listen", meaning::listen);
        let timezone = self.optional("immich.timezone", meaning::time_zone);
        let environment = self.environment();
        Ok(Immich { version: version?, listen: listen?, timezone: timezone?, environment: environment? })
    }

    /// Without a catalogue entry nobody knows the images, unless the operator names them.
    fn version_is_known(&mut self, version: &Release) {
        let overridden = ["images.server", "images.ml"].iter().all(|key| self.merged.get(key).is_some());
        if overridden || self.catalogue.find(version).is_some() {
            return;
        }
        let known = self.catalogue.names();
        let written = version.to_string();
        let close = nearest(&written, known.iter().map(String::as_str));
        let mut help = close.map_or_else(String::new, |close| format!("did you mean \"{close}\"? "));
        help.push_str(
            "Another release needs `images.server` and `images.ml` as well, or a file config.d/NAME.catalogue.toml",
        );
        let problem = Problem::of_key("unknown release for", "immich.version")
            .expected(format!("one of: {}", known.join(", ")))
            .found(format!("\"{written}\""))
            .help(Some(help));
        self.report("immich.version", problem);
    }

    fn environment(&mut self) -> Result<BTreeMap<EnvironmentName, String>, Reported> {
        let mut variables = BTreeMap::new();
        for (name, Entry { value, .. }) in self.merged.below("immich.environment") {
            match value {
                Some(Value::Text(text)) => {
                    let name = name.parse().map_err(|_| Reported)?;
                    variables.insert(name, text.clone());
                }
                _ => return Err(Reported),
            }
        }
        Ok(variables)
    }

    fn postgres(&mut self) -> Result<Postgres, Reported> {
        let major = match self.value("postgres.major") {
            Ok(Some(Value::Integer(number))) => meaning::major(number).map(Some).map_err(|_| Reported),
            Ok(_) => Ok(None),
            Err(reported) => Err(reported),
        };
        let storage = self.required("postgres.storage", meaning::disk);
        Ok(Postgres { major: major?, storage: storage? })
    }

    fn hardware(&mut self) -> Result<Hardware, Reported> {
        let ml = self.required("hardware.ml", meaning::plain);
        let transcoding = self.required("hardware.transcoding", meaning::plain);
        let device = self.optional("hardware.device", meaning::render);
        let gfx_override = self.optional("hardware.gfx_override", meaning::gfx);
        Ok(Hardware { ml: ml?, transcoding: transcoding?, device: device?, gfx_override: gfx_override? })
    }

    fn snapshots(&mut self) -> Result<Snapshots, Reported> {
        let schedule = self.required("snapshots.schedule", meaning::schedule);
        let mut kept = |name: &str| self.count(&format!("snapshots.keep.{name}"));
        let [last, hourly, daily] = ["last", "hourly", "daily"].map(&mut kept);
        let [weekly, monthly, yearly] = ["weekly", "monthly", "yearly"].map(&mut kept);
        let (last, hourly, daily) = (last?, hourly?, daily?);
        let keep = Keep { last, hourly, daily, weekly: weekly?, monthly: monthly?, yearly: yearly? };
        if [last, hourly, daily, keep.weekly, keep.monthly, keep.yearly].iter().all(|number| *number == 0) {
            // Whatever was meant: what was kept so far would go with the next prune.
            let problem = Problem::new("`snapshots.keep` keeps nothing").expected("one of its numbers above 0");
            let help = "to take no more snapshots, and keep those that there are: schedule = \"off\"";
            self.report("snapshots.keep.last", problem.help(Some(help.to_owned())));
            return Err(Reported);
        }
        Ok(Snapshots { schedule: schedule?, keep })
    }

    fn upgrade(&mut self) -> Result<Upgrade, Reported> {
        let min_age = self.required("upgrade.min_age", meaning::plain);
        let settle: Result<TimeSpan, _> = self.required("upgrade.settle", meaning::plain);
        let timeout: Result<TimeSpan, _> = self.required("upgrade.timeout", meaning::plain);
        let automatic = self.switch("upgrade.automatic");
        let schedule = self.required("upgrade.schedule", meaning::calendar);
        let window = self.required("upgrade.window", meaning::window);
        let (min_age, settle, timeout, automatic) = (min_age?, settle?, timeout?, automatic?);
        let upgrade = Upgrade { min_age, settle, timeout, automatic, schedule: schedule?, window: window? };
        if upgrade.settle.length() >= upgrade.timeout.length() {
            let problem = Problem::of_key("bad value for", "upgrade.timeout")
                .expected(format!("more than `upgrade.settle`, which is \"{}\"", upgrade.settle))
                .found(format!("\"{}\"", upgrade.timeout));
            let written = ["upgrade.timeout", "upgrade.settle"].into_iter().find(|key| self.merged.get(key).is_some());
            self.report(written.unwrap_or("upgrade.timeout"), problem);
            return Err(Reported);
        }
        Ok(upgrade)
    }

    fn notify(&mut self) -> Result<Notify, Reported> {
        let command = if let Ok(Some(Value::List(words))) = self.value("notify.command") {
            let mut words = words.into_iter();
            let program = self.read("notify.command", &words.next().unwrap_or_default(), meaning::program);
            program.map(|program| Some(NotifyCommand { program, arguments: words.collect() }))
        } else {
            let program = self.optional("notify.command", meaning::program);
            program.map(|found| found.map(|program| NotifyCommand { program, arguments: Vec::new() }))
        };
        let secret = self.optional("notify.url_secret", meaning::plain);
        let kind = self.required("notify.kind", meaning::plain)?;
        Ok(Notify { command: command?, remote: secret?.map(|secret| Remote { secret, kind }) })
    }

    fn switch(&self, key: &str) -> Result<bool, Reported> {
        match self.value(key)? {
            Some(Value::Boolean(truth)) => Ok(truth),
            _ => Err(Reported),
        }
    }

    fn count(&mut self, key: &str) -> Result<u32, Reported> {
        match self.value(key)? {
            Some(Value::Integer(number)) => meaning::count(number).map_err(|_| Reported),
            _ => Err(Reported),
        }
    }

    fn limits(&mut self, component: Component) -> Result<Option<Limits>, Reported> {
        let key = |last: &str| format!("resources.{}.{last}", component.key());
        let memory_max = self.optional(&key("memory_max"), meaning::plain);
        let cpu_quota = self.optional(&key("cpu_quota"), meaning::plain);
        let limits = Limits { memory_max: memory_max?, cpu_quota: cpu_quota? };
        Ok((limits != Limits::default()).then_some(limits))
    }

    /// What `of` gives for each component that has any.
    fn each_component<T>(
        &mut self,
        mut of: impl FnMut(&mut Self, Component) -> Result<Option<T>, Reported>,
    ) -> Result<BTreeMap<Component, T>, Reported> {
        let results: Vec<_> = Component::ALL.into_iter().map(|component| (component, of(self, component))).collect();
        let mut map = BTreeMap::new();
        for (component, result) in results {
            if let Some(value) = result? {
                map.insert(component, value);
            }
        }
        Ok(map)
    }

    fn required<T>(&mut self, key: &str, read: fn(&str) -> Result<T, Refusal>) -> Result<T, Reported> {
        if let Some(value) = self.optional(key, read)? {
            return Ok(value);
        }
        self.report(key, Problem::of_key("no value for", key));
        Err(Reported)
    }

    fn optional<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, Refusal>) -> Result<Option<T>, Reported> {
        match self.value(key)? {
            Some(Value::Text(text)) => self.read(key, &text, read).map(Some),
            _ => Ok(None),
        }
    }

    /// What the files say of `key`, else its default.
    fn value(&self, key: &str) -> Result<Option<Value>, Reported> {
        match self.merged.get(key) {
            Some(entry) => entry.value.clone().map(Some).ok_or(Reported),
            None => Ok(keys::find(key).and_then(|key| keys::default(key, self.catalogue))),
        }
    }

    fn read<T>(&mut self, key: &str, text: &str, read: impl Fn(&str) -> Result<T, Refusal>) -> Result<T, Reported> {
        read(text).map_err(|refusal| {
            self.report(key, Problem::bad_value(key, &quoted(text), refusal));
            Reported
        })
    }

    fn report(&mut self, key: &str, problem: Problem) {
        match self.merged.get(key) {
            Some(entry) => self.problems.at(&entry.place, problem),
            None => self.problems.of_defaults(problem),
        }
    }
}
