"""`segue up` and `segue sandbox` as a person runs them: what they print can be pasted, Ctrl-C ends them in order."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from ..instance.running import SLUGS, environment, session_of
from ..instance.waiting import until
from .calling import HERE, Said, begun, hint_in, process, segue

CURL = re.compile(r"^ {2}(curl -u .*)$", re.MULTILINE)


def shell(line: str, cwd: Path, path: str = "") -> str:
    """What a line that was printed does when it is pasted there."""
    found = environment() | {"PATH": f"{path}:{os.environ['PATH']}"}
    done = subprocess.run(line, shell=True, cwd=cwd, env=found, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 0, (line, done)
    return done.stdout


@pytest.mark.parametrize("more", [[], ["--single"]])
def test_the_printed_lines_work_when_they_are_pasted(tmp_path, more):
    folder = tmp_path / "with a space"
    folder.mkdir()
    ports = ["--port", "0", "--sandbox-port", "0"]
    with begun("up", "--demo", "--data", "my data", *ports, *more, cwd=folder) as running:
        said = running.until(" status ")
        (curl,) = CURL.findall(said)
        assert shell(curl + " --silent", folder) == '{"success": true}'
        status = hint_in(said, "status")

        def delivered() -> bool:
            return bool(re.search(r"^plotline +on +1 +1 +0 +0 +0 +0", shell(status, folder), re.MULTILINE))

        until(delivered, "the event of the printed line is delivered")
        for name in ("collector", "sandboxes"):
            (url,) = re.findall(rf"^ +{name} +(http://127\.0\.0\.1:\d+)$", said, re.MULTILINE)
            assert requests.get(url, timeout=10).status_code < 500
        assert running.interrupted().code == 0
        assert not living(running.process.pid)


def test_the_hints_name_the_script_as_it_was_called(tmp_path):
    # As in a checkout that no PATH knows, and as where the shell finds it.
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "segue"
    script.write_text(f"#!{sys.executable}\nfrom segue.cli import main\nmain()\n")
    script.chmod(0o755)

    def called(*arguments: str, path: str = "") -> str:
        found = environment() | {"PATH": f"{path}:{os.environ['PATH']}"}
        return subprocess.run(
            [*arguments, "status", "--data", "no data"], cwd=tmp_path, env=found, capture_output=True, text=True,
            timeout=30, check=False,
        ).stderr  # fmt: skip

    words = "Error: --data: there is no Segue in no data; start one with `{} up --data 'no data'`\n"
    assert called("bin/segue") == words.format("bin/segue")
    assert called("segue", path=str(folder)) == words.format("segue")
    assert called(*HERE) == words.format(f"{shlex.quote(sys.executable)} -m segue.cli")


@pytest.mark.parametrize("after", [0.0, 0.15, 0.3, 0.5])
def test_ctrl_c_at_any_moment_of_the_start_leaves_no_trace_and_no_process(tmp_path, after):
    arguments = ["up", "--demo", "--data", tmp_path / "data", "--port", "0", "--sandbox-port", "0"]
    with begun(*arguments) as running:
        until(lambda: (tmp_path / "data" / "locks").exists(), "it has begun")
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(after)
        said = running.interrupted()
        assert (said.code, said.err.strip()) in ((0, ""), (130, ""))
        assert not living(running.process.pid)


def living(session: int) -> list[int]:
    every = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in every if session_of(pid) == session]


def test_the_sandboxes_alone_say_where_they_are_and_end_by_ctrl_c(tmp_path):
    with begun("sandbox", "--data", tmp_path / "data", "--port", "0") as running:
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+$", running.line().strip())
        for slug in SLUGS:
            assert requests.get(f"{url}/{slug}/_sandbox/state", timeout=10).status_code == 200
        assert running.interrupted().code == 0


def test_a_port_in_use_is_told_with_its_holder_and_the_option_that_gives_another(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = f"port {port} of 127.0.0.1 is held by process {os.getpid()} ("
        calls = {
            "--port (make up PORT=...)": ("up", "--port", port),
            "--sandbox-port (make up SANDBOX_PORT=...)": ("up", "--port", "0", "--sandbox-port", port),
            "--port": ("sandbox", "--port", port),
        }
        with ExitStack() as stack:
            folders = (tmp_path / str(number) for number in range(3))
            running = [
                stack.enter_context(begun(*call, "--data", folder))
                for call, folder in zip(calls.values(), folders, strict=True)
            ]
            for option, each in zip(calls, running, strict=True):
                line = each.ended().line
                assert line.startswith(words)
                assert line.endswith(f"; stop it, or choose another: {option}")
        assert [path.name for path in tmp_path.iterdir()] == [
            "2"
        ]  # of `segue sandbox`; a start that failed left nothing


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "nowhere.example"], "--host: 'nowhere.example' is not an IP address"),
        (["--host", "203.0.113.1"], "--host: 203.0.113.1 is no address of this machine"),
        (["--workspace", "none.yaml"], "none.yaml: No such file or directory"),
        (["--data", "/proc/data"], "--data: /proc/data cannot be made: the system allows no folder there"),
        (["--data", "/dev/null/data"], "--data: /dev/null/data cannot be made: a file stands in its way"),
        (["--data", "/dev/null"], "--data: /dev/null cannot be made: a file stands in its way"),
    ],
)
def test_what_cannot_be_served_is_one_line_at_once(tmp_path, arguments, words):
    assert words in process("up", "--data", tmp_path / "data", "--port", "0", *arguments).line
    assert not (tmp_path / "data").exists()


def test_a_port_that_is_none_is_wrong_usage():
    for arguments in (["up", "--port", "70000"], ["up", "--sandbox-port", "x"], ["sandbox", "--port", "-1"]):
        said = segue(*arguments)
        assert said.code == 2
        assert arguments[1] in said.err


WITHOUT_RIGHTS = """
    import ctypes, os, sys
    # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_NET_BIND_SERVICE: who is not root lacks them
    for right in (1, 2, 3, 10):
        ctypes.CDLL(None).prctl(24, right, 0, 0, 0)
    os.execv(sys.executable, [sys.executable, "-m", "segue.cli", *sys.argv[1:]])
"""


def without_rights(*arguments: object) -> str:
    """The one line of an error of a process to which the modes of files apply, even where we are root."""
    command = [sys.executable, "-c", textwrap.dedent(WITHOUT_RIGHTS), *map(str, arguments)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=30, check=False)
    return Said(done.returncode, done.stdout, done.stderr).line


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder in which nothing can be made, and which holds one that cannot be looked into."""
    folder = tmp_path / "locked"
    (folder / "closed").mkdir(parents=True)
    (folder / "closed" / "control.db").touch()
    (folder / "closed").chmod(0)
    folder.chmod(0o500)
    yield folder
    folder.chmod(0o700)
    (folder / "closed").chmod(0o700)


@pytest.mark.parametrize("words", [["up", "--port", "0"], ["sandbox", "--port", "0"]])
def test_a_folder_that_may_not_be_made_is_one_line(locked, words):
    line = without_rights(*words, "--data", locked / "data")
    assert line == f"--data: {locked}/data cannot be made: Permission denied"


@pytest.mark.parametrize("words", [["status"], ["doctor"], ["tail"], ["export"], ["explain", "m"], ["redrive", "hook"]])
def test_a_folder_that_may_not_be_read_is_one_line(locked, words):
    assert "Permission denied" in without_rights(*words, "--data", locked / "closed")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
@pytest.mark.parametrize("mode", [0o700, 0o755])
@pytest.mark.parametrize("words", [["up", "--port", "0"], ["status"], ["doctor"], ["settings"], ["send"], ["sandbox"]])
def test_a_folder_of_another_user_is_told_as_that(tmp_path, words, mode):
    folder = tmp_path / "theirs"
    folder.mkdir(mode=mode)
    (folder / "control.db").touch()
    os.chown(folder, 54321, -1)
    line = without_rights(*words, "--data", folder)
    assert line.startswith(f"--data: {folder} cannot be used: Permission denied; it belongs to user 54321: run this as")


@pytest.mark.parametrize("words", [["up", "--port", "0"], ["status"], ["settings"]])
def test_a_name_that_no_folder_can_have_is_one_line(words):
    line = process(*words, "--data", "x" * 300).line
    assert line == f"--data: {'x' * 300} cannot be reached: File name too long"


def test_a_port_that_belongs_to_the_system_is_told_as_that(tmp_path):
    if Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip() == "0":
        pytest.skip("this machine lets everybody listen on every port")
    line = without_rights("up", "--port", "81", "--data", tmp_path / "data")
    assert line == "--port: port 81 is the system's own; choose one from 1024 on"
