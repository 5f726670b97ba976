"""The tables of the catalogue."""

from __future__ import annotations

from typing import Final

SCHEMA: Final = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL,
    shown TEXT NOT NULL,
    workflow TEXT NOT NULL,
    ticket TEXT NOT NULL,
    roles TEXT NOT NULL,
    started INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    ended INTEGER,
    due INTEGER,
    words TEXT NOT NULL,
    labels TEXT NOT NULL,
    row BLOB NOT NULL
);
CREATE INDEX runs_started ON runs (started, shown);
CREATE INDEX runs_updated ON runs (updated);
CREATE INDEX runs_ended ON runs (ended) WHERE ended IS NOT NULL;
CREATE INDEX runs_due ON runs (due) WHERE due IS NOT NULL;
CREATE INDEX runs_shown ON runs (shown, started);
CREATE INDEX runs_workflow ON runs (workflow, started);
CREATE INDEX runs_ticket ON runs (ticket);
CREATE INDEX runs_roles ON runs (roles) WHERE roles != '';

CREATE TABLE open (
    id TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    roles TEXT NOT NULL,
    ticket TEXT NOT NULL,
    asked TEXT NOT NULL,
    deadline TEXT NOT NULL,
    words TEXT NOT NULL,
    row BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX open_deadline ON open (deadline);
CREATE INDEX open_asked ON open (asked);
CREATE INDEX open_role ON open (role);
CREATE INDEX open_roles ON open (roles);

CREATE TABLE asked (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    run TEXT NOT NULL,
    role TEXT NOT NULL,
    ticket TEXT NOT NULL,
    words TEXT NOT NULL,
    row BLOB NOT NULL
);
CREATE INDEX asked_run ON asked (run);
CREATE TABLE receipts (
    answer INTEGER NOT NULL,
    question TEXT NOT NULL,
    outcome TEXT NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (question, answer)
) WITHOUT ROWID;
CREATE INDEX receipts_by ON receipts (by);
"""
SETTINGS: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -65536;
"""
"""Nothing in it is worth a disk's time: it is built again from the streams."""
