"""What it costs that landing is encrypted: a file taken in, beside a copy that is only hashed, and given out again.

    python benchmarks/landing.py [MEGABYTES] [ROUNDS]

Each round does all of it in turn, on one file of random bytes in a temporary folder; the medians are printed, and the
median of each round's ratio to the plain copy. A copy is durable, as a landed file is: both end with fsync.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from assay.security.keys import keyring
from assay.stores.landing import Landing
from assay.stores.objects import CHUNK_BYTES


def main(megabytes: int, rounds: int) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory(prefix="assay-landing-") as name:
        folder = Path(name)
        delivered = folder / "delivered.bin"
        with delivered.open("wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(1 << 20))
        os.sync()
        costs: dict[str, list[Cost]] = {"hash while copying": [], "land": [], "give out": []}
        for number in range(rounds):
            plain = folder / "plain.bin"
            costs["hash while copying"].append(cost(partial(copied, delivered, plain)))
            plain.unlink()
            data = folder / f"data-{number}"
            store = Landing(data, keyring(data, folder / f"keys-{number}"))
            costs["land"].append(cost(partial(store.put, "zone", delivered)))
            (sha256,) = store.contents("zone")
            costs["give out"].append(cost(partial(given_out, store, sha256, folder)))
            shutil.rmtree(data)
            os.sync()
        print(f"{'':20} {'seconds':>8} {'ratio':>6} {'CPU s':>8} {'ratio':>6}")
        for what, measured in costs.items():
            pairs = list(zip(measured, costs["hash while copying"], strict=True))
            row = [
                statistics.median(values)
                for values in (
                    [one.seconds for one in measured], [one.seconds / base.seconds for one, base in pairs],
                    [one.cpu for one in measured], [one.cpu / base.cpu for one, base in pairs],
                )
            ]  # fmt: skip
            print(f"{what:20} {row[0]:8.2f} {row[1]:6.2f} {row[2]:8.2f} {row[3]:6.2f}")


@dataclass(frozen=True)
class Cost:
    """What something took: on the clock, and of the processor, which other programs disturb less."""

    seconds: float
    cpu: float


def cost(act: Callable[[], object]) -> Cost:
    """Does something and measures it."""
    clock, cpu = time.perf_counter(), time.process_time()
    act()
    return Cost(time.perf_counter() - clock, time.process_time() - cpu)


def given_out(store: Landing, sha256: str, folder: Path) -> None:
    """Decrypts the file for a reader, and removes what the reader got."""
    store.get("zone", sha256, folder).unlink()


def copied(source: Path, into: Path) -> str:
    """A durable copy, hashed on the way: what landing a file took before it was encrypted."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, into.open("xb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
