"""Command lines that can be pasted into another terminal as printed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.untrusted_text import safe

if TYPE_CHECKING:
    from ..invocation import Invocation


def layby() -> str:
    """How this installation is called: `layby` when that is on PATH, else by its Python."""
    return "layby" if shutil.which("layby") else shlex.join([sys.executable, "-m", "layby"])


def command_line(call: Invocation, words: list[str]) -> str:
    """A command for the same server and app as `call`, without a password that its URL contains."""
    options = {
        "--server": _LOGIN.sub(r"\1USER:PASSWORD@", call.server or ""),
        "--context": call.context,
        "--inbox-prefix": call.inbox_prefix,
        "--prefix": call.prefix,
    }
    named = [word for name, value in options.items() if value for word in (name, value)]
    return f"{layby()} {_join([*named, *words])}"


_LOGIN = re.compile(r"(^|,|//)[^/,]*@")


def server_in(file: Path) -> str:
    """What to put before a command so that it uses the server whose address is in a file.

    The password in the address is then neither on a screen nor among the arguments of a process,
    which every user of the machine can see.
    """
    return f'NATS_URL="$(cat {_quote(str(_short(file)))})" '


def _short(file: Path) -> Path:
    """The relative path if the file is below this folder, else the absolute path."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def answer(before: str, ticket: str, text: str) -> str:
    """`layby answer` with everything quoted for a POSIX shell; `before` stands before it as is."""
    words = ["answer", ticket, text]
    if ticket.startswith("-") or text.startswith("-"):
        words.insert(1, "--")
    return f"{before}{layby()} {_join(words)}"


def nats_publish(
    before: str, subject: str, value: object, headers: dict[str, str] | None = None
) -> str:
    """`nats pub` of a JSON value; `before` stands before it as it is.

    `-J` makes the CLI wait until the message is stored; without `--no-templates`, which is not
    the default, a `{{` in the text would be taken for a Go template.
    """
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    given = [word for name, text in (headers or {}).items() for word in ("-H", f"{name}:{text}")]
    words = ["pub", "-J", "--no-templates", *given, subject, body]
    return f"{before}nats {_join(words)}"


def _join(words: list[str]) -> str:
    return " ".join(_quote(word) for word in words)


def _quote(word: str) -> str:
    """Quote for a shell; what a terminal would act on is written as escapes."""
    if word.isprintable() and safe(word) == word:
        return shlex.quote(word)
    escaped = "".join(_ESCAPED.get(char) or _printable(char) for char in word)
    return f"$'{escaped}'"


_ESCAPED = {"\\": "\\\\", "'": "\\'", "\n": "\\n"}


def _printable(char: str) -> str:
    if char.isprintable() and safe(char) == char:
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode(errors="surrogateescape"))
