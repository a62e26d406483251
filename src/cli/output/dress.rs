//! How a text looks on a terminal: prose folded to its width, and the word that a line begins with in colour.
//!
//! What is to be typed is never folded: a line that is copied has to stay one. Nothing is dressed for a pipe or a file.

use std::io::IsTerminal;
use std::os::fd::AsFd;

/// Wide enough for all tables; what nobody tells is taken for that.
const USUAL: usize = 80;

/// Nothing is folded into a strip.
const LEAST: usize = 40;

const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[33m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// How a line may begin, and in which colour that is.
const WORDS: [(&str, &str); 14] = [
    ("ok ", GREEN),
    ("All is well.", GREEN),
    ("FAILS ", RED),
    ("Not all is well.", RED),
    ("error: ", RED),
    ("refused: ", RED),
    ("Refused: ", RED),
    ("unknown ", YELLOW),
    ("concern: ", YELLOW),
    ("Concern: ", YELLOW),
    ("note: ", YELLOW),
    ("Note: ", YELLOW),
    ("next: ", BOLD),
    ("Nothing to do.", GREEN),
];

/// What is typed, and what is a line of a file.
const VERBATIM: [&str; 4] = ["next: ", "more: ", "+ ", "- "];

/// Deeper than any prose: further commands below a first one.
const COMMANDS: usize = 12;

/// Of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dress {
    width: usize,
    colour: bool,
}

impl Dress {
    /// That of a stream; none where it is no terminal.
    pub(super) fn of(stream: &(impl AsFd + IsTerminal)) -> Option<Self> {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        stream.is_terminal().then(|| Self {
            width: width_of(stream).max(LEAST),
            colour: wants_colour(&variable("NO_COLOR"), &variable("TERM")),
        })
    }

    /// The text in it.
    pub(super) fn put_on(self, text: &str) -> String {
        let folded = text.lines().flat_map(|line| fold(line, self.width));
        folded.map(|line| if self.colour { paint(&line) } else { line } + "\n").collect()
    }
}

/// Columns of a terminal.
pub(super) fn width_of(stream: &impl AsFd) -> usize {
    terminal_size::terminal_size_of(stream).map_or(USUAL, |(width, _)| width.0.into())
}

/// By <https://no-color.org>.
pub(super) fn wants_colour(no_color: &str, terminal: &str) -> bool {
    no_color.is_empty() && terminal != "dumb"
}

fn paint(line: &str) -> String {
    let start = line.len() - line.trim_start().len();
    let (before, rest) = line.split_at_checked(start).unwrap_or(("", line));
    let word = WORDS.iter().find_map(|(word, colour)| Some((*word, *colour, rest.strip_prefix(word)?)));
    match word {
        Some((word, colour, rest)) => format!("{before}{colour}{word}{PLAIN}{rest}"),
        None => line.to_owned(),
    }
}

/// The line in pieces that fit, later ones below its last column.
fn fold(line: &str, width: usize) -> Vec<String> {
    let indent = line.chars().take_while(|c| *c == ' ').count();
    let verbatim = indent >= COMMANDS || VERBATIM.iter().any(|word| line.trim_start().starts_with(word));
    if verbatim || line.chars().count() <= width {
        return vec![line.to_owned()];
    }
    let hang = " ".repeat(column(line, indent, width / 2));
    let (mut pieces, mut piece) = (Vec::new(), " ".repeat(indent));
    // Between two columns there are words of nothing.
    for (at, word) in line.trim_start_matches(' ').split(' ').enumerate() {
        let space = if at == 0 { "" } else { " " };
        if at > 0 && piece.chars().count() + 1 + word.chars().count() > width {
            pieces.push(std::mem::replace(&mut piece, format!("{hang}{word}")));
        } else {
            piece = format!("{piece}{space}{word}");
        }
    }
    pieces.push(piece);
    pieces.into_iter().map(|piece| piece.trim_end().to_owned()).collect()
}

/// Where the last column of a row begins, if that is in its first half; else a little to the right of its beginning.
fn column(line: &str, indent: usize, half: usize) -> usize {
    let chars: Vec<char> = line.chars().take(half).collect();
    let gaps = chars.windows(3).enumerate().skip(indent);
    let mut begins = gaps.filter(|(_, three)| matches!(three, [' ', ' ', c] if *c != ' ')).map(|(at, _)| at + 2);
    begins.next_back().unwrap_or(indent + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_folded_below_its_column_and_no_word_is_lost() {
        for (line, width, pieces) in [
            ("short", 40, vec!["short"]),
            (
                "FAILS    units at boot: they lie on a mount of its own",
                40,
                vec!["FAILS    units at boot: they lie on a", "         mount of its own"],
            ),
            (
                "       because: it is missing and has to be made",
                40,
                vec!["       because: it is missing and has to", "         be made"],
            ),
            (
                "note: one two three four five six seven eight",
                40,
                vec!["note: one two three four five six seven", "  eight"],
            ),
            (
                "one-word-that-is-longer-than-the-line-is-wide",
                40,
                vec!["one-word-that-is-longer-than-the-line-is-wide"],
            ),
        ] {
            assert_eq!(fold(line, width), pieces);
        }
    }

    #[test]
    fn what_is_typed_stays_one_line() {
        for line in [
            "         next: systemctl enable --now podman.socket && photos-agent apply",
            "               semanage fcontext -a -t container_file_t '/var/lib/photos/live/media(/.*)?'",
            "         + ExecStart=/usr/bin/photos-agent snapshot --reason scheduled",
        ] {
            assert_eq!(fold(line, 40), [line]);
        }
    }

    #[test]
    fn colour_is_of_the_first_word_and_for_whom_wants_it() {
        let dress = |colour| Dress { width: 80, colour };
        assert_eq!(dress(true).put_on("FAILS    root: no\n"), "\x1b[1;31mFAILS \x1b[0m   root: no\n");
        assert_eq!(dress(true).put_on("  next: sudo\n"), "  \x1b[1mnext: \x1b[0msudo\n");
        assert_eq!(dress(true).put_on("a note: no\n"), "a note: no\n");
        assert_eq!(dress(false).put_on("FAILS    root: no\n"), "FAILS    root: no\n");
        assert!(wants_colour("", "xterm") && !wants_colour("1", "xterm") && !wants_colour("", "dumb"));
    }
}
