"""One PostgreSQL server for all tests that share it; each project gets a database of its own, already migrated."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from assay.stores.database import connect, server
from assay.stores.postgres_owner import OWNER as DATABASE_OWNER
from assay.stores.postgres_server import running
from shop_project import OWNER, PEOPLE, Shop

NUMBERS = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of few tests go first: their tests are the long ones, and a long one begun last keeps a process waiting."""
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (sizes[item.path], str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def acting() -> Iterator[None]:
    """The owner of the shop acts, also in the commands that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_USER", OWNER)
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The server's URLs without a database: of the owner, who does the work, and of the superuser."""
    folder = tmp_path_factory.mktemp("server")
    with server("embedded", folder) as owner, running(folder / "postgres") as superuser:
        with connect(f"{superuser.rpartition('/')[0]}/postgres", autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes"):  # what these tests do, no crash of the machine must survive
                connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield owner.rpartition("/")[0], superuser.rpartition("/")[0]


@pytest.fixture(scope="session")
def database(postgres: tuple[str, str]) -> Iterator[Callable[[], str]]:
    """Makes databases that hold assay's empty metadata tables; gives their URLs."""
    from assay.catalog.migrate import migrate

    owner, superuser = postgres
    with connect(f"{superuser}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE migrated OWNER {DATABASE_OWNER}".encode())
        migrate(f"{owner}/migrated")

        def make() -> str:
            name = f"shop_{next(NUMBERS)}"
            copied = f"CREATE DATABASE {name} OWNER {DATABASE_OWNER} TEMPLATE migrated STRATEGY file_copy"
            connection.execute(copied.encode())
            return f"{owner}/{name}"

        yield make


@pytest.fixture(scope="session")
def new_shop(database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Shop]:
    """Makes complete small projects, nothing applied yet."""

    def make() -> Shop:
        found = Shop(tmp_path_factory.mktemp("shop"))
        target = f"local: {{data: data, postgres: '{database()}'}}"
        found.write("assay.yaml", f"name: shop\ntargets:\n  {target}\n{PEOPLE}")
        found.restore()
        return found

    return make


@pytest.fixture
def shop(new_shop: Callable[[], Shop]) -> Shop:
    """A complete small project, nothing applied yet."""
    return new_shop()


@pytest.fixture
def filled(new_shop: Callable[[], Shop]) -> Shop:
    """The project applied, with one file taken to the end."""
    return new_shop().fill()


@pytest.fixture(scope="module")
def standing_shop(new_shop: Callable[[], Shop]) -> Shop:
    """Like `filled`, one for all tests of a module."""
    return new_shop().fill()


@pytest.fixture
def standing(standing_shop: Shop) -> Iterator[Shop]:
    """The module's shop for tests that change its files only, never its stores; they are restored afterwards."""
    yield standing_shop
    standing_shop.restore()
