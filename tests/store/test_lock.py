import subprocess
import sys

import pytest

from perturbloop.errors import StoreError
from perturbloop.store.lock import LOCK_FILE, lock

HOLD = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


def test_another_process_is_kept_out_until_it_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / LOCK_FILE)], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout.readline() == "held\n"
            with (
                pytest.raises(StoreError, match=rf"`{tmp_path}` is busy: .*Wait until it ends"),
                lock(tmp_path),
            ):
                pass
        finally:
            other.kill()
    with lock(tmp_path):
        pass


def test_the_lock_is_free_after_the_block_even_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), lock(tmp_path):
        1 / 0  # noqa: B018
    with lock(tmp_path), pytest.raises(StoreError, match="is busy"), lock(tmp_path):
        pass


def test_a_missing_folder_is_refused(tmp_path):
    with (
        pytest.raises(StoreError, match=r"no campaign folder at .*perturbloop init"),
        lock(tmp_path / "none"),
    ):
        pass
