"""Arguments that can be read from standard input or from a file."""

from __future__ import annotations

import sys
from pathlib import Path

from ..screen.errors import CliError, UsageError


def text_or_stdin(text: str) -> str:
    """The text itself, or all of standard input when it is `-`.

    Raises:
        UsageError: Standard input is not UTF-8.
    """
    if text != "-":
        return text
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            "standard input is not UTF-8 text", "convert it to UTF-8 first", kind="NotText"
        ) from error


def file_or_stdin(path: str) -> bytes:
    """The bytes of a file, or all of standard input when `path` is `-`.

    Raises:
        CliError: The file cannot be read.
    """
    return sys.stdin.buffer.read() if path == "-" else read_file(path)


def read_file(path: str) -> bytes:
    """The bytes of a file.

    Raises:
        CliError: It cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CliError(
            f"cannot read {path}: {error.strerror}", "check the path and its permissions"
        ) from error
