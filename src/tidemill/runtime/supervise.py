"""The supervisor: a process that starts an executor, watches it, and ends all it started.

It runs no user code, so it works whatever the executor does: hangs, holds the interpreter's lock in C,
eats memory, floods its log, starts processes that try to get away. It ends the attempt by itself when
the launcher dies. One attempt at a time; the next one may use the same supervisor.

    python -m tidemill.runtime.supervise REPORT_FD

reads one request per line from stdin (`{"order": ..., "limits": ..., "log": path, "command": [...],
"removal": [...]}`), meanwhile perhaps `cancel`, until the end of stdin; it writes one line per request, a
`Report`, to REPORT_FD. An empty command means: fork and run the order. Another one (an interpreter of
another environment) is given the order on stdin and a descriptor for its answer as the last argument, like
`python -m tidemill.runtime.child`. The removal is a command that is run when the launcher died.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tidemill.runtime import child, processes
from tidemill.runtime.limits import Groups, Limits, MemoryWatch, enforcement
from tidemill.runtime.logfile import LogFile
from tidemill.runtime.order import Order
from tidemill.runtime.report import CANCELED, LOG, MEMORY, ORPHANED, Report
from tidemill.storage.manifest import storage_error

HEARTBEAT_FILE = "TIDEMILL_HEARTBEAT"
"""The variable that `tidemill.heartbeat` looks at."""
_CANCEL = b"cancel"
_PIECE = 1 << 16
_LOOK = 0.5
"""Seconds between two looks at memory when there is no limit: only the peak is wanted."""
_NO_PIDFD = 0.02
"""Seconds between two questions whether the executor lives, where the system cannot tell by itself."""
_LOG_PATIENCE = 1.0
"""Seconds that an attempt goes on without a log: it may be about to say itself that the disk is full."""
_REMOVAL = 60.0
"""Seconds that the removal may take."""
_IMMEDIATE = (MEMORY, ORPHANED)
"""Reasons to kill without asking: there is no room, or nobody left, to wait for."""


def serve(report_fd: int, control: int = 0) -> int:
    """Supervise the attempts that are asked for on `control`, until it ends; the exit status."""
    os.set_inheritable(report_fd, False)
    processes.become_subreaper()
    waiting = b""
    while True:
        while b"\n" not in waiting:
            piece = os.read(control, _PIECE)
            if not piece:
                return 0
            waiting += piece
        line, _, waiting = waiting.partition(b"\n")
        if line == _CANCEL:
            continue  # it came when the attempt had just ended
        attempt = _Attempt(json.loads(line), control, report_fd)
        report = json.dumps(attempt.run(waiting).to_json()).encode() + b"\n"
        waiting = b""
        if attempt.stopped == ORPHANED:
            return 0
        while report:
            report = report[os.write(report_fd, report) :]


class _Attempt:
    """One attempt, from the start of its executor to the end of its last process."""

    def __init__(self, request: dict[str, Any], control: int, report_fd: int) -> None:
        self.order: dict[str, Any] = request["order"]
        self.command: list[str] = request["command"]
        self.removal: list[str] = request["removal"]
        self.limits = Limits.from_json(request["limits"])
        self.log_path = Path(request["log"])
        self.control = control
        self.report_fd = report_fd
        self.log = LogFile(self.log_path, self.limits.log)
        self.groups = Groups(self.limits)
        guarded = self.limits.memory and self.groups.memory is None
        self.memory = MemoryWatch(self.limits.memory if guarded else sys.maxsize)
        self.pid = 0
        self.pidfd = -1
        self.process: subprocess.Popen[bytes] | None = None
        self.status: int | None = None
        self.talk = b""
        self.answer: dict[str, Any] | None = None
        self.stopped = ""
        self.log_failed = 0.0
        self.used = 0
        self.cpu = 0.0
        self.largest = 0
        self.began = self.life = time.monotonic()
        self.started = 0.0
        """When the executor function was called; 0 before."""
        self.touched = 0.0
        self.looked = 0.0

    def run(self, said: bytes) -> Report:
        """Start, watch, end, and tell."""
        talk_read, talk_write = os.pipe()
        output_read, output_write = os.pipe()
        self._start(talk_write, output_write)
        os.close(talk_write)
        os.close(output_write)
        for descriptor in (talk_read, output_read):
            os.set_blocking(descriptor, False)
        self.talk_read, self.output_read = talk_read, output_read
        self._watch(said)
        if self.stopped and self.stopped not in _IMMEDIATE and self.pid:
            self._ask_to_end()
        self._signal_group(signal.SIGKILL)
        left = processes.end_descendants(self._reaped)
        if self.stopped == ORPHANED:
            self._remove()
        self._hear()
        self._copy_output(last=True)
        self.log.close()
        for descriptor in (talk_read, output_read, self.pidfd):
            if descriptor >= 0:
                os.close(descriptor)
        kills = self.groups.kills()
        if self.stopped == MEMORY and not self.used:
            self.used = self.groups.peak()
        self.groups.remove()
        return Report(
            answer=self.answer,
            status=self.status,
            stopped=self.stopped,
            began=self.started,
            ended=time.monotonic(),
            cpu=self.cpu,
            rss_peak=max(self.largest, self.memory.peak),
            memory_used=self.used,
            memory_kills=kills,
            enforcement=enforcement(self.limits, self.groups.used),
            log_error=storage_error(self.log.error, self.log_path).message if self.log.error else "",
            left=left,
        )

    def _remove(self) -> None:
        """Do for the dead launcher what it would have done after an attempt that was stopped."""
        if self.removal:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                quiet = subprocess.DEVNULL
                subprocess.run(
                    self.removal, stdin=quiet, stdout=quiet, stderr=quiet, check=False, timeout=_REMOVAL
                )

    # --- starting ---------------------------------------------------------------------------------

    def _start(self, talk: int, output: int) -> None:
        os.environ[HEARTBEAT_FILE] = str(self.log_path)
        supervisor = os.getpid()
        if self.command:
            self._start_command(talk, output, supervisor)
        else:
            self.pid = os.fork()
            if self.pid == 0:
                self._become_executor(talk, output, supervisor)
        with contextlib.suppress(AttributeError, OSError):
            self.pidfd = os.pidfd_open(self.pid)

    def _start_command(self, talk: int, output: int, supervisor: int) -> None:
        def enter() -> None:
            processes.die_with_parent(supervisor)
            self.groups.join()

        self.process = subprocess.Popen(
            [*self.command, str(talk)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=(talk,),
            start_new_session=True,
            preexec_fn=enter,  # safe: this process has one thread
        )
        self.pid = self.process.pid
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(self.order).encode() + b"\n")
            self.process.stdin.flush()

    def _become_executor(self, talk: int, output: int, supervisor: int) -> None:
        """In the forked process: run the order, and never come back."""
        status = 1
        try:
            os.setsid()
            processes.die_with_parent(supervisor)
            self.groups.join()
            nothing = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((nothing, 0), (output, 1), (output, 2)):
                os.dup2(source, target)
            unused = {nothing, output, self.report_fd, self.control, self.log.fileno()}
            for descriptor in unused - {-1, 0, 1, 2}:
                os.close(descriptor)
            status = child.answer_order(Order.from_json(self.order), talk)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    # --- watching ---------------------------------------------------------------------------------

    def _watch(self, said: bytes) -> None:
        """Until the executor answered or ended, or there is a reason to stop it."""
        poll = select.poll()
        for descriptor in (self.control, self.talk_read, self.output_read, self.pidfd):
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        while True:
            if said.startswith(_CANCEL):
                self.stopped = CANCELED
            if not self.stopped:
                self._judge_time()
            if self.stopped or self.answer is not None:
                return
            ready = {descriptor for descriptor, _ in poll.poll(self._pause())}
            if self.output_read in ready and not self._copy_output():
                poll.unregister(self.output_read)
            if self.talk_read in ready and not self._hear():
                poll.unregister(self.talk_read)
            if self.control in ready:
                piece = os.read(self.control, _PIECE)
                self.stopped = "" if piece else ORPHANED
                said += piece
            if self.log.error is not None:
                self.log_failed = self.log_failed or time.monotonic()
            if self._ended():
                self._hear()
                return

    def _pause(self) -> float:
        """Milliseconds until the next thing to look after, rounded up."""
        due = [self.memory.next or self.began + _LOOK, *self._deadlines().values()]
        if self.groups.memory is not None:
            due.append(self.looked + _LOOK)
        if self.limits.heartbeat:
            due.append(time.monotonic() + self.limits.heartbeat / 4)
        if self.pidfd < 0:
            due.append(time.monotonic() + _NO_PIDFD)
        return math.ceil(max(0.0, min(due) - time.monotonic()) * 1000)

    def _deadlines(self) -> dict[str, float]:
        limits = self.limits
        found = {}
        if limits.start and not self.started:
            found["start"] = self.began + limits.start
        if limits.run and self.started:
            found["run"] = self.started + limits.run
        if limits.total:
            found["total"] = self.began + limits.total
        if self.log_failed:
            found[LOG] = self.log_failed + _LOG_PATIENCE
        if limits.heartbeat and self.started:
            found["heartbeat"] = self.life + limits.heartbeat
        return found

    def _judge_time(self) -> None:
        """Notice what is late, and what uses too much memory."""
        now = time.monotonic()
        if self.limits.heartbeat and self.started:
            self._look_for_life(now)
        late = {name: at for name, at in self._deadlines().items() if at <= now}
        if late:
            self.stopped = min(late, key=lambda name: late[name])
        elif now >= (self.memory.next or self.began + (_LOOK if self.memory.limit == sys.maxsize else 0)):
            self.used = self.memory.exceeded(self.pid)
            if self.memory.limit == sys.maxsize:
                self.memory.next = now + _LOOK
            self.stopped = MEMORY if self.used else ""
        if self.groups.memory is not None and now >= self.looked + _LOOK:
            # The system kills one process of the tree; the others may wait for it for ever.
            self.looked = now
            self.stopped = self.stopped or (MEMORY if self.groups.kills() else "")

    def _look_for_life(self, now: float) -> None:
        with contextlib.suppress(OSError):
            touched = self.log_path.stat().st_mtime
            if touched != self.touched:
                self.touched, self.life = touched, now

    def _hear(self) -> bool:
        """Read what the executor says; False when it will say no more."""
        while True:
            try:
                piece = os.read(self.talk_read, _PIECE)
            except BlockingIOError:
                return True
            if not piece:
                return False
            *lines, self.talk = (self.talk + piece).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError):
                    message = json.loads(line)
                    if "answer" in message:
                        self.answer = message["answer"]
                    else:
                        self.started = self.life = time.monotonic()

    def _copy_output(self, *, last: bool = False) -> bool:
        """Move what was printed into the log; False when nobody can print any more."""
        while True:
            try:
                piece = os.read(self.output_read, _PIECE)
            except BlockingIOError:
                return True
            if not piece:
                return False
            self.life = time.monotonic()
            self.log.write(piece)
            if not last:
                return True

    # --- ending -----------------------------------------------------------------------------------

    def _ended(self) -> bool:
        """Whether the executor process is over; it is reaped with the others."""
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        return True

    def _ask_to_end(self) -> None:
        """TERM to everything, and time to end; what is printed meanwhile is kept."""
        self._signal_group(signal.SIGTERM)
        mine = [pid for pid in processes.descendants(os.getpid()) if _group(pid) != self.pid]
        processes.signal_all(mine, signal.SIGTERM)
        deadline = time.monotonic() + self.limits.grace
        poll = select.poll()
        poll.register(self.output_read, select.POLLIN)
        if self.pidfd >= 0:
            poll.register(self.pidfd, select.POLLIN)
        while not self._ended() and (left := deadline - time.monotonic()) > 0:
            pause = left if self.pidfd >= 0 else min(left, _NO_PIDFD)
            ready = {descriptor for descriptor, _ in poll.poll(math.ceil(pause * 1000))}
            if self.output_read in ready and not self._copy_output():
                poll.unregister(self.output_read)

    def _signal_group(self, number: signal.Signals) -> None:
        """To all who stayed with the executor. The rest is found by walking down, where that is possible."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _reaped(self, pid: int, status: int, usage: resource.struct_rusage) -> None:
        self.cpu += usage.ru_utime + usage.ru_stime
        self.largest = max(self.largest, usage.ru_maxrss * 1024)
        if pid == self.pid:
            self.status = os.waitstatus_to_exitcode(status)


def _group(pid: int) -> int:
    """Process group of a process; 0 when it is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


if __name__ == "__main__":
    sys.exit(serve(int(sys.argv[1])))
