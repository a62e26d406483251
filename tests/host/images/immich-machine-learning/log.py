"""Lines on standard output as Immich's are: its log goes through rich, which colours parts of the text and breaks it at 80
columns, terminal or not. So whoever looks for something in it must take out the colours and join the lines first."""

import re
import textwrap
import time

WIDTH = 80
HEAD = 29  # the time, the level and the spaces after them
COLOURS = {"INFO": "34", "WARNING": "33", "ERROR": "1;31"}
# what rich takes for a string, for an address (the end of "pid:10"), for a bracket and for a number
MARKS = re.compile(
    r"(?P<s>'[^']*')|(?P<a>(?<=\(pi)d:[0-9]{1,4}\b)|(?P<b>[][(){}])|(?P<n>(?<![\w.:])[0-9]+(?:\.[0-9]+)?(?![\w]))"
)
STYLES = {"s": "32", "a": "1;92", "b": "1", "n": "1;36"}


def styled(text, style):
    return f"\x1b[{style}m{text}\x1b[0m"


def coloured(text):
    return MARKS.sub(lambda found: styled(found.group(), STYLES[found.lastgroup]), text)


def write(level, message):
    stamp = styled(time.strftime("[%m/%d/%y %H:%M:%S]"), "2;36") + styled(" ", "2;36")
    head = f"{stamp}{styled(f'{level:<8}', COLOURS[level])} "
    for line in textwrap.wrap(message, WIDTH - HEAD, break_on_hyphens=False):
        print(f"{head}{coloured(line)}{' ' * (WIDTH - HEAD - len(line))}", flush=True)
        head = styled(" " * 20, "2;36") + " " * 9


def info(message):
    write("INFO", message)


def warning(message):
    write("WARNING", message)


def error(message):
    write("ERROR", message)
