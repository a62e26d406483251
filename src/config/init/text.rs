//! The packaged template with choices and their reasons in it, and whether a file is still that template.

use std::collections::BTreeSet;

use super::{Choice, Seen};
use crate::config::template;

/// How long a line of a comment is.
const WIDTH: usize = 100;

/// The file: every key explained, those that were chosen set, and of each that was looked at, why.
pub fn write(seen: &Seen, choices: &[Choice]) -> String {
    // Its first paragraph says of itself that all is commented out.
    let body = template().split_once("\n\n").map_or("", |(_, body)| body);
    let mut text = head(seen);
    let mut section = "";
    for line in body.lines() {
        section = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(section);
        match key_of(line).and_then(|name| choices.iter().find(|choice| choice.key == format!("{section}.{name}"))) {
            Some(choice) => text.push_str(&chosen(choice, line)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

fn head(seen: &Seen) -> String {
    let selinux = if seen.selinux {
        "SELinux is on: new subvolumes get the type container_file_t, once, and nothing is to be done here."
    } else {
        "SELinux is off."
    };
    format!(
        "# photos-agent: /etc/photos-agent/config.toml\n#\n{}#\n{}\n",
        comment(
            "Written by `photos-agent config init`, which looked at this host: lines that begin with \"Here:\" say \
             what it saw. Edit what you like; it is never written again. With a default, the default is what stands \
             behind a `#`; without one, an example. Files in config.d beside this one are read after it, by name, and \
             win. `photos-agent config check` says what is wrong, `photos-agent config show --origin` what holds, and \
             `photos-agent plan` what would be done."
        ),
        comment(&format!("Here: {selinux}")),
    )
}

/// The name of the key that a line of the template has, commented out.
fn key_of(line: &str) -> Option<&str> {
    line.strip_prefix('#').and_then(|rest| rest.split_once(" = ")).map(|(name, _)| name)
}

fn chosen(choice: &Choice, line: &str) -> String {
    let name = key_of(line).unwrap_or_default();
    let set = match (&choice.value, &choice.suggested) {
        (Some(value), _) => format!("{name} = {value}"),
        (None, Some(value)) => format!("#{name} = {value}"),
        (None, None) => line.to_owned(),
    };
    format!("{}{set}", comment(&format!("Here: {}", choice.because)))
}

/// Lines that begin with `# `, no longer than they should be.
fn comment(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::from("#"));
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    lines.push_str(&line);
    lines.push('\n');
    lines
}

/// Whether nobody has written anything into this file: it has no line that the packaged one has not, and that sets nothing.
pub fn is_untouched(text: &str) -> bool {
    let packaged: BTreeSet<&str> = template().lines().map(str::trim_end).collect();
    text.lines().map(str::trim_end).all(|line| line.is_empty() || packaged.contains(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_package_brought_counts_as_untouched() {
        assert!(is_untouched(template()));
        assert!(is_untouched("") && is_untouched("\n\n"));
        assert!(is_untouched(&template().replace('\n', "\r\n")));
        let without_accounts = template().split("# An account of iCloud").next().unwrap();
        assert!(is_untouched(without_accounts));
        for touched in [
            template().replace("#root = ", "root = "),
            template().replace("#root = \"/var/lib/photos\"", "#root = \"/srv/photos\""),
            format!("{}\n# mine", template()),
            "[storage]\nroot = \"/srv/photos\"\n".to_owned(),
            "not toml".to_owned(),
        ] {
            assert!(!is_untouched(&touched), "{touched}");
        }
    }

    #[test]
    fn what_is_written_is_not_taken_for_untouched() {
        let seen = Seen::default();
        assert!(!is_untouched(&write(&seen, &super::super::choose(&seen))));
    }

    #[test]
    fn comments_are_folded_between_words() {
        let long = "word ".repeat(60);
        let folded = comment(long.trim());
        assert!(folded.lines().count() > 2 && folded.lines().all(|line| line.len() <= WIDTH && line.starts_with("# ")));
        assert_eq!(folded.matches("word").count(), 60);
    }
}
