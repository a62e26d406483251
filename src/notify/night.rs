//! What an unattended upgrade came to, as a notice.

use crate::config::Notify;
use crate::model::Root;
use crate::notify::{Notice, Outcome, to_journal, to_people};
use crate::record::{CameTo, Night};

/// Tells what there is to tell: nothing, where nothing was newer. The program hears of the same reason once, the journal
/// each time.
pub async fn tell_night(root: &Root, settings: &Notify, night: &Night, is_news: bool) {
    if let CameTo::Deferred { .. } = night.came_to {
        let (about, outcome) = (ABOUT, "deferred");
        tracing::info!(message_id = crate::log::NOTICE, about, outcome, "{}", night.came_to);
    }
    let Some(notice) = notice(night) else { return };
    to_journal(&notice);
    if is_news {
        to_people(root, settings, ABOUT, &notice).await;
    }
}

const ABOUT: &str = "upgrade";

fn notice(night: &Night) -> Option<Notice<&CameTo>> {
    let outcome = match &night.came_to {
        CameTo::Begun | CameTo::Nothing | CameTo::Deferred { .. } => return None,
        CameTo::Done { .. } => Outcome::Done,
        CameTo::WentBack { .. } => Outcome::WentBack,
        CameTo::Refused { .. } => Outcome::Refused,
        CameTo::Failed { .. } => Outcome::Failed,
    };
    Some(Notice { about: ABOUT, outcome, at: night.at, summary: night.came_to.to_string(), details: &night.came_to })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::NotifyCommand;

    #[test]
    fn what_changed_nothing_is_not_told() {
        let night = |came_to| Night { at: "2026-11-21T04:30:00Z".parse().unwrap(), came_to };
        assert!(notice(&night(CameTo::Nothing)).is_none() && notice(&night(CameTo::Begun)).is_none());
        assert!(notice(&night(CameTo::Deferred { why: "x".into() })).is_none());
        let done = CameTo::Done { from: "v3.1.0".parse().unwrap(), to: "v3.2.2".parse().unwrap() };
        let night = night(done);
        let said = notice(&night).unwrap();
        assert_eq!((said.outcome, said.summary.as_str()), (Outcome::Done, "Immich v3.2.2 runs; it was v3.1.0"));
    }

    #[tokio::test]
    async fn the_program_hears_news_and_its_failure_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let program = folder.path().join("tell");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o777)).unwrap();
        let command = NotifyCommand { program: "/tell".parse().unwrap(), arguments: vec!["x".to_owned()] };
        let settings = Notify { command: Some(command), remote: None };
        let at = "2026-11-21T04:30:00Z".parse().unwrap();
        let night = Night { at, came_to: CameTo::Failed { why: "no registry".into() } };
        // Whoever likes may write to it, so that it is not run; and nothing is at a loss for that.
        tell_night(&root, &settings, &night, true).await;
        tell_night(&root, &Notify::default(), &night, true).await;
    }
}
