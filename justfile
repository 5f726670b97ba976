# The recipes that people type; `.ci/run` is what a machine runs.

setup:
    python3 -m venv .venv
    .venv/bin/pip install -q -e '.[dev]'

check: lint types test

lint:
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/lint-imports

types:
    .venv/bin/mypy
    .venv/bin/pyright

test *arguments:
    .venv/bin/pytest {{ arguments }}

security:
    .venv/bin/pytest -m security

browser:
    .venv/bin/pytest -m browser

proofs:
    .venv/bin/pytest -m proof

reference:
    .venv/bin/python -m tests.reference

cover:
    .venv/bin/python -m coverage run -m pytest
    .venv/bin/python -m coverage combine -q
    .venv/bin/python -m coverage report

bench:
    .venv/bin/python -m benchmarks

ci:
    .ci/run
