//! Accounts of iCloud: defaults for each, and the checks that need two values.

use std::str::FromStr;

use super::{Reported, Resolver};
use crate::config::keys::{self, ACCOUNT, NAME};
use crate::config::meaning::{self, Refusal};
use crate::config::problems::Problem;
use crate::config::settings::{Account, Icloud, Skip};
use crate::config::value::{Value, quoted};
use crate::model::{Invalid, MaxMissing, PathOptions, TimeZone};

impl Resolver<'_> {
    pub(super) fn icloud(&mut self) -> Result<Icloud, Reported> {
        let share = self.required("icloud.max_missing", meaning::plain);
        let files = self.count("icloud.max_missing_files");
        let names: Vec<String> = self.merged.accounts().into_iter().map(str::to_owned).collect();
        let zone = self.optional("immich.timezone", meaning::time_zone);
        let accounts: Vec<_> = names
            .iter()
            .map(|name| OfAccount { section: format!("{ACCOUNT}.{name}"), all: &mut *self }.account(zone.as_ref().ok()))
            .collect();
        let max_missing = MaxMissing { share: share?, files: files? };
        Ok(Icloud { max_missing, accounts: accounts.into_iter().collect::<Result<_, _>>()? })
    }
}

/// The values of one account.
struct OfAccount<'a, 'b> {
    section: String,
    all: &'a mut Resolver<'b>,
}

impl OfAccount<'_, '_> {
    fn account(mut self, zone: Option<&Option<TimeZone>>) -> Result<Account, Reported> {
        let timezone = self.optional("timezone", meaning::time_zone);
        let timezone = timezone.map(|own| own.or_else(|| zone.cloned().flatten()));
        let paths = self.paths(timezone);
        let (name, apple_id) = (self.required(NAME), self.required("apple_id"));
        let schedule = self.optional("schedule", meaning::schedule).map(Option::flatten);
        let schedule = schedule.and_then(|schedule| self.without_zone(schedule));
        let (domain, library_owner) = (self.required("domain"), self.optional("library_owner", meaning::plain));
        let (library, album) = (self.list("library"), self.list("album"));
        let (recent, until_found) = (self.number("recent"), self.number("until_found"));
        let before = self.optional("skip_created_before", meaning::plain);
        let after = self.optional("skip_created_after", meaning::plain);
        let skip = self.skip();
        Ok(Account {
            name: name?,
            apple_id: apple_id?,
            schedule: schedule?,
            domain: domain?,
            library_owner: library_owner?,
            library: library?,
            album: album?,
            recent: recent?,
            until_found: until_found?.unwrap_or_default(),
            skip_created_before: before?,
            skip_created_after: after?,
            skip: skip?,
            force_size: self.switch("force_size")?,
            xmp_sidecar: self.switch("xmp_sidecar")?,
            set_exif_datetime: self.switch("set_exif_datetime")?,
            paths: paths?,
        })
    }

    fn paths(&mut self, timezone: Result<Option<TimeZone>, Reported>) -> Result<PathOptions, Reported> {
        let (folder_structure, file_match_policy) =
            (self.required("folder_structure"), self.required("file_match_policy"));
        let (mov, live, raw) = (
            self.required("live_photo_mov_filename_policy"),
            self.required("live_photo_size"),
            self.required("align_raw"),
        );
        let (size, keep_unicode) = (self.list("size"), self.switch("keep_unicode_in_filenames"));
        Ok(PathOptions {
            folder_structure: folder_structure?,
            file_match_policy: file_match_policy?,
            keep_unicode_in_filenames: keep_unicode?,
            live_photo_mov_filename_policy: mov?,
            live_photo_size: live?,
            size: size?,
            align_raw: raw?,
            timezone: timezone?,
        })
    }

    fn skip(&mut self) -> Result<Skip, Reported> {
        let [videos, photos, live_photos] =
            ["skip_videos", "skip_photos", "skip_live_photos"].map(|name| self.switch(name));
        let skip = Skip { videos: videos?, photos: photos?, live_photos: live_photos? };
        if skip.videos && skip.photos {
            let key = self.key("skip_photos");
            let problem = Problem::of_key("bad value for", &key).expected("not both `skip_videos` and `skip_photos`");
            self.all.report(&key, problem.help(Some("to download nothing: schedule = \"off\"".to_owned())));
            return Err(Reported);
        }
        Ok(skip)
    }

    /// A schedule, whose zone has a key of its own: it is that of the folders too.
    fn without_zone(
        &mut self,
        schedule: Option<crate::model::Calendar>,
    ) -> Result<Option<crate::model::Calendar>, Reported> {
        let Some(zone) = schedule.as_ref().and_then(crate::model::Calendar::zone) else { return Ok(schedule) };
        let key = self.key("schedule");
        let problem = Problem::of_key("bad value for", &key)
            .expected("a calendar expression without a time zone")
            .help(Some(format!("write it as a key of its own: timezone = \"{zone}\"")));
        self.all.report(&key, problem);
        Err(Reported)
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.section)
    }

    /// What the files say, else the default.
    fn value(&self, name: &str) -> Result<Option<Value>, Reported> {
        match self.all.merged.get(&self.key(name)) {
            Some(entry) => entry.value.clone().map(Some).ok_or(Reported),
            None => Ok(keys::find(&format!("{ACCOUNT}.{name}")).and_then(|key| key.default.clone())),
        }
    }

    fn optional<T>(&mut self, name: &str, read: impl Fn(&str) -> Result<T, Refusal>) -> Result<Option<T>, Reported> {
        match self.value(name)? {
            Some(Value::Text(text)) => self.all.read(&self.key(name), &text, read).map(Some),
            _ => Ok(None),
        }
    }

    fn required<T: FromStr<Err = Invalid>>(&mut self, name: &str) -> Result<T, Reported> {
        if let Some(value) = self.optional(name, meaning::plain)? {
            return Ok(value);
        }
        let problem = Problem::of_key("no value for", &self.key(name));
        // Nowhere is where it is missing; the account begins where it has its name.
        let help = format!("add it to the account: {name} = {}", keys::example(&format!("{ACCOUNT}.{name}")));
        self.all.report(&self.key(NAME), problem.help(Some(help)));
        Err(Reported)
    }

    fn list<T: FromStr<Err = Invalid>>(&mut self, name: &str) -> Result<Vec<T>, Reported> {
        let Some(Value::List(items)) = self.value(name)? else { return Err(Reported) };
        let key = self.key(name);
        let read = |item: &String| {
            item.parse().map_err(|invalid: Invalid| {
                self.all.report(&key, Problem::bad_value(&key, &quoted(item), invalid.into()));
                Reported
            })
        };
        items.iter().map(read).collect()
    }

    fn switch(&self, name: &str) -> Result<bool, Reported> {
        match self.value(name)? {
            Some(Value::Boolean(truth)) => Ok(truth),
            _ => Err(Reported),
        }
    }

    fn number(&self, name: &str) -> Result<Option<u32>, Reported> {
        match self.value(name)? {
            Some(Value::Integer(number)) => u32::try_from(number).map(Some).map_err(|_| Reported),
            _ => Ok(None),
        }
    }
}
