//! One line below all others that moves while something takes long: bytes of a pull, and for how long it is waited.
//!
//! What it says is a function of the moment and of the terminal's width; when it is drawn, and what becomes of it while another
//! line is written, is indicatif's. It has no colour and hides no cursor: whoever is killed, by Ctrl-C as well,
//! leaves what it said last and nothing to be mended.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::dress;

/// What is over sooner is not worth a line.
const PATIENCE: Duration = Duration::from_secs(1);

/// From one look of the clock to the next.
const TICK: Duration = Duration::from_millis(200);

/// As what is told of a step is.
const INDENT: &str = "    ";

/// Fewer columns are no bar.
const LEAST_BAR: usize = 12;

const MIB: f64 = 1_048_576.0;

type Line = Mutex<Option<ProgressBar>>;

/// There is one standard error, and so one line.
static LINE: Line = Mutex::new(None);

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Doing<'a> {
    /// In words, which may be none.
    Waiting(&'a str),
    /// Bytes arrive; a total of 0 is not known yet.
    Bytes { current: u64, total: u64, per_second: f64 },
}

/// The line, for whoever knows what goes on. Gone with its owner: whoever fails says so where it was.
#[derive(Debug)]
pub struct Moving(&'static Line);

impl Moving {
    /// That of standard error, if a line can move there.
    pub(super) fn of_standard_error() -> Option<Self> {
        let terminal = std::env::var("TERM").unwrap_or_default();
        let moves = std::io::stderr().is_terminal() && can_go_back(&terminal);
        moves.then(|| Self(&LINE))
    }

    /// Something goes on since then, in these words, which may be none. What was there becomes this.
    pub fn wait(&self, words: &str, since: Instant) {
        self.rest();
        let bar = ProgressBar::no_length();
        draw(&bar, words.to_owned(), since);
        *held(self.0) = Some(bar);
    }

    /// So many bytes of it are there.
    pub fn arrived(&self, current: u64, total: u64) {
        if let Some(bar) = &*held(self.0) {
            bar.set_position(current);
            bar.set_length(total);
        }
    }

    /// Nothing goes on any more.
    pub fn rest(&self) {
        clear(self.0);
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.rest();
    }
}

/// As indicatif has it; who is told nothing of the terminal does not count on it.
fn can_go_back(terminal: &str) -> bool {
    !["", "dumb"].contains(&terminal)
}

fn draw(bar: &ProgressBar, words: String, since: Instant) {
    let write = move |state: &ProgressState, to: &mut dyn std::fmt::Write| {
        let doing = state.len().map_or(Doing::Waiting(&words), |total| Doing::Bytes {
            current: state.pos(),
            total,
            per_second: state.per_sec(),
        });
        let _ = to.write_str(&say(doing, since.elapsed(), dress::width_of(&std::io::stderr())));
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{line}") {
        bar.set_style(style.with_key("line", write));
    }
    bar.enable_steady_tick(TICK);
}

/// Writes something else; the line is not there meanwhile.
pub(super) fn beside<T>(write: impl FnOnce() -> T) -> T {
    match &*held(&LINE) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// No line any more.
pub(super) fn end() {
    clear(&LINE);
}

fn clear(line: &Line) {
    if let Some(bar) = held(line).take() {
        bar.finish_and_clear();
    }
}

fn held(line: &Line) -> MutexGuard<'_, Option<ProgressBar>> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error for those who do not know of the line.
#[derive(Debug)]
pub struct Beside;

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        beside(|| std::io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().lock().flush()
    }
}

/// The line: always shorter than the terminal is wide, so that it is one.
fn say(doing: Doing<'_>, elapsed: Duration, width: usize) -> String {
    let room = width.saturating_sub(INDENT.len() + 1);
    if elapsed < PATIENCE {
        return String::new();
    }
    let said = match doing {
        Doing::Waiting("") => format!("since {}", clock(elapsed)),
        Doing::Waiting(words) => {
            let since = format!(" since {}", clock(elapsed));
            cut(words, room.saturating_sub(since.len())) + &since
        }
        Doing::Bytes { current, total, per_second } => of_bytes(current, total, per_second, elapsed, room),
    };
    format!("{INDENT}{}", said.chars().take(room).collect::<String>())
}

/// What there is no room for is left out, the bar first.
fn of_bytes(current: u64, total: u64, per_second: f64, elapsed: Duration, room: usize) -> String {
    let mut said = match total {
        0 => format!("{} MiB", current >> 20),
        total => format!("{} of {} MiB", current >> 20, total >> 20),
    };
    // When all is there, it is unpacked.
    let comes =
        (per_second >= 1.0 && (current < total || total == 0)).then(|| format!("{:.1} MiB/s", per_second / MIB));
    for part in comes.into_iter().chain([clock(elapsed)]) {
        if said.len() + 2 + part.len() <= room {
            said = format!("{said}, {part}");
        }
    }
    // Where numbers grow, the bar does not move.
    let begins = said.len().next_multiple_of(8) + 2;
    let columns = room.saturating_sub(begins + 2);
    if total == 0 || columns < LEAST_BAR {
        return said;
    }
    let done = share(current, total, columns);
    format!("{said:begins$}[{}{}]", "#".repeat(done), "-".repeat(columns - done))
}

fn share(current: u64, total: u64, columns: usize) -> usize {
    let done = u128::from(current.min(total)) * columns as u128 / u128::from(total.max(1));
    usize::try_from(done).unwrap_or(columns)
}

fn cut(words: &str, room: usize) -> String {
    if words.chars().count() <= room {
        return words.to_owned();
    }
    words.chars().take(room.saturating_sub(3)).collect::<String>() + "..."
}

fn clock(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_line_says_what_there_is_room_for() {
        let bytes = |current, total, per_second| Doing::Bytes { current, total, per_second };
        let units = Doing::Waiting("waiting for immich-server.service, immich-ml.service");
        for (doing, seconds, width, line) in [
            (Doing::Waiting(""), 0, 80, ""),
            (Doing::Waiting(""), 12, 80, "    since 12 s"),
            (Doing::Waiting("all is well"), 61, 80, "    all is well since 1 min 01 s"),
            (units, 7265, 80, "    waiting for immich-server.service, immich-ml.service since 2 h 01 min"),
            (units, 12, 40, "    waiting for immich-se... since 12 s"),
            (units, 12, 10, "    ... s"),
            (Doing::Waiting(""), 12, 3, "    "),
            (bytes(0, GIB, 0.0), 0, 80, ""),
            (bytes(0, GIB, f64::NAN), 1, 50, "    0 of 1024 MiB, 1 s        [-----------------]"),
            (bytes(GIB / 2, GIB, 12.34 * MIB), 9, 60, "    512 of 1024 MiB, 12.3 MiB/s, 9 s  [#########----------]"),
            (bytes(GIB, GIB, 12.34 * MIB), 90, 60, "    1024 of 1024 MiB, 1 min 30 s      [###################]"),
            // More than was announced, which Podman corrects with the next line.
            (bytes(GIB, GIB / 2, 1e6), 9, 50, "    1024 of 512 MiB, 9 s      [#################]"),
            (bytes(GIB / 2, GIB, 1e7), 9, 40, "    512 of 1024 MiB, 9.5 MiB/s, 9 s"),
            (bytes(GIB / 2, GIB, 1e7), 9, 34, "    512 of 1024 MiB, 9.5 MiB/s"),
            (bytes(GIB / 2, GIB, 1e7), 9, 12, "    512 of "),
            (bytes(GIB / 2, 0, 1e7), 9, 80, "    512 MiB, 9.5 MiB/s, 9 s"),
            (bytes(u64::MAX, u64::MAX, f64::INFINITY), u64::MAX, 20, "    17592186044415 "),
        ] {
            assert_eq!(say(doing, Duration::from_secs(seconds), width), line, "{doing:?} {seconds} {width}");
        }
    }

    #[test]
    fn the_line_is_always_one() {
        for width in 0..200 {
            for doing in [
                Doing::Waiting("waiting for immich-server.service"),
                Doing::Bytes { current: 700 << 20, total: 900 << 20, per_second: 1e8 },
            ] {
                let line = say(doing, Duration::from_secs(3700), width);
                assert!(line.len() < width.max(INDENT.len() + 1), "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn it_moves_on_what_can_go_back() {
        assert!(can_go_back("xterm-256color") && can_go_back("linux"));
        assert!(!can_go_back("dumb") && !can_go_back(""));
    }
}
