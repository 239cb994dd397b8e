"""Who scores edits is said once and holds inside, and no longer; values that cannot be are refused before any work."""

import socket
import sys
import time

import pytest

from perturbloop.errors import InputError
from perturbloop.perturb.shards import Part
from perturbloop.perturb.workers import require_answer, shared_by, sharing


def test_the_number_holds_inside_and_no_longer():
    with shared_by(3), shared_by(2):
        assert sharing().workers == 2
    with pytest.raises(RuntimeError), shared_by(2):
        raise RuntimeError
    assert sharing().alone


def test_a_number_of_processes_is_not_negative():
    with pytest.raises(InputError, match="0 or more; it is -1"), shared_by(-1):
        pass


def test_edits_go_to_this_machine_or_to_a_cluster():
    with pytest.raises(InputError, match="both came"), shared_by(2, cluster="127.0.0.1:6379"):
        pass


def test_without_ray_several_processes_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for asked in ({"workers": 2}, {"cluster": "auto"}):
        with (
            pytest.raises(InputError, match=r"Ray; it is not installed.*perturbloop\[ray\]"),
            shared_by(**asked),
        ):
            pass


def test_parts_share_all_shards_and_no_shard_twice():
    parts = [Part.parse(f"{number}/4") for number in range(1, 5)]
    assert all(sum(part.has(shard) for part in parts) == 1 for shard in range(10))
    sizes = [sum(part.has(shard) for shard in range(10)) for part in parts]
    assert sorted(sizes) == [2, 2, 3, 3]


@pytest.mark.parametrize("text", ["3/2", "0/4", "a/b", "1/0", "-1/4", "2", "1/2/3"])
def test_a_part_that_is_none_is_refused(text):
    with pytest.raises(InputError, match=rf"`--part 2/8` is the second of eight; '{text}' came"):
        Part.parse(text)


@pytest.mark.parametrize("address", ["here", "127.0.0.1", "ray://a:1", "127.0.0.1:six", ":6379"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InputError, match=f"HOST:PORT, or auto on one of its nodes; '{address}' came"):
        require_answer(address)


def test_an_address_that_nobody_answers_is_refused_soon():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    for asked in (address, "127.0.0.1:99999"):
        with pytest.raises(
            InputError, match=r"needs a Ray cluster that runs; none answers.*ray start --head"
        ):
            require_answer(asked)
    assert time.monotonic() - started < 10


def test_where_no_cluster_runs_on_this_machine_auto_is_refused(monkeypatch):
    ray = pytest.importorskip("ray")
    from perturbloop.perturb.on_ray import connect

    def none_here(**asked):
        msg = "Could not find any running Ray instance."
        raise ConnectionError(msg)

    monkeypatch.setattr(ray, "init", none_here)
    with pytest.raises(InputError, match=r"none answers at 'auto' \(Could not find any running Ray"):
        connect("auto")
