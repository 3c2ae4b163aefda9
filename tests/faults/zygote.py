"""Runs assay's commands in forked children that can be killed at any durable step. A program of the tests.

It imports everything once, then reads orders as JSON lines from standard input and answers each with one line:

    argv            the words after `assay`
    cwd             where to run
    seen            a file of the steps where a child died before; the child dies at the first step not in it
    exact           steps are told apart by file and occurrence, not only by segment and kind
    die_at          die at the step of this name only
    postmaster      at that step kill -9 this cluster's postmaster instead, and live on
    and_postmaster  kill -9 this cluster's postmaster together with the child
    kill_after      seconds after which the parent kills the child, and all that it has started, wherever they are
    eager           housekeeping puts any two files together

A step is a place before or after something durable is written. The product knows nothing of this.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyiceberg.catalog.sql  # noqa: F401  what commands load lazily is loaded once, before the forks
import pyiceberg.expressions
import pyiceberg.io.pyarrow
import pyiceberg.serializers

import assay.catalog.records as records
import assay.catalog.upkeep as upkeep_records
import assay.cli as cli
import assay.cli.flow  # noqa: F401
import assay.cli.maintain  # noqa: F401
import assay.cli.output  # noqa: F401
import assay.cli.up  # noqa: F401
import assay.orchestration.service  # noqa: F401
import assay.pipelines.anew as anew
import assay.pipelines.landing as arriving
import assay.pipelines.maintain as maintaining
import assay.pipelines.movement as movement
import assay.pipelines.plan
import assay.pipelines.run as runner
import assay.pipelines.upkeep.compact as compacting
import assay.pipelines.upkeep.expire as expiring
import assay.pipelines.upkeep.orphans as removing
import assay.pipelines.upkeep.retention as retaining
import assay.pipelines.withdraw as withdrawing
import assay.segments.approve  # noqa: F401
import assay.segments.clean  # noqa: F401
import assay.segments.conform  # noqa: F401
import assay.segments.denormalize  # noqa: F401
import assay.stores.canonical as canonical
import assay.stores.landing as landing
import assay.stores.shadow as shadow
from assay.engines.duckdb import Engine
from assay.stores.iceberg import Iceberg

RECORDS = ("add_batch", "add_delivery", "lock_batch", "add_findings", "add_tally", "add_touched", "add_run", "move")


class Steps:
    """Counts the durable steps of one child and ends it where it was told to."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.place = "start"
        self.counts: Counter[str] = Counter()
        self.seen_path = Path(order["seen"]) if order.get("seen") else None
        self.seen = set(self.seen_path.read_text().splitlines()) if self.seen_path else set()

    def at(self, kind: str) -> None:
        """One step: the child may end here."""
        name = f"{self.place}:{kind}"
        self.counts[name] += 1
        if self.order.get("exact"):
            name = f"{name}:{self.counts[name]}"
        if self.order.get("die_at") == name:
            if self.order.get("postmaster"):
                self.order["die_at"] = None
                kill_postmaster(self.order["postmaster"])
                return
            os.kill(os.getpid(), signal.SIGKILL)
        if self.seen_path is not None and name not in self.seen:
            with self.seen_path.open("a") as file:
                file.write(name + "\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def around(
        self,
        owner: Any,
        name: str,
        kind: str | None = None,
        unless: Callable[..., bool] | None = None,
        before: bool = True,
    ) -> None:
        """Makes every call of a function a step before it and a step after it."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def stepped(*args: Any, **options: Any) -> Any:
            if unless is not None and unless(*args):
                return original(*args, **options)
            if before:
                self.at(f"before {kind or name}")
            result = original(*args, **options)
            self.at(f"after {kind or name}")
            return result

        setattr(owner, name, stepped)

    def install(self) -> None:
        """Puts a step around everything durable."""
        for name in RECORDS:
            # One record follows another: after the one is before the next.
            self.around(records, name, before=bool(self.order.get("exact")))
        self.around(landing, "copy_hashed")
        self.around(landing, "settle")
        self.around(Iceberg, "put", "iceberg commit")
        self.around(pyiceberg.serializers.ToOutputFile, "table_metadata", "iceberg metadata")
        self.around(Engine, "run", "engine copy", unless=lambda _, sql, *rest: not sql.lstrip().startswith("COPY"))
        for name in ("copy", "copy_files", "side_by_side"):
            self.around(Engine, name, "engine copy")
        self.around(canonical, "copy_in")
        self.around(canonical, "_fill", "fill")
        self.around(canonical, "_meet", "merge")
        self.around(canonical, "_delete", "delete")
        self.around(shadow.Shadow, "take_over", "take over")
        for module in (arriving, movement, runner, assay.pipelines.plan, withdrawing, shadow, anew):
            self._transactions(module)
        for module in (arriving, runner):
            self._placed(module, "land", lambda platform, source, path: (path.name, "land"))
        self._placed(runner, "move", lambda platform, batch, segment, lease: (batch.file_name, segment))
        self._placed(runner, "decide", lambda platform, batch, lease: (batch.file_name, "gate"))
        self._placed(withdrawing, "withdraw", lambda platform, numbers, *_: (str(numbers), "withdraw"))
        self._placed(runner, "reject", lambda platform, batch, *_: (batch.file_name, "reject"))
        if self.order["argv"][0] == "maintain":
            self._install_upkeep()

    def _install_upkeep(self) -> None:
        for module in (compacting, expiring, removing, retaining):
            self._transactions(module)
        self.around(compacting, "swap", "iceberg swap")
        for name in ("begin", "finish", "mark_loose", "forget_loose", "add_removals"):
            self.around(upkeep_records, name)
        self.around(Path, "unlink", unless=lambda path: not {"lake", "landing"} & set(path.parts))
        for task, original in maintaining._TASKS.items():
            maintaining._TASKS[task] = self._task(task, original)
        if self.order.get("eager"):
            compacting.groups = lambda files, target_bytes: [tuple(files)] if len(files) > 1 else []
            compacting.REST_SECONDS = 0

    def _task(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def placed(scope: Any) -> Any:
            self.place = name
            self.counts.clear()
            yield from original(scope)
            self.at("end")

        return placed

    def _placed(self, owner: Any, name: str, naming: Callable[..., tuple[str, str]]) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def placed(*args: Any) -> Any:
            file, segment = naming(*args)
            self.place = f"{file}:{segment}" if self.order.get("exact") else segment
            self.counts.clear()
            self.at("begin")
            result = original(*args)
            self.at("end")
            return result

        setattr(owner, name, placed)

    def _transactions(self, module: Any) -> None:
        original = module.transaction
        steps = self

        class Stepped:
            def __init__(self, connection: Any) -> None:
                self.inner = original(connection)

            def __enter__(self) -> Any:
                return self.inner.__enter__()

            def __exit__(self, *error: Any) -> Any:
                if error[0] is None:
                    steps.at("before commit")
                result = self.inner.__exit__(*error)
                if error[0] is None:
                    steps.at("after commit")
                return result

        module.transaction = Stepped


def kill_postmaster(cluster: str) -> None:
    """Ends a server without a warning; one that is not there stays away."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int((Path(cluster) / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)


def child(order: dict[str, Any], out: Path) -> None:
    """The forked process: its output goes to files, its end is the command's."""
    os.setpgid(0, 0)
    with out.with_suffix(".out").open("wb") as stdout, out.with_suffix(".err").open("wb") as stderr:
        os.dup2(stdout.fileno(), 1)
        os.dup2(stderr.fileno(), 2)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.chdir(order["cwd"])
    sys.argv = ["assay", *order["argv"]]
    Steps(order).install()
    code = 1
    try:
        cli.main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serve orders until standard input ends."""
    out = Path(sys.argv[1])
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(order, out)
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)  # whoever comes first
        handle = os.pidfd_open(pid)
        if not select.select([handle], [], [], order.get("kill_after"))[0]:
            os.killpg(pid, signal.SIGKILL)
            if order.get("and_postmaster"):
                kill_postmaster(order["and_postmaster"])
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # those of a service that outlived the process that looks after them
        os.close(handle)
        answer = {
            "code": os.waitstatus_to_exitcode(status),
            "stdout": out.with_suffix(".out").read_text(),
            "stderr": out.with_suffix(".err").read_text(),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
