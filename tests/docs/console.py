"""Runs what a page shows: the commands of its ```console blocks, and the changes of its ```diff blocks.

Below a command stand lines of its output. They must appear in this order; blanks count as one, rules of tables
not at all, and after a `...` lines may be left out. `…` stands for any text within a line.
`$ echo $?` with a number below it says how the command before it ended; without it a command must end with 0.
A command that ends with `&` goes on beside the others, until `$ kill %1` (it must then end with 0) or `$ kill -9 %1`.
One that ends with `# after a moment` is called until it prints what is shown.
A ```diff block begins with `--- FILE`; its lines without `+` stand once in the file and are replaced.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

AFTER_A_MOMENT = "# after a moment"
#: How long a moment may be, on a machine that does much else.
PATIENCE_SECONDS = 600.0
BLOCK = re.compile(r"^```(console|diff)\n(.*?)^```$", re.M | re.S)


@dataclass
class Command:
    """A command line, the output that the page shows, and the exit code that it states."""

    words: str
    shown: list[str] = field(default_factory=list)
    code: int = 0


@dataclass(frozen=True)
class Change:
    """An edit that the page asks the reader to make."""

    file: str
    before: str
    after: str


def steps(page: Path) -> list[Command | Change]:
    """What a page asks its reader to do, in order."""
    found: list[Command | Change] = []
    for kind, text in BLOCK.findall(page.read_text("utf-8")):
        found += [_change(text)] if kind == "diff" else _commands(text)
    return found


def mentioned(page: Path) -> list[str]:
    """Every `assay ...` that a page names: lines of its fenced blocks, and between backticks in its text."""
    found: list[str] = []
    fenced = False
    for line in page.read_text("utf-8").splitlines():
        bare = line.strip().removeprefix("$ ")
        if bare.startswith("```"):
            fenced = not fenced
        elif fenced:
            # A text in quotes may go on below: what matters here stands before it.
            found += [bare.partition(' "')[0]] if bare.startswith("assay ") else []
        else:
            found += re.findall(r"`(assay [^`]+)`", line)
    return found


def _commands(text: str) -> list[Command]:
    commands: list[Command] = []
    asked_code = False
    for line in text.splitlines():
        if line == "$ echo $?":
            asked_code = True
        elif line.startswith("$ "):
            commands.append(Command(line[2:]))
        elif asked_code:
            commands[-1].code = int(line)
            asked_code = False
        else:
            commands[-1].shown.append(line)
    return commands


def _change(text: str) -> Change:
    first, *lines = text.splitlines()
    assert first.startswith("--- "), first
    before = "".join(line[1:] + "\n" for line in lines if not line.startswith("+"))
    after = "".join(line[1:] + "\n" for line in lines if not line.startswith("-"))
    return Change(first[4:], before, after)


class Reader:
    """Somebody who does what pages say, in a folder of their own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        here = str(Path(sys.executable).parent)
        self._beside: subprocess.Popen[bytes] | None = None
        self.environment = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}", **environment}

    def follow(self, page: Path) -> None:
        """Takes every step of a page and compares what happens with what it says."""
        try:
            for step in steps(page):
                self._take(step)
        finally:
            if self._beside is not None:
                self._beside.kill()
                self._beside.wait()

    def _take(self, step: Command | Change) -> None:
        if isinstance(step, Change):
            self._edit(step)
        elif step.words.startswith("cd "):
            self.folder = self.folder / step.words[3:]
        elif step.words.endswith(" &"):
            self._start(step.words[:-2])
        elif step.words.startswith("kill ") and step.words.endswith(" %1"):
            self._end(signal.SIGKILL if "-9" in step.words else signal.SIGTERM)
        elif step.words.endswith(AFTER_A_MOMENT):
            self._run_until(step)
        else:
            self.run(step)

    def _start(self, words: str) -> None:
        with (self.folder / "beside.log").open("a") as said:
            self._beside = subprocess.Popen(
                shlex.split(words), cwd=self.folder, env=self.environment, stdout=said, stderr=said
            )

    def _end(self, number: signal.Signals) -> None:
        assert self._beside is not None and self._beside.poll() is None, "it has ended already"
        self._beside.send_signal(number)
        code = self._beside.wait(120)
        assert code == (0 if number == signal.SIGTERM else -number), (self.folder / "beside.log").read_text()

    def _run_until(self, command: Command) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self.run(command)
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def run(self, command: Command) -> str:
        """Runs one command; raises `AssertionError` when it ends or prints otherwise than the page says."""
        done = subprocess.run(
            command.words,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert done.returncode == command.code, f"$ {command.words}\nended with {done.returncode}:\n{done.stdout}"
        missing = first_missing(command.shown, done.stdout)
        assert missing is None, f"$ {command.words}\ndoes not print in its place:\n{missing}\n\n{done.stdout}"
        return done.stdout

    def _edit(self, change: Change) -> None:
        path = self.folder / change.file
        text = path.read_text("utf-8")
        assert text.count(change.before) == 1, f"{change.file} does not hold once:\n{change.before}"
        path.write_text(text.replace(change.before, change.after), "utf-8")


def first_missing(shown: list[str], printed: str) -> str | None:
    """The first shown line that the output does not hold in its place, or None."""
    wanted = [line for line in map(_plain, shown) if line]
    actual = [line for line in map(_plain, printed.splitlines()) if line]
    position, may_skip = 0, False
    for line in wanted:
        if line == "...":
            may_skip = True
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.split("…")).replace("\\ .*", "(?: .*)?"))
        while may_skip and position < len(actual) and not pattern.fullmatch(actual[position]):
            position += 1
        if position == len(actual) or not pattern.fullmatch(actual[position]):
            return line
        position, may_skip = position + 1, False
    return None if may_skip or position == len(actual) else f"(nothing more, but there is:) {actual[position]}"


def _plain(line: str) -> str:
    return " ".join(re.sub("[─━]+", " ", line).split())
