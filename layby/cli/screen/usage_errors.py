"""What the parser of the command line complains about, in the words of the other errors."""

from __future__ import annotations

import re

import typer

from .errors import USAGE, CliError

_FLAGS = re.DOTALL | re.IGNORECASE
_VALUE = re.compile(r"invalid value for '?(?P<name>[^']+)'?: (?P<problem>.*)", _FLAGS)
_SHOULD = re.compile(r"input should be (?P<rule>.*)", _FLAGS)
_CHOICE = re.compile(r"(?:value error, )?.* is not one of (?P<choices>.*)", _FLAGS)
_RULES = (
    (re.compile(r"a valid integer.*", re.DOTALL), "a whole number"),
    (re.compile(r"greater than or equal to (.*)", re.DOTALL), r"\1 or more"),
    (re.compile(r"less than or equal to (.*)", re.DOTALL), r"\1 or less"),
)


def usage_error(error: Exception) -> CliError | None:
    """The error for a command line that cannot be parsed; None for any other error."""
    if isinstance(error, typer.Abort):
        return CliError("stopped", kind="Aborted")
    if not isinstance(error, typer.TyperException):
        return None
    context = getattr(error, "ctx", None)
    advice = f"see: {context.command_path} --help" if context else "see: layby --help"
    return CliError(_message(error.format_message()), advice, code=USAGE, kind="UsageError")


def _message(text: str) -> str:
    text = text.rstrip(".")
    if value := _VALUE.fullmatch(text):
        name, problem = value["name"].partition(" / ")[0], value["problem"]
        if should := _SHOULD.fullmatch(problem):
            return f"{name} must be {_rule(should['rule'])}"
        if choice := _CHOICE.fullmatch(problem):
            return f"{name} must be one of {choice['choices']}"
        return f"{name}: {_lower(problem)}"
    return _lower(text)


def _rule(rule: str) -> str:
    for pattern, words in _RULES:
        if pattern.fullmatch(rule):
            return pattern.sub(words, rule)
    return rule


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
