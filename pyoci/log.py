# SPDX-License-Identifier: Apache-2.0
"""The log that engines read: one record, one write(2), in logrus's forms.

containerd takes the last line of level error; podman reads the whole file as one JSON object. So a
failure must find a JSON log empty: warnings wait in memory until `flush`, and are dropped by `error`.
The fatal message goes to stderr as well, verbatim.
"""

import posix
import sys
import time

from pyoci.errors import UsageError
from pyoci.jsontext import dumps

STDERR = 2
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/@^+")
_GO_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}
_SHORT = {"debug": "DEBU", "warning": "WARN", "error": "ERRO"}


class Log:
    """Where records go, and in which form."""

    __slots__ = ("debugging", "fd", "json", "pending", "started")

    def __init__(self) -> None:
        self.fd = STDERR
        self.json = False
        self.debugging = False
        self.pending: list[bytes] = []
        self.started = time.monotonic()

    def record(self, level: str, message: str) -> bytes:
        """Make one line of the log."""
        if self.json:
            entry = {"level": level, "msg": message, "time": _now()}
            if self.debugging:
                entry = dict(zip(("file", "func"), _caller(), strict=True)) | entry
            return dumps(entry).encode() + b"\n"
        if self.fd == STDERR and posix.isatty(STDERR):
            age = int(time.monotonic() - self.started)
            return f"{_SHORT[level]}[{age:04d}] {printable(message)}\n".encode()
        caller = ""
        if self.debugging:
            file, function = _caller()
            caller = f" func={_quote(function)} file={_quote(file)}"
        return f'time="{_now()}" level={level} msg={_quote(message)}{caller}\n'.encode()


_log = Log()


def configure(path: str, form: str, *, debug: bool) -> None:
    """Open the log for appending; "" is stderr (cli.md section 1)."""
    if form not in ("", "text", "json"):
        raise UsageError(f"invalid log-format: {form}")
    _log.json = form == "json"
    _log.debugging = debug
    if path in ("", "/dev/stderr"):
        return
    flags = posix.O_CREAT | posix.O_WRONLY | posix.O_APPEND | posix.O_SYNC | posix.O_CLOEXEC
    _log.fd = posix.open(path, flags, 0o644)


def debug(message: str) -> None:
    """Say what is about to be done; seen only with --debug."""
    if _log.debugging:
        _write(_log.fd, _log.record("debug", message))


def warning(message: str) -> None:
    """Say that something asked for was not done; kept back from a JSON log until `flush`."""
    record = _log.record("warning", message)
    if _log.json and not _log.debugging:
        _log.pending.append(record)
    else:
        _write(_log.fd, record)


def flush() -> None:
    """Write the warnings that were kept back: nothing can fail from here on."""
    for record in _log.pending:
        _write(_log.fd, record)
    _log.pending.clear()


def error(message: str) -> None:
    """Write the reason of a failure, once and last: to the log, and verbatim to stderr."""
    _log.pending.clear()
    _write(_log.fd, _log.record("error", message))
    if _log.fd != STDERR:
        _write(STDERR, printable(message).encode() + b"\n")


def is_debugging() -> bool:
    """Tell whether --debug was given: only then may a traceback be shown."""
    return _log.debugging


def printable(message: str) -> str:
    """Keep a message to one line: an image must not write to an administrator's terminal."""
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else _escape(c) for c in message)


def _escape(letter: str) -> str:
    code = ord(letter)
    if code in _GO_ESCAPES:
        return _GO_ESCAPES[code]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _quote(text: str) -> str:
    """Quote as logrus does: Go's %q, for what is not a plain word."""
    if text and _PLAIN.issuperset(text):
        return text
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _caller() -> tuple[str, str]:
    """Return file:line and function of whoever called debug, warning or error."""
    frame = sys._getframe(3)  # noqa: SLF001 - the only way to a caller's line without `inspect`
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno}", f"{frame.f_globals['__name__']}.{code.co_name}"


def _write(fd: int, record: bytes) -> None:
    """Write a record at once; a log that cannot be written changes nothing else."""
    try:
        posix.write(fd, record)
    except OSError:
        return
