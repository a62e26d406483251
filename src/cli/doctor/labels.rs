//! SELinux: whether containers may use what lies on the live subvolumes.

use super::{Finding, Known};
use crate::host::kernel;
use crate::model::Root;

/// Types that container-selinux lets every container write.
const FOR_CONTAINERS: [&str; 2] = ["container_file_t", "svirt_sandbox_file_t"];

pub(super) fn labels(root: &Root, known: &Known) -> Finding {
    if !kernel::has_selinux(root) {
        return Finding::holds("SELinux is off");
    }
    let Ok(survey) = &known.survey else { return Finding::unknown("it is not known what there should be") };
    let places = survey.desired.subvolumes.iter().map(|place| place.path.as_path());
    let there = places.filter(|path| root.join(path).is_dir());
    let labels: Vec<(String, Option<String>)> =
        there.map(|path| (path.display().to_string(), kernel::label(&root.join(path)))).collect();
    judge(&labels, kernel::is_selinux_enforcing(root))
}

/// The label of each place, if it has one that may be read.
fn judge(labels: &[(String, Option<String>)], enforcing: bool) -> Finding {
    // user:role:type:level
    let kind = |label: &Option<String>| label.as_deref().and_then(|label| label.split(':').nth(2)).map(str::to_owned);
    let wrong = labels.iter().map(|(path, label)| (path, kind(label)));
    let wrong = wrong.filter(|(_, kind)| !kind.as_deref().is_some_and(|kind| FOR_CONTAINERS.contains(&kind)));
    let wrong: Vec<_> = wrong.collect();
    let mode = if enforcing { "enforcing" } else { "permissive" };
    if wrong.is_empty() {
        return Finding::holds(format!("SELinux is {mode}, and containers may use what there is"));
    }
    let named: Vec<String> =
        wrong.iter().map(|(path, kind)| format!("{path} ({})", kind.as_deref().unwrap_or("no label"))).collect();
    let mend =
        |path: &str| format!("semanage fcontext -a -t container_file_t '{path}(/.*)?' && restorecon -RF '{path}'");
    let remedies: Vec<String> = wrong.iter().map(|(path, _)| mend(path)).collect();
    Finding::fails_for_root(
        format!("SELinux is {mode}, and keeps containers from {}", named.join(", ")),
        remedies.join(super::checks::BETWEEN),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_containers_may_not_use_is_named_with_its_type() {
        let place = |label: Option<&str>| ("/p/live/media".to_owned(), label.map(str::to_owned));
        let right = place(Some("system_u:object_r:container_file_t:s0"));
        assert!(
            matches!(judge(std::slice::from_ref(&right), true), Finding::Holds { detail } if detail.contains("enforcing"))
        );
        assert!(matches!(judge(&[], false), Finding::Holds { detail } if detail.contains("permissive")));
        for (label, named) in
            [(Some("system_u:object_r:var_lib_t:s0"), "(var_lib_t)"), (None, "(no label)"), (Some("x"), "(no label)")]
        {
            let finding = judge(&[right.clone(), place(label)], true);
            let says = match finding {
                Finding::Fails { why, remedy } => {
                    assert!(remedy.contains("restorecon -RF '/p/live/media'"), "{remedy}");
                    why
                }
                Finding::Unknown { why } => why,
                Finding::Holds { detail } => panic!("{detail}"),
            };
            assert!(says.contains(named), "{says}");
        }
    }
}
